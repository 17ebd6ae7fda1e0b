#!/bin/sh
# Builds the package for another release of Debian: build.sh in a system of that release, which is
# kept in .cache/deb. As root.
#
#   build_elsewhere.sh RELEASE
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
release=$1
packages=python3-venv,python3-pip,python3-dev,gcc,libc6-dev,libcap-dev,dpkg-dev,ca-certificates
system=$root/.cache/deb/system-$release-$(echo "$packages" | sha256sum | cut -c1-8)

[ "$(id -u)" = 0 ] || { echo "build_elsewhere.sh: needs root" >&2; exit 1; }
if [ ! -d "$system" ]; then
    echo "making a Debian $release to build in" >&2
    mkdir -p "$root/.cache/deb"
    log=$(mktemp)
    rm -rf "$system.new"
    if ! mmdebstrap --mode=root --variant=minbase --include="$packages" --format=directory \
        --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$release" "$system.new" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
    mkdir "$system.new/source"
    mv "$system.new" "$system"
fi
# What this machine trusts and where it looks for packages holds there too.
cp /etc/resolv.conf "$system/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/certs/ca-certificates.crt"
# Mounts of a namespace: they are gone with it.
exec unshare --mount --pid --fork sh -c '
    mount --bind "$1" "$2/source" && mount -t proc proc "$2/proc" &&
    mount --rbind /dev "$2/dev" && mount -t tmpfs tmpfs "$2/tmp" &&
    exec chroot "$2" env TMPDIR=/tmp HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        BUILD_PYTHON=/usr/bin/python3 /source/packaging/deb/build.sh' \
    sh "$root" "$system"
