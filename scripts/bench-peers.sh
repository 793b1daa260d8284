#!/usr/bin/env bash
# Runs comparisons with other people's libraries (benches/peers) and writes docs/benchmarks.md.
#
# In: names of comparisons (routing, storage), all if none; FLAGS, passed on to each (--help lists them).
# Out: ratios on stdout, sections of the page. Must never: be part of `make test`, which compiles none of the peers.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# The flags of benches/peers/.cargo hold below that folder only.
cd "$ROOT/benches/peers"
[ $# -gt 0 ] || set -- routing storage
for comparison in "$@"; do
    case $comparison in
        routing) features=() ;;
        storage) features=(--features storage) ;;
        *) echo "bench-peers: no comparison '$comparison'; there are: routing, storage" >&2; exit 2 ;;
    esac
    # FLAGS are words.
    # shellcheck disable=SC2086
    cargo run --release --target-dir "$ROOT/target/peers" \
        "${features[@]}" --bin "$comparison" -- ${FLAGS:-}
done
