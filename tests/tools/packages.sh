#!/bin/sh
# Installs the Debian packages of the programs that are missing. What stands in the way is said first,
# with its remedy, before anything is fetched.
#
#     tests/tools/packages.sh PROGRAM[:PACKAGE]...
#
# PACKAGE is the same as PROGRAM unless it is given. Not programs, but known: `libc`, without which
# nothing links, `venv`, Python's, and `vlc-plugins`, without which VLC plays nothing.
set -eu
# Debian has nginx where only root's PATH leads.
PATH=$PATH:/usr/sbin
cargo=${CARGO:-cargo}
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../../Cargo.toml")

refuse() {
  printf '%s\n' "$@" >&2
  exit 1
}

has() {
  case $1 in
    cargo) "$cargo" --version ;;
    cargo-*) "$cargo" "${1#cargo-}" --version ;;
    libc) [ -e "$(cc -print-file-name=Scrt1.o)" ] ;;
    vlc-plugins) ls /usr/lib/*/vlc/plugins/lua/liblua_plugin.so ;;
    venv) python3 -c 'import ensurepip' ;;
    *) command -v "$1" ;;
  esac > /dev/null 2>&1
}

if has cargo; then
  version=$("$cargo" --version | cut -d ' ' -f 2)
  oldest=$(printf '%s\n' "$rust" "$version" | sort --version-sort | head -n 1)
  [ "$oldest" = "$rust" ] || refuse \
    "$(command -v "$cargo") is version $version; YtCanal needs $rust or later." \
    '  from rustup:  rustup update' \
    '  from Debian:  apt-get install cargo-web   (replaces it)'
fi

missing=
for pair; do
  has "${pair%%:*}" || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0

# Debian's toolchain conflicts with rustup, and of two nobody knows which one runs: it comes only where
# there is none.
case $missing in *cargo-web* | *rust*)
  if command -v "$cargo" > /dev/null; then
    dpkg-query --show cargo-web > /dev/null 2>&1 || refuse \
      "The toolchain of $(command -v "$cargo") is incomplete." \
      '  from rustup:  rustup default stable && rustup component add clippy rustfmt' \
      '  otherwise:    cargo, rustc, clippy and rustfmt are needed'
  elif [ -x ~/.cargo/bin/cargo ]; then
    refuse "Rust is in ~/.cargo, where PATH does not lead: . ~/.cargo/env"
  elif [ -x "$(getent passwd "${SUDO_USER:-root}" | cut -d : -f 6)/.cargo/bin/cargo" ]; then
    refuse "Rust belongs to $SUDO_USER: run make without sudo. It asks for root where that is needed."
  fi
esac

echo "missing:$missing"
command -v apt-get > /dev/null || refuse \
  "Install them with this system's package manager (the names are Debian's; Rust $rust or later: rustup)."
as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=sudo
  command -v sudo > /dev/null || refuse 'There is no sudo. As root:' \
    "  apt-get update && apt-get install --no-install-recommends ca-certificates$missing"
fi

$as_root apt-get update
case $missing in *cargo-web*)
  version=$(apt-cache policy cargo-web | sed -n 's/^ *Candidate: //p')
  dpkg --compare-versions "$version" ge "$rust" || refuse \
    "This system's cargo-web is ${version:-not there}; YtCanal needs Rust $rust or later." \
    '  Debian 12:    bookworm-security has a newer one; add it to the package sources' \
    '  otherwise:    rustup, https://www.rust-lang.org/tools/install'
esac
# What is fetched is not kept: it is half a gigabyte.
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
  -o APT::Keep-Downloaded-Packages=false ca-certificates $missing
# Debian starts these when they are installed; nobody wants servers on this machine.
for server in nginx haproxy caddy prometheus; do
  case $missing in *"$server"*)
    [ ! -d /run/systemd/system ] || $as_root systemctl disable --now "$server"
  esac
done
