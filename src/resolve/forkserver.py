"""Keeps yt-dlp loaded, and forks a child of itself for each page. Usage:

    PYTHON -c THIS DATA CPU FILTER PLUGINS COMMAND [ARGUMENT...]

DATA and CPU are the RLIMIT_DATA and RLIMIT_CPU of a child and of each process that it starts. FILTER is
a seccomp filter in hexadecimal digits, or empty, that keeps them in the group of the child. PLUGINS is
a list in JSON of the sources of plugins of yt-dlp. COMMAND is yt-dlp: a script or a Python zip file. ARGUMENTs are shared by
all runs, up to the `--` before the URL. fd 0 is a listening Unix socket, fd 1 is the lifeline (a pipe whose
other end the daemon holds), fd 2 is the log.

A connection sends one line of JSON, {"argv": [...], "cookies": null}, where the cookies may be the text
of a file. It receives two lines: the pid of the child, which leads a process group of its own, and
{"code": 0, "stdout": 12, "stderr": 0}, which is the outcome of COMMAND with the lengths of its outputs,
which follow; the code is a negative number if a signal killed it. Closing the connection before that
kills the child and all that it has started.

The parent blocks in poll alone. Invariant: it never reads a page itself, because every later child
would inherit the memory which that takes, and what it contains, such as cookies.
"""

import sys

# No modules are imported from the working directory.
if sys.path[0] == '':
    del sys.path[0]

import atexit
import collections
import contextlib
import ctypes
import gc
import importlib.util
import io
import itertools
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

DATA, CPU, FILTER, PLUGINS, COMMAND, *ARGUMENTS = sys.argv[1:]
# Stands in for the URL until a request brings one; it is never resolved.
PLACEHOLDER_URL = 'http://fork.invalid/'
# Maximum length of both outputs; of errors the end is returned.
MAX_OUTPUT = 16 << 20
MAX_ERRORS = 64 << 10
MAX_REQUEST = 4 << 20
# What the daemon reads of a page and of a format (schema.rs), and how many formats of a page.
OF_PAGE = frozenset((
    '_type id extractor title uploader channel creator release_date upload_date duration live_status is_live '
    'release_timestamp _has_drm thumbnail thumbnails chapters sponsorblock subtitles automatic_captions playlist_count').split())
OF_FORMAT = frozenset((
    'format_id format_note url protocol ext vcodec acodec width height fps tbr filesize filesize_approx '
    'dynamic_range language language_preference preference quality source_preference http_headers cookies '
    'downloader_options impersonate available_at has_drm manifest_url hls_media_playlist_data hls_aes '
    'extra_param_to_segment_url extra_param_to_key_url is_dash_periods period_count fragment_base_url '
    'fragments').split())
MAX_FORMATS = 2000
# What it reads of subtitles, and in which formats.
OF_CAPTION = frozenset(('ext name url data protocol http_headers fragments').split())
CAPTIONS = frozenset(('vtt srt ttml dfxp tt').split())
# What it reads of an entry of a list.
OF_ENTRY = frozenset(('_type title uploader channel duration url webpage_url').split())
# The children of the server that this process replaced: [[pid, descriptor of the connection], ...].
CHILDREN = 'YTCANAL_CHILDREN'
PR_SET_PDEATHSIG, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 1, 22, 2  # prctl(2)
# What yt-dlp prints while it is loaded is discarded: it may contain the password of a proxy.
LOG = os.fdopen(os.dup(2), 'w', buffering=1)
LIBC = ctypes.CDLL(None)

# `pidfd` becomes readable when the process exits.
Child = collections.namedtuple('Child', 'pid pidfd connection')


def main():
    try:
        server = Server()
    except Exception as error:
        print(f'cannot load the yt-dlp of {COMMAND}: {error!r}', file=LOG)
        sys.exit(3)
    redirect(2, os.open(os.devnull, os.O_WRONLY))
    # Returns in a child, or if yt-dlp did not get as far as its URL.
    code = run([*ARGUMENTS, '--', PLACEHOLDER_URL]) if ARGUMENTS else None
    if not server.client:
        code = run(server.serve())
    respond(server.client, code)


def run(argv):
    """Runs the command in this process; returns its exit code."""
    sys.argv = [COMMAND, *argv]
    try:
        runpy.run_path(COMMAND, run_name='__main__')
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xff
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        # The output may be full.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        return 1
    return 0


class Server:
    def __init__(self):
        self.pid = os.getpid()
        self.listener = socket.socket(fileno=0)
        self.listener.setblocking(False)
        # In a child: the connection that its response goes to.
        self.client = None
        # In a child: the text of the file of cookies that its page is read with.
        self.cookies = None
        self.children = []
        for pid, descriptor in json.loads(os.environ.pop(CHILDREN, '[]')):
            os.set_inheritable(descriptor, False)
            self.adopt(pid, socket.socket(fileno=descriptor))
        # Fails now on a kernel without pidfd_open.
        os.close(os.pidfd_open(self.pid))
        self.load()

    def load(self):
        # Garbage collection writes to every object, and so unshares its page from the children.
        gc.disable()
        # Two thousand patterns identify the extractor of a URL; the cache of `re` holds 512 by default.
        re._MAXCACHE = 1 << 14
        is_zip = zipfile.is_zipfile(COMMAND)
        sys.path.insert(0, COMMAND if is_zip else os.path.dirname(os.path.realpath(COMMAND)))
        spec = importlib.util.find_spec('yt_dlp')
        if not spec:
            raise ImportError('there is no module yt_dlp')
        home = os.path.dirname(spec.origin)
        # The directory around the package changes with whatever else is installed there.
        self.watched_paths = [COMMAND, os.path.join(home, 'version.py'), os.path.dirname(home)]
        self.stamp = self.stamps()
        import yt_dlp
        with contextlib.suppress(ImportError):
            import yt_dlp.extractor.youtube
        for source in json.loads(PLUGINS):
            # What it depends on may have changed.
            with contextlib.suppress(Exception):
                exec(source, {'__name__': 'plugin'})
        download = yt_dlp.YoutubeDL.download

        def wait_for_link(ydl, urls):
            if not self.client:
                *arguments, _, url = self.serve(warm_up(ydl))
                # The part of a list that is requested is all that may differ.
                items = ARGUMENTS.index('--playlist-items') + 1
                ydl.params['playlist_items'] = arguments[items]
                arguments[items] = ARGUMENTS[items]
                if arguments != ARGUMENTS:
                    raise SystemExit('the arguments differ from those that the server was started with')
                urls = [url]
            if self.cookies is not None:
                give_cookies(ydl, self.cookies)
            return download(ydl, urls)

        # yt-dlp runs as far as it can without a URL, and each child continues from there.
        yt_dlp.YoutubeDL.download = wait_for_link
        sanitize = yt_dlp.YoutubeDL.sanitize_info
        yt_dlp.YoutubeDL.sanitize_info = staticmethod(
            lambda info, *arguments, **named: sanitize(shorten(info), *arguments, **named))

    def stamps(self):
        """Returns a value that changes when yt-dlp is upgraded."""
        def stamp(path):
            with contextlib.suppress(OSError):
                status = os.stat(path)
                return status.st_mtime_ns, status.st_size, status.st_ino
        return [stamp(path) for path in self.watched_paths]

    def serve(self, tasks=iter(())):
        """Serves until the daemon ends, and runs one of the tasks whenever idle. Returns in the
        children only: the arguments of their run."""
        idle = 0
        while True:
            ready = self.wait(idle)
            if 1 in ready:
                self.end()
            for child in self.children.copy():
                if child.pidfd in ready or child.connection.fileno() in ready:
                    self.reap(child)
            if 0 in ready:
                if self.stamps() != self.stamp:
                    self.restart()
                if self.fork():
                    return self.start_child()
            if not ready and next(tasks, self) is self:
                idle = None

    def wait(self, timeout):
        poll = select.poll()
        poll.register(0, select.POLLIN)
        # Of the other descriptors only hang-ups matter, which poll reports in any case.
        poll.register(1, 0)
        for child in self.children:
            poll.register(child.pidfd, select.POLLIN)
            poll.register(child.connection, 0)
        return [descriptor for descriptor, _ in poll.poll(timeout)]

    def fork(self):
        """Accepts a connection and forks a child for it; returns true in that child."""
        try:
            connection, _ = self.listener.accept()
            pid = os.fork()
            if pid:
                self.adopt(pid, connection)
        except OSError as error:
            # Out of descriptors or of processes. The daemon sees the connection close.
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

    def start_child(self):
        """Sets up this process as a child, and reads its request."""
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)
        for child in self.children:
            os.close(child.pidfd)
            child.connection.close()
        # What a page makes this process run must not write to the log of the daemon.
        LOG.close()
        self.listener.detach()
        # Its own children get neither the listener nor the lifeline, and print to the same files.
        # Python ignores SIGXFSZ, so printing more than the limit raises an ordinary error.
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_OUTPUT, MAX_OUTPUT))
        # A small response may expand to a large page. The daemon measures the memory really used.
        resource.setrlimit(resource.RLIMIT_DATA, (int(DATA), int(DATA)))
        resource.setrlimit(resource.RLIMIT_CPU, (int(CPU), int(CPU)))
        stay_in_group()
        keep_apart()
        redirect(0, os.open(os.devnull, os.O_RDONLY))
        for stream in sys.stdout, sys.stderr:
            redirect(stream.fileno(), os.memfd_create('output'))
            stream.reconfigure(encoding='utf-8', errors='backslashreplace')
        gc.freeze()
        gc.enable()
        # Announces the start.
        self.client.sendall(b'%d\n' % os.getpid())
        with self.client.makefile('rb') as lines:
            request = json.loads(lines.readline(MAX_REQUEST))
        self.cookies = request['cookies']
        return request['argv']

    def reap(self, child):
        """Kills what is left of a child, and responds for it if it failed to."""
        self.children.remove(child)
        # The pid is not reused before the child is reaped.
        for kill in os.kill, os.killpg:
            with contextlib.suppress(ProcessLookupError):
                kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        os.close(child.pidfd)
        if status:
            response = {'code': os.waitstatus_to_exitcode(status), 'stdout': 0, 'stderr': 0}
            child.connection.setblocking(False)
            with contextlib.suppress(OSError):
                child.connection.send(json.dumps(response).encode() + b'\n')
        child.connection.close()

    def end(self):
        for child in self.children.copy():
            self.reap(child)
        os._exit(0)

    def restart(self):
        """Replaces this process by a server with the yt-dlp installed now. Open connections stay."""
        for child in self.children:
            os.set_inheritable(child.connection.fileno(), True)
        children = [[child.pid, child.connection.fileno()] for child in self.children]
        os.environ[CHILDREN] = json.dumps(children)
        os.dup2(LOG.fileno(), 2)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def stay_in_group():
    """Has the kernel refuse what makes a process leave its group, which is killed at the end."""
    code = bytes.fromhex(FILTER)
    if not code:
        return

    class Program(ctypes.Structure):  # sock_fprog of seccomp(2)
        _fields_ = [('length', ctypes.c_ushort), ('code', ctypes.c_char_p)]

    # Eight bytes are an instruction.
    program = Program(len(code) // 8, code)
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)):
        os._exit(1)


def keep_apart():
    """Has the kernel keep other children, which have the same user, from looking into this one: it is in a
    Landlock domain of its own then. That needs a rule (Linux 6.7), here one which they all have anyway."""
    if not FILTER:
        return
    create_ruleset, restrict_self = 444, 446  # landlock_create_ruleset(2), landlock_restrict_self(2)
    handled = (ctypes.c_uint64 * 2)(0, 1)  # no access to files, LANDLOCK_ACCESS_NET_BIND_TCP
    ruleset = LIBC.syscall(create_ruleset, handled, ctypes.c_size_t(ctypes.sizeof(handled)), 0)
    if ruleset >= 0:
        LIBC.syscall(restrict_self, ruleset, 0)
        os.close(ruleset)


def redirect(descriptor, other):
    os.dup2(other, descriptor)
    os.close(other)


def warm_up(ydl):
    """Initialises, step by step, what all URLs share in memory."""
    yield first_request(ydl)
    for extractor in list(ydl._ies.values()):
        # A broken extractor fails for its own URLs only.
        with contextlib.suppress(Exception):
            extractor.suitable(PLACEHOLDER_URL)
        yield


def give_cookies(ydl, text):
    """Has yt-dlp read the page with cookies, as if the file of --cookies contained them. What it writes there at
    the end is lost with this process."""
    file = ydl.params['cookiefile'] = io.StringIO(text)
    # Their jar is made when it is first used, which may have been for the first request: then it has none yet, and
    # others have it already.
    if ydl.cookiejar.filename is not file:
        ydl.cookiejar.filename = file
        ydl.cookiejar.load()


def shorten(info):
    """Returns what the daemon reads of a page, without the rest and without what yt-dlp repeats: a page may offer
    twenty formats of ten thousand segments each, of which one format is printed three times."""
    if not isinstance(info, dict):
        return info
    entries = info.get('entries')
    if isinstance(entries, list):
        short = {name: value for name, value in info.items() if name in OF_PAGE}
        return {**short, 'entries': [shorten_entry(one) for one in entries]}
    info = {**info, **{name: shorten_captions(info.get(name)) for name in ('subtitles', 'automatic_captions')}}
    formats = info.get('formats')
    if not isinstance(formats, list) or not formats:
        # The page may be a format itself.
        return shorten_format(info, OF_PAGE | OF_FORMAT)
    short = {name: value for name, value in info.items() if name in OF_PAGE}
    return {**short, 'formats': [shorten_format(one, OF_FORMAT) for one in formats[:MAX_FORMATS]]}


def shorten_captions(captions):
    """Returns the formats that are read: a page may offer automatic captions in a hundred languages, in seven formats
    each."""
    if not isinstance(captions, dict):
        return None
    return {language: [
        {name: value for name, value in one.items() if name in OF_CAPTION}
        for one in formats if isinstance(one, dict) and one.get('ext') in CAPTIONS
    ] for language, formats in captions.items() if isinstance(formats, list)}


def shorten_entry(one):
    return isinstance(one, dict) and {name: value for name, value in one.items() if name in OF_ENTRY} or None


def shorten_format(one, names):
    if not isinstance(one, dict):
        return None
    short = {name: value for name, value in one.items() if name in names}
    if fragments := shorten_fragments(one.get('fragments')):
        short['fragments'] = fragments
    return short


def shorten_fragments(fragments):
    """Returns the locations with what they have in common said once, and runs of equal durations; None if
    it is not such a list. A fragment without the field `duration` has None, an unknown duration is 0."""
    if not isinstance(fragments, list) or not all(isinstance(one, dict) for one in fragments):
        return None
    locations = [one.get('url') or one.get('path') for one in fragments]
    if not all(isinstance(one, str) and '\n' not in one for one in locations):
        return None
    prefix = os.path.commonprefix(locations)
    rest = [one[len(prefix):] for one in locations]
    suffix = os.path.commonprefix([one[::-1] for one in rest])[::-1]
    parts = '\n'.join(one[:len(one) - len(suffix)] for one in rest)
    durations = ((one['duration'] or 0) if 'duration' in one else None for one in fragments)
    runs = [(len(list(run)), duration) for duration, run in itertools.groupby(durations)]
    return {'prefix': prefix, 'suffix': suffix, 'parts': parts, 'durations': runs}


def first_request(ydl):
    """Loads the certificates; but not if that loads cookies, too, for their file may change."""
    if ydl.params.get('cookiefile') or ydl.params.get('cookiesfrombrowser'):
        return
    from yt_dlp.networking import Request
    # A port that is only bound refuses connections. In a sandbox it cannot be bound, and every port does.
    with socket.socket() as closed, contextlib.suppress(Exception):
        with contextlib.suppress(PermissionError):
            closed.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{closed.getsockname()[1] or 9}/'
        ydl.urlopen(Request(url, proxies={'all': '__noproxy__'}))


def respond(client, code):
    atexit._run_exitfuncs()
    for stream in sys.stdout, sys.stderr:
        with contextlib.suppress(OSError):
            stream.flush()
    printed, errors = (os.fstat(descriptor).st_size for descriptor in (1, 2))
    stdout = os.pread(1, printed, 0)
    stderr = os.pread(2, MAX_ERRORS, max(0, errors - MAX_ERRORS))
    if max(printed, errors) >= MAX_OUTPUT:
        code, stdout, stderr = 1, b'', b'ERROR: output too large\n'
    response = {'code': code, 'stdout': len(stdout), 'stderr': len(stderr)}
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(response).encode() + b'\n' + stdout + stderr)
        client.shutdown(socket.SHUT_WR)
    os._exit(0)


main()
