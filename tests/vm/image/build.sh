#!/bin/sh
# Makes the disk of a virtual machine with the Debian package installed, its kernel and initramfs.
#
#   build.sh RELEASE PACKAGE.deb      prints the folder with vmlinuz, initrd and disk.img
#
# Kept in .cache/vm by a hash of the inputs: the base system under that of this folder, the disk
# under that and the package's. Made again when .cache/vm is removed: Debian's updates come then.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd -P)
release=$1
deb=$(realpath "$2")
here=$root/tests/vm/image
cache=$root/.cache/vm
disk_mib=1536

sum() { cat "$@" | sha256sum | cut -c1-16; }

ours=$(find "$here" -type f | sort | xargs cat | sum)
base=$cache/base-$release-$ours
disk=$cache/disk-$release-$(echo "$ours $(sum "$deb")" | sum)
if [ -f "$disk/disk.img" ]; then
    echo "$disk"
    exit
fi
mkdir -p "$cache"
# TMPDIR may be small, and closed to the users that mmdebstrap runs as.
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
log=$work/log
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "build.sh: failed: $*" >&2; exit 1; }; }

[ "$(id -u)" = 0 ] || { echo "build.sh: making a disk needs root: sudo make vm" >&2; exit 1; }

# --- the base system ---------------------------------------------------------------------

if [ ! -d "$base" ]; then
    echo "making the base system, Debian $release" >&2
    mkdir "$work/base"
    # A kernel without initramfs-tools and its boot loader: only its files.
    kernel='cd "$1/boot" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && apt-get download \
        "$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/^ *Depends: //p" | head -n 1)"'
    quietly mmdebstrap --mode=root --variant=minbase --skip=output/dev \
        --include=systemd,systemd-sysv,libpam-systemd,dbus,python3,python3-pytest,python3-pytest-timeout \
        --include=kmod,iproute2,procps,nginx-light,nftables \
        --include=uwsgi-emperor,uwsgi-plugin-python3,python3-flask,python3-django \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="$kernel" \
        --customize-hook="copy-in $here/guest /" \
        --customize-hook="chroot \"\$1\" sh /guest/prepare.sh" \
        "$release" "$work/base/rootfs.tar"
    tar --extract --directory="$work" --file="$work/base/rootfs.tar" --wildcards \
        ./boot ./lib/modules ./usr/lib/modules 2>/dev/null || true
    version=$(ls "$work/usr/lib/modules")
    cp "$work/boot/vmlinuz-$version" "$work/base/vmlinuz"

    # The initramfs: busybox, what the disk needs, in the order of their dependencies.
    modules=$work/usr/lib/modules/$version
    tree=$work/initramfs
    mkdir -p "$tree/bin" "$tree/modules" "$tree/dev" "$tree/proc" "$tree/root"
    cp /bin/busybox "$tree/bin/busybox"
    install -m 755 "$here/init" "$tree/init"
    number=0
    for wanted in virtio_pci virtio_blk ext4; do
        line=$(grep "/$wanted\.ko" "$modules/modules.dep") || continue # built in
        # modules.dep names what a module needs with the deepest last.
        for module in $(echo "$line" | tr -d : | tr ' ' '\n' | tac); do
            name=$(basename "$module" .xz)
            [ -z "$(find "$tree/modules" -name "*-$name")" ] || continue
            number=$((number + 1))
            numbered=$tree/modules/$(printf '%02d' $number)-$name
            case $module in
                *.xz) xz --decompress --stdout "$modules/$module" >"$numbered" ;;
                *) cp "$modules/$module" "$numbered" ;;
            esac
        done
    done
    (cd "$tree" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/base/initrd"
    rm -rf "$work/usr" "$work/lib" "$work/boot" "$cache/base-$release-"*
    mv "$work/base" "$base"
fi

# --- the disk ----------------------------------------------------------------------------

echo "installing $(basename "$deb")" >&2
mkdir "$work/root" "$work/disk"
tar --extract --directory="$work/root" --file="$base/rootfs.tar"
cp "$deb" "$work/root/emperord.deb"
# A namespace of mounts and processes: nothing of the installation outlives it.
quietly unshare --mount --pid --fork sh -c '
    mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/run" &&
    chroot "$1" dpkg --install /emperord.deb' sh "$work/root"
rm "$work/root/emperord.deb"
truncate --size="${disk_mib}M" "$work/disk/disk.img"
quietly mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 -d "$work/root" \
    "$work/disk/disk.img"
cp --link "$base/vmlinuz" "$base/initrd" "$work/disk/"
rm -rf "$cache/disk-$release-"*
mv "$work/disk" "$disk"
echo "$disk"
