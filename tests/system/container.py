"""Tries an image that container.sh has built. Ends with 0 if all is as promised.

    python3 container.py ENGINE IMAGE

Two containers share a loopback interface that leads nowhere else: in one runs the server as docs/operations.md has it,
in the other the site and the clients. So no port of this machine is used, and none has to be free.
"""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.parse

ENGINE, IMAGE = sys.argv[1:3]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVER, SITE, PUBLISHED, VOLUME = (f'{IMAGE}-{name}' for name in ('server', 'site', 'published', 'volume'))
# The server's port is the image's own.
URL, SITE_URL = 'http://127.0.0.1:8080', 'http://127.0.0.1:9000'
TRACKS = {'video': f'{SITE_URL}/v.mp4', 'audio': f'{SITE_URL}/a.m4a'}
PLUGINS = '/usr/local/share/ytcanal-tests/plugins'
LOOPBACK = '[upstream]\nallow = ["127.0.0.0/8"]\n'
RESOLVER = f"""[resolver]
extra_args = ["--plugin-dirs", "{PLUGINS}"]
extractors = ["canal.*"]
timeout = "3m"
"""
# What becomes /etc/ytcanal.
CONFIGURATION = tempfile.TemporaryDirectory()
# What it has today, and some air, in which no compiler fits.
MAX_MIB = 900
# The longest that an engine waits by itself, if nobody says otherwise.
ENGINE_STOP_TIMEOUT = 10
USER = 64080
# Types of mounts in which no file can be made.
FILELESS = {'proc', 'sysfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2'}


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, f'{shlex.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}'
    return done.stdout


def engine(*arguments):
    return run(ENGINE, *arguments).strip()


def inside(container, *command):
    return engine('exec', container, *command)


def inspect(container, template):
    return engine('inspect', '--type', 'container', '--format', template, container)


def eventually(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f'{what}: not within {seconds} s'
        time.sleep(0.2)
    return found


def documented(begin, end=''):
    """The words between these of a command in docs/operations.md, with the volume of the tests."""
    with open(f'{ROOT}/docs/operations.md') as file:
        found = re.search(rf'^{begin} ((?:.*\\\n)*.*){end}$', file.read(), re.M)
    assert found, f'docs/operations.md has no {begin!r}'
    return shlex.split(found[1].replace('\\\n', ' ').replace(' ytcanal-resolver:', f' {VOLUME}:'))


def server_flags(port=None):
    """Those of the documented `docker run`, with another port, or with none."""
    flags = documented('docker run --detach --name ytcanal', ' ytcanal')
    at = flags.index('--publish')
    flags[at:at + 2] = ['--publish', port] if port else []
    return flags


def start(name, *arguments):
    more = shlex.split(os.environ.get('YTCANAL_RUN_FLAGS', ''))
    return engine('run', '--detach', '--name', name, *more, *arguments)


def start_site():
    start(SITE, '--init', '--network', 'none', '--no-healthcheck', '--volume', f'{ROOT}/tests/system:/tests:ro',
          '--entrypoint', 'python3', IMAGE, '/tests/site.py', '9000', '/tmp')
    flags = '+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx'
    for source, coded, name in (
        # Noise, which makes a file of some size.
        ('testsrc=s=640x360:r=25:d=20,noise=alls=40:allf=t',
         ['-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '4M', '-pix_fmt', 'yuv420p', '-g', '50'], 'v.mp4'),
        ('sine=d=20', ['-c:a', 'aac', '-frag_duration', '2000000'], 'a.m4a'),
    ):
        inside(SITE, 'ffmpeg', '-v', 'error', '-f', 'lavfi', '-i', source, *coded, '-movflags', flags, '-f', 'mp4',
               f'/tmp/{name}')


def configure(text):
    """Makes a file in place of the one before, as editors do."""
    name = f'{CONFIGURATION.name}/ytcanal.toml'
    with open(f'{name}.new', 'w') as file:
        file.write(text)
    os.replace(f'{name}.new', name)


def start_server():
    os.chmod(CONFIGURATION.name, 0o755)
    configure(RESOLVER)
    start(SERVER, *server_flags(), '--network', f'container:{SITE}', '--volume', f'{CONFIGURATION.name}:/etc/ytcanal:ro',
          '--volume', f'{ROOT}/tests/ytdlp/plugins:{PLUGINS}:ro', IMAGE)


class Download:
    """A request in the other container."""

    def __init__(self, path, seconds=None, **parameters):
        self.file = '/tmp/received'
        url = f'{URL}{path}?' + urllib.parse.urlencode(parameters)
        command = [ENGINE, 'exec', SITE, 'python3', '/tests/client.py', url, self.file, *([str(seconds)] if seconds else [])]
        self.client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def answer(self):
        out, _ = self.client.communicate()
        assert self.client.returncode == 0, out
        return json.loads(out)

    def assert_same_media(self):
        answer = self.answer()
        assert answer['status'] == 200, answer
        for stream, source in (('v', 'v.mp4'), ('a', 'a.m4a')):
            of = packets(self.file, stream)
            assert of and of == packets(f'/tmp/{source}', stream), f'{stream} differs'
        return answer


def packets(file, stream):
    """The packets of a stream, by their hashes."""
    lines = inside(SITE, 'ffmpeg', '-v', 'error', '-i', file, '-map', f'0:{stream}', '-c', 'copy', '-f', 'framemd5', '-')
    return [line.split(',')[-1].strip() for line in lines.splitlines() if not line.startswith('#')]


def server_pid():
    """The process of the server, as its container numbers it: the first is the one of --init."""
    script = 'for p in /proc/[0-9]*; do read -r name < $p/comm && [ "$name" = ytcanal ] && echo ${p#/proc/}; done; true'
    return min(inside(SERVER, 'sh', '-c', script).split(), key=int)


def is_healthy():
    """By the health check of the image. Podman tells of one that is made now, Docker makes them in intervals."""
    if 'podman' in run(ENGINE, '--version'):
        return subprocess.run([ENGINE, 'healthcheck', 'run', SERVER], capture_output=True).returncode == 0
    return health() == 'healthy'


def health():
    return inspect(SERVER, '{{.State.Health.Status}}')


def is_small():
    size = int(engine('image', 'inspect', '--format', '{{.Size}}', IMAGE)) >> 20
    print(f'{size} MiB')
    assert size < MAX_MIB


def owns_nothing():
    """Where the root file system can be written to, the user of the image can write nothing but temporary files."""
    found = set(inside(SITE, 'sh', '-c', 'find / -xdev -writable ! -type l ! -path "/tmp/*" 2>/dev/null; true').split())
    assert found <= {'/tmp', '/var/tmp', '/run/lock', '/var/lib/ytcanal-resolver'}, found


def is_published():
    """With the shipped configuration, at a port of this machine, whose clients need no token."""
    start(PUBLISHED, *server_flags('127.0.0.1::8080'), IMAGE)
    address = engine('port', PUBLISHED, '8080').splitlines()[0]

    def status(path):
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request('GET', path)
            return connection.getresponse().status
        except OSError:
            return None
    eventually('the server at its port', lambda: status('/healthz') == 200)
    assert [status('/'), status('/mux?video=nothing')] == [200, 400]
    assert check(PUBLISHED)
    engine('stop', PUBLISHED)
    assert inspect(PUBLISHED, '{{.State.ExitCode}}') == '0'


def becomes_healthy():
    eventually('healthy', is_healthy)


def has_no_rights():
    status = inside(SERVER, 'cat', f'/proc/{server_pid()}/status')
    of = dict(re.findall(r'^(\w+):\s*(.*)$', status, re.M))
    assert of['Uid'].split() == of['Gid'].split() == [str(USER)] * 4, status
    assert int(of['CapEff'], 16) == int(of['CapPrm'], 16) == int(of['CapBnd'], 16) == 0, status
    assert of['NoNewPrivs'] == '1' and of['Seccomp'] == '2', status
    # The mounts, with the types of those that take what is written to them.
    code = """
import os
for line in open('/proc/self/mountinfo'):
    of, _, type = line.partition(' - ')
    if os.access(of.split()[4], os.W_OK): print(type.split()[0], of.split()[4])"""
    writable = dict(line.split()[::-1] for line in inside(SERVER, 'python3', '-c', code).splitlines())
    print('writable:', *sorted(writable))
    assert '/' not in writable and set(writable.values()) <= {'tmpfs'} | FILELESS, writable
    found = inside(SERVER, 'sh', '-c', 'find / -xdev -writable ! -type l 2>/dev/null; true')
    assert set(found.split()) <= set(writable), found


def has_a_memory_limit():
    files = '/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'
    limit = inside(SERVER, 'sh', '-c', f'cat {files[0]} 2>/dev/null || cat {files[1]}')
    assert int(limit) == 512 << 20, limit


def check(container):
    """What the documented `ytcanal check` says."""
    return inside(container, 'ytcanal', 'check', *documented('docker exec ytcanal ytcanal check'))


def checks_well():
    text = check(SERVER)
    print(text)
    for name in 'config', 'sandbox', 'ffmpeg', 'runtime', 'yt-dlp', 'js':
        assert re.search(f'^{name} +ok ', text, re.M), name
    assert re.search('^sandbox +ok +Landlock [0-9]+, seccomp$', text, re.M)
    assert re.search('^access +ok +local: ', text, re.M)


def reloads():
    refused = Download('/mux', **TRACKS).answer()
    assert json.loads(refused['text'])['code'] == 'address-refused', refused
    configure(LOOPBACK + RESOLVER)
    engine('kill', '--signal', 'HUP', SERVER)
    eventually('reload', lambda: 'configuration reloaded: upstream.allow changed' in logs())


def joins():
    for name, container in (('splice', 'mp4'), ('ffmpeg', 'mkv')):
        answer = Download('/mux', **TRACKS, engine=name, container=container).assert_same_media()
        assert name in answer['fields']['Server-Timing'], answer


def reads_pages():
    reads_page('film')


def reads_page(video):
    link = f'{SITE_URL}/watch?v={video}'
    answer = Download('/info', url=link).answer()
    assert answer['status'] == 200 and f'A film: {video}' in answer['text'], answer
    Download('/download', url=link).assert_same_media()


def updates_ytdlp():
    """From the real package index into the volume, where a running server finds it."""
    more = shlex.split(os.environ.get('YTCANAL_RUN_FLAGS', ''))
    print(engine('run', *more, *documented('docker run', ' ytcanal update-resolver'), IMAGE, 'update-resolver'))
    text = check(SERVER)
    assert re.search('^yt-dlp +ok +/var/lib/ytcanal-resolver/current/bin/yt-dlp ', text, re.M), text
    assert re.search('^js +ok ', text, re.M), text
    reads_page('updated')


def becomes_unhealthy():
    """As soon as it stands still, and healthy again with the same process when it goes on."""
    pid = server_pid()
    inside(SERVER, 'sh', '-c', f'kill -STOP {pid}')
    # Several checks have to fail before the engine says so.
    eventually('unhealthy', lambda: not is_healthy() and health() == 'unhealthy', seconds=300)
    inside(SERVER, 'sh', '-c', f'kill -CONT {pid}')
    eventually('healthy', is_healthy, seconds=300)
    assert server_pid() == pid


def drains():
    """A stop lets a download end that takes longer than an engine waits by itself."""
    download = Download('/mux', seconds=ENGINE_STOP_TIMEOUT + 8, video=f'{SITE_URL}/v.mp4')
    eventually('stream', lambda: re.search('^ytcanal_streams_active 1$', metrics(), re.M))
    begun = time.monotonic()
    engine('stop', SERVER)
    took = time.monotonic() - begun
    print(f'drained for {took:.1f} s')
    assert took > ENGINE_STOP_TIMEOUT, took
    answer = download.answer()
    assert answer['status'] == 200, answer
    inside(SITE, 'cmp', download.file, '/tmp/v.mp4')
    # A server that had to be killed has another status.
    assert inspect(SERVER, '{{.State.Status}} {{.State.ExitCode}}') == 'exited 0'


def logs():
    done = subprocess.run([ENGINE, 'logs', SERVER], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def metrics():
    code = f'import urllib.request as u; print(u.urlopen("{URL}/metrics").read().decode())'
    return inside(SITE, 'python3', '-c', code)


def remove():
    # The one whose network the other uses comes last.
    for name in PUBLISHED, SERVER, SITE:
        subprocess.run([ENGINE, 'kill', name], capture_output=True)
        subprocess.run([ENGINE, 'rm', '--force', name], capture_output=True)
    subprocess.run([ENGINE, 'volume', 'rm', VOLUME], capture_output=True)


def main():
    remove()
    try:
        start_site()
        start_server()
        for step in (is_small, owns_nothing, is_published, becomes_healthy, has_no_rights, has_a_memory_limit, checks_well,
                     reloads, joins, reads_pages, updates_ytdlp, becomes_unhealthy, drains):
            begun = time.monotonic()
            step()
            print(f'ok {step.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)
    except BaseException:
        print(logs())
        raise
    finally:
        remove()


if __name__ == '__main__':
    main()
