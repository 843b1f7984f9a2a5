"""A server that ends, or makes way for another, while it is asked and while a download goes on."""

import hashlib
import http.client
import os
import subprocess
import sys
import threading
import time
import urllib.parse

from inside import DAEMON_PORT, HERE, MEDIA, SITE, Answer, eventually, log, run, shown


class SlowDownload:
    """A download that takes longer than systemd waits by itself."""

    def __init__(self):
        self.file = f'{HERE}/slow'
        url = f'http://127.0.0.1:{DAEMON_PORT}/mux?video=' + urllib.parse.quote(f'{SITE}/slow/v.mp4', safe='')
        fetch = 'import sys, urllib.request as u; open(sys.argv[2], "wb").write(u.urlopen(sys.argv[1]).read())'
        self.client = subprocess.Popen([sys.executable, '-c', fetch, url, self.file])
        eventually('stream', lambda: shown('StatusText').startswith('Serving: 1 stream'))

    def assert_complete(self):
        assert self.client.wait() == 0
        of = [hashlib.sha256(open(name, 'rb').read()).digest() for name in (self.file, f'{MEDIA}/v.mp4')]
        assert of[0] == of[1], 'the file differs'


class Load:
    """Clients that ask again and again whether downloads are accepted, which a server that drains denies."""
    CLIENTS = 8

    def __enter__(self):
        self.statuses, self.is_over = [], False
        self.clients = [threading.Thread(target=self.ask) for _ in range(self.CLIENTS)]
        for client in self.clients:
            client.start()

    def ask(self):
        while not self.is_over:
            try:
                status = Answer('/readyz').status
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            self.statuses.append(status)

    def __exit__(self, *error):
        self.is_over = True
        for client in self.clients:
            client.join()
        failed = [status for status in self.statuses if status != 200]
        print(f'{len(self.statuses)} requests by {self.CLIENTS} clients, failed: {failed}')
        # Each of them waits while a server starts.
        assert len(self.statuses) >= 2 * self.CLIENTS and not failed


def hands_over():
    """Another process takes over; nobody is refused, and the download of the one before ends well."""
    main, restarts = shown('MainPID'), shown('NRestarts')
    download = SlowDownload()
    with Load():
        run('systemctl', 'kill', '--signal=USR2', '--kill-whom=main', 'ytcanal')
        eventually('another main process', lambda: shown('MainPID') != main)
        download.assert_complete()
        eventually('the end of the one before', lambda: not os.path.exists(f'/proc/{main}'))
    taken = shown('MainPID')
    # It shows that it lives, for longer than the watchdog's time.
    time.sleep(6)
    assert (shown('MainPID'), shown('NRestarts'), shown('ActiveState')) == (taken, restarts, 'active')


def restarts_refuse_nobody():
    """With socket activation, connections wait, although a download takes its time to end."""
    # The lines of docs/operations.md; the server may run.
    run('systemctl', 'enable', 'ytcanal.socket')
    run('systemctl', 'stop', 'ytcanal')
    run('systemctl', 'start', 'ytcanal.socket', 'ytcanal')
    download = SlowDownload()
    with Load():
        for _ in range(3):
            run('systemctl', 'restart', 'ytcanal')
    download.assert_complete()


def drains():
    """A stop lets a download end that takes longer than systemd would wait by itself."""
    download = SlowDownload()
    begun = time.monotonic()
    stop = subprocess.Popen(['systemctl', 'stop', 'ytcanal'])
    eventually('drain', lambda: shown('StatusText').startswith('Draining: 1 stream'))
    assert download.client.wait() == 0 and stop.wait() == 0
    took = time.monotonic() - begun
    print(f'drained for {took:.1f} s; systemd would have waited for {shown("TimeoutStopUSec")}')
    assert took > 4, took
    download.assert_complete()
    assert shown('Result') == 'success', log()
