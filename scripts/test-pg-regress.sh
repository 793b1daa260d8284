#!/usr/bin/env bash
# PostgreSQL's own regression queries on distributed tables and on ordinary ones, answers compared.
#
# In: the network, once, for PostgreSQL's source package, which is kept under the target directory, or the directory of
# unpacked sources in PG_SOURCE; FLAGS for pg_extension/tests/regress.py. Out: lines `ok NAME` and `not ok NAME`, counts
# for each script of the suite, status 1 if one is `not ok`. Must never: change the system's package lists, or write into
# the installed PostgreSQL.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
cd "$ROOT"

package=postgresql-$PG_MAJOR
source=${PG_SOURCE:-$TARGET/$package-source}

# Fetches the newest source package that a mirror still has: lists of packages are sometimes ahead of it.
fetch() { # DIRECTORY
    local apt=$1/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg signed="" version options
    command -v apt-get >/dev/null 2>&1 || die "No apt-get here: unpack PostgreSQL $PG_MAJOR's sources and set PG_SOURCE to their directory."
    mkdir -p "$apt/lists/partial"
    # The mirrors that this system installs from, asked for sources.
    [ ! -e "$keys" ] || signed=" [signed-by=$keys]"
    apt-get indextargets --format "deb-src$signed \$(REPO_URI) \$(RELEASE) main" 'Created-By: Packages' 2>/dev/null | grep -i debian | sort -u >"$apt/sources.list"
    [ -s "$apt/sources.list" ] || die "apt knows no mirror: unpack PostgreSQL $PG_MAJOR's sources and set PG_SOURCE to their directory."
    options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update -qq >&2
    for version in $(apt-cache "${options[@]}" madison "$package" | awk -F ' *[|] *' '{ print $2 }' | sort -Vr | uniq); do
        if (cd "$1" && apt-get "${options[@]}" source --download-only -qq "$package=$version" >"$apt/log" 2>&1); then
            tar -xjf "$1/${package}_${version%%-*}.orig.tar.bz2" --directory="$1" --strip-components=1 --wildcards '*/COPYRIGHT' '*/src/test/regress/sql/*' '*/src/test/regress/data/*'
            return
        fi
    done
    cat "$apt/log" >&2
    die "The source package of $package cannot be fetched."
}

if [ ! -d "$source/src/test/regress/sql" ]; then
    [ -z "${PG_SOURCE:-}" ] || die "There is no $source/src/test/regress/sql."
    rm -rf "$source.new"
    mkdir -p "$source.new"
    fetch "$source.new"
    mv "$source.new" "$source"
fi
# The servers' account reads it, and cannot look into everybody's home.
work=$(mktemp -d /tmp/atoll-pg-source.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cp -R "$source/src/test/regress/sql" "$source/src/test/regress/data" "$work/"
chmod -R a+rX "$work"

scripts/cargo.sh build --quiet --package atoll-pg
# shellcheck disable=SC2086  # FLAGS is a list of words
regress() { PYTHONDONTWRITEBYTECODE=1 "$PYTHON" pg_extension/tests/regress.py "$2" "$1" ${FLAGS:-}; }
export -f regress
export PYTHON FLAGS
scripts/pg-copy.sh --no-server debug bash -c 'regress "$@"' regress "$work"
