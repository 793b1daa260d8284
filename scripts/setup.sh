#!/usr/bin/env bash
# Installs what is missing for one part of the work, and does nothing when nothing is missing.
#
# In: the name of a part: `demo` (compiler and Rust), `deb` (demo's, and what makes a clean Debian system), `pg`
# (demo's, and PostgreSQL), `bench-pg` (pg's, and PL/Proxy) or `test` (pg's, and C, Go, Python tools).
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
ca-certificates
'
deb_packages='
debootstrap debootstrap
'
pg_packages="
postgresql-$PG_INSTALLED
postgresql-server-dev-$PG_INSTALLED
libpq-dev
libclang-dev
clang clang
python3 python3
"
bench_pg_packages="
postgresql-$PG_INSTALLED-plproxy
"
test_packages="
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
running_clusters() { list_clusters | awk '$4 ~ /online/ { print $1, $2 }'; }
all_clusters() { list_clusters | awk '{ print $1, $2 }'; }
list_clusters() { pg_lsclusters -h 2>/dev/null || true; }

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

# Prints the version apt would install, or nothing.
apt_candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v '^(none)$' || true; }

updated=no
apt_update() {
    [ "$updated" = no ] || return 0
    apt-get update -qq >&2
    updated=yes
}

apt_install() {
    local all running
    all=$(all_clusters)
    running=$(running_clusters)
    case " $* " in *" postgresql-"*) forbid_main_cluster ;; esac
    say "Installing: $*"
    apt_update
    # Our createcluster.conf is there before the package brings its own: keep the old one, do not ask.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >&2
    restore_clusters "$all" "$running"
}

install_packages() { # $1 the part; the list on stdin
    local missing
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "Note: no dpkg here, so packages are not checked; scripts/setup.sh lists what Debian calls them."
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

# Installs the distribution's own Rust if it is new enough. Debian keeps an old `cargo` for its own
# packages and a newer `cargo-web`, for building browsers, beside it.
install_distribution_rust() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
    # Both Rusts refuse to stand beside rustup's.
    ! command -v rustup >/dev/null 2>&1 || return 0
    apt_update
    if version_at_least "$(apt_candidate cargo)" "$RUST_NEEDED"; then
        apt_install cargo rustc rust-clippy rustfmt
    elif version_at_least "$(apt_candidate cargo-web)" "$RUST_NEEDED"; then
        apt_install cargo-web rustc-web rust-web-clippy rustfmt-web
    elif [ -n "$(apt_candidate rustup)" ]; then
        apt_install rustup
    fi
}

# Lets a rustup that is there fetch exactly the version needed, beside the toolchains already installed;
# scripts/env.sh then picks it.
install_toolchain() {
    command -v rustup >/dev/null 2>&1 || return 0
    say "Installing the Rust toolchain $RUST_NEEDED with rustup; your default toolchain stays."
    rustup toolchain install "$RUST_NEEDED" --profile minimal --component clippy --component rustfmt >&2 || return 0
    use_installed_toolchain
}

install_rust() {
    rust_is_enough && return 0
    install_distribution_rust
    rust_is_enough && return 0
    install_toolchain
    rust_is_enough && return 0
    say "Rust $RUST_NEEDED or newer is needed; found: $(cargo --version 2>/dev/null || echo 'no cargo')."
    if [ "$(id -u)" != 0 ] && ! command -v rustup >/dev/null 2>&1; then
        say "As root this script installs the distribution's Rust if it is new enough:"
        say "    sudo $ROOT/scripts/setup.sh demo"
    fi
    say "Otherwise install rustup as the Rust project's own page describes, then:"
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
packages-deb) install_packages deb <<<"$demo_packages$deb_packages" ;;
packages-pg) install_packages pg <<<"$demo_packages$pg_packages" ;;
packages-bench-pg) install_packages bench-pg <<<"$demo_packages$pg_packages$bench_pg_packages" ;;
packages-test) install_packages test <<<"$demo_packages$pg_packages$test_packages" ;;
demo)
    install_packages demo <<<"$demo_packages"
    install_rust
    ;;
deb)
    install_packages deb <<<"$demo_packages$deb_packages"
    install_rust
    ;;
pg)
    install_packages pg <<<"$demo_packages$pg_packages"
    install_rust
    ;;
bench-pg)
    install_packages bench-pg <<<"$demo_packages$pg_packages$bench_pg_packages"
    install_rust
    ;;
test)
    install_packages test <<<"$demo_packages$pg_packages$test_packages"
    install_rust
    install_venv
    ;;
*) die "usage: scripts/setup.sh demo|deb|pg|bench-pg|test" ;;
esac
