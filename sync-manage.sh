#!/usr/bin/env bash
# Runs sync-server's commands where the server lives: in the container `sync-server` when there is
# one, else with the program on this machine.
#
#   sync-manage.sh status | disk-usage | conflicts | gc | fsck | scrub | export DIR | rekey --new-key-file FILE | cleanup --older-than AGE | logs [N] | user … | device …
set -euo pipefail

container=sync-server

usage() {
    sed -n '5s/^#   /usage: /p' "$0" >&2
    exit 2
}

in_container() {
    command -v docker >/dev/null &&
        [ "$(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null)" = true ]
}

program() {
    local here
    here=$(dirname "$(readlink -f "$0")")
    if command -v sync-server >/dev/null; then
        echo sync-server
    elif [ -x "$here/target/release/sync-server" ]; then
        echo "$here/target/release/sync-server"
    else
        echo "sync-manage.sh: no sync-server here; build it with cargo build --release" >&2
        exit 1
    fi
}

run() {
    local server
    if in_container; then
        local flags=(--interactive)
        if [ -t 0 ] && [ -t 1 ]; then flags+=(--tty); fi
        exec docker exec "${flags[@]}" "$container" sync-server "$@"
    fi
    server=$(program)
    exec "$server" "$@"
}

logs() {
    if in_container; then
        exec docker logs --tail "$1" "$container"
    fi
    exec journalctl --unit sync-server --lines "$1" --no-pager
}

[ $# -gt 0 ] || usage
case "$1" in
    status | disk-usage | conflicts | gc | fsck | scrub | export | rekey | cleanup | user | device) run "$@" ;;
    logs) logs "${2:-100}" ;;
    *) usage ;;
esac
