#!/usr/bin/env bash
# Asks a fresh server thousands of generated questions, good and bad, and compares each answer with the OpenAPI
# document that it serves: no 5xx, nothing undocumented, what must be refused refused, what is right accepted.
# usage: schemathesis/run.sh [--long] [--seed N]    after cargo build --release, with the venv that ./test.sh makes
#
# With one seed, one document and one version of Python the questions are the same every time, but for cursors. A long
# run draws a seed of its own, says it, and takes what answers held as input, too.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
tools="$here/../target/schemathesis/bin"
examples=30 limit=300 seed=1
pinned="$here/pinned.toml"
if [ "${1:-}" = --long ]; then examples=400 limit=3000 seed=$RANDOM pinned=/dev/null; shift; fi
if [ "${1:-}" = --seed ]; then seed="$2"; shift 2; fi
[ $# = 0 ] || { sed -n '/^# usage/p' "$0" >&2; exit 2; }
work="$(mktemp -d)"
server=''
cleanup() {
    # It may have ended by itself; then there is nothing to end.
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then kill "$server"; fi
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "schemathesis: $*" >&2
    # Its log has a line for each request; what went wrong is rare.
    sed -n '/ERROR/p; /panicked/p' "$work/err" | tail -20 >&2
    exit 1
}

password='Correct-Horse-9-Battery'

start_server() {
    local binary="${SYNC_SERVER_BIN:-$here/../target/release/sync-server}"
    # The server refuses settings it does not know.
    unset "${!SYNC_@}"
    [ -x "$binary" ] || fail "$binary is missing: cargo build --release"
    mkdir "$work"/{db,data,config}
    # The pipe ends with the server, so a server that dies cannot leave us waiting.
    mkfifo "$work/out"
    (cd "$work" && exec env SYNC_BIND=127.0.0.1 SYNC_PORT=0 SYNC_TRUSTED_PROXIES=127.0.0.1/32 \
        SYNC_DB_PATH="$work/db/sync.db" SYNC_DATA_PATH="$work/data" SYNC_KEY_FILE="$work/config/master.key" \
        SYNC_ADMIN_PASSWORD="$password" "$(realpath "$binary")") >"$work/out" 2>"$work/err" &
    server=$!
    local line url=''
    exec 3<"$work/out"
    while IFS= read -r line <&3; do
        case "$line" in *'listening on '*) url="${line##*listening on }"; break ;; esac
    done
    [ -n "$url" ] || fail 'the server did not come up'
    export API_URL="${url%/}/api/v1" API_PASSWORD="$password"
    # Keeps the pipe open and empty.
    cat <&3 >/dev/null &
}

[ -x "$tools/st" ] || fail "$tools/st is missing: ./test.sh installs it"
start_server
cd "$work"
"$tools/python" "$here/plant.py" "$API_URL" "$API_PASSWORD" "$here/schemathesis.toml" || fail 'nothing could be planted'
cat "$pinned" >>schemathesis.toml

status=0
echo "schemathesis: seed $seed, $examples examples, $("$tools/python" --version)"
# Sets and the like in one order every time.
PYTHONHASHSEED=0 SCHEMATHESIS_HOOKS="$here/hooks.py" timeout "$limit" "$tools/st" --no-color --config-file schemathesis.toml \
    run "$API_URL/openapi.json" --max-examples "$examples" --seed "$seed" >log 2>&1 || status=$?
if [ "$status" != 0 ]; then
    cut -c 1-2000 log
    fail "exit $status"
fi
kill -0 "$server" 2>/dev/null || fail 'the server has ended'
! grep -q 'panicked at' err || fail 'the server panicked'
"$tools/python" "$here/summary.py" "$API_URL" report.ndjson
