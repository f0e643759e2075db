#!/usr/bin/env bash
# Builds the project's image from its Containerfile, without any registry: base.sh makes what the Containerfile starts from.
#   build.sh [OPTIONS] [ARCHIVE]
#     ARCHIVE            also writes a docker-archive there, for `ctr images import` or `skopeo copy docker-archive:…`
#     --tag NAME:TAG     default: the name in the samples, with the version of package.json
#     --context FOLDER   folder that the Containerfile copies from; default: the project
# Prints the image's name. Needs dist/cli and dist/helper (script/build). Without changes it takes a second or two.
set -euo pipefail
# shellcheck source=test/image/lib.sh
source "$(dirname "$0")/lib.sh"
require_root "$@"

[[ -x node_modules/node/bin/node ]] || need_node # even if other packages are out of date
version="$(node -p 'JSON.parse(fs.readFileSync("package.json", "utf8")).version')"
image="registry.example.com/tools/quay-keyless-login:$version" context="$root" archive=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --tag) image="${2:?}"; shift ;;
    --context) context="$(absolute "${2:?}")"; shift ;;
    -*) sed -n '2,/^set/ { s/^# \{0,1\}//p }' "$script" >&2; exit 2 ;;
    *) archive="$(absolute "$1")" ;;
  esac
  shift
done
for each in cli helper; do
  [[ -f $context/dist/$each/index.js ]] || die "there is no dist/$each yet: run script/build"
done

names="$(test/image/base.sh)"
{ read -r base; read -r node; } <<<"$names"

build() {
  quietly buildah build --isolation chroot --layers --pull-never --tag "$image" --build-arg "BASE_IMAGE=$base" \
    --build-arg "NODE_IMAGE=$node" --build-arg "VERSION=$version" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || true)" --file Containerfile "$context"
  # Left over from a stage that is only copied from, and from an earlier build of this name.
  local left=()
  mapfile -t left < <(buildah containers --quiet --filter "ancestor=$node")
  [[ ${#left[@]} -eq 0 ]] || buildah rm "${left[@]}" >/dev/null
  buildah rmi --prune >/dev/null 2>&1 || true
}

write_archive() {
  rm -f "$archive" # buildah doesn't write over one
  quietly buildah push --quiet "$image" "docker-archive:$archive:$image"
}

alone "$storage" build
[[ -z $archive ]] || write_archive
printf '%s\n' "$image"
