#!/usr/bin/env bash
# Everything that can be judged by reading: format, lints, documentation, the C header, the scripts.
#
# In: nothing. Out: a line for each part with its time, and the findings; status 1 if there is one.
# Must never: write outside the target directory; `make fix` rewrites what can be rewritten.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

[ -x "$PGRX_PG_CONFIG_PATH" ] ||
    die "The extension's lints need PostgreSQL's headers: no $PGRX_PG_CONFIG_PATH. Run scripts/setup.sh test."
failed=0

part() { # NAME COMMAND...
    local name=$1 begin=$SECONDS verdict=ok
    shift
    "$@" || { verdict=FAILED; failed=1; }
    printf '%-10s %-6s %d s\n' "$name" "$verdict" $((SECONDS - begin))
}

part format cargo fmt --all --check
part lints cargo clippy --quiet --all-targets -- -D warnings
part lints-pg cargo clippy --quiet --package atoll-pg --all-targets -- -D warnings
part docs env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps
part header scripts/header.sh check
part abi scripts/abi.sh check
if command -v shellcheck >/dev/null 2>&1; then
    part scripts shellcheck scripts/*.sh .ci/run
else
    echo "scripts    not checked: shellcheck is not installed"
fi
exit $failed
