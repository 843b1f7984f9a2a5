"""The update of yt-dlp by its unit, from the real package index, and a page that the server reads with it."""

import os
import re
import subprocess
import sys

from inside import HERE, MEDIA, Answer, assert_same_media, log, page, run, shown

STATE = '/var/lib/ytcanal-resolver'
UPDATE = 'ytcanal-resolver-update'
# Of what the tests change for a moment, nothing is to be left.
INDEX_CONF = f'/run/systemd/system/{UPDATE}.service.d/index.conf'


def of_process(pid, name):
    try:
        with open(f'/proc/{pid}/{name}') as file:
            return file.read()
    except OSError:
        return ''


def loaded():
    """The yt-dlp that the server keeps loaded. Its forks, which may not have ended yet, bear its name."""
    pids = [pid for pid in os.listdir('/proc') if pid.isdigit() and 'ytcanal.service' in of_process(pid, 'cgroup')]
    words = (word for pid in pids for word in of_process(pid, 'cmdline').split('\0'))
    return {word for word in words if word.endswith('/bin/yt-dlp')}


def lacks_yt_dlp():
    """The package has none. As long as its first update has not ended, those who ask for a page learn what to do."""
    run('systemctl', 'stop', UPDATE)
    problem = page('info', 'film').problem
    assert problem['code'] == 'resolver-missing', problem
    assert 'ytcanal update-resolver' in problem['detail'], problem
    print(problem['detail'])
    assert shown('ActiveState', f'{UPDATE}.timer') == 'active'
    assert shown('Unit', f'{UPDATE}.timer') == f'{UPDATE}.service'


def updates():
    """The running server reads pages with what the timer's service has installed."""
    main = shown('MainPID')
    run('systemctl', 'start', UPDATE)
    line = re.search('^yt-dlp ([0-9.]+) is installed( and .*)?$', log(UPDATE), re.M)
    assert line, log(UPDATE)
    print(line[0])
    owners = set(run('find', f'{STATE}/releases', '-printf', '%u %g\n').split('\n')) - {''}
    assert owners == {'ytcanal-resolver ytcanal-resolver'}, owners
    assert b'A film: film' in page('info', 'film').body
    assert shown('MainPID') == main
    assert loaded() == {f'{STATE}/releases/{line[1]}/bin/yt-dlp'}, loaded()
    assert_same_media(page('download', 'film'), 'v.mp4', 'a.m4a')
    metrics = Answer('/metrics').body.decode()
    assert f'ytcanal_resolver_version_info{{version="{line[1]}"}} 1' in metrics, metrics


def is_checked():
    """In its sandbox, the server finds it and runs scripts with its deno."""
    run('systemctl', 'restart', 'ytcanal')
    text = log()
    last = text[text.rindex('config   ok'):]
    assert re.search(f'^yt-dlp +(ok|old) +{STATE}/current/bin/yt-dlp ', last, re.M), last
    assert re.search('^js +ok +deno ', last, re.M), last


def leaves_root():
    """By hand, root becomes the user of the directory."""
    os.environ['PIP_CERT'] = '/etc/ssl/certs/ca-certificates.crt'
    said = run('ytcanal', 'update-resolver')
    print(said.strip())
    assert re.fullmatch('yt-dlp [0-9.]+ is the newest.*\n', said), said
    assert run('find', STATE, '!', '-user', 'ytcanal-resolver') == ''


def failure_with(index):
    """Starts the unit with this package index, and says in what line it fails."""
    os.makedirs(os.path.dirname(INDEX_CONF), exist_ok=True)
    with open(INDEX_CONF, 'w') as file:
        file.write(f'[Service]\nEnvironment=PIP_INDEX_URL={index}\n')
    run('systemctl', 'daemon-reload')
    failed = subprocess.run(['systemctl', 'start', UPDATE], capture_output=True, check=False)
    assert failed.returncode != 0 and shown('Result', UPDATE) == 'exit-code'
    os.remove(INDEX_CONF)
    os.rmdir(os.path.dirname(INDEX_CONF))
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
        listing = f'{HERE}/simple/{wheel.split("-")[0].replace("_", "-")}/index.html'
        os.makedirs(os.path.dirname(listing), exist_ok=True)
        with open(listing, 'w') as file:
            file.write(f'<!DOCTYPE html><html><body><a href="file://{wheels}/{wheel}">{wheel}</a></body></html>')
    return f'file://{HERE}/simple/'


def survives_failures():
    """An index that is down, a broken release, and a full disk."""
    assert 'index cannot be reached: Connection refused; ' in failure_with('http://127.0.0.1:9/simple/')
    index = make_index()
    assert ': 2099.01.01 failed its self-test: ' in failure_with(index)
    assert len(os.listdir(f'{STATE}/releases')) == 1
    # A disk as small as what is on it.
    size = int(run('du', '-sm', STATE).split()[0]) + 2
    run('cp', '-a', STATE, f'{HERE}/kept')
    run('mount', '-t', 'tmpfs', '-o', f'size={size}m,mode=755', 'none', STATE)
    run('cp', '-a', f'{HERE}/kept/.', STATE)
    assert ': the disk is full; ' in failure_with(index)
    print(run(f'{STATE}/current/bin/yt-dlp', '--version').strip())
    run('umount', STATE)
    # The yt-dlp before goes on.
    assert b'A film: another' in page('info', 'another').body
    assert len(page('download', 'another').body) > os.path.getsize(f'{MEDIA}/v.mp4')
