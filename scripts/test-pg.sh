#!/usr/bin/env bash
# The PostgreSQL extension, in a throw-away copy of PostgreSQL: SQL with expected output.
#
# In: pg_extension/tests/sql/*.sql and expected/*.out, and the extension in the debug profile, which this
# builds. Out: lines `ok NAME` and `not ok NAME`; status 1 if one is `not ok`; differences in
# test-logs/pg/ under the target directory.
# Must never: write into the installed PostgreSQL, or leave a server or a copy behind.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

[ -x "$PGRX_PG_CONFIG_PATH" ] || die "There is no $PGRX_PG_CONFIG_PATH: run scripts/setup.sh test."
failed=0
scripts/pg-sql.sh check || failed=1

# Debian's tree works from any place as long as its parts keep their places relative to each other.
bindir=$("$PGRX_PG_CONFIG_PATH" --bindir)
sharedir=$("$PGRX_PG_CONFIG_PATH" --sharedir)
case $bindir:$sharedir in
/usr/lib/postgresql/*/bin:/usr/share/postgresql/*) ;;
*) die "Only Debian's layout of PostgreSQL can be copied; $PGRX_PG_CONFIG_PATH has $bindir and $sharedir." ;;
esac
copy=$(mktemp -d /tmp/atoll-pg-copy.XXXXXX)
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$copy"
mkdir -p "$copy/usr/lib/postgresql" "$copy/usr/share/postgresql"
cp -a "${bindir%/bin}" "$copy/usr/lib/postgresql/"
cp -aL "$sharedir" "$copy/usr/share/postgresql/"
scripts/install-pg.sh debug "$copy$PGRX_PG_CONFIG_PATH" 2>/dev/null

results=$LOGS/pg
rm -rf "$results"
mkdir -p "$results"
pg_regress=$(dirname "$("$PGRX_PG_CONFIG_PATH" --pgxs)")/../test/regress/pg_regress
names=()
for sql in pg_extension/tests/sql/*.sql; do names+=("$(basename "$sql" .sql)"); done
[ -f "$pg_regress" ] || die "There is no $pg_regress: package postgresql-server-dev-$PG_MAJOR brings it."

# pg_regress prints `test NAME ... ok` or `... FAILED`; anything else is passed on as it is.
status=0
scripts/pg-cluster.sh "$copy$bindir" -- "$pg_regress" --use-existing --dbname=postgres \
    --bindir="$copy$bindir" --inputdir=pg_extension/tests --outputdir="$results" "${names[@]}" \
    >"$results/regress.log" 2>&1 || status=$?
sed -nE 's/^test +([a-z0-9_]+) +\.\.\. ok.*/ok pg_regress \1/p; s/^test +([a-z0-9_]+) +\.\.\. FAILED.*/not ok pg_regress \1/p' \
    "$results/regress.log"
if [ $status -ne 0 ]; then
    failed=1
    if [ -s "$results/regression.diffs" ]; then cat "$results/regression.diffs"; else cat "$results/regress.log"; fi
fi
if [ "$(grep -cE '^test .*\.\.\. (ok|FAILED)' "$results/regress.log" || true)" != "${#names[@]}" ]; then
    echo "not ok pg_regress ran every test"
    failed=1
fi
exit $failed
