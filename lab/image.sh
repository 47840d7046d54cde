#!/bin/bash
# Builds what the lab's machines boot from and prints its directory: vmlinuz, initrd, root.img (ext4, never written to).
#
#   lab/image.sh            builds it unless it is there
#   lab/image.sh --find     only prints it; exit 1 when it has not been built
#
# It lies in $FLOCKER_LAB_CACHE (default: flocker-lab below $XDG_CACHE_HOME, or /var/cache for root), under the hash of
# this script and what it reads. Building needs root (mmdebstrap) and a Debian mirror, running machines neither.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
if ((EUID == 0)); then cache=/var/cache; else cache=$HOME/.cache; fi
cache=${FLOCKER_LAB_CACHE:-${XDG_CACHE_HOME:-$cache}/flocker-lab}

# In the initrd: what brings up the root disk, the lab's channel, and what init would have to load later anyway.
boot_modules=(virtio_pci virtio_blk virtio_net virtio_console virtio_rng ext4 overlay fuse loop sd_mod)

die() {
  echo "image: $*" >&2
  exit 1
}

hash=$(cd "$here" && cat image.sh guest/packages.txt guest/initrd-init | sha256sum | cut -c1-16)
image=$cache/image-$hash
if [[ -e $image/root.img ]]; then
  echo "$image"
  exit 0
fi
[[ ${1-} != --find ]] || exit 1
((EUID == 0)) || die "there is no image yet, and building it needs root: sudo scripts/lab image"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9  # two builds at once: the second finds the first one's result
if [[ -e $image/root.img ]]; then
  echo "$image"
  exit 0
fi
work=$(mktemp -d "$cache/build-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"

# The host's own Debian source, so that its mirror is used.
source_file=/etc/apt/sources.list.d/debian.sources
[[ -e $source_file ]] || source_file=/etc/apt/sources.list
mapfile -t packages < <(grep -v -e '^#' -e '^$' "$here/guest/packages.txt")

fetch_kernel() {
  local name
  mkdir "$work/kernel"
  cd "$work/kernel"
  # The meta package's dependency is the kernel of today.
  name=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  [[ -n $name ]] || die "apt knows no linux-image-cloud-amd64: run apt-get update"
  apt-get download --quiet "$name" >&2
  dpkg -x ./*.deb .
  rm ./*.deb
}

make_initrd() {
  local version=$1 tree=$work/initrd module
  mkdir -p "$tree"/{bin,proc,sys,dev,lower,rw,root,lib/modules/"$version"}
  cp /bin/busybox "$tree/bin/"
  install -m 755 "$here/guest/initrd-init" "$tree/init"
  echo "${boot_modules[*]}" >"$tree/modules"
  for module in "${boot_modules[@]}"; do
    modprobe --show-depends --dirname "$work/kernel" --set-version "$version" "$module"
  done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r module; do
    install -D -m 644 "$module" "$tree/${module#"$work/kernel/"}"
  done
  cp "$work/kernel/lib/modules/$version"/modules.{builtin,order} "$tree/lib/modules/$version/"
  depmod --basedir "$tree" "$version"
  (cd "$tree" && find . | cpio --quiet --create --format=newc | gzip -1) >"$work/initrd.gz"
}

fetch_kernel &
kernel_job=$!
# Documentation and other languages stay out: less to unpack, a third of the image.
mmdebstrap --quiet --variant=custom --include="$(IFS=,; echo "${packages[*]}")" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$work/tree" "$source_file" >&2
wait "$kernel_job" || die "the kernel could not be fetched"
version=$(basename "$work"/kernel/lib/modules/*)
depmod --basedir "$work/kernel" "$version"
make_initrd "$version"

mkdir -p "$work/tree"/{lib/modules,flocker,data,opt/lab}
cp -r "$work/kernel/lib/modules/$version" "$work/tree/lib/modules/"
ssh-keygen -A -f "$work/tree" >/dev/null
mkdir -p "$work/tree/root/.ssh"
chmod 700 "$work/tree/root/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$work/tree/root/.ssh/id_ed25519"
cp "$work/tree/root/.ssh/id_ed25519.pub" "$work/tree/root/.ssh/authorized_keys"
printf 'Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n' >"$work/tree/root/.ssh/config"
rm -rf "$work/tree"/var/{cache/apt,lib/apt/lists}

mkdir "$work/out"
cp "$work/kernel/boot/vmlinuz-$version" "$work/out/vmlinuz"
mv "$work/initrd.gz" "$work/out/initrd"
size=$(du -sm "$work/tree" | cut -f1)
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$work/tree" "$work/out/root.img" "$((size * 5 / 4 + 64))M"
chmod -R a+rX "$work/out"
mv "$work/out" "$image"
echo "$image"
