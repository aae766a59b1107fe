#!/bin/bash
# run.sh RELEASE COMMAND...: run a command in a copy of the checkout, on a machine with this release of Debian. Its root is
# kept in build/debian. SHARE: folders of this machine that pip is configured to use, seen there at the same paths.
# Started as the first process of mount and process namespaces of its own.
set -euo pipefail
release=$1 kept=build/debian/$1
shift
root=$kept/root source=/srv/checkout

# What pip needs to reach a package index from here.
environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
while IFS= read -r -d '' each; do
    [[ ! $each =~ ^(PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE|[a-z]+_proxy|SYSTEM_TESTS|PYTEST_ADDOPTS) ]] || environment+=("$each")
done < <(env --null)

say() { printf 'ok    %s (%d s)\n' "$1" $((SECONDS - since)); since=$SECONDS; }
failed() { tail -n 20 "$kept/$1.log"; echo "FAIL  $1: see $kept/$1.log"; exit 1; }
inside() { chroot "$root" env --ignore-environment "${environment[@]}" "$@"; }

show() {  # PATH: this machine's file or folder, there too
    if [[ -d $1 ]]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}"; touch "$root$1"; fi
    mount --bind "$1" "$root$1"
}

mount_all() {
    # pivot_root wants a mount; what is mounted on it from here on goes with it.
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    for each in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/xdg/pip ${SHARE:-}; do
        [[ ! -e $each ]] || show "$each"
    done
}

# What the checkout tracks, and what is new in it. What was built there before stays.
copy_checkout() {
    rm -rf "$root$source.new"
    mkdir -p "$root$source" "$root$source.new"
    git ls-files -z --cached --others --exclude-standard --deduplicate |
        while IFS= read -r -d '' each; do [[ ! -e $each ]] || printf '%s\0' "$each"; done |
        tar --create --null --files-from=- | tar --extract --directory="$root$source.new" --no-same-owner
    for each in build .venv; do
        [[ ! -e $root$source/$each ]] || mv "$root$source/$each" "$root$source.new"
    done
    rm -rf "${root:?}$source"
    mv "$root$source.new" "$root$source"
}

for tool in debootstrap git tar; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt install debootstrap git tar"; exit 1; }
done
mkdir -p "$kept"
exec 9>"$kept/lock"
flock --nonblock 9 || { echo "another make test-debian RELEASE=$release runs in this checkout"; exit 1; }
mount -t proc proc /proc

since=$SECONDS
if [[ ! -d $root ]]; then
    rm -rf "$root.new"
    debootstrap --variant=minbase --include=ca-certificates "$release" "$root.new" >"$kept/debootstrap.log" 2>&1 || failed debootstrap
    # Here nobody starts services when they are installed.
    printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d"
    chmod 755 "$root.new/usr/sbin/policy-rc.d"
    mv "$root.new" "$root"
fi
copy_checkout
mount_all
say "a root of Debian $(cat "$root/etc/debian_version"), and the checkout in it"
inside "$source/.ci/programs" >"$kept/programs.log" 2>&1 || failed programs
say "$(inside python3 --version), $(inside systemctl --version | sed 's/ (.*//; q'), and the programs that the tests need"

mkdir -p "$root/run/outside"
cd "$root"
# Not chroot: the kernel makes no user namespace for one that lives in a chroot, and the tests boot machines.
pivot_root . run/outside
umount --lazy /run/outside
cd "$source"
# Not exec: the first process of a namespace is to reap what loses its parent, as a shell does and make does not.
env --ignore-environment "${environment[@]}" "$@"
