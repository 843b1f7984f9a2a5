#!/bin/sh
# The Debian package in a bare Debian that boots, which has nothing but systemd and apt: what the package needs, apt
# fetches. package.py has the tests. Needs root, debootstrap, systemd-nspawn, a mirror of Debian's and PyPI; its network
# is that of this machine, whose ports 8080 and 9000 must be free.
#
#     tests/system/package.sh PACKAGE DIRECTORY
#
# DIRECTORY is kept for the next time.
set -eu
package=$(realpath "$1")
mkdir -p "$2"
bare=$(realpath "$2")/bare
root=$(realpath "$2")/package
here=$(dirname "$(realpath "$0")")/../..
tests=/usr/local/share/ytcanal-tests
. "$here/tests/system/machine.sh"

# A first upload to Debian would close the bug that asks for it. postrm has systemd forget failures of units that are gone,
# for which there is no helper.
lintian --fail-on error,warning --allow-root \
  --suppress-tags initial-upload-closes-no-bugs,maintainer-script-calls-systemctl "$package"

make_debian "$bare" ''
rm -rf "$root"
cp -a --reflink=auto "$bare" "$root"
mkdir -p "$root$tests"
cp "$here"/tests/system/*.py "$here/tests/it/resolver_update/wheel.py" "$root$tests"
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

# Python is there with the package only.
cat > "$root$tests/run" <<END
set -e
export DEBIAN_FRONTEND=noninteractive
echo "there: \$(dpkg-query --show | wc -l) packages, ffmpeg and python3 not: \$(command -v ffmpeg python3 || true)"
{ apt-get update && apt-get install --yes \$1/first.deb; } > \$1/apt.log 2>&1 || { cat \$1/apt.log; exit 1; }
grep 'newly installed\|^Need to get' \$1/apt.log
python3 \$1/package.py \$1
END
boot "$root" 1800 "$tests" "sh $tests/run"
