#!/usr/bin/env bash
# Proves everything: format, lints, unit and property tests, black-box tests with real clients, on SQLite
# and on PostgreSQL, fuzzing, litmus, schemathesis.
# Installs what is missing. A tool that cannot be had is a failure, never a skip.
#
#   ./test.sh           everything, as CI runs it
#   ./test.sh --fast    format, lints, unit tests; no other programs needed
#   ./test.sh --long    everything, with more rounds and bigger files
#   ./test.sh --audit   cargo deny as well (licences, advisories); combines with the others
set -euo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

fast='' audit='' long='' fuzzed='' profile=default
for flag in "$@"; do
    case "$flag" in
        --fast) fast=1 ;;
        --long) profile=long long=--long fuzzed='--seconds 600'; export SYNC_TEST_LONG=1 ;;
        --audit) audit=1 ;;
        *) echo "usage: ./test.sh [--fast] [--long] [--audit]" >&2; exit 2 ;;
    esac
done

step() { printf '\n== %s (%ds)\n' "$*" "$SECONDS"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo --non-interactive "$@"; fi; }

# davfs2 needs /dev/fuse and root as well, gvfs a D-Bus session of its own.
packages=(build-essential cadaver curl davfs2 dbus git gvfs-backends gvfs-daemons kde-cli-tools kio libglib2.0-bin litmus python3-venv rclone)

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    step "install ${missing[*]}"
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

install_postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    step 'install postgresql'
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends postgresql-common
    # Debian would start a server of its own; the tests start theirs.
    as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    as_root apt-get install -y -qq --no-install-recommends postgresql
}

install_cargo_tool() { # name of the subcommand
    cargo "$1" --version >/dev/null 2>&1 && return
    step "install cargo-$1"
    cargo install --locked "cargo-$1"
}

# The pinned programs of schemathesis, under target/ and nowhere else.
install_schemathesis() {
    local venv=target/schemathesis pinned=schemathesis/requirements.txt
    cmp --silent "$pinned" "$venv/installed.txt" && return
    step 'install schemathesis'
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$pinned"
    cp "$pinned" "$venv/installed.txt"
}

[ -n "$fast" ] || install_packages
[ -n "$fast" ] || install_postgresql
[ -n "$fast" ] || install_schemathesis
install_cargo_tool nextest

step 'format'
cargo fmt --all --check
# In release, so that the C libraries are built once for the lints and for the tests.
step 'clippy'
cargo clippy --workspace --release --all-targets --locked -- -D warnings
if [ -n "$audit" ]; then
    install_cargo_tool deny
    step 'deny'
    cargo deny check
fi

if [ -n "$fast" ]; then
    step 'unit tests'
    cargo nextest run --config .config/tests.toml --release --locked --profile "$profile"
    exit
fi

step 'build'
cargo build --release --locked
# Building the tests may put another one in its place; other scripts look for it there.
cp target/release/sync-server target/release/sync-client target/
trap 'cp target/sync-server target/sync-client target/release/' EXIT
export SYNC_SERVER_BIN="$PWD/target/sync-server" SYNC_CLIENT_BIN="$PWD/target/sync-client"
step 'tests'
failed=''
cargo nextest run --config .config/tests.toml --release --workspace --locked --profile "$profile" 2>&1 |
    tee target/nextest.log || failed=1
step 'tests on PostgreSQL'
postgres/run.sh cargo nextest run --config .config/tests.toml --release --workspace --locked --profile postgres 2>&1 |
    tee target/postgres.log || failed=1
step 'fuzz'
fuzz/run.sh $fuzzed | tee target/fuzz.log || failed=1
step 'litmus'
litmus/run.sh | tee target/litmus.log || failed=1
step 'schemathesis'
schemathesis/run.sh $long | tee target/schemathesis.log || failed=1

step 'result'
summary() { # of a log of nextest
    sed -n '/^ *Summary/h; ${x; p}' "target/$1.log"
}
if [ -n "$failed" ]; then
    echo "FAILED after ${SECONDS}s"
    summary postgres
    summary nextest
    exit 1
fi
# A log without its closing line is no proof that anything ran.
grep -E '^fuzz:' target/fuzz.log
grep -E '^litmus' target/litmus.log
grep -E '^schemathesis' target/schemathesis.log
grep -qE '^ *Summary' target/postgres.log
grep -qE '^ *Summary' target/nextest.log
echo "everything passed in ${SECONDS}s"
summary postgres
# Last, for those who read only the last line.
summary nextest
