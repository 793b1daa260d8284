#!/usr/bin/env bash
# The examples, built and run against an installed library as a user would: pkg-config, static, CMake.
#
# In: the debug build, which this makes. Out: lines `ok NAME` and `not ok NAME`; status 1 if one is `not ok`.
# Must never: use a header or a library of the source tree, or install outside the target directory.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

cargo build --quiet --package atoll-ffi --package atoll-cli
stage=$TARGET/install-tests
rm -rf "$stage"
mkdir -p "$stage/work"
PREFIX=$stage/prefix PROFILE=debug scripts/install.sh >/dev/null
failed=0
cp -r examples "$stage/work/"
cd "$stage/work"

# Runs a built program in a new directory and compares what it says with what every language says.
story() { # NAME COMMAND...
    local name=$1 out status=0
    shift
    out=$("$@" "$stage/work/data-$name" 2>&1) || status=$?
    if [ $status = 0 ] && diff <(printf '%s\n' "$out") examples/story.txt; then
        echo "ok $name tells the story"
    else
        printf '%s\n' "$out"
        echo "not ok $name tells the story"
        failed=1
    fi
}
built() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then echo "ok $name is built"; else echo "not ok $name is built"; failed=1; fi
}

export PKG_CONFIG_PATH=$stage/prefix/lib/pkgconfig
strict=(-Wall -Wextra -Wpedantic -Werror)
read -ra flags < <(pkg-config --cflags --libs atoll)
read -ra static_flags < <(pkg-config --cflags --static --libs-only-other --libs-only-l atoll | sed 's/-latoll//')
built c gcc -std=c99 "${strict[@]}" examples/c/story.c -o c-shared "${flags[@]}" "-Wl,-rpath,$stage/prefix/lib"
story c ./c-shared
built c-static gcc -std=c99 "${strict[@]}" examples/c/story.c -o c-static "-I$stage/prefix/include" "$stage/prefix/lib/libatoll.a" "${static_flags[@]}"
story c-static ./c-static
built c++ g++ -std=c++17 "${strict[@]}" -fno-exceptions -fno-rtti examples/cpp/story.cpp -o cpp-shared "${flags[@]}" "-Wl,-rpath,$stage/prefix/lib"
story c++ ./cpp-shared
built c++-sanitized g++ -std=c++20 -g -fsanitize=address,undefined examples/cpp/story.cpp -o cpp-asan "${flags[@]}" "-Wl,-rpath,$stage/prefix/lib"
story c++-sanitized ./cpp-asan

if command -v cmake >/dev/null 2>&1; then
    cat >CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(story C CXX)
find_package(atoll 0.1 REQUIRED)
add_executable(story-shared examples/c/story.c)
target_link_libraries(story-shared atoll::shared)
add_executable(story-static examples/cpp/story.cpp)
target_compile_features(story-static PRIVATE cxx_std_17)
target_link_libraries(story-static atoll::static)
CMAKE
    built cmake bash -c "cmake -S . -B build -DCMAKE_PREFIX_PATH='$stage/prefix' >cmake.log 2>&1 && cmake --build build >>cmake.log 2>&1 || { cat cmake.log; false; }"
    story cmake-shared build/story-shared
    story cmake-static build/story-static
fi

# Nothing of the build machine may be needed: another place, the prefix moved.
mv "$stage/prefix" "$stage/elsewhere"
story moved env "LD_LIBRARY_PATH=$stage/elsewhere/lib" ./c-shared
case $("$stage/elsewhere/bin/atoll" --version) in
"atoll 0."*) echo "ok the command-line tool runs" ;;
*) echo "not ok the command-line tool runs"; failed=1 ;;
esac
exit $failed
