#!/bin/sh
# Builds the fuzz targets with coverage, and runs each for a while (target.sh).
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
# As many at a time as there are processors.
basename --suffix=.rs "$here"/targets/*.rs \
  | xargs -n 1 -P "$(nproc)" "$here/target.sh" "$seconds" "$directory"
