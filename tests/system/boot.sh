#!/bin/sh
# boot.sh WORK CHECKOUT: become the init of a machine whose root is this one's under a throw-away overlay.
# Started by box.py as the first process of new mount, PID, UTS, IPC, network and cgroup namespaces.
set -eu
work=$1 checkout=$2 root=$1/root

mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/scratch" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" "$root"
mount -t proc proc "$root/proc"
# Read-only, so that no udev looks after the real machine's devices.
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for directory in run tmp var/tmp; do
    mount -t tmpfs -o mode=1777 tmpfs "$root/$directory"
done
mkdir "$root/run/checkout"
mount --bind "$checkout" "$root/run/checkout"
mount -o remount,bind,ro "$root/run/checkout"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

: >"$root/etc/machine-id"
cd "$root"
mkdir run/outside
# Not chroot: the kernel makes no user namespace for one that lives in a chroot.
pivot_root . run/outside
umount --lazy /run/outside
exec env -i container=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target
