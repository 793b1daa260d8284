#!/usr/bin/env bash
# Counts the instructions of one operation on every hot path: scripts/instructions.sh [WORDS IN A NAME].
#
# In: part of a path's name, or nothing for all. Out: a table, name and instructions. Unlike times, the
# counts are the same beside any neighbour, so a change of a few per cent shows. Must never: count the
# set-up, which is why every path runs twice, with different counts.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"
command -v valgrind >/dev/null || { echo "instructions: valgrind is missing: apt-get install valgrind" >&2; exit 2; }
cargo build --quiet --release --package atoll-benches --bin hot_paths
program=$TARGET/release/hot_paths
few=2000
many=12000

instructions() { # NAME COUNT
    local out
    out=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1) || {
        printf '%s\n' "$out" >&2
        exit 1
    }
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p' <<<"$out"
}

printf '| hot path | instructions |\n|---|---|\n'
"$program" --list | while IFS= read -r name; do
    [[ $name == *"${*:-}"* ]] || continue
    before=$(instructions "$name" "$few")
    after=$(instructions "$name" "$many")
    printf '| %s | %d |\n' "$name" $(((after - before) / (many - few)))
done
