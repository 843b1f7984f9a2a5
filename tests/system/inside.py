"""Runs as root inside of a machine that unit.sh has booted, and tries the unit. Ends with 0 if all is as promised.

    python3 inside.py DIRECTORY

DIRECTORY has this file, the others of tests/system, and the plugins of tests/ytdlp.
"""

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

HERE = sys.argv[1]
SITE_PORT, DAEMON_PORT, PROBED_PORT = 9000, 8080, 8081
SITE = f'http://127.0.0.1:{SITE_PORT}'
MEDIA = f'{HERE}/media'
CONFIG = '/etc/ytcanal/ytcanal.toml'
LOOPBACK = '[upstream]\nallow = ["127.0.0.0/8"]\n'
RESOLVER = f"""[resolver]
extra_args = ["--plugin-dirs", "{HERE}/plugins"]
extractors = ["canal.*"]
"""


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def shown(name, unit='ytcanal'):
    """A property of a unit."""
    return run('systemctl', 'show', '--value', f'--property={name}', unit).strip()


def log(unit='ytcanal'):
    return run('journalctl', '--output=cat', f'--unit={unit}')


def eventually(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f'{what}: not within {seconds} s'
        time.sleep(0.05)
    return found


class Answer:
    """A complete response."""

    def __init__(self, path, port=DAEMON_PORT, token=None):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=120)
        connection.request('GET', path, headers={'Authorization': f'Bearer {token}'} if token else {})
        response = connection.getresponse()
        self.status, self.fields = response.status, response.headers
        self.body = response.read()

    @property
    def problem(self):
        return json.loads(self.body)


def mux(port=DAEMON_PORT, **parameters):
    return Answer('/mux?' + urllib.parse.urlencode(parameters), port)


def page(route, video, port=DAEMON_PORT, **more):
    link = f'{SITE}/watch?v={video}'
    return Answer(f'/{route}?' + urllib.parse.urlencode({'url': link, **more}), port)


def serves():
    try:
        return Answer('/healthz').status == 200
    except OSError:
        return False


def packets(file, stream):
    """The packets of a stream, by their hashes."""
    command = ['ffmpeg', '-v', 'error', '-i', file, '-map', f'0:{stream}', '-c', 'copy', '-f', 'framemd5', '-']
    lines = run(*command).splitlines()
    return [line.split(',')[-1].strip() for line in lines if not line.startswith('#')]


def assert_same_media(answer, video, audio):
    assert answer.status == 200, (answer.status, answer.body[:500])
    file = f'{HERE}/received'
    with open(file, 'wb') as out:
        out.write(answer.body)
    for stream, source in (('v', video), ('a', audio)):
        of = packets(file, stream)
        assert of and of == packets(f'{MEDIA}/{source}', stream), f'{stream} differs'


def configure(text, path=CONFIG):
    with open(path, 'w') as file:
        file.write(text)


def add_token(path, secret):
    with open(path, 'a') as file:
        file.write(f'[{secret}]\nhash = "{hashlib.sha256(secret.encode()).hexdigest()}"\n')


def make_media():
    os.makedirs(MEDIA, exist_ok=True)
    flags = '+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx'
    for source, coded, name in (
        ('testsrc=s=320x180:r=25:d=20', ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '50'],
         'v.mp4'),
        ('sine=d=20', ['-c:a', 'aac', '-frag_duration', '2000000'], 'a.m4a'),
    ):
        run('ffmpeg', '-v', 'error', '-y', '-f', 'lavfi', '-i', source, *coded, '-movflags', flags, '-f', 'mp4',
            f'{MEDIA}/{name}')


def starts_and_runs_scripts():
    """The unit started as it is shipped, by which `check` tried deno in both ways of calling yt-dlp."""
    assert shown('ActiveState') == 'active', log()
    text = log()
    assert len(re.findall('^js +ok ', text, re.M)) == 2, text
    assert len(re.findall('^sandbox +ok +Landlock [0-9]+, seccomp$', text, re.M)) == 2, text
    assert shown('StatusText') == 'Serving: 0 streams'
    assert shown('NRestarts') == '0'


def reloads():
    """What a changed configuration permits, the running process does; a mistake changes nothing."""
    main = shown('MainPID')
    urls = {'video': f'{SITE}/v.mp4', 'audio': f'{SITE}/a.m4a'}
    assert mux(**urls).problem['code'] == 'address-refused'
    configure(LOOPBACK + RESOLVER)
    run('systemctl', 'reload', 'ytcanal')
    eventually('reload', lambda: 'configuration reloaded: upstream.allow changed' in log())
    assert mux(**urls).status == 200
    configure('[upstream]\nallow = ["nothing/99"]\n')
    run('systemctl', 'reload', 'ytcanal')
    eventually('status', lambda: 'the changed configuration is invalid' in shown('StatusText'))
    assert mux(**urls).status == 200
    configure(LOOPBACK + RESOLVER)
    run('systemctl', 'reload', 'ytcanal')
    eventually('status', lambda: 'invalid' not in shown('StatusText'))
    assert (shown('MainPID'), shown('ActiveState')) == (main, 'active')


def joins():
    urls = {'video': f'{SITE}/v.mp4', 'audio': f'{SITE}/a.m4a'}
    for engine, container in (('splice', 'mp4'), ('ffmpeg', 'mkv')):
        answer = mux(**urls, engine=engine, container=container)
        assert engine in answer.fields['Server-Timing'], answer.fields['Server-Timing']
        assert_same_media(answer, 'v.mp4', 'a.m4a')


def logs_with_fields():
    """Inside of the unit the journal takes fields, and the process can be measured."""
    answer = mux(video='nothing')
    name = answer.fields['X-Request-Id']
    assert answer.problem['request_id'] == name

    def line():
        entries = map(json.loads, run('journalctl', '--output=json', '--unit=ytcanal').splitlines())
        return next((entry for entry in entries if entry.get('YTCANAL_REQUEST_ID') == name), None)
    fields = eventually('the line of a request', line)
    found = [fields['YTCANAL_' + name] for name in ('ROUTE', 'STATUS', 'RESULT')]
    assert found == ['/mux', '400', 'bad-url'] and fields['PRIORITY'] == '6', fields
    assert f' [{name}]' in fields['MESSAGE'] and fields['SYSLOG_IDENTIFIER'] == 'ytcanal', fields
    metrics = Answer('/metrics').body.decode()
    for metric in 'cpu_seconds_total', 'resident_memory_bytes', 'open_fds', 'max_fds', 'start_time_seconds':
        assert re.search(f'^process_{metric} [0-9.]*[1-9]', metrics, re.M), metrics


def starts_with_tokens():
    """A start is what yt-dlp's arguments and a file of tokens need that has just been named."""
    configure('[access]\ntokens_file = "/etc/ytcanal/tokens.toml"\n' + LOOPBACK + RESOLVER)
    add_token('/etc/ytcanal/tokens.toml', 'first')
    run('chgrp', 'ytcanal-config', '/etc/ytcanal/tokens.toml')
    os.chmod('/etc/ytcanal/tokens.toml', 0o640)
    os.remove('/etc/systemd/system/ytcanal.service.d/command.conf')
    run('systemctl', 'daemon-reload')
    run('systemctl', 'restart', 'ytcanal')
    assert [Answer('/', token=token).status for token in ('first', 'second', None)] == [200, 401, 200]
    add_token('/etc/ytcanal/tokens.toml', 'second')
    run('systemctl', 'reload', 'ytcanal')
    eventually('reload', lambda: Answer('/', token='second').status == 200)


def reads_pages():
    """With the real yt-dlp, kept loaded."""
    answer = page('info', 'film')
    assert answer.status == 200, answer.body
    assert 'A film: film' in answer.body.decode()
    assert_same_media(page('download', 'film'), 'v.mp4', 'a.m4a')
    pids = [pid for pid in os.listdir('/proc') if pid.isdigit()]
    own = [pid for pid in pids if 'ytcanal.service' in open(f'/proc/{pid}/cgroup').read()]
    names = [open(f'/proc/{pid}/comm').read().strip() for pid in own]
    assert sorted(names) == ['yt-dlp', 'ytcanal'], names


def outcomes(text):
    return {name: int(number) for name, number in re.findall(r'([\w-]+):(\d+)', text)}


def confines():
    """What the sandboxes of the unit and of its children promise."""
    for path in '/root/secret', '/home/somebody/secret':
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.chmod(os.path.dirname(path), 0o755)
        configure('hunter2', path)
    probe = ['python3', f'{HERE}/probe.py']
    # Without a sandbox, root can do it; but what concerns the kernel, its container forbids.
    free = outcomes(run(*probe, 'service', str(SITE_PORT), '/run'))
    print('free   ', free)
    for name in 'etc', 'usr', 'var', 'root', 'home', 'homes', 'shadow', 'others', 'namespace', 'shared', 'user', 'run':
        assert free[name] == 0, name
    run('systemctl', 'start', 'probe')
    service = outcomes(log('probe'))
    print('service', service)
    assert len(service) == len(free), log('probe')
    assert all(service.values()), service

    # Root's alone, and passed on by systemd.
    os.makedirs('/etc/credstore', mode=0o700)
    add_token('/etc/credstore/ytcanal.tokens', 'credential')
    os.chmod('/etc/credstore/ytcanal.tokens', 0o600)
    run('systemctl', 'start', 'probed')
    assert [Answer('/', PROBED_PORT, token).status for token in ('credential', 'first')] == [200, 401]
    refused = mux(PROBED_PORT, audio=f'{SITE}/a.m4a', engine='ffmpeg', container='mkv')
    ffmpeg = outcomes(refused.problem['detail'])
    print('ffmpeg ', ffmpeg)
    assert len(ffmpeg) == len(free) + 6, refused.body
    assert all(ffmpeg.values()), ffmpeg
    run('systemctl', 'stop', 'probed')

    refused = page('info', 'reach-out')
    ytdlp = outcomes(refused.problem['detail'])
    print('yt-dlp ', ytdlp)
    assert len(ytdlp) == 15 and all(ytdlp.values()), refused.body
    # Nobody listens at that port: it was not even tried.
    assert ytdlp['connect'] != 111, ytdlp


def is_restarted(number, result):
    eventually('restart', lambda: shown('NRestarts') == str(number) and shown('ActiveState') == 'active' and serves())
    assert result in log(), log()
    assert mux(video=f'{SITE}/v.mp4').status == 200


def survives():
    """A kill, and a process that stands still."""
    before = int(shown('NRestarts'))
    os.kill(int(shown('MainPID')), signal.SIGKILL)
    is_restarted(before + 1, "Failed with result 'signal'")
    os.kill(int(shown('MainPID')), signal.SIGSTOP)
    is_restarted(before + 2, "Failed with result 'watchdog'")
    # Which is set to less than this.
    time.sleep(6)
    assert shown('NRestarts') == str(before + 2)


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


class Asking(threading.Thread):
    """Asks again and again whether downloads are accepted, which a server that drains denies."""

    def __enter__(self):
        self.count, self.failures, self.is_over = 0, [], False
        self.start()
        return self

    def run(self):
        while not self.is_over:
            self.count += 1
            try:
                status = Answer('/readyz').status
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            if status != 200:
                self.failures.append(status)

    def __exit__(self, *error):
        self.is_over = True
        self.join()
        print(f'{self.count} requests, failed: {self.failures}')
        assert self.count > 10 and not self.failures


def hands_over():
    """Another process takes over; nobody is refused, and the download of the one before ends well."""
    main, restarts = shown('MainPID'), shown('NRestarts')
    download = SlowDownload()
    with Asking():
        run('systemctl', 'kill', '--signal=USR2', '--kill-whom=main', 'ytcanal')
        eventually('another main process', lambda: shown('MainPID') != main)
        download.assert_complete()
        eventually('the end of the one before', lambda: not os.path.exists(f'/proc/{main}'))
    taken = shown('MainPID')
    # It shows that it lives, for longer than the watchdog's time.
    time.sleep(6)
    assert (shown('MainPID'), shown('NRestarts'), shown('ActiveState')) == (taken, restarts, 'active')


def restarts_refuse_nobody():
    """With a socket of systemd, connections wait, although a download takes its time to end."""
    run('systemctl', 'start', 'ytcanal.socket', 'ytcanal')
    download = SlowDownload()
    with Asking():
        for _ in range(3):
            run('systemctl', 'restart', 'ytcanal')
    download.assert_complete()
    run('systemctl', 'stop', 'ytcanal.socket', 'ytcanal')


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


def main():
    make_media()
    subprocess.Popen([sys.executable, f'{HERE}/site.py', str(SITE_PORT), MEDIA])
    for step in (starts_and_runs_scripts, reloads, joins, logs_with_fields, starts_with_tokens, reads_pages, confines,
                 survives, hands_over, drains, restarts_refuse_nobody):
        begun = time.monotonic()
        step()
        print(f'ok {step.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)


if __name__ == '__main__':
    main()
