#!/usr/bin/env bash
# Runs a command beside a throw-away PostgreSQL server, then stops the server and removes its files.
#
#   scripts/pg-cluster.sh BINDIR [-c 'a setting = value']... -- COMMAND...
#
# In: the directory of initdb and pg_ctl; settings for postgresql.conf. The command sees PGHOST, PGPORT,
# PGUSER and PGDATABASE, and the server's log in PGLOG.
# Out: the command's output and status; if it fails, the end of the server's log on standard error.
# Must never: listen on a network, or leave a server or a file behind. Settings are made for speed, not
# for keeping data: fsync is off.
set -euo pipefail

usage() { echo "usage: scripts/pg-cluster.sh BINDIR [-c 'setting = value']... -- COMMAND..." >&2; exit 2; }
[ $# -ge 3 ] || usage
bindir=$1
shift
settings=()
while [ $# -gt 0 ]; do
    case $1 in
    -c) [ $# -ge 2 ] || usage; settings+=("$2"); shift 2 ;;
    --) shift; break ;;
    *) usage ;;
    esac
done
[ $# -gt 0 ] || usage

# The server refuses to run as root, so root lends it the account that the packages bring.
as_server() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
if [ "$(id -u)" = 0 ] && ! id -u postgres >/dev/null 2>&1; then
    echo "As root, the account \`postgres\` is needed to run a server; there is none." >&2
    exit 1
fi

# Directly under /tmp: the path of a unix socket has at most 107 bytes, and the server's account must
# reach it, which it cannot in root's home.
dir=$(mktemp -d /tmp/atoll-pg.XXXXXX)
stop() {
    trap '' INT TERM HUP
    as_server "$bindir/pg_ctl" --pgdata="$dir/data" --mode=immediate --wait stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$dir"
[ "$(id -u)" != 0 ] || chown postgres: "$dir"
cd "$dir"

if ! as_server env LC_ALL=C "$bindir/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --no-sync \
    --no-locale --encoding=UTF8 >"$dir/initdb.log" 2>&1; then
    cat "$dir/initdb.log" >&2
    exit 1
fi
{
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$dir'"
    echo "fsync = off"
    [ ${#settings[@]} -eq 0 ] || printf '%s\n' "${settings[@]}"
} >>"$dir/data/postgresql.conf"
# A backtrace in the server's environment would end up in the DETAIL of errors.
if ! as_server env RUST_BACKTRACE=0 "$bindir/pg_ctl" --pgdata="$dir/data" --log="$dir/log" --wait start >/dev/null; then
    cat "$dir/log" >&2
    exit 1
fi

export PGHOST=$dir PGPORT=5432 PGUSER=postgres PGDATABASE=postgres PGLOG=$dir/log
cd "$OLDPWD"
status=0
"$@" || status=$?
if [ $status -ne 0 ]; then
    echo "The end of the server's log:" >&2
    tail -n 30 "$dir/log" >&2
fi
exit $status
