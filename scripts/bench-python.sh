#!/usr/bin/env bash
# The Python package beside py-lmdb, RocksDict and plyvel: the same keys in the same order, as ratios, into docs/benchmarks.md.
#
# In: FLAGS for benches/python/peers.py (--rounds, --keys, --calls). Out: a table, and its section of the page. Must never: be part of
# `make test`, which installs none of the peers, or measure anything but the wheel of the release build.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

wheel=$(scripts/python.sh wheel)
venv=$TARGET/bench-venv
[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement scripts/requirements-bench.txt
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall "$wheel"
# FLAGS are words. Outside the tree, so that nothing but the wheel is found.
# shellcheck disable=SC2086
(cd "$venv" && bin/python "$ROOT/benches/python/peers.py" --page "$ROOT/docs/benchmarks.md" ${FLAGS:-})
