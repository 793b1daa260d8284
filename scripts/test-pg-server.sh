#!/usr/bin/env bash
# The extension's tests that need a running server; scripts/test-pg.sh starts it and runs this beside it.
#
#   scripts/test-pg-server.sh RESULTS BINDIR
#
# In: PGHOST and the other variables of the server, which has the extension's files; its programs in
# BINDIR; atoll and the example writer of the debug profile. ATOLL_PG_KEYS and ATOLL_PG_ROWS set how many keys and rows of each
# type are compared.
# Out: lines `ok NAME` and `not ok NAME`, status 1 if one is `not ok`; everything else in RESULTS.
# Must never: leave an object in the server that a later test stumbles over.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

results=$1
bindir=$2
keys=${ATOLL_PG_KEYS:-20000}
rows=${ATOLL_PG_ROWS:-20000}
failed=0

# Runs DIRECTORY/sql/*.sql and compares with DIRECTORY/expected/*.out.
regress() { # NAME DIRECTORY
    local pg_regress names=() sql status=0 log=$results/$1.log
    pg_regress=$(dirname "$("$PGRX_PG_CONFIG_PATH" --pgxs)")/../test/regress/pg_regress
    [ -f "$pg_regress" ] || die "There is no $pg_regress: package postgresql-server-dev-$PG_INSTALLED brings it."
    for sql in "$2"/sql/*.sql; do names+=("$(basename "$sql" .sql)"); done

    # pg_regress prints `test NAME ... ok` or `... FAILED`; anything else is passed on as it is.
    "$pg_regress" --use-existing --dbname=postgres --bindir="$bindir" --inputdir="$2" \
        --outputdir="$results/$1" "${names[@]}" >"$log" 2>&1 || status=$?
    sed -nE 's/^test +([a-z0-9_]+) +\.\.\. ok.*/ok pg_regress \1/p; s/^test +([a-z0-9_]+) +\.\.\. FAILED.*/not ok pg_regress \1/p' "$log"
    if [ $status -ne 0 ]; then
        failed=1
        if [ -s "$results/$1/regression.diffs" ]; then cat "$results/$1/regression.diffs"; else cat "$log"; fi
    fi
    if [ "$(grep -cE '^test .*\.\.\. (ok|FAILED)' "$log" || true)" != "${#names[@]}" ]; then
        echo "not ok pg_regress ran every test of $1"
        failed=1
    fi
}

# The blocks of docs/POSTGRES.md as one test: `sql` is run, `text` is the answer to what stands before it.
manual() {
    mkdir -p "$results/manual/sql" "$results/manual/expected"
    awk -v sql="$results/manual/sql/manual.sql" -v out="$results/manual/expected/manual.out" '
        BEGIN { print "CREATE EXTENSION atoll;" > sql; print "CREATE EXTENSION atoll;" > out }
        /^```sql$/ { block = "sql"; next }
        /^```text$/ { block = "text"; next }
        # psql ends a table with an empty line, and a message with none.
        /^```/ { if (block == "text" && last ~ /^\([0-9]+ rows?\)$/) print "" > out; block = ""; next }
        block == "sql" && NF { print > sql; print > out }
        block == "text" { print > out; last = $0 }' docs/POSTGRES.md
    regress manual "$results/manual"
    "$bindir/psql" -Xqc 'DROP EXTENSION atoll CASCADE' >>"$results/manual.log" 2>&1
}

# Runs a script that prints its own `ok` lines in a database of its own, and wants COUNT of them.
script() { # NAME COUNT PSQL-ARGUMENTS...
    local name=$1 count=$2 found
    shift 2
    "$bindir/psql" -Xqc "CREATE DATABASE atoll_$name"
    "$bindir/psql" -X --dbname="atoll_$name" --command='CREATE EXTENSION atoll' "$@" >"$results/$name.out" 2>&1 || failed=1
    "$bindir/psql" -Xqc "DROP DATABASE atoll_$name"
    grep -E '^(not )?ok ' "$results/$name.out" || true
    found=$(grep -c '^ok ' "$results/$name.out" || true)
    if [ "$found" != "$count" ]; then
        grep -vE '^ok ' "$results/$name.out" | tail -n 20
        echo "not ok $name has $found good answers of $count"
        failed=1
    fi
}

# Dumps a database, restores it into another, and asks both the same.
dump_and_restore() {
    local status=0 name
    {
        "$bindir/psql" -Xqc 'CREATE DATABASE atoll_dumped' -c 'CREATE DATABASE atoll_restored' &&
            "$bindir/psql" -Xq --set=ON_ERROR_STOP=1 --dbname=atoll_dumped --file=pg_extension/tests/dump.sql &&
            "$bindir/pg_dump" --dbname=atoll_dumped --file="$results/dump.sql" &&
            "$bindir/psql" -Xq --set=ON_ERROR_STOP=1 --dbname=atoll_restored --file="$results/dump.sql"
    } >"$results/dump.log" 2>&1 || status=1
    for name in dumped restored; do
        "$bindir/psql" -X --set=ON_ERROR_STOP=1 --dbname="atoll_$name" --file=pg_extension/tests/dump_questions.sql >"$results/$name.out" 2>&1 || status=1
        "$bindir/psql" -Xqc "DROP DATABASE atoll_$name"
    done
    if [ $status = 0 ] && diff -u "$results/dumped.out" "$results/restored.out"; then
        echo "ok a_restored_dump_answers_as_the_original"
    else
        cat "$results/dump.log"
        tail -n 5 "$results/dumped.out"
        echo "not ok a_restored_dump_answers_as_the_original"
        failed=1
    fi
}

# A test over servers of its own, which it starts and stops.
servers() { # NAME ARGUMENTS...
    local name=$1
    shift
    PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "pg_extension/tests/$name.py" "$bindir" "$@" >"$results/$name.out" 2>&1 || failed=1
    grep -E '^(not )?ok ' "$results/$name.out" || true
    # Indented, so that no result counts twice.
    if ! grep -q '^ok ' "$results/$name.out" || grep -q '^not ok ' "$results/$name.out"; then tail -n 30 "$results/$name.out" | sed 's/^/    /'; fi
}

regress surface pg_extension/tests
dump_and_restore
manual
"$PYTHON" pg_extension/tests/vectors.py "$TARGET/debug/atoll" "$keys" >"$results/vectors.sql"
script vectors "$(grep -c "THEN 'ok '" "$results/vectors.sql")" --file="$results/vectors.sql"
rm "$results/vectors.sql"
cargo run --quiet "${PG_PACKAGE[@]}" --example histories 1000 >"$results/histories.sql"
script histories 1 --file="$results/histories.sql"
servers fanout
servers aggregates
servers states
servers router
cargo build --quiet "${PG_PACKAGE[@]}" --example router --example writer
ATOLL_ROUTER=$TARGET/debug/examples/router servers catalog
servers demo
servers pgbench
servers preload
servers faults
servers same
servers store "$TARGET/debug"
script rows 7 --variable=rows="$rows" --file=pg_extension/tests/rows.sql
exit $failed
