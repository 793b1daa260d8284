#!/usr/bin/env bash
# The Go package against an installed library: format, vet, tests with the race detector, with a sanitizer of C's memory, under a
# restless collector, for leaks, with the static library, copied out of the tree, the story.
#
# In: the debug build, which this makes. Out: lines `ok NAME` and `not ok NAME`; status 1 if one is `not ok`. Must never:
# need the network: the package has no dependencies.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

cargo build --quiet --package atoll-ffi --package atoll-cli
prefix=$TARGET/go/prefix
rm -rf "$prefix"
PREFIX=$prefix PROFILE=debug scripts/install.sh >/dev/null 2>&1
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOCACHE=${GOCACHE:-$TARGET/go/cache} CGO_CFLAGS="-O2 -g -Wall -Werror"
failed=0
case_of() { # NAME COMMAND...
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then echo "ok $name"; else printf '%s\n' "$out"; echo "not ok $name"; failed=1; fi
}
# One line for each test of a package.
tests() { # LABEL, then the environment and flags
    local label=$1
    shift
    env -C bindings/go "$@" ./... 2>&1 |
        sed -nE "s/^ *--- PASS: ([^ ]+).*/ok go $label \1/p; s/^ *--- FAIL: ([^ ]+).*/not ok go $label \1/p; /^(panic|FAIL|#|WARNING: DATA RACE)/p; s/^ {4,}(.*_test.go.*)/# \1/p" || failed=1
}

formatted() { diff /dev/null <(gofmt -l bindings/go examples/go benches/calls); }
case_of "go sources are formatted" formatted
case_of "go vet finds nothing" env -C bindings/go go vet ./...
tests race go test -race -v -count=1
# The collector runs at every chance, and every pointer that crosses to C is checked.
tests collected GOGC=1 GODEBUG=cgocheck=2 go test -v -count=1 -run 'Store|Closing|Closed|Transactions|Batches|Plans|Cluster|Session|Function|Rule|Version|Empty|Log|Replica'
# Memory of C's that is used after it was freed, or past its end.
tests sanitized go test -asan -v -count=1
tests leaks go test -v -count=1 -run 'Leaked'
tests static go test -tags atoll_static -v -count=1 -run 'Values|Closing|Refuse|Example|Function'
env -C bindings/go go test -tags atoll_static -c -o "$TARGET/go/static.test" .
needs_none() { if ldd "$TARGET/go/static.test" | grep libatoll; then return 1; fi; }
case_of "the static library is linked when asked for" needs_none
# What somebody gets who has the package and the installed library, and nothing else.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r bindings/go "$copy/atoll"
cp -r examples/go "$copy/story"
elsewhere() {
    (cd "$copy/story" && go mod edit -replace "atoll.dev/go/atoll=$copy/atoll" && go run . "$copy/data") | diff - examples/story.txt
}
case_of "the package works outside the tree" elsewhere
story=$(env -C examples/go go run . "$(mktemp -d)/data")
case_of "the story is that of every language" diff <(printf '%s\n' "$story") examples/story.txt
exit $failed
