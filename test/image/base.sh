#!/usr/bin/env bash
# Makes the images that the Containerfile takes from a registry, without one: a Debian root of this machine's release, from
# this machine's package sources, and an image with the project's Node. Both stay in the storage of lib.sh.
#   base.sh           prints the names of the two images, on two lines
# The first run takes a minute, later ones a moment.
set -euo pipefail
# shellcheck source=test/image/lib.sh
source "$(dirname "$0")/lib.sh"
require_root "$@"
[[ -x node_modules/node/bin/node ]] || need_node # even if other packages are out of date
need_debian buildah debootstrap

codename="$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")"
base="$base_image:$codename"
node="$node_image:$(node --version)"
log() { printf '%s\n' "$1" >&2; }

# The machine's own sources for its release, as one-line entries without a key's name: `debootstrap` keeps the keys.
sources() {
  apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
    awk -v name="$codename" '$2 == name || index($2, name "-") == 1 { print "deb", $1, $2, $3 }' | sort --unique
}

make_base() {
  ! buildah inspect --type image "$base" >/dev/null 2>&1 || return 0
  local work mirror keep
  keep="$tools/image-base@$codename"
  mkdir -p "$keep"
  if [[ ! -s $keep/root.tar ]]; then
    mirror="$(sources | awk -v name="$codename" '$3 == name && $4 == "main" { print $2; exit }')"
    [[ -n $mirror ]] || die "this machine has no package source for $codename"
    log "Making a root of Debian $codename (about a minute, once)"
    work="$(mktemp -d "$keep/work.XXXXXX")"
    quietly debootstrap --variant=minbase "$codename" "$work/root" "$mirror"
    sources >"$work/root/etc/apt/sources.list"
    # As in Debian's own images.
    remove "$work"/root/var/{cache/apt,lib/apt/lists,log,tmp}/* "$work"/root/usr/share/{doc,man,locale}/*
    printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$work/root/etc/dpkg/dpkg.cfg.d/slim"
    tar --directory "$work/root" --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -cf "$work/root.tar" .
    mv "$work/root.tar" "$keep/root.tar"
    remove "$work"
  fi
  import "$base" "$keep/root.tar" /
}

make_node() {
  buildah inspect --type image "$node" >/dev/null 2>&1 || import "$node" node_modules/node/bin/node /usr/local/bin/
}

# import NAME SOURCE TARGET : an image of one layer.
import() {
  local container
  container="$(buildah from scratch)"
  quietly buildah add "$container" "$2" "$3"
  quietly buildah commit --rm "$container" "$1"
}

mkdir -p "$tools"
alone "$storage" make_storage
alone "$storage" make_base
alone "$storage" make_node
printf '%s\n' "$base" "$node"
