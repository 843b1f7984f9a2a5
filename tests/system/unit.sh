#!/bin/sh
# The unit as it is, in a Debian that boots: is it started, and do YouTube's scripts run in its
# sandbox, in both ways? Needs root, debootstrap, systemd-nspawn, and a mirror of Debian's and PyPI.
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
install -D -m 755 "$program" "$root/usr/local/bin/ytcanal"
install -D -m 644 "$here/config/ytcanal.toml" "$root/etc/ytcanal/ytcanal.toml"
install -D -m 644 "$here/systemd/ytcanal.service" "$units/ytcanal.service"
# The same once more, where the command is called.
printf '[resolver]\nfork_server = false\n' > "$root/etc/ytcanal/command.toml"
mkdir -p "$units/ytcanal.service.d" "$units/multi-user.target.wants"
printf '[Service]\nExecStartPre=/usr/local/bin/ytcanal check --config /etc/ytcanal/command.toml\n' \
  > "$units/ytcanal.service.d/command.conf"
# When it is there, or is not, the machine goes down.
cat > "$units/down.service" <<'END'
[Unit]
Wants=ytcanal.service
After=ytcanal.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl is-active ytcanal; systemctl poweroff'
END
ln -sf ../down.service "$units/multi-user.target.wants/down.service"
rm -rf "$root/var/log/journal"
mkdir -p "$root/var/log/journal"

# A container forbids the calls of Landlock, if nobody says otherwise.
timeout 300 systemd-nspawn --quiet --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
  --directory="$root" --register=no --keep-unit --boot < /dev/null > "$root.log" 2>&1 \
  || { tail -n 20 "$root.log"; echo 'it did not boot, or did not go down'; }
said=$(journalctl --directory="$root/var/log/journal" --output=cat --unit=ytcanal)
echo "$said"
[ "$(echo "$said" | grep -c '^js       ok ')" = 2 ]
[ "$(echo "$said" | grep -c '^sandbox  ok      Landlock [0-9]*, seccomp$')" = 2 ]
echo "$said" | grep -q '^Started ytcanal.service'
