#!/bin/sh
# The image of the Dockerfile, built and run as docs/operations.md has it; container.py has the tests. Needs docker or
# podman, and where the Dockerfile gets things from: the base images, crates.io, Debian's packages, PyPI. The first time
# it takes as long as the program takes to compile.
#
#     tests/system/container.sh
#
# YTCANAL_ENGINE is the program that builds and runs, if there are two; YTCANAL_BUILD_FLAGS and YTCANAL_RUN_FLAGS are
# further arguments of its `build` and `run`, as a machine may need them (--network=host).
set -eu
here=$(dirname "$(realpath "$0")")/../..
image=ytcanal-test

# Docker's client is often there without its engine.
runs() {
  command -v "$1" > /dev/null && "$1" info > /dev/null 2>&1
}
candidates=${YTCANAL_ENGINE:-docker podman}
engine=
for candidate in $candidates; do
  [ -n "$engine" ] || ! runs "$candidate" || engine=$candidate
done
if [ -z "$engine" ]; then
  echo "no container engine answers to 'info' (tried: $candidates)." >&2
  echo '  apt-get install podman catatonit   (or docker.io: its engine has to run, and to be open to this user)' >&2
  exit 1
fi

case $("$engine" --version) in
  *podman*)
    # The other format, podman's own, has no health checks. Where there is no systemd, nothing can run them in intervals.
    format=--format=docker
    [ -d /run/systemd/system ] || export DISABLE_HC_SYSTEMD=true
    ;;
  *) format= ;;
esac
# shellcheck disable=SC2086
"$engine" build $format ${YTCANAL_BUILD_FLAGS:-} --tag "$image" "$here"
exec python3 "$here/tests/system/container.py" "$engine" "$image"
