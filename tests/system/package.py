"""The package, in a machine that package.sh has booted: it is installed and used, yt-dlp updated by its timer's service,
then the package is upgraded, removed, installed again and purged. Also `make uninstall` of what `make install` has
installed.

    python3 package.py DIRECTORY

DIRECTORY also has first.deb, which is installed; next.deb, which is newer; and wheel.py of tests/it.
"""

import os
import subprocess

from inside import (CONFIG, HERE, LOOPBACK, RESOLVER, SITE, assert_same_media, configure, eventually, mux, run, run_steps,
                    serves, shown)
from restart import Load, restarts_refuse_nobody
from update import UPDATE, is_checked, lacks_yt_dlp, leaves_root, survives_failures, updates

FIRST, NEXT = f'{HERE}/first.deb', f'{HERE}/next.deb'
# Against a hang.
PATIENCE = 240
UNIT = '/lib/systemd/system/ytcanal.service'
OURS = 'find / -xdev -name "*ytcanal*" -not -path "/proc/*" -not -path "/sys/*" -not -path "%s*" -not -path "/var/log/*"'
ENVIRONMENT = os.environ | {'DEBIAN_FRONTEND': 'noninteractive'}


def apt(*arguments):
    done = subprocess.run(['apt-get', '--yes', *arguments], env=ENVIRONMENT, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def status():
    """What dpkg thinks of the package; empty if it knows nothing of it."""
    found = subprocess.run(['dpkg-query', '--show', '--showformat=${db:Status-Abbrev} ${Version}', 'ytcanal'],
                           capture_output=True, text=True, check=False)
    return found.stdout.strip()


def remains():
    """Files with the name of the package, outside of the tests and the log."""
    found = run('sh', '-c', OURS % HERE).split('\n')
    # Lists of files are dpkg's and systemd's own; what is mounted for a unit goes with it.
    return sorted(path for path in found if path)


def holds(path, text):
    with open(path) as file:
        return text in file.read()


def is_installed():
    """package.sh has done it. The server runs as it is shipped, and yt-dlp is being fetched for it."""
    assert status().startswith('ii'), status()
    # Of a system whose /lib is /usr/lib, either.
    assert shown('FragmentPath').removeprefix('/usr') == UNIT, shown('FragmentPath')
    eventually('start', lambda: shown('ActiveState') == 'active' and serves(), PATIENCE)
    assert shown('UnitFileState') == 'enabled', shown('UnitFileState')
    assert shown('ExecStart').split()[1] == 'path=/usr/bin/ytcanal', shown('ExecStart')
    assert shown('ActiveState', UPDATE) == 'activating', shown('ActiveState', UPDATE)
    assert run('ytcanal', 'healthcheck').strip() == 'ok'
    assert 'ytcanal.toml' in run('dpkg-query', '--showformat=${Conffiles}', '--show', 'ytcanal')
    depends = run('dpkg-query', '--showformat=${Depends}', '--show', 'ytcanal')
    assert 'ffmpeg' in depends and 'libc6 (>= 2.' in depends, depends
    print('depends on', depends)
    files = run('dpkg-query', '--listfiles', 'ytcanal').split('\n')
    for page_of in 'man1/ytcanal.1', 'man1/ytcanal-token-new.1', 'man5/ytcanal.toml.5':
        # Debian's images leave out manuals (dpkg's path-exclude); the package has them.
        assert f'/usr/share/man/{page_of}.gz' in files, page_of
    for name in 'Caddyfile', 'alerts.yml', 'grafana-dashboard.json', 'haproxy.cfg', 'nginx.conf', 'nginx-cache.conf':
        assert f'/usr/share/doc/ytcanal/config/{name}' in files, name
    assert '/usr/share/doc/ytcanal/config/ytcanal.toml' not in files


def downloads():
    """By splice and by ffmpeg, with a changed configuration."""
    configure('# Changed by hand.\n' + LOOPBACK + RESOLVER)
    run('systemctl', 'restart', 'ytcanal')
    urls = {'video': f'{SITE}/v.mp4', 'audio': f'{SITE}/a.m4a'}
    for engine, container in (('splice', 'mp4'), ('ffmpeg', 'mkv')):
        answer = mux(**urls, engine=engine, container=container)
        assert_same_media(answer, 'v.mp4', 'a.m4a')
        assert engine in answer.fields['Server-Timing'], answer.fields


def is_upgraded():
    """The new one runs, and a changed configuration is kept, without a question."""
    main = shown('MainPID')
    # systemd has the socket now.
    with Load():
        apt('-o', 'Dpkg::Options::=--force-confold', 'install', NEXT)
    assert status().endswith('+next'), status()
    eventually('restart', lambda: shown('MainPID') not in ('0', main) and shown('ActiveState') == 'active' and serves(),
               PATIENCE)
    assert holds(CONFIG, '# Changed by hand.') and holds(CONFIG + '.dpkg-dist', '# The newer one.')
    assert mux(video=f'{SITE}/v.mp4').status == 200


def stays_disabled():
    """Whom an administrator has disabled, an upgrade does not start."""
    run('systemctl', 'disable', '--now', 'ytcanal.socket', 'ytcanal')
    apt('install', '--reinstall', NEXT)
    assert shown('UnitFileState') == 'disabled', shown('UnitFileState')
    assert shown('ActiveState') == 'inactive', shown('ActiveState')
    run('systemctl', 'enable', '--now', 'ytcanal')
    run('systemctl', 'enable', 'ytcanal.socket')


def is_removed():
    """The configuration stays, for it to be installed again."""
    configure('secret\n', '/etc/ytcanal/tokens.toml')
    apt('remove', 'ytcanal')
    assert status().startswith('rc'), status()
    assert shown('ActiveState') == 'inactive', shown('ActiveState')
    assert not serves() and not os.path.exists('/run/ytcanal')
    assert holds(CONFIG, '# Changed by hand.')
    assert not os.path.exists('/usr/bin/ytcanal')
    apt('-o', 'Dpkg::Options::=--force-confold', 'install', NEXT)
    eventually('start', lambda: shown('ActiveState') == 'active' and serves(), PATIENCE)
    assert shown('UnitFileState') == 'enabled', shown('UnitFileState')
    assert holds(CONFIG, '# Changed by hand.')


def is_purged():
    """Nothing is left, from whichever state."""
    apt('purge', 'ytcanal')
    assert status() in ('', 'un'), status()
    assert remains() == [], remains()
    assert not os.path.exists('/etc/ytcanal')
    users = run('getent', 'passwd')
    assert 'ytcanal' not in users, users
    failed = run('systemctl', 'list-units', '--all', '--plain', '--no-legend', 'ytcanal*')
    assert failed.strip() == '', failed
    # After a removal, too.
    apt('install', FIRST)
    apt('remove', 'ytcanal')
    apt('purge', 'ytcanal')
    assert remains() == [], remains()


def is_uninstalled():
    """What `make install` has installed is stopped by `make uninstall`, and does not start again."""
    apt('install', 'make')
    install = 'install -D -m'
    run('sh', '-ec', f'''
        cd {HERE}
        {install} 755 usr/bin/ytcanal /usr/local/bin/ytcanal
        {install} 644 systemd/ytcanal.service /etc/systemd/system/ytcanal.service
        mkdir -p /etc/ytcanal && : > {CONFIG}
        systemctl daemon-reload
        systemctl enable --now ytcanal''')
    assert serves()
    run('make', '-C', HERE, 'uninstall')
    assert shown('ActiveState') == 'inactive' and shown('LoadState') == 'not-found', shown('LoadState')
    assert not serves()
    assert remains() == ['/etc/ytcanal', CONFIG], remains()
    # Once more, where there is nothing.
    run('make', '-C', HERE, 'uninstall')


run_steps(is_installed, downloads, lacks_yt_dlp, updates, is_checked, leaves_root, survives_failures,
          restarts_refuse_nobody, is_upgraded, stays_disabled, is_removed, is_purged, is_uninstalled)
