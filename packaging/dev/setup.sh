#!/bin/sh
# Makes what a make target needs: system packages and virtualenvs. Repeated, it does nothing.
#
#   setup.sh [product] [dev] [tenant] [uwsgi] [newest] [bench] [deb] [vm]
#
#   product  .venv with emperord in it, editable
#   dev      the same, with the development tools; and the programs that tests start
#   tenant   .venv-tenant: the applications that tests serve
#   uwsgi    .cache/uwsgi-venv: uWSGI, which tests compare with
#   newest   .cache/python3.14: the newest CPython that vassals may have, which tests serve with
#   bench    .cache/bench-venv: uWSGI and gunicorn; and wrk and nginx
#   deb      what builds the Debian package, for Debian's own Python
#   vm       what makes and runs the virtual machine of tests/vm
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cd "$root"

UWSGI_VERSION=2.0.31
GUNICORN_VERSION=27.0.1

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }

# quietly COMMAND…: says nothing, unless it fails: then all that it said.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    cat "$log" >&2
    rm -f "$log"
    return 1
}

# --- the interpreter ---------------------------------------------------------------------

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Vassals of other users may run in our interpreter, so one that hides in /root is second choice.
others_may_execute() {
    "$1" - <<'PY' 2>/dev/null
import pathlib, sys
real = pathlib.Path(sys._base_executable).resolve()
sys.exit(not all(path.stat().st_mode & 0o001 for path in (real, *real.parents)))
PY
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_recent "$PYTHON" || die "PYTHON=$PYTHON: not a Python 3.11 or later"
        printf '%s\n' "$PYTHON"
        return
    fi
    second_choice=
    for name in /usr/bin/python3 python3.13 python3.12 python3.11 python3.14 python3; do
        python=$(command -v "$name") || continue
        is_recent "$python" || continue
        if others_may_execute "$python"; then
            printf '%s\n' "$python"
            return
        fi
        second_choice=${second_choice:-$python}
    done
    [ -n "$second_choice" ] || die "no Python 3.11 or later found; name one: make PYTHON=/path/to/python3 …"
    printf '%s\n' "$second_choice"
}

# --- system packages ---------------------------------------------------------------------

# need_program PROGRAM PACKAGE; nginx lives in /usr/sbin, which is not on everybody's PATH.
need_program() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || missing="$missing $2"
}

need_file() {
    [ -e "$1" ] || missing="$missing $2"
}

# What is needed to make a virtualenv with $1 and build python-prctl, which comes as source only.
need_build_tools() {
    version=
    case $1 in /usr/bin/python3.*) version=${1#/usr/bin/python3} ;; esac
    "$1" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3$version-venv"
    header=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    need_file "$header" "python3$version-dev"
    need_program gcc gcc
    need_file /usr/include/stdlib.h libc6-dev
}

install_missing() {
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    missing=${missing% }
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || die "missing, by their Debian names: $missing"
    if [ "$(id -u)" != 0 ]; then
        say "Some system packages are missing. Run this, then make again:"
        say "    sudo apt-get install $missing"
        exit 1
    fi
    say "installing $missing"
    quietly apt-get update -qq && quietly env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing ||
        die "apt-get install $missing failed"
}

# --- virtualenvs -------------------------------------------------------------------------

# What a finished virtualenv was made from. A copied tree, an upgraded Python or changed
# requirements give another key.
key() {
    printf '%s %s %s\n' "$root" "$("$1/bin/python" -V 2>&1)" "$2"
}

is_made() {
    [ -x "$1/bin/python" ] && [ "$(cat "$1/.made-$2" 2>/dev/null)" = "$(key "$1" "$3")" ]
}

# make_venv VENV KIND KEY PIP-ARGUMENT…
make_venv() {
    venv=$1 kind=$2 made_from=$3
    shift 3
    is_made "$venv" "$kind" "$made_from" && return
    for place in "$(dirname "$venv")" "$venv"; do
        [ ! -e "$place" ] || [ -w "$place" ] || die "$venv must be made, but $place is not yours.
Work on a copy:  cp -r $root ~/emperord && make -C ~/emperord"
    done
    say "making $venv with $python"
    # A virtualenv that was copied here with the tree would install into the original.
    if [ ! -x "$venv/bin/python" ] || ! grep -qsF "$root/$venv" "$venv/bin/pip"; then
        "$python" -m venv --clear "$venv"
    fi
    quietly "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@" ||
        die "$venv: pip install $* failed"
    key "$venv" "$made_from" >"$venv/.made-$kind"
}

sum() { sha256sum "$@" | sha256sum | cut -c1-16; }

# What pip reads of pyproject.toml: the settings of our tools come after it.
requirements() { sed '/^\[tool\.ruff\]/,$d' pyproject.toml; }

# --- the newest interpreter --------------------------------------------------------------

# make_python RELEASE VERSION HOME: CPython and the libraries that it needs, from a Debian that is
# newer than this one; apt verifies what it gets. It runs from HOME, and nowhere else.
make_python() {
    say "making $3"
    rm -rf "$3"
    # The lists of a release that still changes expire, and a mirror may be late.
    quietly mmdebstrap --variant=extract --include="python$2" --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$3" \
        "deb http://deb.debian.org/debian $1 main" || die "$3: mmdebstrap $1 failed"
    libraries=$(dirname "$(find "$3/usr/lib" -name libc.so.6)")
    patchelf --set-interpreter "$(find "$libraries" -name 'ld-linux*')" --force-rpath \
        --set-rpath "$libraries" "$3/usr/bin/python$2"
    "$3/usr/bin/python$2" -c 'import ctypes, sqlite3, ssl' || die "$3: it does not work"
    echo "$3" >"$3/made"
}

# --- what was asked for ------------------------------------------------------------------

missing=
product_key=$(requirements | sum)
tenant_key=$(sum tests/support/tenant-requirements.txt)
uwsgi_key="$UWSGI_VERSION json pcre xml"
bench_key="$UWSGI_VERSION $GUNICORN_VERSION"
newest=$root/.cache/python3.14

for part in "$@"; do
    case $part in
        product)
            is_made .venv dev "$product_key" && continue
            is_made .venv product "$product_key" && continue
            python=${python:-$(find_python)}
            need_build_tools "$python"
            need_file /usr/include/sys/capability.h libcap-dev
            ;;
        dev)
            need_program nginx nginx-light
            need_program curl curl
            need_program strace strace
            need_program groff groff-base
            is_made .venv dev "$product_key" && continue
            python=${python:-$(find_python)}
            need_build_tools "$python"
            need_file /usr/include/sys/capability.h libcap-dev
            ;;
        tenant)
            is_made .venv-tenant tenant "$tenant_key" && continue
            python=${python:-$(find_python)}
            need_build_tools "$python"
            ;;
        uwsgi)
            is_made .cache/uwsgi-venv uwsgi "$uwsgi_key" && continue
            python=${python:-$(find_python)}
            need_build_tools "$python"
            # It is built with whatever is there: JSON and XML files, and options with patterns.
            # It finds JSON by pkg-config alone, which no library's package brings.
            need_program pkg-config pkg-config
            need_file /usr/include/jansson.h libjansson-dev
            need_file /usr/include/pcre2.h libpcre2-dev
            need_program xml2-config libxml2-dev
            ;;
        newest)
            [ "$(cat "$newest/made" 2>/dev/null)" != "$newest" ] || continue
            need_program mmdebstrap mmdebstrap
            need_program patchelf patchelf
            need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
            ;;
        bench)
            need_program nginx nginx-light
            need_program wrk wrk
            is_made .cache/bench-venv bench "$bench_key" && continue
            python=${python:-$(find_python)}
            need_build_tools "$python"
            ;;
        deb)
            is_recent /usr/bin/python3 ||
                die "the package is for Debian's own Python, /usr/bin/python3, 3.11 or later"
            need_build_tools /usr/bin/python3
            need_file /usr/include/sys/capability.h libcap-dev
            need_program dpkg-shlibdeps dpkg-dev
            ;;
        vm)
            need_program qemu-system-x86_64 qemu-system-x86
            need_program mmdebstrap mmdebstrap
            need_program cpio cpio
            need_program mke2fs e2fsprogs
            need_program xz xz-utils
            need_program socat socat
            need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
            # Not any busybox: one that needs no library in the initramfs.
            need_file /usr/share/doc/busybox-static busybox-static
            ;;
        *) die "$part: not a part; write product, dev, tenant, uwsgi, newest, bench, deb or vm" ;;
    esac
done
install_missing

for part in "$@"; do
    case $part in
        product)
            is_made .venv dev "$product_key" || make_venv .venv product "$product_key" -e .
            ;;
        dev) make_venv .venv dev "$product_key" -e '.[dev]' ;;
        tenant)
            make_venv .venv-tenant tenant "$tenant_key" -r tests/support/tenant-requirements.txt
            ;;
        uwsgi)
            mkdir -p .cache
            # Built anew where another build of the same version is there.
            make_venv .cache/uwsgi-venv uwsgi "$uwsgi_key" --no-cache-dir --force-reinstall \
                "uwsgi==$UWSGI_VERSION"
            ;;
        newest)
            mkdir -p .cache
            [ "$(cat "$newest/made" 2>/dev/null)" = "$newest" ] ||
                make_python forky 3.14 "$newest"
            ;;
        bench)
            mkdir -p .cache
            # uWSGI is linked with the Python that builds it: no wheel of another one's.
            make_venv .cache/bench-venv bench "$bench_key" --no-cache-dir \
                "uwsgi==$UWSGI_VERSION" "gunicorn==$GUNICORN_VERSION"
            ;;
    esac
done
