#!/usr/bin/env bash
# Copies the built extension into a PostgreSQL installation.
#
#   scripts/install-pg.sh [--build] PROFILE [PG_CONFIG]
#
# In: `debug` or `release`, already built or, with --build, built first for the version of PGRX_PG_CONFIG_PATH; the
# pg_config of the installation, by default the one the extension was built with. DESTDIR is put before every path.
# Out: atoll.so, atoll.control and the SQL files in the directories pg_config names.
# Must never: replace a library in place, since a running server has it mapped.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

build=no
if [ "${1:-}" = --build ]; then
    build=yes
    shift
fi
case ${1:-} in debug | release) ;; *) die "usage: scripts/install-pg.sh [--build] debug|release [PG_CONFIG]" ;; esac
[ -x "$PGRX_PG_CONFIG_PATH" ] || die "There is no $PGRX_PG_CONFIG_PATH: run scripts/setup.sh pg, or name another with PG_CONFIG=."
if [ $build = yes ]; then
    profile=()
    [ "$1" = debug ] || profile=(--release)
    cargo build "${profile[@]}" "${PG_PACKAGE[@]}"
fi
library=$TARGET/$1/libatoll_pg.so
pg_config=${2:-$PGRX_PG_CONFIG_PATH}
[ -e "$library" ] || die "There is no $library: build package atoll-pg in this profile first."
built_for=$("$PGRX_PG_CONFIG_PATH" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
goes_to=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
[ "$built_for" = "$goes_to" ] || die "Built for PostgreSQL $built_for, but $pg_config is of $goes_to."

libdir=${DESTDIR:-}$("$pg_config" --pkglibdir)
sharedir=${DESTDIR:-}$("$pg_config" --sharedir)/extension
mkdir -p "$libdir" "$sharedir"
for dir in "$libdir" "$sharedir"; do
    [ -w "$dir" ] || die "No permission to write to $dir; run this as root."
done

# Written under another name, then renamed: servers keep the old file mapped until they restart.
install -m 0755 "$library" "$libdir/.atoll.so.new"
mv -f "$libdir/.atoll.so.new" "$libdir/atoll.so"
install -m 0644 pg_extension/atoll.control pg_extension/sql/atoll--*.sql "$sharedir/"
say "Installed $libdir/atoll.so and the SQL files in $sharedir."
