#!/usr/bin/env bash
# Proves that a fresh Debian with Python and make is all that `make demo` and `make test` need: in
# a root of its own, first as an ordinary user, who is told what to install, then as root, who has
# it installed, then as that user again. Runs as root; the ports of the demo must be free.
#   bare.sh [RELEASE [TESTS]]     without TESTS only the demo
set -euo pipefail
cd "$(dirname "$0")/../.."

release=${1:-bookworm}
tests=${2:-}
root=$(mktemp -d -t emperor-bare.XXXXXX)
log=$(mktemp -t emperor-bare-log.XXXXXX)
trap '[ -n "${KEEP:-}" ] || rm -rf --one-file-system "$root" "$log"' EXIT

die() { echo "bare.sh: $*" >&2; exit 1; }

echo "making a bare $release in $root"
mmdebstrap --quiet --variant=minbase --include=python3,make,ca-certificates "$release" "$root" ||
    die "mmdebstrap failed"
# How this machine reaches the network is no part of what is proven.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
chroot "$root" useradd --create-home --shell /bin/sh visitor
for home in root home/visitor; do
    mkdir "$root/$home/emperord"
    tar --create --exclude=./.git --exclude='./.venv*' --exclude=./.cache . |
        tar --extract --directory="$root/$home/emperord"
done
chroot "$root" chown -R visitor: /home/visitor/emperord

# inside USER COMMAND…: in the bare root, in the user's copy; its processes end with it.
inside() {
    local user=$1 home=/root
    shift
    [ "$user" = root ] || home=/home/$user
    # The root is a mount of its own, as that of a machine is, and the root of the mount
    # namespace: for processes in a chroot there are no user namespaces.
    unshare --mount --pid --fork --kill-child -- sh -c '
        mount --bind "$0" "$0" && cd "$0" && mount -t proc proc proc && mount --rbind /sys sys &&
        mount -t tmpfs -o mode=755 run run && mount -t tmpfs -o mode=1777 tmp tmp &&
        mount --rbind /dev dev && mkdir -p old && pivot_root . old && cd / &&
        umount --lazy old && rmdir old && exec "$@"' "$root" \
        runuser --user "$user" -- env -u PIP_FIND_LINKS -u PYENV_ROOT -u XDG_RUNTIME_DIR -u CI \
        HOME="$home" USER="$user" LOGNAME="$user" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        sh -c 'cd "$0" && exec "$@"' "$home/emperord" "$@"
}

echo "make demo as a visitor: is told what to install"
if inside visitor make demo >"$log" 2>&1; then
    die "make demo works without gcc? $(cat "$log")"
fi
grep -q "sudo apt-get install .*gcc" "$log" || die "no line to run is printed: $(cat "$log")"

for user in root visitor; do
    echo "make demo as $user"
    inside "$user" python3 packaging/dev/try_demo.py 2>"$log" || die "$user: $(cat "$log")"
    if [ -n "$tests" ]; then
        echo "make test as $user"
        inside "$user" make test ARGS="-q -p no:cacheprovider $tests"
    fi
done
