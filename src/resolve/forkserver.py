"""Keeps yt-dlp loaded, and forks a child of itself for each page. Run as

    PYTHON -c THIS DATA COMMAND [ARGUMENT...]

DATA is the RLIMIT_DATA of a child and of each process that it starts; COMMAND is the yt-dlp, a script
or a zip file of Python's; ARGUMENTs are what all its calls have in common, up to the `--` before the
link. fd 0 listens (a Unix socket), fd 1 is the lifeline (a pipe
whose other end the daemon holds), fd 2 is the log. A connection brings one line of JSON, {"argv":
[...]}, and gets two back: the number of the child, which leads a process group of its own, and
{"code": 0, "stdout": "...", "stderr": "..."}, what COMMAND would have said; the code is a negative
number if a signal killed it. To close the connection before that is to kill the child, and what it
has started.

The parent waits for nothing but poll, and must never do the work of a page itself: what that leaves
in memory would be in every later child.
"""

import sys

# The directory that this happens to run in is nobody's library.
if sys.path[0] == '':
    del sys.path[0]

import atexit
import collections
import contextlib
import ctypes
import gc
import importlib.util
import json
import os
import re
import resource
import runpy
import select
import signal
import socket
import time
import traceback
import zipfile

DATA, COMMAND, *ARGUMENTS = sys.argv[1:]
# Stands in for a link until there is one; it is never looked up.
NOWHERE = 'http://fork.invalid/'
# What one page may print; of its errors the end will do.
MOST_OUTPUT = 16 << 20
MOST_ERRORS = 64 << 10
LONGEST_REQUEST = 1 << 20
# The children of what has become this process: [[pid, descriptor of the connection], ...].
CHILDREN = 'YTCANAL_CHILDREN'
PR_SET_PDEATHSIG = 1  # prctl(2)
# What yt-dlp says while it is being loaded is for nobody, and may have a proxy's password in it.
LOG = os.fdopen(os.dup(2), 'w', buffering=1)
LIBC = ctypes.CDLL(None)

# `end` is a descriptor that tells of the end of the process.
Child = collections.namedtuple('Child', 'pid end connection')


def main():
    try:
        server = Server()
    except Exception as error:
        print(f'cannot load the yt-dlp of {COMMAND}: {error!r}', file=LOG)
        sys.exit(3)
    become(2, os.open(os.devnull, os.O_WRONLY))
    # What returns from here is a child, or has not come as far as its link.
    code = run([*ARGUMENTS, '--', NOWHERE]) if ARGUMENTS else None
    if not server.client:
        code = run(server.serve())
    answer(server.client, code)


def run(argv):
    """Runs the command in this process; its exit code."""
    sys.argv = [COMMAND, *argv]
    try:
        runpy.run_path(COMMAND, run_name='__main__')
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xff
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        # Unless there is too much already.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        return 1
    return 0


class Server:
    def __init__(self):
        self.pid = os.getpid()
        self.listener = socket.socket(fileno=0)
        self.listener.setblocking(False)
        # In a child: who waits for its answer.
        self.client = None
        self.children = []
        for pid, descriptor in json.loads(os.environ.pop(CHILDREN, '[]')):
            os.set_inheritable(descriptor, False)
            self.adopt(pid, socket.socket(fileno=descriptor))
        # A kernel without this one is better found out now.
        os.close(os.pidfd_open(self.pid))
        self.load()

    def load(self):
        # Looking for garbage writes to every object, and so unshares it from the children.
        gc.disable()
        # Two thousand patterns tell whose a link is; the cache of `re` would hold 512.
        re._MAXCACHE = 1 << 14
        is_zip = zipfile.is_zipfile(COMMAND)
        sys.path.insert(0, COMMAND if is_zip else os.path.dirname(os.path.realpath(COMMAND)))
        spec = importlib.util.find_spec('yt_dlp')
        if not spec:
            raise ImportError('there is no module yt_dlp')
        home = os.path.dirname(spec.origin)
        # The directory around it changes with whatever else is installed there.
        self.places = [COMMAND, os.path.join(home, 'version.py'), os.path.dirname(home)]
        self.stamp = self.stamps()
        import yt_dlp
        with contextlib.suppress(ImportError):
            import yt_dlp.extractor.youtube
        download = yt_dlp.YoutubeDL.download

        def wait_for_a_link(ydl, links):
            if not self.client:
                *arguments, _, link = self.serve(warming(ydl))
                if arguments != ARGUMENTS:
                    raise SystemExit('these are not the arguments that the server began with')
                links = [link]
            return download(ydl, links)

        # yt-dlp comes as far as it can without a link, and each child goes on from there.
        yt_dlp.YoutubeDL.download = wait_for_a_link

    def stamps(self):
        """Changes when yt-dlp is upgraded."""
        def stamp(path):
            with contextlib.suppress(OSError):
                status = os.stat(path)
                return status.st_mtime_ns, status.st_size, status.st_ino
        return [stamp(path) for path in self.places]

    def serve(self, tasks=iter(())):
        """Serves until the daemon ends; where there is nothing to do, does one of the tasks.
        Returns in the children: the arguments of their call."""
        idle = 0
        while True:
            ready = self.wait(idle)
            if 1 in ready:
                self.end()
            for child in self.children.copy():
                if child.end in ready or child.connection.fileno() in ready:
                    self.bury(child)
            if 0 in ready:
                if self.stamps() != self.stamp:
                    self.begin_anew()
                if self.fork():
                    return self.call()
            if not ready and next(tasks, self) is self:
                idle = None

    def wait(self, timeout):
        poll = select.poll()
        poll.register(0, select.POLLIN)
        # Of the others' ends nothing but that they are closed, which is told unasked.
        poll.register(1, 0)
        for child in self.children:
            poll.register(child.end, select.POLLIN)
            poll.register(child.connection, 0)
        return [descriptor for descriptor, _ in poll.poll(timeout)]

    def fork(self):
        """Takes a connection, for which there is then a child; true in that child."""
        try:
            connection, _ = self.listener.accept()
            pid = os.fork()
            if pid:
                self.adopt(pid, connection)
        except OSError as error:
            # Out of descriptors or of processes. Who is waiting sees that nobody will answer.
            print(f'cannot fork: {error}', file=LOG)
            time.sleep(0.1)
            return False
        if not pid:
            self.client = connection
        return not pid

    def adopt(self, pid, connection):
        try:
            self.children.append(Child(pid, os.pidfd_open(pid), connection))
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def call(self):
        """Makes a child of this process, and reads what it is to do."""
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)
        for child in self.children:
            os.close(child.end)
            child.connection.close()
        self.listener.detach()
        # Nothing it starts has the listener or the lifeline; all that is printed is kept, by
        # whomever. Python ignores SIGXFSZ: to print more is an error like any other.
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_OUTPUT, MOST_OUTPUT))
        # A small answer may be a large page. What is really taken the daemon looks at.
        resource.setrlimit(resource.RLIMIT_DATA, (int(DATA), int(DATA)))
        with contextlib.suppress(OSError), open('/proc/self/oom_score_adj', 'w') as score:
            score.write('1000')
        become(0, os.open(os.devnull, os.O_RDONLY))
        for stream in sys.stdout, sys.stderr:
            become(stream.fileno(), os.memfd_create('said'))
            stream.reconfigure(encoding='utf-8', errors='backslashreplace')
        gc.freeze()
        gc.enable()
        # The work has begun.
        self.client.sendall(b'%d\n' % os.getpid())
        with self.client.makefile('rb') as lines:
            return json.loads(lines.readline(LONGEST_REQUEST))['argv']

    def bury(self, child):
        """Kills what is left of a child, and speaks for it if it was not to the end."""
        self.children.remove(child)
        # Its number is its own until it is waited for.
        for kill in os.kill, os.killpg:
            with contextlib.suppress(ProcessLookupError):
                kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        os.close(child.end)
        if status:
            said = {'code': os.waitstatus_to_exitcode(status), 'stdout': '', 'stderr': ''}
            child.connection.setblocking(False)
            with contextlib.suppress(OSError):
                child.connection.send(json.dumps(said).encode() + b'\n')
        child.connection.close()

    def end(self):
        for child in self.children.copy():
            self.bury(child)
        os._exit(0)

    def begin_anew(self):
        """Becomes the server of the yt-dlp that is there now. Who is waiting goes on waiting."""
        for child in self.children:
            os.set_inheritable(child.connection.fileno(), True)
        children = [[child.pid, child.connection.fileno()] for child in self.children]
        os.environ[CHILDREN] = json.dumps(children)
        os.dup2(LOG.fileno(), 2)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def become(descriptor, other):
    os.dup2(other, descriptor)
    os.close(other)


def warming(ydl):
    """Does, bit by bit, what all links have in common and is kept in memory."""
    yield first_request(ydl)
    for extractor in list(ydl._ies.values()):
        # One that is broken is so for its own links only.
        with contextlib.suppress(Exception):
            extractor.suitable(NOWHERE)
        yield


def first_request(ydl):
    """Has the certificates read; but not where cookies would be, too, for their file may change."""
    if ydl.params.get('cookiefile') or ydl.params.get('cookiesfrombrowser'):
        return
    from yt_dlp.networking import Request
    # Nobody listens at a port that is only bound.
    with socket.socket() as closed, contextlib.suppress(Exception):
        closed.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{closed.getsockname()[1]}/'
        ydl.urlopen(Request(url, proxies={'all': '__noproxy__'}))


def answer(client, code):
    atexit._run_exitfuncs()
    for stream in sys.stdout, sys.stderr:
        with contextlib.suppress(OSError):
            stream.flush()
    printed, errors = (os.fstat(descriptor).st_size for descriptor in (1, 2))
    stdout = os.pread(1, printed, 0)
    stderr = os.pread(2, MOST_ERRORS, max(0, errors - MOST_ERRORS))
    if max(printed, errors) >= MOST_OUTPUT:
        code, stdout, stderr = 1, b'', b'ERROR: output too large\n'
    said = {'code': code, 'stdout': stdout.decode(errors='replace'),
            'stderr': stderr.decode(errors='replace')}
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(said).encode() + b'\n')
        client.shutdown(socket.SHUT_WR)
    os._exit(0)


main()
