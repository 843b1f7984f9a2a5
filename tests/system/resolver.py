"""Runs as root inside of a machine that resolver.sh has booted, and updates yt-dlp. Ends with 0 if all is as promised.

    python3 resolver.py DIRECTORY

DIRECTORY has this file, site.py, the plugins of tests/ytdlp, and wheel.py of tests/it.
"""

import http.client
import os
import re
import subprocess
import sys
import time
import urllib.parse

HERE = sys.argv[1]
SITE_PORT, DAEMON_PORT = 19000, 18080
MEDIA = f'{HERE}/media'
STATE = '/var/lib/ytcanal-resolver'
UPDATE = 'ytcanal-resolver-update'
INDEX_CONF = f'/etc/systemd/system/{UPDATE}.service.d/index.conf'


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def shown(name, unit):
    return run('systemctl', 'show', '--value', f'--property={name}', unit).strip()


def log(unit):
    return run('journalctl', '--output=cat', f'--unit={unit}')


def get(path):
    connection = http.client.HTTPConnection('127.0.0.1', DAEMON_PORT, timeout=120)
    connection.request('GET', path)
    response = connection.getresponse()
    return response.status, response.read()


def page(route, video):
    link = f'http://127.0.0.1:{SITE_PORT}/watch?v={video}'
    status, body = get(f'/{route}?' + urllib.parse.urlencode({'url': link}))
    assert status == 200, body
    return body


def of_process(pid, name):
    try:
        return open(f'/proc/{pid}/{name}').read()
    except OSError:
        return ''


def loaded():
    """The yt-dlp that the server keeps loaded. Its forks, which may not have ended yet, bear its name."""
    pids = [pid for pid in os.listdir('/proc') if pid.isdigit() and 'ytcanal.service' in of_process(pid, 'cgroup')]
    words = (word for pid in pids for word in of_process(pid, 'cmdline').split('\0'))
    return {word for word in words if word.endswith('/bin/yt-dlp')}


def make_media():
    os.makedirs(MEDIA, exist_ok=True)
    flags = ['-movflags', '+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx', '-f', 'mp4']
    video = ['testsrc=s=320x180:r=25:d=20', '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '50']
    audio = ['sine=d=20', '-c:a', 'aac', '-frag_duration', '2000000']
    for source, name in (video, 'v.mp4'), (audio, 'a.m4a'):
        run('ffmpeg', '-v', 'error', '-y', '-f', 'lavfi', '-i', *source, *flags, f'{MEDIA}/{name}')


def starts_with_another():
    """What was there before the first update: the yt-dlp in PATH."""
    assert shown('ActiveState', f'{UPDATE}.timer') == 'active'
    assert shown('Unit', f'{UPDATE}.timer') == f'{UPDATE}.service'
    assert b'A film: one' in page('info', 'one')
    assert loaded() == {'/opt/yt-dlp/bin/yt-dlp'}, loaded()


def updates():
    main = shown('MainPID', 'ytcanal')
    run('systemctl', 'start', UPDATE)
    line = re.search('^yt-dlp ([0-9.]+) is installed( and .*)?$', log(UPDATE), re.M)
    assert line, log(UPDATE)
    print(line[0])
    owners = set(run('find', f'{STATE}/releases', '-printf', '%u %g\n').split('\n')) - {''}
    assert owners == {'ytcanal-resolver ytcanal-resolver'}, owners
    assert b'A film: two' in page('info', 'two')
    # The same process of the server, and another yt-dlp.
    assert shown('MainPID', 'ytcanal') == main
    assert loaded() == {f'{STATE}/releases/{line[1]}/bin/yt-dlp'}, loaded()
    media = page('download', 'two')
    assert len(media) > os.path.getsize(f'{MEDIA}/v.mp4'), len(media)
    _, metrics = get('/metrics')
    assert f'ytcanal_resolver_version_info{{version="{line[1]}"}} 1' in metrics.decode(), metrics


def is_checked():
    """In its sandbox, the server finds it and runs scripts with its deno."""
    run('systemctl', 'restart', 'ytcanal')
    text = log('ytcanal')
    last = text[text.rindex('config   ok'):]
    assert re.search(f'^yt-dlp +(ok|old) +{STATE}/current/bin/yt-dlp ', last, re.M), last
    assert re.search('^js +ok +deno ', last, re.M), last


def failure_with(index):
    """Starts the unit with this package index, and says in what line it fails."""
    with open(INDEX_CONF, 'w') as file:
        file.write(f'[Service]\nEnvironment=PIP_INDEX_URL={index}\n')
    run('systemctl', 'daemon-reload')
    failed = subprocess.run(['systemctl', 'start', UPDATE], capture_output=True)
    assert failed.returncode != 0 and shown('Result', UPDATE) == 'exit-code'
    os.remove(INDEX_CONF)
    run('systemctl', 'daemon-reload')
    line = re.findall('^ytcanal: (yt-dlp was not updated: .*)$', log(UPDATE), re.M)[-1]
    print(line)
    assert line.endswith(' stays in use'), line
    return line


def make_index():
    """A package index with a yt-dlp that is newer than all, and broken."""
    wheels = f'{HERE}/wheels'
    os.makedirs(wheels, exist_ok=True)
    run(sys.executable, f'{HERE}/wheel.py', wheels, 'yt-dlp', '2099.1.1', 'broken')
    run(sys.executable, f'{HERE}/wheel.py', wheels, 'deno', '2.9.8')
    for wheel in os.listdir(wheels):
        page = f'{HERE}/simple/{wheel.split("-")[0].replace("_", "-")}/index.html'
        os.makedirs(os.path.dirname(page), exist_ok=True)
        with open(page, 'w') as file:
            file.write(f'<!DOCTYPE html><html><body><a href="file://{wheels}/{wheel}">{wheel}</a></body></html>')
    return f'file://{HERE}/simple/'


def survives_failures():
    """An index that is down, a broken release, and a full disk."""
    assert 'index cannot be reached: Connection refused; ' in failure_with('http://127.0.0.1:9/simple/')
    index = make_index()
    assert ': 2099.01.01 failed its self-test: ' in failure_with(index)
    assert len(os.listdir(f'{STATE}/releases')) == 1
    assert b'A film: three' in page('info', 'three')
    # A disk as small as what is on it.
    size = int(run('du', '-sm', STATE).split()[0]) + 2
    run('cp', '-a', STATE, f'{HERE}/kept')
    run('mount', '-t', 'tmpfs', '-o', f'size={size}m,mode=755', 'none', STATE)
    run('cp', '-a', f'{HERE}/kept/.', STATE)
    assert ': the disk is full; ' in failure_with(index)
    print(run(f'{STATE}/current/bin/yt-dlp', '--version').strip())
    run('umount', STATE)


def leaves_root():
    """By hand, root becomes the user of the directory."""
    os.environ['PIP_CERT'] = '/etc/ssl/certs/ca-certificates.crt'
    said = run('ytcanal', 'update-resolver')
    print(said.strip())
    assert re.fullmatch('yt-dlp [0-9.]+ is the newest.*\n', said), said
    assert run('find', STATE, '!', '-user', 'ytcanal-resolver') == ''


def main():
    make_media()
    subprocess.Popen([sys.executable, f'{HERE}/site.py', str(SITE_PORT), MEDIA])
    for step in starts_with_another, updates, is_checked, leaves_root, survives_failures:
        begun = time.monotonic()
        step()
        print(f'ok {step.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)


main()
