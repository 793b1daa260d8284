#!/usr/bin/env bash
# The tests of the PostgreSQL extension on every version of PostgreSQL that it is built for.
#
#   scripts/test-pg-all.sh [MAJOR...]
#
# In: the versions, by default all; the network once for those that are not installed (scripts/pg-other.sh).
# Out: lines `ok NAME` and `not ok NAME` under each version's name, and a line of totals for each; status 1 if one is
# `not ok`. Must never: install anything beyond what `make test` does.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

[ $# -gt 0 ] || set -- 15 16 17 18
failed=0
for major in "$@"; do
    if [ "$major" = "$PG_INSTALLED" ]; then
        version=()
    else
        pg_config=$(scripts/pg-other.sh "$major")
        # A directory of its own: nothing is built again when the version changes.
        version=("PGRX_PG_CONFIG_PATH=$pg_config" "CARGO_TARGET_DIR=$TARGET/pg$major")
    fi
    echo "== PostgreSQL $major"
    log=$LOGS/postgres-$major.log
    mkdir -p "$LOGS"
    status=0
    env "${version[@]}" scripts/test-pg.sh 2>&1 | tee "$log" || status=$?
    good=$(grep -c '^ok ' "$log" || true) bad=$(grep -c '^not ok ' "$log" || true)
    if [ $status -ne 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    echo "PostgreSQL $major: $good passed, $bad failed"
    [ "$bad" = 0 ] || failed=1
done
exit $failed
