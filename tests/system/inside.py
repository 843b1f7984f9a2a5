"""What the tests need that run inside of a machine, as root: its units, the server, media, and a site that has them.

Their directory, the argument of each, has the files of tests/system and the plugins of tests/ytdlp.
"""

import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
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


def run_steps(*steps):
    """Ends with 0 if all is as promised."""
    make_media()
    subprocess.Popen([sys.executable, f'{HERE}/site.py', str(SITE_PORT), MEDIA])
    for step in steps:
        begun = time.monotonic()
        step()
        print(f'ok {step.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)
