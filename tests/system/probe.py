"""What code of a stranger would try, if a file or a request made a program run it. Prints what came of each
attempt: 0, or the number of an error.

    python3 probe.py service|ffmpeg PORT DIRECTORY

PORT is one on loopback at which a server listens that is none of the service's business. DIRECTORY is where the
service may write.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys

WHO, PORT, OWN = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LIBC = ctypes.CDLL(None, use_errno=True)
KEYCTL = {'x86_64': 250}.get(os.uname().machine, 219)


def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), '')


def write(path):
    with open(path, 'w') as file:
        file.write('#!/bin/sh\n')


def read(path):
    with open(path) as file:
        file.read()


def run_in(directory):
    """Runs a program that it wrote where it may."""
    path = f'{directory}/program'
    write(path)
    os.chmod(path, 0o700)
    subprocess.run([path], check=False)


def others():
    """Sees processes of other users."""
    if os.path.exists('/proc/1/comm'):
        read('/proc/1/comm')
    else:
        raise OSError(errno.ENOENT, '')


def connect():
    socket.create_connection(('127.0.0.1', PORT), 5).close()


def write_read_only(path):
    """Writes where it is not enough that others may not: nobody is to be able to."""
    try:
        write(path)
    except PermissionError:
        pass


BOTH = {
    'etc': lambda: write_read_only('/etc/ytcanal/written'),
    'usr': lambda: write_read_only('/usr/local/bin/written'),
    'opt': lambda: write_read_only('/opt/written'),
    'var': lambda: write_read_only('/var/lib/written'),
    'root': lambda: read('/root/secret'),
    'home': lambda: read('/home/somebody/secret'),
    'homes': lambda: os.listdir('/home/somebody'),
    'shadow': lambda: read('/etc/shadow'),
    'others': others,
    'device': lambda: open('/dev/kmsg').close(),
    'tunable': lambda: write('/proc/sys/kernel/core_pattern'),
    'cgroup': lambda: os.mkdir('/sys/fs/cgroup/written'),
    'mount': lambda: call(LIBC.mount, b'none', b'/tmp', b'tmpfs', 0, None),
    'keys': lambda: call(LIBC.syscall, KEYCTL, 0, -3, 1),
    'trace': lambda: call(LIBC.ptrace, 0x4206, 1, 0, 0),
    'ring': lambda: call(LIBC.syscall, 425, 1, None),
    'shared': lambda: call(LIBC.shmget, 0, 4096, 0o1600),
    'packets': lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    'raw': lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    'netlink': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    'user': lambda: os.setuid(0),
    'run': lambda: run_in(OWN),
    'run-tmp': lambda: run_in('/tmp'),
    'run-var': lambda: run_in('/var/tmp'),
    'run-shm': lambda: run_in('/dev/shm'),
}
FFMPEG = {
    'connect': connect,
    'unix': lambda: socket.socket(socket.AF_UNIX),
    'temporary': lambda: write('/tmp/written'),
    'own': lambda: write(f'{OWN}/written'),
    'passwd': lambda: read('/etc/passwd'),
    'config': lambda: read('/etc/ytcanal/ytcanal.toml'),
}

# In a namespace of its own, the process may do nothing to others.
LAST = {'namespace': lambda: call(LIBC.unshare, 0x10000000)}

said = []
for name, attempt in (BOTH | (FFMPEG if WHO == 'ffmpeg' else {}) | LAST).items():
    try:
        attempt()
        said.append(f'{name}:0')
    except OSError as error:
        said.append(f'{name}:{error.errno}')
print(*said, file=sys.stderr if WHO == 'ffmpeg' else sys.stdout)
