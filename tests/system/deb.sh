#!/bin/sh
# The Debian package in a Debian that boots: it is installed, upgraded, removed, installed again and purged; deb.py has
# the tests. Also `make uninstall` of what `make install` has installed. Needs root, systemd-nspawn, and the Debian that
# unit.sh has made.
#
#     tests/system/deb.sh PACKAGE DIRECTORY
#
# DIRECTORY is that of unit.sh.
set -eu
package=$(realpath "$1")
base=$(realpath "$2")/debian
root=$(realpath "$2")/debian-package
here=$(dirname "$(realpath "$0")")/../..

# A first upload to Debian would close the bug that asks for it.
lintian --fail-on error,warning --allow-root --suppress-tags initial-upload-closes-no-bugs "$package"

# A machine of its own, where nothing was installed by hand.
rm -rf "$root"
cp -a --reflink=auto "$base" "$root"
units=$root/etc/systemd/system
tests=/usr/local/share/ytcanal-tests
rm -rf "$root$tests" "$root/etc/ytcanal" "$root/etc/credstore" "$root/usr/local/bin/ytcanal" \
  "$units"/ytcanal* "$units"/probe*.service "$units/multi-user.target.wants"/* "$root/var/log/journal"
mkdir -p "$root$tests" "$root/var/log/journal"
cp "$here"/tests/system/*.py "$root$tests"
cp -r "$here/tests/ytdlp/plugins" "$root$tests"

# The package, and one that is newer and has another configuration.
cp "$package" "$root$tests/first.deb"
next=$root$tests/next
dpkg-deb --raw-extract "$package" "$next"
sed -i 's/^Version: .*/&+next/' "$next/DEBIAN/control"
echo '# The newer one.' >> "$next/etc/ytcanal/ytcanal.toml"
dpkg-deb --root-owner-group --build "$next" "$root$tests/next.deb" > /dev/null
rm -r "$next"

# What `make install` would have made, and what is to be there to take it away.
cp -r "$here/Makefile" "$here/systemd" "$root$tests"
dpkg-deb --fsys-tarfile "$package" | tar --extract --directory="$root$tests" ./usr/bin/ytcanal
install -m 755 "$(command -v make)" "$root/usr/local/bin/make"

cat > "$units/down.service" <<END
[Unit]
Description=Tests, and then the end
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'python3 $tests/deb.py $tests > $tests/said 2>&1 && touch $tests/passed; systemctl poweroff'
END
ln -sf ../down.service "$units/multi-user.target.wants/down.service"

timeout 900 systemd-nspawn --quiet --private-network \
  --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
  --directory="$root" --register=no --keep-unit --boot < /dev/null > "$root.log" 2>&1 \
  || { tail -n 20 "$root.log"; echo 'it did not boot, or did not go down'; }
cat "$root$tests/said"
if [ ! -e "$root$tests/passed" ]; then
  journalctl --directory="$root/var/log/journal" --output=cat --unit=ytcanal
  exit 1
fi
