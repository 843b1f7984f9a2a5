"""The unit, in a machine that unit.sh has booted.

    python3 unit.py DIRECTORY
"""

import json
import os
import re
import signal
import time

from inside import (HERE, LOOPBACK, PROBED_PORT, RESOLVER, SITE, SITE_PORT, Answer, add_token, assert_same_media,
                    configure, eventually, log, mux, page, run, run_steps, serves, shown)
from restart import drains, hands_over, restarts_refuse_nobody


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


def serves_at_a_privileged_port():
    """systemd has opened it; the server may do nothing of the kind."""
    assert Answer('/healthz', 80).status == 200
    with open(f'/proc/{shown("MainPID")}/status') as file:
        capabilities = dict(re.findall(r'^(Cap\w+):\s*([0-9a-f]+)$', file.read(), re.M))
    assert len(capabilities) == 5 and not any(int(mask, 16) for mask in capabilities.values()), capabilities


run_steps(starts_and_runs_scripts, reloads, joins, logs_with_fields, starts_with_tokens, reads_pages, confines, survives,
          hands_over, drains, restarts_refuse_nobody, serves_at_a_privileged_port)
