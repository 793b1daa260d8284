#!/usr/bin/env bash
# Imports a real file of a gigabyte, kills the import with SIGKILL on the way, resumes it, and checks
# that nothing is missing.
#
# In: Debian's package index on this machine (or the package database), repeated under new keys until it
# has GIGABYTES (default 1). Out: figures, and `ok`/`not ok` lines; status 1 if a check failed.
# Must never: leave its files behind, or stop anything it did not start.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

gigabytes=${GIGABYTES:-1}
scripts/cargo.sh build --release --package atoll-cli
atoll=$TARGET/release/atoll
work=$(mktemp -d "${TMPDIR:-/tmp}/atoll-large.XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT

failed=0
verdict() { # NAME STATUS
    if [ "$2" = 0 ]; then echo "ok $1"; else echo "not ok $1"; failed=1; fi
}

# The largest real source of stanzas there is here.
source=/var/lib/dpkg/status
for index in /var/lib/apt/lists/*_main_binary-*_Packages*; do
    case $index in
    *.lz4) command -v lz4cat >/dev/null && lz4cat "$index" >>"$work/source" ;;
    *.xz) xzcat "$index" >>"$work/source" ;;
    *.gz) zcat "$index" >>"$work/source" ;;
    *_Packages) cat "$index" >>"$work/source" ;;
    esac
done
[ -s "$work/source" ] || cp "$source" "$work/source"

# Repeats the stanzas as Package: NAME@ROUND until the file is large enough; prints the distinct keys.
expected=$(python3 - "$work/source" "$work/input.deb822" "$gigabytes" <<'PY'
import sys
source, target, gigabytes = sys.argv[1], sys.argv[2], float(sys.argv[3])
stanzas = [s for s in open(source, encoding="utf-8").read().split("\n\n") if s.strip()]
names = {line[9:].strip() for s in stanzas for line in s.split("\n") if line.startswith("Package: ")}
written, rounds = 0, 0
with open(target, "w", encoding="utf-8") as out:
    while written < gigabytes * 1e9:
        for stanza in stanzas:
            text = "\n".join(
                f"{line}@{rounds}" if line.startswith("Package: ") else line for line in stanza.strip("\n").split("\n"))
            out.write(text + "\n\n")
            written += len(text.encode()) + 2
        rounds += 1
print(len(names) * rounds)
PY
)
size=$(stat -c %s "$work/input.deb822")
echo "input: $size bytes of real stanzas, $expected distinct keys"

"$atoll" init "$work/cluster" --shards 4 --replicas 3 --nodes n1,n2,n3,n4 >/dev/null

# Runs the import in the background and watches its memory; kills it after $1 seconds unless that is 0.
peak_anonymous=0
kills=0
import() { # SECONDS
    local begin=$SECONDS killed=
    (cd "$work" && exec "$atoll" import cluster input.deb822 --key Package) &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        local anonymous
        anonymous=$(awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
        if [ "${anonymous:-0}" -gt "$peak_anonymous" ]; then peak_anonymous=$anonymous; fi
        if [ "$1" -gt 0 ] && [ $((SECONDS - begin)) -ge "$1" ]; then
            kill -KILL "$pid" 2>/dev/null || true
            killed=yes
        fi
        sleep 0.2
    done
    local status=0
    wait "$pid" || status=$?
    pid=
    if [ -n "$killed" ] && [ "$status" = 137 ]; then kills=$((kills + 1)); return 0; fi
    return "$status"
}

begin=$SECONDS
import 3
echo "killed after 3 s: $("$atoll" count "$work/cluster") keys are there"
import 3
echo "killed again: $("$atoll" count "$work/cluster") keys are there"
status=0
import 0 || status=$?
if [ "$kills" -lt 2 ]; then
    echo "the import ended before it could be killed twice: give more with GIGABYTES=2"
    status=1
fi
verdict "import_resumes_after_two_kills" "$status"
echo "import with two kills: $((SECONDS - begin)) s; peak anonymous memory $((peak_anonymous / 1024)) MiB"

counted=$("$atoll" count "$work/cluster")
status=0
[ "$counted" = "$expected" ] || status=1
verdict "count_is_exact ($counted of $expected)" "$status"
status=0
[ "$peak_anonymous" -lt $((200 * 1024)) ] || status=1
verdict "memory_stays_below_200_MiB" "$status"
begin=$SECONDS
status=0
"$atoll" verify "$work/cluster" || status=$?
verdict "verify_is_clean ($((SECONDS - begin)) s)" "$status"
du -sh "$work/cluster"
exit $failed
