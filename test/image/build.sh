#!/usr/bin/env bash
# Builds the project's image from its Containerfile for this machine, as a user does, with Debian's buildah and without any registry:
# base.sh makes what the Containerfile starts from. (script/image builds what is published.)
#   build.sh [OPTIONS] [ARCHIVE]
#     ARCHIVE            also writes a docker-archive there, for `ctr images import` or `skopeo copy docker-archive:…`
#     --tag NAME:TAG     default: the name in the samples, with the version of package.json
# Prints the image's name. The program is the one that PROGRAM names, else that of script/executable. Without changes it takes a
# second or two.
set -euo pipefail
# shellcheck source=test/image/lib.sh
source "$(dirname "$0")/lib.sh"
require_root "$@"

need_node
[[ -f dist/completions/quay-keyless-login ]] || die "there is no dist/completions yet: run script/build"
version="$(node -p 'JSON.parse(fs.readFileSync("package.json", "utf8")).version')"
image="registry.example.com/tools/quay-keyless-login:$version" archive=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --tag) image="${2:?}"; shift ;;
    -*) sed -n '2,/^set/ { s/^# \{0,1\}//p }' "$script" >&2; exit 2 ;;
    *) archive="$(absolute "$1")" ;;
  esac
  shift
done

# What a user does before `podman build`.
make_program() {
  if [[ -n ${PROGRAM:-} ]]; then
    cp "$PROGRAM" quay-keyless-login
  else
    script/executable quay-keyless-login
  fi
  ./quay-keyless-login licenses >licenses.txt
}

build() {
  make_program
  quietly buildah build --isolation chroot --layers --pull-never --tag "$image" --build-arg "BASE_IMAGE=$base" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || true)" .
  # Left over from an earlier build of this name.
  buildah rmi --prune >/dev/null 2>&1 || true
}

write_archive() {
  rm -f "$archive" # buildah doesn't write over one
  quietly buildah push --quiet "$image" "docker-archive:$archive:$image"
}

base="$(test/image/base.sh)"
alone "$storage" build
[[ -z $archive ]] || write_archive
printf '%s\n' "$image"
