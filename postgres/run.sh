#!/usr/bin/env bash
# Runs a command beside a PostgreSQL that is thrown away afterwards, and says in SYNC_TEST_POSTGRES where
# it is. As root the server runs as the user `postgres`, because it refuses to run as root.
#
#   postgres/run.sh cargo nextest run --release --lib store::
#   postgres/run.sh --sync COMMAND…     waits for the disk, as a real one does
set -euo pipefail

sync=off
if [ "${1-}" = --sync ]; then sync=on; shift; fi
[ $# -gt 0 ] || { echo "usage: postgres/run.sh [--sync] COMMAND…" >&2; exit 2; }

programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -x "$programs/initdb" ] || { echo "postgres/run.sh: needs the Debian package postgresql" >&2; exit 1; }
export PATH="$programs:$PATH"

# Each test makes some hundred small files; in memory, where there is enough of it, that costs nothing.
place=/tmp
free=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1) || free=0
if [ "$sync" = off ] && [ "${free:-0}" -gt 2000000 ]; then
    place=/dev/shm
fi
folder=$(mktemp -d "$place/sync-postgres.XXXXXX")
as_owner=()
if [ "$(id -u)" = 0 ]; then
    chown postgres: "$folder"
    as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi
owned() { (cd "$folder" && "${as_owner[@]}" "$@"); }
stop() {
    owned pg_ctl -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# A collation that knows languages, so that a comparison which relies on bytes is found out.
owned initdb -D "$folder/data" -U test -A trust -E UTF8 --locale-provider=icu --icu-locale=en-US --locale=C.UTF-8 \
    --no-sync >"$folder/initdb.log" 2>&1 || {
    cat "$folder/initdb.log" >&2
    exit 1
}
settings=(
    "listen_addresses=127.0.0.1" "port=$port" "unix_socket_directories=$folder"
    "max_connections=300" "shared_buffers=64MB" "fsync=$sync" "full_page_writes=$sync"
    "autovacuum=off"
)
owned pg_ctl -D "$folder/data" -l "$folder/log" -w -o "$(printf -- '-c %s ' "${settings[@]}")" start >/dev/null || {
    cat "$folder/log" >&2
    exit 1
}
# What a power cut does to it, and its return; for a test that has it to itself.
cat >"$folder/crash" <<END
#!/usr/bin/env bash
set -euo pipefail
cd "$folder"
${as_owner[@]} "$programs/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null
${as_owner[@]} "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w -o "$(printf -- '-c %s ' "${settings[@]}")" start >/dev/null
END
chmod 755 "$folder/crash"

SYNC_TEST_POSTGRES="postgres://test@127.0.0.1:$port/postgres" SYNC_TEST_POSTGRES_CRASH="$folder/crash" "$@"
