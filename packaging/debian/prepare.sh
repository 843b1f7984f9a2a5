#!/bin/sh
# Lays out what goes into the Debian package beside the program and the configuration: the units as they are when the
# program is in /usr/bin, the manual, the maintainer scripts with the names of the units, and the changelog in Debian's
# format.
#
#     packaging/debian/prepare.sh MANUAL DIRECTORY
#
# MANUAL is what examples/manual has written.
set -eu
manual=$1
out=$2
rm -rf "$out"
put() {
  install -D -m 644 "$1" "$out/root/$2"
}

# What starts with the machine, and all units: a socket, for example, starts only where it was asked for.
enabled=
units=
users=
state=
for file in systemd/*; do
  name=$(basename "$file")
  case $name in
    *.sysusers)
      put "$file" "usr/lib/sysusers.d/${name%.*}.conf"
      users="$users$(sed -n 's/^u  *\([^ ]*\).*/ \1/p' "$file")"
      ;;
    *.tmpfiles) put "$file" "usr/lib/tmpfiles.d/${name%.*}.conf" ;;
    *)
      put "$file" "usr/lib/systemd/system/$name"
      sed -i 's|/usr/local/bin/|/usr/bin/|g' "$out/root/usr/lib/systemd/system/$name"
      units="$units $name"
      state="$state$(sed -n 's/^StateDirectory=/ /p' "$file")"
      case $name in *.service | *.timer) ! grep -q '^\[Install\]' "$file" || enabled="$enabled $name" ;; esac
      ;;
  esac
done
for script in postinst prerm postrm; do
  mkdir -p "$out/scripts"
  sed -e "s|@ENABLED@|${enabled# }|" -e "s|@UNITS@|${units# }|" -e "s|@USERS@|${users# }|" -e "s|@STATE@|${state# }|" \
    "packaging/debian/$script" > "$out/scripts/$script"
done

for page in "$manual"/man/*; do
  put "$page" "usr/share/man/man${page##*.}/$(basename "$page")"
done
# bash looks for the name of the command.
put "$manual/completions/ytcanal.bash" usr/share/bash-completion/completions/ytcanal
put "$manual/completions/_ytcanal" usr/share/zsh/vendor-completions/_ytcanal
put "$manual/completions/ytcanal.fish" usr/share/fish/vendor_completions.d/ytcanal.fish

field() {
  sed -n "s/^$1 = \"\(.*\)\"$/\1/p" Cargo.toml | head -n 1
}
# The same commit gives the same package.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || stat --format=%Y CHANGELOG.md)}
cat > "$out/changelog" <<END
ytcanal ($(field version)-1) unstable; urgency=medium

  * /usr/share/doc/ytcanal/changelog.gz lists the changes.

 -- $(field maintainer)  $(LC_ALL=C date --utc --rfc-email --date="@$date")
END
