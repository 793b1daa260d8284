#!/usr/bin/env bash
# The demonstration in PostgreSQL, on private servers in a throw-away copy of PostgreSQL.
#
# In: the profile, `release` (default) or `debug`, already built; ROWS, how many rows at most. Out: the story
# that pg_extension/tools/demo.py tells, and its status. Must never: write into the installed PostgreSQL, or
# leave a server or a file behind.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"
# No byte code is written beside the sources.
export PYTHONDONTWRITEBYTECODE=1
exec scripts/pg-copy.sh --no-server "${1:-release}" "$PYTHON" pg_extension/tools/demo.py --rows "${ROWS:-100000}"
