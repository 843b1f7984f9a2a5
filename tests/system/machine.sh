# shellcheck shell=sh
# What unit.sh and package.sh have in common: a Debian that boots, runs tests, and goes down.

# make_debian ROOT PACKAGES: the smallest Debian with these packages, where there is none yet. A new one takes minutes.
make_debian() {
  [ ! -e "$1/complete" ] || return 0
  rm -rf "$1"
  debootstrap --variant=minbase --include="systemd,systemd-sysv,dbus,ca-certificates${2:+,$2}" \
    "${YTCANAL_SUITE:-bookworm}" "$1" ${YTCANAL_MIRROR:+"$YTCANAL_MIRROR"}
  # Where a network has certificates of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  mkdir -p "$1/etc/systemd/system.conf.d"
  printf '[Manager]\nDefaultEnvironment=PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n' \
    > "$1/etc/systemd/system.conf.d/certificates.conf"
  touch "$1/complete"
}

# boot ROOT SECONDS TESTS COMMAND [OPTION]...: boots it with these options of systemd-nspawn, runs the command with the
# directory TESTS as its last argument when all units have started, and shows what it has said.
boot() {
  root=$1 seconds=$2 tests=$3 command=$4
  shift 4
  units=$root/etc/systemd/system
  # When the tests have passed, or have not, the machine goes down.
  cat > "$units/down.service" <<END
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '$command $tests > $tests/said 2>&1 && touch $tests/passed; systemctl poweroff'
END
  mkdir -p "$units/multi-user.target.wants"
  ln -sf ../down.service "$units/multi-user.target.wants/down.service"
  rm -rf "$root/var/log/journal" "$root$tests/passed"
  mkdir -p "$root/var/log/journal"
  # A container forbids the calls of Landlock, if nobody says otherwise.
  timeout "$seconds" systemd-nspawn --quiet "$@" \
    --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
    --directory="$root" --register=no --keep-unit --boot < /dev/null > "$root.log" 2>&1 \
    || { tail -n 20 "$root.log"; echo 'it did not boot, or did not go down'; }
  cat "$root$tests/said"
  if [ ! -e "$root$tests/passed" ]; then
    journalctl --directory="$root/var/log/journal" --output=cat --unit='ytcanal*' --unit='probe*'
    exit 1
  fi
}
