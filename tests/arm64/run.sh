#!/bin/sh
# run.sh PYTHON RELEASE: install the checkout into an arm64 root of this release of Debian, which is kept in build/arm64,
# and compare with this machine.
# Started as the first process of mount and process namespaces of its own.
set -eu
python=$1 release=$2 kept=build/arm64/$2
root=$kept/root source=/usr/src/collabd
# That of a Raspberry Pi 3 and Zero 2 W: what needs a newer one ends with an illegal instruction here too.
export QEMU_CPU=cortex-a53

say() { printf 'ok    %s (%d s)\n' "$1" $(($(date +%s) - since)); }
failed() { tail -n 20 "$2"; echo "FAIL  $1: see $2"; exit 1; }
# In the background, since a shell heeds no signal while it waits for what it runs itself; its end ends all.
run() { "$@" & wait $!; }
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU=$QEMU_CPU \
    ${https_proxy:+https_proxy="$https_proxy"} "$@"; }

emulate() {
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    entry=/proc/sys/fs/binfmt_misc/collabd-arm64
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ ! -e $entry ] || echo -1 >$entry
    # F: the kernel opens the emulator now, so that it need not lie inside the root.
    printf %s ":${entry##*/}:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >/proc/sys/fs/binfmt_misc/register
    trap 'echo -1 >$entry' EXIT
    trap 'exit 130' HUP INT TERM
}

make_root() {
    rm -rf "$root.new"
    run debootstrap --arch=arm64 --variant=minbase --include=ca-certificates,make,python3,python3-venv,systemd \
        "$release" "$root.new" >$kept/debootstrap.log 2>&1 || failed "debootstrap" $kept/debootstrap.log
    mv "$root.new" "$root"
}

mount_all() {
    mount -t proc proc "$root/proc"
    # Not this machine's: its processors are others, and ONNX Runtime (from 1.28 on) crashes when it reads of them.
    mount -t tmpfs tmpfs "$root/sys"
    mkdir -p "$root/sys/devices/system/cpu"
    for file in possible present; do cat /sys/devices/system/cpu/$file >"$root/sys/devices/system/cpu/$file"; done
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    # What this machine needs to reach a package index.
    for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do mount --bind "$file" "$root$file"; done
    # Only build/ is written to, and is not this machine's.
    mkdir -p "$root$source" build $kept/build
    mount --bind . "$root$source"
    mount -o remount,bind,ro "$root$source"
    mount --bind $kept/build "$root$source/build"
}

for tool in debootstrap qemu-aarch64-static ip; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt install debootstrap qemu-user-static iproute2"; exit 1; }
done
mkdir -p $kept
exec 9>$kept/lock
flock --nonblock 9 || { echo "another make test-arm64 runs in this checkout"; exit 1; }
mount -t proc proc /proc
emulate

since=$(date +%s)
[ -d "$root" ] || make_root
mount_all
say "Debian $(cat $root/etc/debian_version) root, $(inside uname -m), $QEMU_CPU by $(qemu-aarch64-static --version | sed 's/ version//; s/ (.*//; q')"

since=$(date +%s)
run inside make --silent --directory=$source install ROLE=both >$kept/install.log 2>&1 || failed "make install" $kept/install.log
say "make install ROLE=both"

# Without a network, and with every port free.
run unshare --net "$python" -m tests.arm64 "$root" "$source"
