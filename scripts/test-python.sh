#!/usr/bin/env bash
# The Python package: its tests against the shared library, again with the address sanitizer, types, documented examples, and the
# wheel in an environment of its own.
#
# In: the sources; target/venv of scripts/setup.sh. Out: lines `ok NAME` and `not ok NAME`; status 1 if one is `not ok`.
# Must never: use the source tree in the test of the wheel.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

python=$TARGET/venv/bin/python
failed=0
scripts/python.sh build
lines() { sed -E "s/^([^ ]+::[^ ]+) (PASSED|XFAIL).*/ok $1 \1/; s/^([^ ]+::[^ ]+) (FAILED|ERROR).*/not ok $1 \1/"; }
pytest() { # LABEL, then the environment and arguments
    local label=$1
    shift
    env "$@" -m pytest -p no:cacheprovider -v --tb=short --rootdir bindings/python bindings/python/tests | lines "$label" || failed=1
}
documented() { # PYTHON
    "$1" - <<'DOCTESTS'
import doctest, importlib, pkgutil, sys
import atoll

modules = [atoll] + [importlib.import_module(f"atoll.{found.name}") for found in pkgutil.iter_modules(atoll.__path__)]
results = [doctest.testmod(module) for module in modules] + [doctest.testfile("bindings/python/README.md", module_relative=False)]
assert sum(result.attempted for result in results) > 50
sys.exit(any(result.failed for result in results))
DOCTESTS
}
case_of() { # NAME COMMAND...
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then echo "ok $name"; else printf '%s\n' "$out"; echo "not ok $name"; failed=1; fi
}

export PYTHONDONTWRITEBYTECODE=1
pytest shared "PYTHONPATH=$TARGET/python" "$python"
# The interpreter keeps much until it ends, so leaks are looked for by a test of their own, and what was freed is kept aside
# only up to 1 MiB, lest it looks like one.
pytest sanitized "PYTHONPATH=$TARGET/python" "LD_PRELOAD=$(gcc -print-file-name=libasan.so)" PYTHONMALLOC=malloc \
    ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64 "$python"
PYTHONPATH=$TARGET/python case_of "documented examples are right" documented "$python"
case_of "types are sound" "$python" -m mypy --config-file bindings/python/pyproject.toml --cache-dir "$TARGET/mypy" bindings/python/atoll

rm -rf "$TARGET/clean-venv"
wheel=$(PROFILE=debug scripts/python.sh wheel)
"$PYTHON" -m venv "$TARGET/clean-venv"
"$TARGET/clean-venv/bin/pip" install --quiet --disable-pip-version-check --no-index "$wheel"
case_of "the wheel needs no library beside it" bash -c "! ldd '$TARGET'/clean-venv/lib/python3*/site-packages/atoll/_core*.so | grep -q libatoll"
case_of "the wheel works without the sources" documented "$TARGET/clean-venv/bin/python"
# pytest is borrowed; the package is the wheel's.
borrowed=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
from_wheel() { (cd "$TARGET/clean-venv" && PYTHONPATH=$borrowed bin/python -c 'import atoll, sys; assert atoll.__file__.startswith(sys.prefix), atoll.__file__'); }
case_of "the tests of the wheel are of the wheel" from_wheel
pytest wheel "PYTHONPATH=$borrowed" "$TARGET/clean-venv/bin/python"
story=$(cd "$TARGET/clean-venv" && bin/python "$ROOT/examples/python/story.py" "$(mktemp -d)/data")
case_of "the story is that of every language" diff <(printf '%s\n' "$story") examples/story.txt
exit $failed
