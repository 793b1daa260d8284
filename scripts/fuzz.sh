#!/usr/bin/env bash
# Coverage-guided mutation of every decoder: scripts/fuzz.sh SECONDS (for each). Prints executions; a crash
# ends with a status other than 0 and leaves its input under target/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
root=$PWD
work=$root/target/fuzz
mkdir -p "$work"

# The passes that `-fsanitize=fuzzer` of clang adds; a target is named so that build scripts go without.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
host=$(rustc -vV | sed -n "s/^host: //p")
RUSTFLAGS=$flags scripts/cargo.sh build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$work/build"

status=0
mapfile -t decoders < <(sed -n 's/^    ("\([a-z_]*\)", [a-z_]*),$/\1/p' fuzz/src/main.rs)
for decoder in "${decoders[@]}"; do
    mkdir -p "$work/corpus/$decoder"
    log=$work/$decoder.log
    if DECODER=$decoder "$work/build/$host/release/decoders" "$work/corpus/$decoder" -max_total_time="$seconds" \
        -use_value_profile=1 -max_len=8192 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/$decoder-" >"$log" 2>&1; then
        printf '%-18s %12s executions, 0 crashes\n' "$decoder" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
        printf '%-18s CRASHED, see %s\n' "$decoder" "$log"
        status=1
    fi
done
exit $status
