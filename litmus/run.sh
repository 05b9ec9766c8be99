#!/usr/bin/env bash
# Runs the litmus WebDAV test suite against a fresh server and compares the result with expected.txt.
# usage: litmus/run.sh [URL USER PASSWORD]    (an own server instead of a fresh one)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
server=''
cleanup() {
    # It may have ended by itself; then there is nothing to end.
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then kill "$server"; fi
    rm -rf "$work"
}
trap cleanup EXIT

start_server() {
    local binary="${SYNC_SERVER_BIN:-$here/../target/release/sync-server}"
    # The server refuses settings it does not know.
    unset "${!SYNC_@}"
    [ -x "$binary" ] || { echo "litmus: $binary is missing: cargo build --release" >&2; exit 1; }
    mkdir "$work"/{db,data,config}
    # The pipe ends with the server, so a server that dies cannot leave us waiting.
    mkfifo "$work/out"
    (cd "$work" && exec env SYNC_BIND=127.0.0.1 SYNC_PORT=0 SYNC_DB_PATH="$work/db/sync.db" \
        SYNC_DATA_PATH="$work/data" SYNC_KEY_FILE="$work/config/master.key" \
        SYNC_ADMIN_PASSWORD="$password" "$(realpath "$binary")") >"$work/out" 2>"$work/err" &
    server=$!
    local line
    exec 3<"$work/out"
    while IFS= read -r line <&3; do
        case "$line" in *'listening on '*) url="${line##*listening on }"; break ;; esac
    done
    [ -n "$url" ] || { echo "litmus: the server did not come up:" >&2; cat "$work/err" >&2; exit 1; }
    url="${url%/}/dav/"
    # Keeps the pipe open and empty.
    cat <&3 >/dev/null &
}

url="${1:-}" user="${2:-admin}" password="${3:-Correct-Horse-9-Battery}"
[ -n "$url" ] || start_server

status=0
(cd "$work" && timeout 600 litmus -k "$url" "$user" "$password") >"$work/log" 2>&1 || status=$?

# One line a suite and one a warning; a skipped test is a line of its own and so a difference.
summary() {
    sed -nE "s/.*summary for \`([a-z]+)': of [0-9]+ tests run: ([0-9]+) passed, ([0-9]+) failed.*/\1 \2 passed \3 failed/p" "$1"
    sed -nE 's/^ *[0-9]+\. ([a-z_0-9]+)\.+ WARNING.*/warning \1/p' "$1" | sort
    sed -nE 's/^ *[0-9]+\. ([a-z_0-9]+)\.+ SKIPPED.*/skipped \1/p' "$1"
}
tr '\r' '\n' <"$work/log" >"$work/lines"
summary "$work/lines" >"$work/got"
# The server cannot see the fragment (litmus sends it, HTTP parsers drop it), so that warning may come or go.
if ! difference="$(diff <(grep -v '^warning delete_fragment$' "$here/expected.txt") <(grep -v '^warning delete_fragment$' "$work/got"))"; then
    cat "$work/lines"
    printf 'litmus: not as expected (<), but (>):\n%s\n' "$difference"
    [ ! -s "$work/err" ] || { echo 'the server said:'; tail -40 "$work/err"; }
    exit 1
fi
[ "$status" = 0 ] || { echo "litmus: exit $status"; tail -20 "$work/lines"; exit 1; }
echo "litmus: $(awk '/passed/ {n += $2} END {print n}' "$work/got") of 104 passed, none skipped"
