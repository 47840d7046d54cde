#!/bin/bash
# Builds what the lab's machines boot from and prints its directory: root.img (ext4, never written to) and kernels, each
# with its initrd: release/ (Debian 12's own) and backports/ (a later one, unless the mirror has no bookworm-backports).
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

# fetch_kernel WHICH [APT OPTION…]: the newest cloud kernel there, unpacked below $work/WHICH.
fetch_kernel() {
  local which=$1 name
  shift
  mkdir "$work/$which"
  cd "$work/$which"
  # The meta package's dependency is the kernel of today.
  name=$(apt-cache "$@" depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  [[ -n $name ]] || die "apt knows no linux-image-cloud-amd64: run apt-get update"
  # (apt warns that it downloads as root: the directory is ours alone)
  apt-get "$@" -o APT::Sandbox::User=root download --quiet "$name" >&2
  dpkg -x ./*.deb .
  rm ./*.deb
}

# Lists of its own: the host's sources stay as they are.
fetch_backports_kernel() {
  local apt=$work/apt mirror
  # shellcheck disable=SC2016  # apt's own variable
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sort -u | head -n 1)
  mkdir -p "$apt"/{lists,cache/archives}/partial
  echo "deb $mirror bookworm-backports main" >"$apt/sources.list"
  set -- -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root
  apt-get "$@" update --quiet --error-on=any >&2
  fetch_kernel backports "$@"
}

# make_initrd WHICH VERSION
make_initrd() {
  local version=$2 kernel=$work/$1 tree=$work/$1/initrd module
  mkdir -p "$tree"/{bin,proc,sys,dev,lower,rw,root,lib/modules/"$version"}
  cp /bin/busybox "$tree/bin/"
  install -m 755 "$here/guest/initrd-init" "$tree/init"
  echo "${boot_modules[*]}" >"$tree/modules"
  for module in "${boot_modules[@]}"; do
    modprobe --show-depends --dirname "$kernel" --set-version "$version" "$module"
  done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r module; do
    install -D -m 644 "$module" "$tree/${module#"$kernel/"}"
  done
  find "$tree/lib" -name '*.ko.xz' -exec unxz {} +  # busybox loads none that is compressed
  cp "$kernel/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$tree/lib/modules/$version/"
  depmod --basedir "$tree" "$version"
  (cd "$tree" && find . | cpio --quiet --create --format=newc | gzip -1) >"$work/out/$1/initrd"
}

# add_kernel WHICH: into the image and its tree.
add_kernel() {
  local version
  version=$(basename "$work/$1"/lib/modules/*)
  mkdir -p "$work/out/$1"
  depmod --basedir "$work/$1" "$version"
  make_initrd "$1" "$version"
  cp "$work/$1/boot/vmlinuz-$version" "$work/out/$1/vmlinuz"
  cp -r "$work/$1/lib/modules/$version" "$work/tree/lib/modules/"
}

fetch_kernel release &
release_job=$!
(fetch_backports_kernel) &
backports_job=$!
# Documentation and other languages stay out: less to unpack, a third of the image.
mmdebstrap --quiet --variant=custom --include="$(IFS=,; echo "${packages[*]}")" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$work/tree" "$source_file" >&2
wait "$release_job" || die "the kernel could not be fetched"
mkdir -p "$work/tree"/{lib/modules,flocker,data,opt/lab}
add_kernel release
if wait "$backports_job"; then
  add_kernel backports
else
  echo "image: the mirror has no bookworm-backports: no later kernel in this image" >&2
fi

ssh-keygen -A -f "$work/tree" >/dev/null
mkdir -p "$work/tree/root/.ssh"
chmod 700 "$work/tree/root/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$work/tree/root/.ssh/id_ed25519"
cp "$work/tree/root/.ssh/id_ed25519.pub" "$work/tree/root/.ssh/authorized_keys"
printf 'Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n' >"$work/tree/root/.ssh/config"
rm -rf "$work/tree"/var/{cache/apt,lib/apt/lists}

size=$(du -sm "$work/tree" | cut -f1)
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$work/tree" "$work/out/root.img" "$((size * 5 / 4 + 64))M"
chmod -R a+rX "$work/out"
mv "$work/out" "$image"
echo "$image"
