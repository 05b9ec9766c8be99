#!/usr/bin/env bash
# Stands before rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER, see run.sh): they count
# which of their branches ran, and check their arithmetic. What they depend on is built as always, once.
set -euo pipefail

rustc=$1
shift
exec "$rustc" "$@" --cfg fuzzing -C opt-level=0 -C debug-assertions=on -C overflow-checks=on \
    -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=3 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table
