#!/usr/bin/env bash
# Installs what is missing for one part of the work, and does nothing when nothing is missing.
#
# In: the name of a part: `demo` (compiler and Rust) or `test` (demo's, and PostgreSQL, C, Go, Python tools).
# Out: status 0 when everything is there; otherwise a message that says what to run, and status 1.
# Must never: leave a database server running that did not run before, touch a database cluster that
# was there before, change the user's default Rust toolchain, or need the network when nothing is missing.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

# One line a package: its name, then, if there is one, a command that shows that the thing is there even
# if it came from elsewhere.
demo_packages='
build-essential cc
pkg-config pkg-config
ca-certificates update-ca-certificates
'
test_packages="
postgresql-$PG_MAJOR
postgresql-server-dev-$PG_MAJOR
libpq-dev
libclang-dev
clang clang
golang-go go
python3-dev
python3-venv
valgrind valgrind
abigail-tools abidiff
cmake cmake
shellcheck shellcheck
"

# Prints those packages of the list on stdin that are not installed.
missing_packages() {
    local installed package command
    installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')"
    while read -r package command; do
        [ -n "$package" ] || continue
        case $installed in *" $package "*) continue ;; esac
        if [ -n "$command" ] && command -v "$command" >/dev/null 2>&1; then continue; fi
        printf '%s\n' "$package"
    done
}

# Prints "version name" of every Debian cluster that is running, one a line.
running_clusters() { pg_lsclusters -h 2>/dev/null | awk '$4 ~ /online/ { print $1, $2 }'; }
all_clusters() { pg_lsclusters -h 2>/dev/null | awk '{ print $1, $2 }'; }

# Installing the PostgreSQL server package normally creates a cluster called `main` and starts it. The
# tests bring their own throw-away clusters, so that is switched off before the first installation.
forbid_main_cluster() {
    local conf=/etc/postgresql-common/createcluster.conf
    [ ! -e "$conf" ] || return 0
    mkdir -p "$(dirname "$conf")"
    printf '%s\n' "# Written before the PostgreSQL packages were installed for Atoll's tests, which start their own servers." \
        "create_main_cluster = false" >"$conf"
}

# Stops what an installation has started, and removes the cluster it has created: what was there before
# stays as it was.
restore_clusters() { # $1 all clusters before, $2 running ones before
    local version name
    while read -r version name; do
        [ -n "$version" ] || continue
        if ! grep -qxF "$version $name" <<<"$1"; then
            pg_dropcluster --stop "$version" "$name"
        elif ! grep -qxF "$version $name" <<<"$2"; then
            pg_ctlcluster "$version" "$name" stop >/dev/null 2>&1 || true
        fi
    done < <(all_clusters)
}

# True if `apt-get install` knows the package.
apt_offers() { [ -n "$(apt_candidate "$1")" ]; }
apt_candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v '^(none)$' || true; }

apt_install() {
    local all running
    all=$(all_clusters)
    running=$(running_clusters)
    case " $* " in *" postgresql-"*) forbid_main_cluster ;; esac
    say "Installing: $*"
    apt-get update -q >&2
    # Our createcluster.conf is there before the package brings its own: keep the old one, do not ask.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >&2
    restore_clusters "$all" "$running"
}

install_packages() { # $1 the part; the list on stdin
    local missing
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "Note: this is no Debian system, so packages are not checked; docs of the part '$1' name Debian's."
        return 0
    fi
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "Missing Debian packages: $missing"
        say "Run this once, then repeat your command:"
        die "    sudo $ROOT/scripts/setup.sh packages-$1"
    fi
    # shellcheck disable=SC2086  # a list of package names
    apt_install $missing
}

rust_is_enough() {
    local have
    have=$(cargo_version)
    [ -n "$have" ] && version_at_least "$have" "$RUST_NEEDED"
}

install_rust() {
    rust_is_enough && return 0
    # A rustup that is already there, or the distribution's, fetches exactly the version needed, beside
    # the toolchains already installed. scripts/env.sh then picks it.
    if ! command -v rustup >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-cache >/dev/null 2>&1; then
        if apt_offers rustup; then
            apt_install rustup
        elif version_at_least "$(apt_candidate cargo)" "$RUST_NEEDED"; then
            apt_install cargo rustc
        fi
    fi
    if ! rust_is_enough && command -v rustup >/dev/null 2>&1; then
        say "Installing the Rust toolchain $RUST_NEEDED with rustup; your default toolchain stays."
        rustup toolchain install "$RUST_NEEDED" --profile minimal --component clippy --component rustfmt >&2 || true
        if rustup run "$RUST_NEEDED" cargo --version >/dev/null 2>&1; then return 0; fi
    fi
    rust_is_enough && return 0
    say "Rust $RUST_NEEDED or newer is needed; found: $(cargo --version 2>/dev/null || echo 'no cargo at all')."
    say "This distribution offers cargo $(apt_candidate cargo 2>/dev/null | sed 's/^$/in no version/')."
    say "Install rustup as the Rust project's own page (rust-lang.org, Install) describes, then:"
    die "    rustup toolchain install $RUST_NEEDED --profile minimal --component clippy --component rustfmt"
}

# The Python tools of the tests live under target/, never in the user's Python.
install_venv() {
    local wanted=$ROOT/scripts/requirements-test.txt venv=$TARGET/venv
    cmp -s "$wanted" "$venv/installed.txt" && return 0
    say "Preparing $venv"
    mkdir -p "$TARGET"
    "$PYTHON" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted" >&2
    cp "$wanted" "$venv/installed.txt"
}

case ${1:-} in
packages-demo) install_packages demo <<<"$demo_packages" ;;
packages-test) install_packages test <<<"$demo_packages$test_packages" ;;
demo)
    install_packages demo <<<"$demo_packages"
    install_rust
    ;;
test)
    install_packages test <<<"$demo_packages$test_packages"
    install_rust
    install_venv
    ;;
*) die "usage: scripts/setup.sh demo|test" ;;
esac
