#!/usr/bin/env bash
# Runs cargo in the one environment that all scripts share (env.sh says why).
#
# In: cargo's arguments. Out: cargo's output and status. Must never: add arguments of its own.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"
exec cargo "$@"
