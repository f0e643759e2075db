#!/usr/bin/env bash
# Makes the image that the Containerfile starts from, without a registry: a Debian root of this machine's release, from this
# machine's package sources. It stays in the storage of lib.sh.
#   base.sh            for this machine's architecture; prints the image's name
#   base.sh --layout   for amd64 and arm64, as an OCI layout with those two tags for script/image --base; prints its folder
# No program of another architecture runs: such a root is unpacked and not configured (see foreign_root).
# The first run takes a minute for each, later ones a moment.
set -euo pipefail
# shellcheck source=test/image/lib.sh
source "$(dirname "$0")/lib.sh"
require_root "$@"
need_debian buildah debootstrap

codename="$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")"
log() { printf '%s\n' "$1" >&2; }

# The machine's own sources for its release, as one-line entries without a key's name: `debootstrap` keeps the keys.
sources() {
  apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
    awk -v name="$codename" '$2 == name || index($2, name "-") == 1 { print "deb", $1, $2, $3 }' | sort --unique
}

make_base() { # ARCHITECTURE
  local base="$base_image:$codename-$1"
  ! buildah inspect --type image "$base" >/dev/null 2>&1 || return 0
  local work mirror keep options=()
  keep="$tools/image-base@$codename-$1"
  mkdir -p "$keep"
  if [[ ! -s $keep/root.tar ]]; then
    mirror="$(sources | awk -v name="$codename" '$3 == name && $4 == "main" { print $2; exit }')"
    [[ -n $mirror ]] || die "this machine has no package source for $codename"
    log "Making a root of Debian $codename for $1 (about a minute, once)"
    work="$(mktemp -d "$keep/work.XXXXXX")"
    [[ $1 == "$machine" ]] || options=(--foreign)
    quietly debootstrap --variant=minbase --arch="$1" "${options[@]}" "$codename" "$work/root" "$mirror"
    [[ $1 == "$machine" ]] || foreign_root "$work/root"
    sources >"$work/root/etc/apt/sources.list"
    # As in Debian's own images.
    remove "$work"/root/var/{cache/apt,lib/apt/lists,log,tmp}/* "$work"/root/usr/share/{doc,man,locale}/*
    printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$work/root/etc/dpkg/dpkg.cfg.d/slim"
    tar --directory "$work/root" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$work/root.tar" .
    mv "$work/root.tar" "$keep/root.tar"
    remove "$work"
  fi
  import "$base" "$keep/root.tar" "$1"
}

# `debootstrap --foreign` stops after the packages that it needs itself. This unpacks the others, and does what their scripts
# would: accounts, and dpkg's list.
foreign_root() { # ROOT
  local deb
  for deb in "$1"/var/cache/apt/archives/*.deb; do
    # Not `dpkg --extract`: it puts folders where /bin and /lib link to /usr.
    dpkg --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink --directory "$1"
    dpkg --field "$deb" | sed '/^Package: /a Status: install ok installed'
    echo
  done >"$1/var/lib/dpkg/status"
  cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"
  cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"
  remove "$1/debootstrap" "$1/proc" # here a link
  mkdir -p "$1"/{media,mnt,opt,proc,srv}
}

import() { # NAME ROOT.TAR ARCHITECTURE   an image of one layer
  local container
  container="$(buildah from --arch "$3" scratch)"
  quietly buildah config --arch "$3" --os linux --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  quietly buildah add "$container" "$2" /
  quietly buildah commit --rm "$container" "$1"
}

write_layout() {
  local each
  [[ ! -s $layout/index.json ]] || return 0
  for each in "${architectures[@]}"; do quietly buildah push --format oci "$base_image:$codename-$each" "oci:$layout.new:$each"; done
  mv "$layout.new" "$layout"
}

machine="$(dpkg --print-architecture)" layout="$tools/image-base@$codename-layout" architectures=()
case "${1:-}" in
  "") architectures=("$machine") ;;
  --layout) architectures=(amd64 arm64) ;;
  *) die "takes --layout or nothing, not: $*" ;;
esac
mkdir -p "$tools"
alone "$storage" make_storage
for each in "${architectures[@]}"; do alone "$storage" make_base "$each"; done
if [[ $# -eq 0 ]]; then
  printf '%s\n' "$base_image:$codename-$machine"
else
  alone "$storage" write_layout
  printf '%s\n' "$layout"
fi
