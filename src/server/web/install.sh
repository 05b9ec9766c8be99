#!/bin/sh
# Installs sync-client for the user who runs this, from the server that gave it:
#
#   curl -fsS @SERVER@/install.sh | sh
#
# Everything is fetched and proven before anything is changed.
set -eu

server='@SERVER@'
checksum='@SHA256@'
machine='@MACHINE@'

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

fetch() { # address, file
    if command -v curl >/dev/null 2>&1; then
        curl --fail --silent --show-error --output "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then
        wget --quiet --output-document="$2" "$1"
    else
        fail 'curl or wget is needed'
    fi
}

sum() { # file
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1" | cut -c 1-64
    elif command -v openssl >/dev/null 2>&1; then
        openssl dgst -sha256 -r "$1" | cut -c 1-64
    else
        fail 'sha256sum or openssl is needed'
    fi
}

unit() {
    cat <<'UNIT'
@UNIT@UNIT
}

main() {
    [ -n "${HOME:-}" ] || fail 'HOME is not set'
    [ "$(uname -s)" = Linux ] || fail 'sync-client runs on Linux only'
    here="$(uname -m)"
    [ "$here" = "$machine" ] || fail "the server has sync-client for $machine, and this is $here"
    bin="$HOME/.local/bin"
    units="$HOME/.config/systemd/user"

    work="$(mktemp -d)"
    new="$bin/.sync-client.$$"
    new_unit="$units/.sync-client.service.$$"
    trap 'rm -rf "$work" "$new" "$new_unit"' EXIT
    trap 'exit 1' HUP INT TERM
    fetch "$server/download/sync-client" "$work/sync-client" || fail "$server gives no sync-client"
    [ "$(sum "$work/sync-client")" = "$checksum" ] ||
        fail 'what came is not what the server has; run this again, and if that does not help ask who runs it'

    mkdir -p "$bin" "$units"
    cp "$work/sync-client" "$new"
    chmod 755 "$new"
    unit >"$new_unit"
    chmod 644 "$new_unit"
    mv -f "$new_unit" "$units/sync-client.service"
    mv -f "$new" "$bin/sync-client"

    printf 'sync-client is in %s, its unit in %s\n\n' "$bin" "$units"
    case ":${PATH:-}:" in
        *":$bin:"*) command='sync-client' ;;
        *) command="$bin/sync-client" ;;
    esac
    printf 'Next, once:\n'
    printf '    %s configure          # the server is %s\n' "$command" "$server"
    printf '    systemctl --user daemon-reload\n'
    printf '    systemctl --user enable --now sync-client\n'
    printf 'When it ran before:\n'
    printf '    systemctl --user daemon-reload && systemctl --user restart sync-client\n'
}

# Last, so that half a script does nothing.
main
