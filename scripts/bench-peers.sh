#!/usr/bin/env bash
# Runs comparisons with other people's libraries (benches/peers) and writes docs/benchmarks.md.
#
# In: names of comparisons (routing); none means all. Out: ratios on stdout, sections of the
# page. Must never: be part of `make test`, which compiles none of the peers.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"
[ $# -gt 0 ] || set -- routing
for comparison in "$@"; do
    case $comparison in
        routing) features=() ;;
        *) echo "bench-peers: no comparison '$comparison'; there is: routing" >&2; exit 2 ;;
    esac
    cargo run --release --manifest-path benches/peers/Cargo.toml --target-dir "$ROOT/target/peers" \
        "${features[@]}" --bin "$comparison"
done
