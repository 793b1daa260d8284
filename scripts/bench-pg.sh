#!/usr/bin/env bash
# A distributed table beside postgres_fdw, PL/Proxy and one server, on private servers in a throw-away copy
# of PostgreSQL.
#
# In: the profile, `release` (default) or `debug`, already built; ROWS, SECONDS_EACH, ROUNDS, MANY_SLOTS; PAGE, where the
# section goes, none if empty. Out: the figures of pg_extension/tools/bench.py. Must never: write into the
# installed PostgreSQL, or leave a server or a file behind.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"
export PYTHONDONTWRITEBYTECODE=1
arguments=(--rows "${ROWS:-300000}" --seconds "${SECONDS_EACH:-5}" --rounds "${ROUNDS:-3}" --many-slots "${MANY_SLOTS:-1024}")
[ -z "${PAGE:-}" ] || arguments+=(--page "$PAGE")
exec scripts/pg-copy.sh --no-server "${1:-release}" "$PYTHON" pg_extension/tools/bench.py "${arguments[@]}"
