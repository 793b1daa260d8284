#!/usr/bin/env bash
# The Debian packages in a clean system: installed, used from C and C++, removed.
#
# In: dist/*.deb of `make deb`; root and debootstrap, which needs a Debian mirror. Out: lines `ok NAME` and
# `not ok NAME`; status 1 if one is `not ok`. Must never: install anything on this machine, or leave mounts.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

[ "$(id -u)" = 0 ] || die "A clean system is made with debootstrap, as root."
command -v debootstrap >/dev/null 2>&1 || die "debootstrap is missing: run scripts/setup.sh deb"
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
base=$TARGET/debootstrap-$release.tar
root=$(mktemp -d "$TARGET/clean-XXXXXX")
mkdir -p "$LOGS"
trap 'rm -rf "$root"' EXIT
if [ ! -e "$base" ]; then
    # The mirror this machine is set up with, if it names one.
    mirror=$(sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +(https?:[^ ]+).*/\3/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v security | head -n 1 || true)
    debootstrap --variant=minbase --include=gcc,g++,libc6-dev,pkg-config "$release" "$root" ${mirror:+"$mirror"} >"$LOGS/debootstrap.log" 2>&1 ||
        { tail "$LOGS/debootstrap.log"; die "debootstrap failed."; }
    tar -C "$root" -cf "$base" .
else
    tar -C "$root" -xf "$base"
fi
mkdir -p "$root/work"
cp -r examples dist/*.deb "$root/work/"
failed=0
in_root() { # NAME COMMAND
    if chroot "$root" /bin/sh -ec "cd /work; $2" >"$LOGS/deb.log" 2>&1; then
        echo "ok $1"
    else
        cat "$LOGS/deb.log"
        echo "not ok $1"
        failed=1
    fi
}
in_root "the packages install in a clean system" "dpkg -i ./*.deb"
in_root "the tool runs" "atoll --version && printf 'k\n' | atoll route --algorithm jump --buckets 8"
in_root "C finds the library" "gcc examples/c/story.c -o c \$(pkg-config --cflags --libs atoll) && ./c data-c | diff - examples/story.txt"
in_root "C finds the static library" "gcc examples/c/story.c -o s -Wl,-Bstatic -latoll -Wl,-Bdynamic \$(pkg-config --static --libs-only-l atoll | sed 's/-latoll//') && ./s data-s | diff - examples/story.txt"
in_root "C++ finds the library" "g++ -std=c++17 examples/cpp/story.cpp -o cpp \$(pkg-config --cflags --libs atoll) && ./cpp data-cpp | diff - examples/story.txt"
in_root "the packages go as they came" "dpkg -r libatoll-dev libatoll0 atoll && ! ls /usr/lib/*/libatoll* /usr/bin/atoll"
exit $failed
