#!/bin/sh
# The unit as it is, in a Debian that boots: does it do what it is for inside of its sandbox, and is what the
# documentation promises of that true? inside.py has the tests. Needs root, debootstrap and systemd-nspawn, and the
# first time a mirror of Debian's and PyPI.
#
#     tests/system/unit.sh PROGRAM DIRECTORY
#
# DIRECTORY is kept for the next time: a new Debian takes minutes.
set -eu
program=$(realpath "$1")
mkdir -p "$2"
root=$(realpath "$2")/debian
here=$(dirname "$(realpath "$0")")/../..
suite=${YTCANAL_SUITE:-bookworm}

if [ ! -e "$root/complete" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,ffmpeg \
    "$suite" "$root" "${YTCANAL_MIRROR:-http://deb.debian.org/debian}"
  # Where a network has certificates of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp /etc/resolv.conf "$root/etc/"
  # The lines of the README.
  chroot "$root" sh -ec '
    python3 -m venv /opt/yt-dlp
    /opt/yt-dlp/bin/pip install --quiet --cert /etc/ssl/certs/ca-certificates.crt -U "yt-dlp[default]" deno
    ln -s /opt/yt-dlp/bin/yt-dlp /usr/local/bin/'
  touch "$root/complete"
fi

units=$root/etc/systemd/system
tests=/usr/local/share/ytcanal-tests
rm -rf "$root$tests" "$root/etc/ytcanal" "$root/etc/credstore" "$units"/ytcanal.service* "$units/ytcanal.socket" "$units"/probe*.service "$units/down.service"
mkdir -p "$root$tests" "$units/ytcanal.service.d" "$units/multi-user.target.wants"
cp "$here"/tests/system/*.py "$root$tests"
cp -r "$here/tests/ytdlp/plugins" "$root$tests"
install -D -m 755 "$program" "$root/usr/local/bin/ytcanal"
install -D -m 644 "$here/config/ytcanal.toml" "$root/etc/ytcanal/ytcanal.toml"
install -D -m 644 "$here/systemd/ytcanal.service" "$units/ytcanal.service"
install -D -m 644 "$here/systemd/ytcanal.socket" "$units/ytcanal.socket"
# The check once more, where yt-dlp is called as a command.
printf '[resolver]\nfork_server = false\n' > "$root/etc/ytcanal/command.toml"
printf '[Service]\nExecStartPre=/usr/local/bin/ytcanal check --config /etc/ytcanal/command.toml\n' \
  > "$units/ytcanal.service.d/command.conf"
# Times that a test can wait for; and what lets a file of tokens be read again, as docs/operations.md has it.
cat > "$units/ytcanal.service.d/test.conf" <<END
[Service]
WatchdogSec=4s
TimeoutStopSec=3s
SupplementaryGroups=ytcanal-config
END
chroot "$root" sh -c 'getent group ytcanal-config > /dev/null || groupadd --system ytcanal-config'

# The same sandboxes with what tries to get out of them: in place of the server, and in place of its ffmpeg.
as() {
  sed -e '/^ExecStartPre=/d' -e '/^ExecReload=/d' -e "s|^RuntimeDirectory=.*|RuntimeDirectory=$1|" \
    -e "s|/run/ytcanal|/run/$1|" -e "s|^ExecStart=.*|ExecStart=$2|" "$units/ytcanal.service"
}
as probe "/usr/bin/python3 $tests/probe.py service 9000 /run/probe" \
  | sed -e 's/^Type=.*/Type=oneshot/' -e '/^Restart=/d' -e '/^WatchdogSec=/d' > "$units/probe.service"
as probed '/usr/local/bin/ytcanal serve --config /etc/ytcanal/probed.toml' > "$units/probed.service"
cat > "$root/etc/ytcanal/probed.toml" <<END
listen = ["127.0.0.1:8081"]
[upstream]
allow = ["127.0.0.0/8"]
[muxer]
ffmpeg = "$tests/ffmpeg"
END
cat > "$root$tests/ffmpeg" <<END
#!/bin/sh
[ "\$1" = -version ] && exec ffmpeg -version
python3 $tests/probe.py ffmpeg 9000 /run/probed
exit 1
END
chmod 755 "$root$tests/ffmpeg"

# When the tests have passed, or have not, the machine goes down.
cat > "$units/down.service" <<END
[Unit]
Wants=ytcanal.service
After=ytcanal.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'python3 $tests/inside.py $tests > $tests/said 2>&1 && touch $tests/passed; systemctl poweroff'
END
ln -sf ../down.service "$units/multi-user.target.wants/down.service"
rm -rf "$root/var/log/journal"
mkdir -p "$root/var/log/journal"

# A container forbids the calls of Landlock, if nobody says otherwise. Its network is its own: nothing but loopback.
timeout 300 systemd-nspawn --quiet --private-network \
  --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
  --directory="$root" --register=no --keep-unit --boot < /dev/null > "$root.log" 2>&1 \
  || { tail -n 20 "$root.log"; echo 'it did not boot, or did not go down'; }
cat "$root$tests/said"
if [ ! -e "$root$tests/passed" ]; then
  journalctl --directory="$root/var/log/journal" --output=cat --unit=ytcanal --unit=probe --unit=probed
  exit 1
fi
