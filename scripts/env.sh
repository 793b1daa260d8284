# shellcheck shell=bash
# Sourced by every script: where things are, and the one environment all cargo calls share.
#
# In: nothing, or CARGO_TARGET_DIR, PGRX_PG_CONFIG_PATH and PYTHON set by the caller, which win.
# Out: ROOT, TARGET, LOGS, PG_MAJOR (what the extension is built for), PG_INSTALLED (what setup.sh installs), PG_PACKAGE
# (what selects the extension for cargo), PYTHON, and a few exported variables.
# Must never: install, build or print anything when all is well.
#
# One environment matters because cargo rebuilds pgrx, minutes of work, when a variable that its build
# script watches changes between two calls.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
# shellcheck disable=SC2034
LOGS=$TARGET/test-logs
# shellcheck disable=SC2034  # read by the scripts that source this file
RUST_NEEDED=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
# shellcheck disable=SC2034
PG_INSTALLED=15
# The value stands in .cargo/config.toml, so that plain cargo sees it too.
if [ -z "${PGRX_PG_CONFIG_PATH:-}" ]; then
    PGRX_PG_CONFIG_PATH=$(sed -n 's/^PGRX_PG_CONFIG_PATH = "\(.*\)"$/\1/p' "$ROOT/.cargo/config.toml")
fi
export PGRX_PG_CONFIG_PATH
# Never from the caller: images of PostgreSQL set a variable of this name.
PG_MAJOR=$({ "$PGRX_PG_CONFIG_PATH" --version 2>/dev/null || true; } | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
PG_MAJOR=${PG_MAJOR:-$PG_INSTALLED}
# The installed version by the package's default feature, so that a plain `cargo build` builds the same thing.
PG_PACKAGE=(--package atoll-pg)
# shellcheck disable=SC2034
[ "$PG_MAJOR" = "$PG_INSTALLED" ] || PG_PACKAGE+=(--no-default-features --features "pg$PG_MAJOR")
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
# With 1, a panic inside PostgreSQL sends its backtrace to the client and changes expected outputs.
export RUST_BACKTRACE=0
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

# python3-dev and python3-venv belong to the distribution's Python, not to one found earlier in PATH.
if [ -z "${PYTHON:-}" ]; then
    if [ -x /usr/bin/python3 ]; then PYTHON=/usr/bin/python3; else PYTHON=python3; fi
fi

# Cargo as rustup installs it, for shells that have not read its profile yet.
if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    export PATH
fi

# True if version $1 is there and at least version $2, both like 1.95 or 1.95.0.
version_at_least() {
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Prints the version of the cargo that would run, or nothing.
cargo_version() {
    { cargo --version 2>/dev/null || true; } | sed -n 's/^cargo \([0-9.]*\).*/\1/p'
}

# When rustup's default toolchain is too old but a good one is installed beside it, uses that one. The
# user's default stays as it is.
use_installed_toolchain() {
    [ -z "${RUSTUP_TOOLCHAIN:-}" ] && command -v rustup >/dev/null 2>&1 || return 0
    if ! version_at_least "$(cargo_version)" "$RUST_NEEDED" && rustup run "$RUST_NEEDED" true 2>/dev/null; then
        export RUSTUP_TOOLCHAIN=$RUST_NEEDED
    fi
}
use_installed_toolchain

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
