#!/usr/bin/env bash
# Unpacks an image of build.sh.
#   open.sh IMAGE             prints a name for --close, the folder of its root, and its configuration (OCI, JSON)
#   open.sh --close NAME
set -euo pipefail
# shellcheck source=test/image/lib.sh
source "$(dirname "$0")/lib.sh"
require_root "$@"
need_debian jq

if [[ $1 == --close ]]; then
  buildah rm "$2" >/dev/null
else
  container="$(buildah from --pull-never "$1")"
  folder="$(buildah mount "$container")"
  # What every runtime gives a container with a read-only root.
  touch "$folder/etc/hosts" "$folder/etc/resolv.conf"
  printf '%s\n' "$container" "$folder"
  buildah inspect --type image "$1" | jq --compact-output .OCIv1.config
fi
