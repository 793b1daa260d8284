#!/usr/bin/env bash
# Runs every test and ends with one line of totals.
#
# In: nothing; what is missing is installed first. Out: a line for each part with its time; where one failed,
# the end of its output; then every failure by its name, and last of all `N passed, N failed`; status 1 if
# anything failed. Full output: test-logs/ under the target directory.
# Must never: count a part that broke before it could count as passed: it adds a failure of its own.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

scripts/setup.sh test
# Setup may just have installed the toolchain this shell must now find.
# shellcheck source=scripts/env.sh
. scripts/env.sh
mkdir -p "$LOGS"
passed=0
failed=0
failures=() # their lines, for the end

# Adds up the results in a log: cargo's `test result:` lines, and the `ok` lines of the other runners.
count() { # FILE WORD: `passed` or `failed`
    local word=$2 pattern
    if [ "$word" = passed ]; then pattern='^ok '; else pattern='^not ok '; fi
    awk -v word="$word" -v pattern="$pattern" '
        /^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" word) sum += $(i - 1) }
        $0 ~ pattern { sum++ }
        END { print sum + 0 }' "$1"
}

# Runs one part and prints its line.
part() { # NAME COMMAND...
    local name=$1 log=$LOGS/$1.log begin=$SECONDS status=0 good bad
    shift
    printf '%-10s ' "$name"
    "$@" >"$log" 2>&1 || status=$?
    good=$(count "$log" passed)
    bad=$(count "$log" failed)
    if [ $status -ne 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    printf '%4d passed, %d failed, %d s\n' "$good" "$bad" $((SECONDS - begin))
    if [ $status -ne 0 ]; then
        echo "... the end of $log:"
        tail -n 60 "$log"
        mapfile -t -O ${#failures[@]} failures < <(
            { grep -nE '^not ok |^test .* FAILED$|panicked at|^error(\[|:)' "$log" || echo "ended with status $status"; } |
                head -n 20 | cut -c-400 | sed "s/^/$name:/"
        )
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

interface() {
    local status=0
    scripts/header.sh check || status=1
    scripts/abi.sh check || status=1
    return $status
}

python_tests() {
    "$TARGET/venv/bin/python" -m pytest -p no:cacheprovider -v "${python_files[@]}" |
        sed -E 's/^([^ ]+::[^ ]+) (PASSED|XFAIL).*/ok \1/; s/^([^ ]+::[^ ]+) (FAILED|ERROR).*/not ok \1/'
}

part interface interface
part rust cargo test --no-fail-fast
part c scripts/test-c.sh
part install scripts/test-install.sh
part python-lib scripts/test-python.sh
part go scripts/test-go.sh
part postgres scripts/test-pg.sh
# Second implementations that recompute what the engine must answer, wherever a package keeps them.
mapfile -t python_files < <(find . -path ./target -prune -o -path ./bindings -prune -o -path '*/tests/*' -name 'test_*.py' -print | sort)
if [ ${#python_files[@]} -gt 0 ]; then part python python_tests; fi

[ ${#failures[@]} -eq 0 ] || printf '%s\n' "What failed, with the lines of the part's log:" "${failures[@]}"
printf 'all parts took %d s\n' "$SECONDS"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
