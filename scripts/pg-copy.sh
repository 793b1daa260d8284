#!/usr/bin/env bash
# Runs a command beside a throw-away server that has the extension, in a throw-away copy of PostgreSQL.
#
#   scripts/pg-copy.sh [--no-server] PROFILE COMMAND...
#
# In: `debug` or `release`, already built; --no-server for a command that starts its own. The command gets the directory of the server's programs as its
# last argument, and sees what scripts/pg-cluster.sh sets.
# Out: the command's output and status. Must never: write into the installed PostgreSQL, or leave a server
# or a copy behind.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

server=yes
if [ "${1:-}" = --no-server ]; then
    server=no
    shift
fi
profile=$1
shift
# A tree works from any place as long as its parts keep their places relative to each other.
bindir=$("$PGRX_PG_CONFIG_PATH" --bindir)
sharedir=$("$PGRX_PG_CONFIG_PATH" --sharedir)
case $bindir:$sharedir in
/usr/lib/postgresql/*/bin:/usr/share/postgresql/*) tree=${bindir%/bin} linked=$sharedir ;;
*/bin:"${bindir%/bin}"/share*) tree="" linked=${bindir%/bin} ;;
*) die "Only Debian's layout of PostgreSQL, or one directory with everything, can be copied; $PGRX_PG_CONFIG_PATH has $bindir and $sharedir." ;;
esac
copy=$(mktemp -d /tmp/atoll-pg-copy.XXXXXX)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$copy"
mkdir -p "$copy$(dirname "$linked")"
# Links that lead out of it would not find their way back.
cp -aL "$linked" "$copy$linked"
if [ -n "$tree" ]; then
    mkdir -p "$copy$(dirname "$tree")"
    cp -a "$tree" "$copy$tree"
fi
# A server that brings its own libpq must find no other: its modules are made for that one.
if [ -d "$copy${bindir%/bin}/libpq" ]; then export LD_LIBRARY_PATH=$copy${bindir%/bin}/libpq; fi
scripts/install-pg.sh "$profile" "$copy$PGRX_PG_CONFIG_PATH" 2>/dev/null
if [ $server = yes ]; then
    scripts/pg-cluster.sh "$copy$bindir" -- "$@" "$copy$bindir"
else
    "$@" "$copy$bindir"
fi
