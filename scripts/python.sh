#!/usr/bin/env bash
# The Python package, from the sources.
#
# `build`: into target/python, linked with the shared library of the debug build, which this makes. `wheel`: one wheel in
# dist/ with the engine in it, from the static library of PROFILE (release), which this builds.
# In: the C header and the library. Out: see above. Must never: write into the source tree but for dist/.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

package=bindings/python
case ${1:-} in
build)
    cargo build --quiet --package atoll-ffi
    out=$TARGET/python
    mkdir -p "$out/atoll" "$out/lib"
    cp "$package"/atoll/*.py "$package/atoll/_core.pyi" "$package/atoll/py.typed" "$out/atoll/"
    # Under its SONAME, as an installation has it.
    cp "$TARGET/debug/libatoll.so" "$out/lib/libatoll.so.0"
    headers=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    # shellcheck disable=SC2086  # a list of flags
    gcc -std=c99 -O2 -g -Wall -Wextra -Wshadow -Wno-missing-field-initializers -Werror ${CFLAGS:-} -shared -fPIC -fvisibility=hidden \
        "-I$headers" -Iinclude "$package"/core/*.c -o "$out/atoll/_core.abi3.so" \
        "$out/lib/libatoll.so.0" "-Wl,-rpath,$out/lib"
    ;;
wheel)
    profile=${PROFILE:-release}
    if [ "$profile" = release ]; then release=--release; else release=; fi
    # shellcheck disable=SC2086  # one flag or none
    cargo build --quiet $release --package atoll-ffi
    work=$TARGET/wheel
    rm -rf "$work"
    mkdir -p "$work/out" dist
    cp -r "$package" "$work/package"
    ATOLL_INCLUDE=$ROOT/include ATOLL_STATIC=$TARGET/$profile/libatoll.a \
        "$TARGET/venv/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check \
        --wheel-dir "$work/out" "$work/package"
    rm -f dist/atoll-*.whl
    mv "$work"/out/atoll-*.whl dist/
    echo "$ROOT/dist/$(basename dist/atoll-*.whl)"
    ;;
*) die "usage: scripts/python.sh build|wheel" ;;
esac
