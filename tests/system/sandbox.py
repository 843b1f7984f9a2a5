"""Runs a program as the unit would, as far as that takes no root: no new privileges, only the system
calls that the unit allows, and no home. What else the unit forbids, `make test-system` has.

    python3 sandbox.py UNIT PROGRAM [ARGUMENT...]
"""

import ctypes
import errno
import os
import subprocess
import sys

UNIT, *COMMAND = sys.argv[1:]
PR_SET_NO_NEW_PRIVS = 38
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | errno.EPERM  # seccomp(3)


def calls(name):
    """The system calls of a group, which may have other groups in it."""
    if not name.startswith('@'):
        return {name}
    listed = subprocess.run(['systemd-analyze', 'syscall-filter', name], check=True,
                            capture_output=True, text=True).stdout
    members = [line.strip() for line in listed.splitlines()[1:]]
    return set().union(*(calls(member) for member in members if member and not member.startswith('#')))


def allowed():
    # What systemd itself allows always (systemd.exec(5)).
    found = calls('@default') | {'execve'}
    with open(UNIT) as unit:
        for line in unit:
            key, _, value = line.strip().partition('=')
            if key == 'SystemCallFilter':
                listed = set().union(*map(calls, value.lstrip('~').split()))
                found = found - listed if value.startswith('~') else found | listed
    return found


def confine(names):
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL('libseccomp.so.2')
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    for name in names:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        # Some are those of other machines.
        if number >= 0:
            seccomp.seccomp_rule_add(context, ALLOW, number, 0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or seccomp.seccomp_load(context):
        sys.exit('cannot be confined')


confine(allowed())
for name in 'HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'DENO_DIR', 'TMPDIR':
    os.environ.pop(name, None)
os.execvp(COMMAND[0], COMMAND)
