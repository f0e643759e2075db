# shellcheck shell=bash
# Shared by the scripts of this folder, on top of script/lib.sh: a separate container storage.
# shellcheck disable=SC2034 # the variables are for the scripts that source this file
script="$(realpath "$0")" started_in="$PWD"
# shellcheck source=script/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"

# A path among a script's arguments: script/lib.sh has moved to the project's root.
absolute() { (cd "$started_in" && realpath --canonicalize-missing "$1"); }

# buildah changes owners, mounts and chroots.
require_root() {
  [[ $EUID -eq 0 ]] || { cd "$started_in" && exec sudo --preserve-env "$script" "$@"; }
}

# Images and layers between builds, separate from those of the user.
storage="$tools/image-storage"
base_image=localhost/quay-keyless-login-test/base

# buildah in that storage.
buildah() {
  CONTAINERS_STORAGE_CONF="$storage/storage.conf" command buildah "$@"
}

# overlay (a rebuild takes 2 s) needs a file system below that can hold it; vfs (20 s) works everywhere, by copying.
make_storage() {
  [[ ! -s $storage/storage.conf ]] || return 0
  mkdir -p "$storage"
  describe_storage overlay
  if ! buildah info >/dev/null 2>&1; then describe_storage vfs; fi
}

describe_storage() {
  printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n' "$1" "$storage/$1" "$storage/$1-run" \
    >"$storage/storage.conf"
}

# Deletes folders to which a package's service may still be writing.
remove() {
  local attempt
  for attempt in 1 2 3; do
    ! rm -rf "$@" || return 0
    sleep "$attempt"
  done
  rm -rf "$@"
}
