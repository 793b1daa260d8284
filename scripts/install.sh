#!/usr/bin/env bash
# Installs the C library, its headers, what pkg-config and CMake need, and the command-line tool.
#
# In: PREFIX (/usr/local), LIBDIR below it (lib), DESTDIR put before it (nothing), PROFILE (release) of a build that
# is there: `make install` builds first. Out: the files. Must never: build, or write outside DESTDIR and PREFIX.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

PREFIX=${PREFIX:-/usr/local}
LIBDIR=${LIBDIR:-lib}
PROFILE=${PROFILE:-release}
built=$TARGET/$PROFILE
to=${DESTDIR:-}$PREFIX
case $PREFIX in /*) ;; *) die "PREFIX must be an absolute path, not $PREFIX." ;; esac
for file in libatoll.so libatoll.a atoll; do
    [ -e "$built/$file" ] || die "There is no $built/$file: \`make install\` builds it."
done

header_number() { sed -n "s/^#define ATOLL_$1 \([0-9]*\)\$/\1/p" include/atoll.h; }
major=$(header_number VERSION_MAJOR)
minor=$(header_number VERSION_MINOR)
version=$major.$minor.$(header_number VERSION_PATCH)
abi=$(header_number ABI_VERSION)
# What Rust's standard library needs; the header names the same list.
static_libs="-lgcc_s -lutil -lrt -lpthread -lm -ldl"
# From the folder of the CMake files up to the prefix.
up=$(sed -E 's|[^/]+|..|g' <<<"$LIBDIR/cmake/atoll")

fill_in() { # TEMPLATE FILE
    sed -e "s|@PREFIX@|$PREFIX|g; s|@LIBDIR@|$LIBDIR|g; s|@VERSION@|$version|g; s|@ABI@|$abi|g" \
        -e "s|@MAJOR@|$major|g; s|@MINOR@|$minor|g; s|@UP@|$up|g; s|@STATIC_LIBS@|$static_libs|g" \
        "ffi/packaging/$1" >"$2"
    chmod 644 "$2"
}

install -d "$to/bin" "$to/include" "$to/$LIBDIR/pkgconfig" "$to/$LIBDIR/cmake/atoll"
# Without the debug information, which makes them ten times as large.
install -m 755 "$built/atoll" "$to/bin/atoll"
install -m 644 "$built/libatoll.so" "$to/$LIBDIR/libatoll.so.$version"
install -m 644 "$built/libatoll.a" "$to/$LIBDIR/libatoll.a"
strip --strip-unneeded "$to/bin/atoll" "$to/$LIBDIR/libatoll.so.$version"
strip --strip-debug "$to/$LIBDIR/libatoll.a"
ln -sf "libatoll.so.$version" "$to/$LIBDIR/libatoll.so.$abi"
ln -sf "libatoll.so.$abi" "$to/$LIBDIR/libatoll.so"
install -m 644 include/atoll.h include/atoll.hpp "$to/include/"
fill_in atoll.pc.in "$to/$LIBDIR/pkgconfig/atoll.pc"
fill_in atoll-config.cmake.in "$to/$LIBDIR/cmake/atoll/atoll-config.cmake"
fill_in atoll-config-version.cmake.in "$to/$LIBDIR/cmake/atoll/atoll-config-version.cmake"
say "Installed Atoll $version into $to."
