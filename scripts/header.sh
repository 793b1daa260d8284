#!/usr/bin/env bash
# The C header: printed from the sources, committed, and compared.
#
# In: `check` compares include/atoll.h with what the sources print; `write` rewrites it.
# Out: check prints one line `ok …` or `not ok …` and the difference. Must never: write in `check`.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

printed=$(mktemp)
trap 'rm -f "$printed"' EXIT
cargo run --quiet --package atoll-ffi --example header >"$printed"

case ${1:-} in
check)
    if diff -u --label include/atoll.h --label 'printed from ffi/src' include/atoll.h "$printed"; then
        echo "ok the_header_is_what_the_sources_print"
    else
        say "include/atoll.h differs from its sources; \`make fix\` rewrites it."
        echo "not ok the_header_is_what_the_sources_print"
        exit 1
    fi
    ;;
write)
    cmp -s "$printed" include/atoll.h || cat "$printed" >include/atoll.h
    ;;
*) die "usage: scripts/header.sh check|write" ;;
esac
