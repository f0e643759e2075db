#!/usr/bin/env bash
# Builds an image on top of those of build.sh, without any registry.
#   derived.sh CONTAINERFILE   its first FROM is replaced by the root of base.sh
# Prints the image's name.
set -euo pipefail
# shellcheck source=test/image/lib.sh
source "$(dirname "$0")/lib.sh"
require_root "$@"

containerfile="$(absolute "$1")" image=localhost/quay-keyless-login-test/derived
base="$(test/image/base.sh)"
build() {
  sed "s|^FROM .*|FROM $base|" "$containerfile" |
    quietly buildah build --isolation chroot --layers --pull-never --tag "$image" --file - "$(dirname "$containerfile")"
  buildah rmi --prune >/dev/null 2>&1 || true
}
alone "$storage" build
printf '%s\n' "$image"
