#!/bin/sh
# The update of yt-dlp by its unit, from the real package index, in a Debian that boots; and a page that the server reads
# with it. resolver.py has the tests. Needs what unit.sh needs, and the Debian that it has made.
#
#     tests/system/resolver.sh PROGRAM DIRECTORY
set -eu
program=$(realpath "$1")
root=$(realpath "$2")/debian
here=$(dirname "$(realpath "$0")")/../..
units=$root/etc/systemd/system
tests=/usr/local/share/ytcanal-resolver-tests

# Nothing of it, nor of other tests, is to be there for the next one.
clean() {
  rm -rf "$root"/var/lib/systemd/timers/stamp-ytcanal* "$root$tests" "$root/etc/ytcanal" "$units"/ytcanal*.service* "$units"/ytcanal*.timer "$units"/ytcanal*.socket \
    "$units"/probe*.service "$units/down.service" "$units/timers.target.wants/ytcanal-resolver-update.timer" \
    "$root/etc/sysusers.d/ytcanal-resolver.conf" "$root/etc/tmpfiles.d/ytcanal-resolver.conf" \
    "$root/var/lib/ytcanal-resolver" "$root/var/log/journal"
}
clean
mkdir -p "$root$tests" "$root/var/log/journal" "$units/ytcanal-resolver-update.service.d" \
  "$units/multi-user.target.wants" "$units/timers.target.wants"
cp "$here"/tests/system/*.py "$here/tests/it/resolver_update/wheel.py" "$root$tests"
cp -r "$here/tests/ytdlp/plugins" "$root$tests"
install -D -m 755 "$program" "$root/usr/local/bin/ytcanal"
for unit in ytcanal.service ytcanal-resolver-update.service ytcanal-resolver-update.timer; do
  install -D -m 644 "$here/systemd/$unit" "$units/$unit"
done
ln -sf ../ytcanal-resolver-update.timer "$units/timers.target.wants/ytcanal-resolver-update.timer"
for kind in sysusers tmpfiles; do
  install -D -m 644 "$here/systemd/ytcanal-resolver.$kind" "$root/etc/$kind.d/ytcanal-resolver.conf"
done
# Where a network has certificates of its own.
printf '[Service]\nEnvironment=PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n' \
  > "$units/ytcanal-resolver-update.service.d/test.conf"
# The network is that of the host, for the index; so are its ports.
mkdir -p "$root/etc/ytcanal"
cat > "$root/etc/ytcanal/ytcanal.toml" <<END
listen = ["127.0.0.1:18080"]
[upstream]
allow = ["127.0.0.0/8"]
[resolver]
extra_args = ["--plugin-dirs", "$tests/plugins"]
extractors = ["canal.*"]
timeout = "3m"
END
# When the tests have passed, or have not, the machine goes down.
cat > "$units/down.service" <<END
[Unit]
Wants=ytcanal.service
After=ytcanal.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'python3 $tests/resolver.py $tests > $tests/said 2>&1 && touch $tests/passed; systemctl poweroff'
END
ln -sf ../down.service "$units/multi-user.target.wants/down.service"

timeout 600 systemd-nspawn --quiet \
  --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
  --directory="$root" --register=no --keep-unit --boot < /dev/null > "$root.log" 2>&1 \
  || { tail -n 20 "$root.log"; echo 'it did not boot, or did not go down'; }
cat "$root$tests/said"
if [ ! -e "$root$tests/passed" ]; then
  journalctl --directory="$root/var/log/journal" --output=cat --unit=ytcanal --unit=ytcanal-resolver-update
  exit 1
fi
clean
