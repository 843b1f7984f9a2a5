#!/bin/sh
# Builds the fuzz targets with coverage, and runs each for a while.
#
#     tests/fuzz/run.sh SECONDS DIRECTORY
#
# DIRECTORY is kept: what a run finds to be of interest is where the next one begins, and what has
# failed is tried again.
set -eu
seconds=$1
mkdir -p "$2"
directory=$(realpath "$2")
here=$(dirname "$(realpath "$0")")
cargo=${CARGO:-cargo}
host=$(rustc --print host-tuple)

# What libFuzzer goes by: counters at each edge, the operands of comparisons, the depth of the stack.
# LLVM puts them in; as `cargo fuzz` has it for a build without a sanitizer, but with any toolchain.
# With --target, build scripts are built without.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Cllvm-args=-sanitizer-coverage-stack-depth \
  -Cllvm-args=-simplifycfg-branch-fold-threshold=0" \
  "$cargo" build --locked --manifest-path "$here/Cargo.toml" --target "$host" --target-dir "$directory"

"$here/seeds.sh" "$directory/seeds"
for source in "$here"/targets/*.rs; do
  target=$(basename "$source" .rs)
  program=$directory/$host/debug/$target
  tried=$directory/tried/$target failed=$directory/failed/$target seeds=$directory/seeds/$target
  log=$directory/$target.log
  mkdir -p "$tried" "$failed" "$seeds"
  echo "fuzzing $target for $seconds s"
  "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
    -dict="$here/dictionaries/$target.dict" -artifact_prefix="$failed/" \
    "$tried" "$failed" "$seeds" > "$log" 2>&1 || {
    tail -n 60 "$log"
    echo "to see it again: $program $(ls -t "$failed"/* | head -n 1)"
    exit 1
  }
  tail -n 1 "$log"
done
