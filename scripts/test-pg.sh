#!/usr/bin/env bash
# The PostgreSQL extension, in a throw-away copy of PostgreSQL: SQL with expected output, and answers
# compared with those of the engine and of other programs.
#
# In: pg_extension/tests, and the extension and the command-line tool in the debug profile, which this
# builds; scripts/test-pg-server.sh says what runs and which variables it reads.
# Out: lines `ok NAME` and `not ok NAME`; status 1 if one is `not ok`; differences in test-logs/pg/ under
# the target directory.
# Must never: write into the installed PostgreSQL, or leave a server or a copy behind.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

[ -x "$PGRX_PG_CONFIG_PATH" ] || die "There is no $PGRX_PG_CONFIG_PATH: run scripts/setup.sh test."
failed=0
scripts/pg-sql.sh check || failed=1

results=$LOGS/pg
rm -rf "$results"
mkdir -p "$results"
cargo build --quiet --package atoll-cli
scripts/pg-copy.sh debug scripts/test-pg-server.sh "$results" || failed=1
exit $failed
