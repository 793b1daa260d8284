#!/usr/bin/env bash
# Debian packages of a release build: libatoll0 (shared library), libatoll-dev (headers, static library, pkg-config,
# CMake) and atoll (command-line tool).
#
# In: a release build, which `make deb` makes. Out: dist/*.deb, each of them anew. Must never: need root, or put a
# path of this machine into a package.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

command -v dpkg-deb >/dev/null 2>&1 || die "dpkg-deb is not here: Debian packages are made on Debian."
arch=$(dpkg --print-architecture)
triplet=$(gcc -print-multiarch)
stage=$TARGET/deb
rm -rf "$stage"
mkdir -p "$stage" dist
DESTDIR=$stage/all PREFIX=/usr LIBDIR=lib/$triplet PROFILE=release scripts/install.sh >/dev/null
all=$stage/all/usr
version=$(sed -n 's/^Version: //p' "$all/lib/$triplet/pkgconfig/atoll.pc")
glibc=$(objdump -T "$all/lib/$triplet/libatoll.so.$version" "$all/bin/atoll" | grep -oE 'GLIBC_[0-9.]+' | sort -V | tail -n 1)
libc="libc6 (>= ${glibc#GLIBC_})"
rm -f dist/libatoll0_* dist/libatoll-dev_* dist/atoll_*

package() { # NAME SECTION DEPENDS SUMMARY DESCRIPTION; its files are in $stage/NAME
    local dir=$stage/$1
    mkdir -p "$dir/DEBIAN" "$dir/usr/share/doc/$1"
    cat >"$dir/usr/share/doc/$1/copyright" <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: atoll

Files: *
Copyright: The Atoll authors
License: Apache-2.0 or MIT
COPYRIGHT
    cat >"$dir/DEBIAN/control" <<CONTROL
Package: $1
Version: $version
Architecture: $arch
Maintainer: The Atoll authors <atoll@localhost>
Section: $2
Priority: optional
Multi-Arch: same
Installed-Size: $(du -sk "$dir/usr" | cut -f1)
Depends: $3
Description: $4
 $5
CONTROL
    # One program for all architectures at once makes no sense.
    [ "$1" != atoll ] || sed -i '/^Multi-Arch:/d' "$dir/DEBIAN/control"
    (cd "$dir" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    find "$dir" -type d -exec chmod 755 {} +
    dpkg-deb --build --root-owner-group "$dir" "dist/${1}_${version}_$arch.deb" >/dev/null
    say "dist/${1}_${version}_$arch.deb"
}

lib=usr/lib/$triplet
mkdir -p "$stage/libatoll0/$lib" "$stage/libatoll0/DEBIAN" "$stage/libatoll-dev/$lib" "$stage/libatoll-dev/usr" "$stage/atoll/usr"
mv "$all/lib/$triplet/libatoll.so.$version" "$all/lib/$triplet/libatoll.so.0" "$stage/libatoll0/$lib/"
echo "libatoll 0 libatoll0 (>= $version)" >"$stage/libatoll0/DEBIAN/shlibs"
echo "activate-noawait ldconfig" >"$stage/libatoll0/DEBIAN/triggers"
mv "$all/lib/$triplet"/* "$stage/libatoll-dev/$lib/"
mv "$all/include" "$stage/libatoll-dev/usr/"
mv "$all/bin" "$stage/atoll/usr/"

package libatoll0 libs "$libc, libgcc-s1" "sharded, replicated key-value engine (shared library)" \
    "A store that lives inside your program: memory-speed writes that survive kill -9, ordered scans, transactions, routing."
package libatoll-dev libdevel "libatoll0 (= $version), libc6-dev" "sharded, replicated key-value engine (development files)" \
    "Headers for C and C++, the static library, and what pkg-config and CMake need."
package atoll database "$libc, libgcc-s1" "sharded, replicated key-value engine (command-line tool)" \
    "Makes, fills, asks, verifies and repairs stores and clusters, and routes keys."
