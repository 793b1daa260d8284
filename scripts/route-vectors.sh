#!/usr/bin/env bash
# Runs `atoll route` over the vectors of core/tests/routing/vectors and prints the counts per format.
#
# In: nothing, or ATOLL, a binary to use in place of a fresh build. Out: a line for each format, `compared`
# and `mismatches`, then the totals; the first mismatches on stderr; status 1 if there are any.
# Must never: pass a format of which nothing was compared.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

atoll=${ATOLL:-}
if [ -z "$atoll" ]; then
    scripts/cargo.sh build --quiet --package atoll-cli
    atoll=$TARGET/debug/atoll
fi
folder=core/tests/routing/vectors
total=0
wrong=0

# Compares what was printed (stdin: KEY<TAB>ANSWER) with the expected answers; prints both counts.
compare() { # OPTIONS ANSWERS
    awk -v options="$1" -v answers="$2" '
        BEGIN {
            FS = "\t"
            expected_count = split(answers, expected, " ")
            words = split(options, word, " ")
            for (i = 1; i < words; i++) if (word[i] == "--nodes") {
                named = 1
                count = split(word[i + 1], node, ",")
                for (j = 1; j <= count; j++) { sub(/=[0-9]+$/, "", node[j]); name[j - 1] = node[j] }
            }
            json = options ~ /--json/
        }
        {
            answer = expected[NR]
            if (answer == "x") next
            found = $2
            if (json) { found = $0; sub(/.*"slot":/, "", found); sub(/}$/, "", found) }
            else if (named) {
                parts = split(answer, part, ",")
                answer = name[part[1]]
                for (j = 2; j <= parts; j++) answer = answer "," name[part[j]]
            }
            compared++
            if (found != answer) {
                if (++wrong <= 3) printf "%s: line %d: %s expected, %s found\n", options, NR, answer, found > "/dev/stderr"
            }
        }
        END {
            if (NR != expected_count) {
                printf "%s: %d answers expected, %d found\n", options, expected_count, NR > "/dev/stderr"
                wrong++
            }
            print compared + 0, wrong + 0
        }'
}

for file in "$folder"/*.tsv; do
    # Those of typed keys and of places in a topology are no questions for this command.
    grep -q '^--algorithm' "$file" || continue
    format_total=0
    format_wrong=0
    while IFS=$'\t' read -r options answers; do
        case $options in
        *--input\ u64*) keys=u64.txt input= ;;
        *--input\ i64*) keys=i64.txt input= ;;
        *) keys=keys.hex input="--input hex" ;;
        esac
        # shellcheck disable=SC2086  # options are words
        counts=$("$atoll" route $options $input <"$folder/$keys" | compare "$options" "$answers")
        format_total=$((format_total + ${counts% *}))
        format_wrong=$((format_wrong + ${counts#* }))
    done <"$file"
    [ "$format_total" -gt 0 ] || die "$file: nothing was compared"
    printf '%-18s %6d compared, %d mismatches\n' "$(basename "$file" .tsv)" "$format_total" "$format_wrong"
    total=$((total + format_total))
    wrong=$((wrong + format_wrong))
done
printf '%-18s %6d compared, %d mismatches\n' total "$total" "$wrong"
[ "$wrong" = 0 ]
