#!/usr/bin/env bash
# Imports the images of the tests into the running cluster's containerd (there is no registry):
#   the project's own, built by ../image/build.sh from the Containerfile, under the name that the Tasks give it
#   localhost/tools:test, Debian with skopeo and buildah, for the steps that use a login
#   with the argument --resolvers: only Tekton's remote resolvers, for resolvers.sh
#   with the argument --by-digest: only the project's own, under a name with its digest as well
# Prints their names. Takes two seconds without changes, two minutes the first time.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/image/lib.sh
. "$here/../image/lib.sh" # its own container storage; moves to the project's root
# shellcheck source=test/cluster/lib.sh
. "$here/lib.sh"
pid_of containerd >/dev/null || die "the cluster does not run: start it with up.sh"
exec 9>"$CLUSTER_HOME/lock"
flock -w 1800 9 || die "another script holds $CLUSTER_HOME/lock"

bring() { # NAME   from buildah's storage
  local id stamp archive=$CLUSTER_HOME/tmp/image.tar
  stamp=$CLUSTER_HOME/images/$(tr / _ <<<"$1")
  id=$(buildah images --quiet --no-trunc "$1")
  if ! have_image "$1" || [ "$(cat "$stamp" 2>/dev/null)" != "$id" ]; then
    say "importing $1"
    rm -f "$archive"
    quietly buildah push --quiet "$1" "docker-archive:$archive:$1"
    import_image "$archive"
    rm "$archive"
    printf '%s\n' "$id" >"$stamp"
  fi
  printf '%s\n' "$1"
}

make_on_base() { # NAME CONTAINERFILE FOLDER
  quietly buildah build --isolation chroot --layers --pull-never --tag "$1" --build-arg "BASE_IMAGE=$base" \
    --file "$here/manifests/$2.Containerfile" "$3"
}

if [[ ${1:-} == --resolvers ]]; then
  base=$(test/image/base.sh)
  # shellcheck disable=SC2154 # storage is of test/image/lib.sh
  alone "$storage" make_on_base "$RESOLVERS_IMAGE" resolvers "$BIN/tekton"
  bring "$RESOLVERS_IMAGE"
  exit
fi
login_image=$(test/image/build.sh)
bring "$login_image"
if [[ ${1:-} == --by-digest ]]; then
  digest=$(cctr images ls "name==$login_image" | awk 'NR == 2 { print $3 }')
  cctr images tag --force "$login_image" "${login_image%:*}@$digest" >/dev/null
  printf '%s\n' "${login_image%:*}@$digest"
  exit
fi
# base.sh takes the storage's lock as well, so it runs before.
base="$(test/image/base.sh)"
alone "$storage" make_on_base "$TOOLS_IMAGE" tools "$here/manifests"
bring "$TOOLS_IMAGE"
