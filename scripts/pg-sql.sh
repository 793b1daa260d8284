#!/usr/bin/env bash
# The SQL of the extension: printed from the built library, committed, and compared.
#
# In: `check` compares pg_extension/sql/atoll--VERSION.sql with the library of the debug profile, which
# this builds; `write` rewrites it.
# Out: check prints lines `ok …` or `not ok …` and the difference. Must never: write in `check`.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

control=pg_extension/atoll.control
version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" "$control")
committed=pg_extension/sql/atoll--$version.sql
package=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet "${PG_PACKAGE[@]}"
objcopy -O binary --only-section=.pgrxsc "$TARGET/debug/libatoll_pg.so" "$work/section"
cargo run --quiet "${PG_PACKAGE[@]}" --example schema "$work/section" "$control" >"$work/sql"

case ${1:-} in
check)
    failed=0
    if [ "$version" = "$package" ]; then
        echo "ok the_extensions_default_version_is_the_packages"
    else
        say "$control says $version, Cargo.toml says $package."
        echo "not ok the_extensions_default_version_is_the_packages"
        failed=1
    fi
    if diff -u --label "$committed" --label 'printed from pg_extension/src' "$committed" "$work/sql"; then
        echo "ok the_committed_sql_declares_what_the_library_exports"
    else
        say "$committed differs from its sources; \`make fix\` rewrites it."
        echo "not ok the_committed_sql_declares_what_the_library_exports"
        failed=1
    fi
    exit $failed
    ;;
write)
    cmp -s "$work/sql" "$committed" || cat "$work/sql" >"$committed"
    ;;
*) die "usage: scripts/pg-sql.sh check|write" ;;
esac
