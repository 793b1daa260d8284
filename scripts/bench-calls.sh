#!/usr/bin/env bash
# The same reads of one store from Rust, C, Go and Python, and from Python's other stores, into docs/benchmarks.md.
#
# In: FLAGS for benches/calls/calls.py (--rounds, --keys, --calls). Out: a table, and its section of the page. Must never: be part of
# `make test`, which installs none of the other stores, or measure anything but release builds of this tree.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

out=$TARGET/calls
cargo build --quiet --release --package atoll-ffi --package atoll-cli
cargo build --quiet --release --package atoll-benches --bin calls
rm -rf "$out"
PREFIX=$out/prefix PROFILE=release scripts/install.sh >/dev/null 2>&1
gcc -std=c99 -O2 -Wall -Wextra -Werror benches/calls/calls.c -o "$out/c" "-I$out/prefix/include" "-L$out/prefix/lib" -latoll \
    "-Wl,-rpath,$out/prefix/lib"
env -C benches/calls/go "PKG_CONFIG_PATH=$out/prefix/lib/pkgconfig" "CGO_LDFLAGS=-O2 -Wl,-rpath,$out/prefix/lib" GOFLAGS=-mod=mod GOPROXY=off \
    GOTOOLCHAIN=local "GOCACHE=${GOCACHE:-$TARGET/go/cache}" go build -o "$out/go" .
wheel=$(scripts/python.sh wheel)
venv=$TARGET/bench-venv
[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement scripts/requirements-bench.txt
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall "$wheel"
# FLAGS are words. Outside the tree, so that nothing but the wheel is found.
# shellcheck disable=SC2086
(cd "$venv" && bin/python "$ROOT/benches/calls/calls.py" --rust "$TARGET/release/calls" --c "$out/c" --go "$out/go" \
    --go-version "$(go env GOVERSION)" --page "$ROOT/docs/benchmarks.md" ${FLAGS:-})
