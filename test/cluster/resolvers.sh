#!/usr/bin/env bash
# Tekton's remote resolvers (git, bundles, cluster, hub, http) in the cluster, from the same source as its controller.
#
#   resolvers.sh up     starts them and waits until they answer
#   resolvers.sh down   removes them
#
# Pods reach this machine only: a git server and a registry listen on 10.88.64.1. The bundle resolver speaks plain HTTP to
# such an address (go-containerregistry does, to private networks).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/cluster/lib.sh
. "$here/lib.sh"

manifests() {
  tekton_manifests "$(cd "$CLUSTER_HOME/build" && go mod download -json "github.com/tektoncd/pipeline@$TEKTON_VERSION" | jq -r .Dir)"/config/resolvers/*.yaml
}

leads() { # the resolvers have begun to look after requests
  [[ $(kc -n tekton-pipelines-resolvers get leases -o 'jsonpath={range .items[*]}{.spec.holderIdentity}{"\n"}{end}') == *resolvers-* ]]
}

forget() {
  kc -n tekton-pipelines-resolvers delete deployment,lease --all --ignore-not-found >/dev/null
}

case ${1:-} in
  up)
    pid_of kubelet >/dev/null || die "the cluster does not run: start it with up.sh"
    "$here/image.sh" --resolvers >/dev/null
    forget # one that has failed before stays failed
    manifests | kc apply --server-side --force-conflicts -f - >"$LOGS/resolvers-apply.log" 2>&1 ||
      die "the manifests were refused, see $LOGS/resolvers-apply.log"
    kc -n tekton-pipelines-resolvers rollout status deployment --timeout=180s >/dev/null || die "the resolvers did not start"
    wait_for 120 - "the resolvers" leads
    ;;
  down) forget ;;
  *) die "usage: resolvers.sh up | down" ;;
esac
