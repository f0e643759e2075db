#!/usr/bin/env bash
# Imports the images of the tests into the running cluster's containerd (there is no registry):
#   the project's own, built by ../image/build.sh from Containerfile, dist/cli and dist/helper, under the name that the Tasks give it
#   localhost/tools:test, Debian with skopeo and buildah, for the steps that use a login
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

make_tools() { # BASE
  quietly buildah build --isolation chroot --layers --pull-never --tag "$TOOLS_IMAGE" --build-arg "BASE_IMAGE=$1" \
    --file "$here/manifests/tools.Containerfile" "$here/manifests"
}

login_image=$(test/image/build.sh)
bring "$login_image"
# base.sh takes the storage's lock as well, so it runs before.
read -r base < <(test/image/base.sh)
# shellcheck disable=SC2154 # storage is of test/image/lib.sh
alone "$storage" make_tools "$base"
bring "$TOOLS_IMAGE"
