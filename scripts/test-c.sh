#!/usr/bin/env bash
# The C boundary: the header in every standard it promises, its symbols, and the C test programs.
#
# In: ffi/tests/*.c and *.cpp, or the one named (`scripts/test-c.sh store`), include/atoll.h and libatoll in the debug profile, which this builds.
# Out: lines `ok NAME` and `not ok NAME`; status 1 if one is `not ok`. Must never: install anything.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

cargo build --quiet --package atoll-ffi
stage=$TARGET/c-tests
rm -rf "$stage"
mkdir -p "$stage/lib" "$stage/bin" "$stage/data"
export TEST_DIR=$stage/data
header=include/atoll.h
failed=0

ok() { echo "ok $*"; }
not_ok() { echo "not ok $*"; failed=1; }
# Runs a command under the name of a test; its output is shown only if it fails.
case_of() { # NAME COMMAND...
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then ok "$name"; else printf '%s\n' "$out"; not_ok "$name"; fi
}

# The library as an installation would lay it out: the real file under its SONAME, a link to link with.
abi=$(sed -n 's/^#define ATOLL_ABI_VERSION \([0-9]*\)$/\1/p' "$header")
soname=libatoll.so.$abi
cp "$TARGET/debug/libatoll.so" "$stage/lib/$soname"
ln -s "$soname" "$stage/lib/libatoll.so"
cp "$TARGET/debug/libatoll.a" "$stage/lib/libatoll.a"
case_of "the_soname_carries_the_number_of_the_binary_interface" \
    grep -qF "Library soname: [$soname]" <(readelf -d "$stage/lib/libatoll.so")

# Every function of the header is exported, and nothing else is. Comments are gone after preprocessing.
declared=$(gcc -E -P -Iinclude "$header" | grep -oE '\batoll_[a-z0-9_]+\(' | tr -d ' (' | sort -u)
exported=$(nm -D --defined-only "$stage/lib/libatoll.so" | awk '{ print $3 }' | sort -u)
case_of "the_header_declares_exactly_what_the_library_exports" \
    diff <(printf '%s\n' "$declared") <(printf '%s\n' "$exported")

strict=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
as_standard() { # COMPILER STANDARD LANGUAGE
    if command -v "$1" >/dev/null 2>&1; then
        case_of "the_header_compiles_with_$1_as_$2" \
            "$1" "-std=$2" "${strict[@]}" -x "$3" -fsyntax-only -include "$header" /dev/null
    fi
}
for standard in c99 c11 c17; do
    as_standard gcc $standard c
    as_standard clang $standard c
done
for standard in c++11 c++17 c++20; do
    as_standard g++ $standard c++
    as_standard clang++ $standard c++
done

# Runs one built program and passes its lines on under the program's name.
run_program() { # LABEL COMMAND...
    local label=$1 out status=0
    shift
    out=$("$@" 2>&1) || status=$?
    sed -E "s|^(ok\|not ok) (.*)$|\1 $label \2|" <<<"$out"
    if [ $status -ne 0 ]; then not_ok "$label ends with status 0, not $status"; fi
}
shared=(-L"$stage/lib" -latoll "-Wl,-rpath,$stage/lib")
# What Rust's standard library needs; the header names the same list.
static=("$stage/lib/libatoll.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl)
only=${1:-}
for source in ffi/tests/${only:-*}.c ffi/tests/${only:-*}.cpp; do
    if [ ! -e "$source" ]; then continue; fi
    name=$(basename "${source%.*}")
    program=$stage/bin/$name
    case $source in
    *.cpp) compile=(g++ -std=c++17 -g "${strict[@]}" -Iinclude) ;;
    *) compile=(gcc -std=c99 -g "${strict[@]}" -Iinclude) ;;
    esac
    if "${compile[@]}" "$source" -o "$program-shared" "${shared[@]}" &&
        "${compile[@]}" "$source" -o "$program-static" "${static[@]}" &&
        "${compile[@]}" -fsanitize=address,undefined -fno-sanitize-recover "$source" -o "$program-asan" "${shared[@]}"; then
        run_program "$name shared" "$program-shared"
        run_program "$name static" "$program-static"
        run_program "$name sanitized" "$program-asan"
        if command -v valgrind >/dev/null 2>&1; then
            # Twenty times as slow, and so with fewer of the random calls. Rust keeps a pointer into the middle of its
            # handle of the main thread, which counts as possibly lost.
            run_program "$name valgrind" env HOSTILE_CALLS=2000 \
                valgrind --quiet --child-silent-after-fork=yes --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
                --errors-for-leak-kinds=definite,indirect "$program-shared"
        fi
    else
        not_ok "$name compiles"
    fi
done
exit $failed
