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
. "$here/tests/system/machine.sh"

make_debian "$root" python3,python3-venv,ffmpeg
if [ ! -e "$root/opt/yt-dlp/complete" ]; then
  cp /etc/resolv.conf "$root/etc/"
  # The lines of docs/operations.md.
  chroot "$root" sh -ec '
    python3 -m venv /opt/yt-dlp
    /opt/yt-dlp/bin/pip install --quiet --cert /etc/ssl/certs/ca-certificates.crt -U "yt-dlp[default]" deno
    ln -sf /opt/yt-dlp/bin/yt-dlp /usr/local/bin/
    touch /opt/yt-dlp/complete'
fi

units=$root/etc/systemd/system
tests=/usr/local/share/ytcanal-tests
rm -rf "$root$tests" "$root/etc/ytcanal" "$root/etc/credstore" "$units"/ytcanal.service* "$units"/ytcanal.socket* "$units"/probe*.service "$units/down.service" \
  "$units/sockets.target.wants/ytcanal.socket"
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
# A port that only root may open.
mkdir -p "$units/ytcanal.socket.d"
printf '[Socket]\nListenStream=127.0.0.1:80\n' > "$units/ytcanal.socket.d/test.conf"
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

ln -sf ../ytcanal.service "$units/multi-user.target.wants/ytcanal.service"
# Its network is its own: nothing but loopback.
boot "$root" 300 "$tests" "python3 $tests/unit.py" --private-network
