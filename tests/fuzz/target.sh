#!/bin/sh
# Runs one fuzz target that run.sh has built.
#
#     tests/fuzz/target.sh SECONDS DIRECTORY TARGET
set -eu
seconds=$1 directory=$2 target=$3
here=$(dirname "$(realpath "$0")")
program=$directory/$(rustc --print host-tuple)/debug/$target
tried=$directory/tried/$target failed=$directory/failed/$target seeds=$directory/seeds/$target
log=$directory/$target.log
mkdir -p "$tried" "$failed" "$seeds"
"$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
  -dict="$here/dictionaries/$target.dict" -artifact_prefix="$failed/" \
  "$tried" "$failed" "$seeds" > "$log" 2>&1 || {
  tail -n 60 "$log"
  echo "to see it again: $program $(ls -t "$failed"/* | head -n 1)"
  # Ends xargs.
  exit 255
}
echo "$target: $(tail -n 1 "$log")"
