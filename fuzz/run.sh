#!/usr/bin/env bash
# Throws bytes at every parser of the server for a while, guided by which of its branches they reach. What
# fails is kept in fuzz/regressions/, where an ordinary test finds it from then on.
#
#   fuzz/run.sh                        every target with 20,000 inputs, the same each time
#   fuzz/run.sh --seconds N            … with others for N seconds
#   fuzz/run.sh --seconds N TARGET…    these targets
#   fuzz/run.sh --minimize             and keeps in fuzz/corpus/ what reaches something new
set -euo pipefail
cd "$(dirname "$0")/.."

limit='-runs=20000 -seed=1 -max_total_time=60' said='20000 inputs' minimize=''
targets=()
while [ $# -gt 0 ]; do
    case "$1" in
        --seconds) limit="-max_total_time=${2:?}" said="$2 s"; shift ;;
        --minimize) minimize=1 ;;
        -*) echo "usage: fuzz/run.sh [--seconds N] [--minimize] [TARGET…]" >&2; exit 2 ;;
        *) targets+=("$1") ;;
    esac
    shift
done
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls fuzz/corpus)

# The crates we depend on are those of the ordinary build; only ours are built anew.
RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/rustc.sh cargo build --release --locked --package sync-fuzz --features run
program=$PWD/${CARGO_TARGET_DIR:-target}/release/sync-fuzz
work=$PWD/${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$work"

one() { # target: says what was done, fails when something was found
    local target=$1 found=$work/$1 kept=fuzz/regressions/$1 log=$work/$1.log
    mkdir -p "$found" "$kept"
    # What an earlier run found would make this one another.
    [ "${limit#-runs}" = "$limit" ] || rm -f "$found"/*
    # Bytes are bounded so that many are tried; memory so that what grows without bound is found.
    if SYNC_FUZZ_TARGET=$target "$program" "$found" "fuzz/corpus/$target" "$kept" $limit \
        -max_len=4096 -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/$target-" >"$log" 2>&1; then
        rmdir --ignore-fail-on-non-empty "$kept"
        printf '%-12s %s\n' "$target" "$(grep -oE 'Done [0-9]+ runs' "$log")"
        return
    fi
    find "$work" -maxdepth 1 -name "$target-*" -exec mv -t "$kept" {} +
    echo "fuzz: $target failed, see $kept"
    tail -n 40 "$log"
    # Said at the end too, with the input itself: of a long log only the end may be left.
    echo "$target: $(grep -E "panicked at|^Base64: |^SUMMARY: " "$log" | tr '\n' ' ')" >>"$work/failed"
    return 1
}

minimize() { # target
    local least=$work/$1.least
    rm -rf "$least"
    mkdir -p "$least"
    SYNC_FUZZ_TARGET=$1 "$program" -merge=1 -max_len=4096 "$least" "fuzz/corpus/$1" "$work/$1" >"$work/$1.log" 2>&1
    rm -rf "fuzz/corpus/$1"
    mv "$least" "fuzz/corpus/$1"
}

export -f one minimize
export work program limit
failed=''
rm -f "$work/failed"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {}' || failed=1
if [ -n "$minimize" ]; then
    for target in "${targets[@]}"; do minimize "$target"; done
fi
if [ -n "$failed" ]; then
    echo "fuzz: FAILED"
    cat "$work/failed"
    exit 1
fi
echo "fuzz: ${#targets[@]} targets, $said each, nothing found"
