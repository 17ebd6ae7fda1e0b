#!/bin/sh
# Builds dist/emperord_VERSION+debRELEASE_ARCHITECTURE.deb: a virtualenv in /opt/emperord and what
# the system needs beside it. The target gets no compiler and no pip.
#
#   build.sh [RELEASE]      prints the path; run by `make deb`, which makes .venv first
#
# A package is for the release of Debian whose Python it was built with. Another one than ours is
# built in a system of its own (build_elsewhere.sh).
#
# Built again only when an input has changed. The same inputs give the same files; wheels of other
# projects are kept in .cache/deb.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root"
umask 022
export LC_ALL=C PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export SOURCE_DATE_EPOCH=1700000000

# shellcheck disable=SC1091
. /etc/os-release
if [ "${1:-$VERSION_CODENAME}" != "$VERSION_CODENAME" ]; then
    exec packaging/deb/build_elsewhere.sh "$1"
fi

# The target has Debian's interpreter and no other: its path and version are built in.
python=/usr/bin/python3
prefix=/opt/emperord
here=packaging/deb
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=$("$python" -c 'import sys; print("%d.%d" % (sys.version_info[0], sys.version_info[1] + 1))')
architecture=$(dpkg --print-architecture)
# As Debian sorts it: 0.1.0.dev0 comes before 0.1.0, and an upgrade of Debian takes the newer's.
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' emperor/__init__.py |
    sed 's/\.\{0,1\}\(dev\|rc\|a\|b\)\([0-9]\)/~\1\2/')+deb$VERSION_ID

sum() { sha256sum "$@" | sha256sum | cut -c1-16; }

# --- is it there already? ----------------------------------------------------------------

inputs=$(find emperor vassal limits packaging/deb packaging/man packaging/completion \
    packaging/systemd packaging/nginx packaging/examples packaging/emperor.toml \
    pyproject.toml README.md CHANGELOG.md LICENSE \
    -type f ! -name '*.pyc' | sort)
hash=$({ sum $inputs; "$python" -V; echo "$architecture"; } | sha256sum | cut -c1-16)
deb=dist/emperord_${version}_${architecture}.deb
made=.cache/deb/made-$architecture-$minor
if [ -f "$deb" ] && [ "$(cat "$made" 2>/dev/null)" = "$deb $hash $(sum "$deb")" ]; then
    echo "$deb"
    exit
fi

mkdir -p dist .cache/deb
work=$(mktemp -d "${TMPDIR:-/tmp}/emperord-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
stage=$work/stage
log=$work/log
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "build.sh: failed: $*" >&2; exit 1; }; }

# --- the virtualenv ----------------------------------------------------------------------

"$python" -m venv --without-pip "$stage$prefix"
pip() { quietly "${BUILD_PYTHON:-.venv/bin/python}" -m pip --python "$stage$prefix/bin/python" "$@"; }

# Requirements change seldom, and python-prctl has to be compiled.
"$python" - >"$work/requirements" <<'PY'
import pathlib, tomllib
print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]["dependencies"], sep="\n")
PY
wheels=.cache/deb/wheels-$minor-$(sum <"$work/requirements")
if [ ! -d "$wheels" ]; then
    pip wheel --wheel-dir "$work/wheels" --requirement "$work/requirements"
    rm -rf ".cache/deb/wheels-$minor"-*
    mv "$work/wheels" "$wheels"
fi
# From a copy: setuptools would leave, and later find, its build/ in the tree.
mkdir "$work/source"
tar --create --exclude=__pycache__ emperor vassal limits pyproject.toml README.md LICENSE |
    tar --extract --directory="$work/source"
pip wheel --no-deps --wheel-dir "$work/ours" "$work/source"
pip install --no-index --no-compile --find-links "$wheels" "$work"/ours/*.whl

venv=$stage$prefix
# Only `emperor` is a command. pip's books name files that are not there, and paths of this machine.
find "$venv/bin" -mindepth 1 ! -name 'python*' -delete
rm -rf "$venv/include" "$venv/lib64" "$venv"/lib/python*/site-packages/*.dist-info/RECORD \
    "$venv"/lib/python*/site-packages/*.dist-info/direct_url.json \
    "$venv"/lib/python*/site-packages/*.dist-info/REQUESTED
find "$venv" -name __pycache__ -prune -exec rm -rf {} +
cat >"$venv/pyvenv.cfg" <<CFG
home = /usr/bin
include-system-site-packages = false
version = $("$python" -c 'import platform; print(platform.python_version())')
CFG
# -I: nothing in root's environment or current directory gets into the emperor.
cat >"$venv/bin/emperor" <<SCRIPT
#!$prefix/bin/python3 -I
import sys

from emperor.__main__ import main

sys.exit(main())
SCRIPT
chmod 755 "$venv/bin/emperor"
# Unchecked: dpkg replaces source and code together, and their times say nothing then.
quietly "$python" -m compileall -q -j 2 --invalidation-mode unchecked-hash \
    -s "$stage" -p / "$venv/lib"

# --- what the system needs ---------------------------------------------------------------

put() { install -D -m 644 "$1" "$stage/$2"; }

put packaging/systemd/emperor.service usr/lib/systemd/system/emperor.service
put packaging/systemd/emperor.sysusers.conf usr/lib/sysusers.d/emperor.conf
put packaging/systemd/emperor.tmpfiles.conf usr/lib/tmpfiles.d/emperor.conf
put packaging/emperor.toml etc/emperor/emperor.toml
put packaging/nginx/emperor-hosts.conf usr/share/emperord/nginx/emperor-hosts.conf
put "$here/copyright" usr/share/doc/emperord/copyright
put README.md usr/share/doc/emperord/README.md
put CHANGELOG.md usr/share/doc/emperord/changelog
mkdir -p "$stage/usr/share/doc/emperord/examples" "$stage/usr/bin"
tar --create --exclude=__pycache__ --directory=packaging/examples . |
    tar --extract --directory="$stage/usr/share/doc/emperord/examples"
ln -s ../../opt/emperord/bin/emperor "$stage/usr/bin/emperor"

# Made from the tables of the code, by the interpreter that was just installed.
ours=$venv/bin/python
"$ours" -I packaging/completion/bash.py >"$work/completion"
put "$work/completion" usr/share/bash-completion/completions/emperor
for page in emperor.1 emperor.toml.5 emperor-vassal.5; do
    "$ours" -I packaging/man/pages.py "$page" >"$work/$page"
    put "$work/$page" "usr/share/man/man${page##*.}/$page"
done
gzip -9n "$stage"/usr/share/man/man?/* "$stage/usr/share/doc/emperord/changelog"
# The interpreter ran from where the target's will be, and may have left code of its own.
find "$venv/bin" -name __pycache__ -prune -exec rm -rf {} +

# --- the package -------------------------------------------------------------------------

# Which libraries the compiled modules need: dpkg-shlibdeps wants a source package's folder.
mkdir -p "$work/shlibs/debian"
printf 'Source: emperord\n\nPackage: emperord\nArchitecture: any\n' >"$work/shlibs/debian/control"
modules=$(find "$venv" -name '*.so')
libraries=$(cd "$work/shlibs" && dpkg-shlibdeps -O $modules 2>"$log" |
    sed -n 's/^shlibs:Depends=//p')
[ -n "$libraries" ] || { cat "$log" >&2; echo "build.sh: dpkg-shlibdeps failed" >&2; exit 1; }

mkdir "$stage/DEBIAN"
size=$(du -sk --exclude=DEBIAN "$stage" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/" \
    -e "s/@PYTHON@/$minor/; s/@NEXT@/$next/; s/@LIBRARIES@/$libraries/" \
    "$here/control.in" >"$stage/DEBIAN/control"
install -m 755 "$here/postinst" "$here/prerm" "$here/postrm" "$stage/DEBIAN/"
echo /etc/emperor/emperor.toml >"$stage/DEBIAN/conffiles"
(cd "$stage" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z |
    xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
# One time for all files, or no two builds are alike.
find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
rm -f dist/emperord_*"+deb${VERSION_ID}_$architecture.deb"
quietly dpkg-deb --root-owner-group -Zxz -z6 --build "$stage" "$work/emperord.deb"
mv "$work/emperord.deb" "$deb"
echo "$deb $hash $(sum "$deb")" >"$made"
echo "$deb"
