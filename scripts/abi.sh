#!/usr/bin/env bash
# The binary interface that programs already linked rely on, compared with a committed description.
#
# In: `check` compares include/atoll.h with ffi/abi/libatoll.abi; `accept` rewrites the description, which
# is right after a release, or together with a new ABI number.
# Out: check prints one line `ok …` or `not ok …` and the report. Additions are compatible and pass.
# Must never: write in `check`.
#
# The comparison works on types as C sees them, not on the Rust library, whose debug information holds
# too little in this profile: a small library with one pointer of the right type for each function.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

description=ffi/abi/libatoll.abi
if ! command -v abidw >/dev/null 2>&1; then
    say "Note: abidw is not installed (Debian package abigail-tools); the binary interface is not compared."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

functions=$(gcc -E -P -Iinclude include/atoll.h | grep -oE '\batoll_[a-z0-9_]+\(' | tr -d ' (' | sort -u)
{
    echo '#include <atoll.h>'
    for function in $functions; do echo "__typeof__(&$function) type_of_$function;"; done
} >"$work/types.c"
abi=$(sed -n 's/^#define ATOLL_ABI_VERSION \([0-9]*\)$/\1/p' include/atoll.h)
(cd "$work" && gcc -std=gnu99 -g -I"$ROOT/include" -fPIC -shared -Wl,-soname,"libatoll.so.$abi" types.c -o libatoll.so)

case ${1:-} in
check)
    # Status 4 is a change, 8 one that removes; 1 and 2 are errors of the tool.
    if abidiff --no-added-syms --suppressions ffi/abi/growing.abignore "$description" "$work/libatoll.so"; then
        echo "ok the_binary_interface_is_compatible_with_the_committed_one"
    else
        say "If the change is meant, raise ABI_VERSION in ffi/src/version.rs and the SONAME in ffi/build.rs,"
        say "then run \`scripts/abi.sh accept\`."
        echo "not ok the_binary_interface_is_compatible_with_the_committed_one"
        exit 1
    fi
    ;;
accept)
    mkdir -p "$(dirname "$description")"
    abidw --no-corpus-path --no-comp-dir-path --no-show-locs "$work/libatoll.so" >"$description"
    ;;
*) die "usage: scripts/abi.sh check|accept" ;;
esac
