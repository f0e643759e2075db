#!/usr/bin/env bash
# SPIRE beside the cluster: server, agent and OIDC discovery provider as
# processes of this machine. Pods mount the folder of the agent's socket by
# hostPath (where a real cluster would use the SPIFFE CSI driver); the agent
# finds out from the kubelet which pod asks (k8s workload attestor).
#
#   spire.sh up                starts it; prints the socket's folder
#   spire.sh entry NAMESPACE SERVICEACCOUNT [TTL_SECONDS]
#                              registers an identity for those pods; prints it
#   spire.sh down              stops the three (down.sh does too); no state is kept
#
# JWT-SVIDs: RS256, issuer https://localhost:18443, whose discovery document and
# keys are served there with a certificate of the cluster's CA.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/cluster/lib.sh
. "$here/lib.sh"

TRUST_DOMAIN=${TRUST_DOMAIN:-test.example}
SPIRE_PORT=${SPIRE_PORT:-18081}
SPIRE_OIDC_PORT=${SPIRE_OIDC_PORT:-18443}
SPIRE_ISSUER=https://localhost:$SPIRE_OIDC_PORT
spire=$CLUSTER_HOME/spire

spire_conf() {
  fill "$here/manifests/spire/$1.conf.in" | sed -e "s|@TRUST_DOMAIN@|$TRUST_DOMAIN|g" \
    -e "s|@SPIRE_PORT@|$SPIRE_PORT|g" -e "s|@SPIRE_OIDC_PORT@|$SPIRE_OIDC_PORT|g" \
    -e "s|@SPIRE_ISSUER@|$SPIRE_ISSUER|g" >"$CONF/spire-$1.conf"
}
server() { "$(cat "$spire/bin")/spire-server" "$@" -socketPath "$spire/server.sock"; }

case ${1:-} in
  up)
    # On the PATH, or where need_spire of script/lib.sh puts it.
    # renovate: datasource=go depName=github.com/spiffe/spire
    program=$(command -v spire-server || echo "${XDG_CACHE_HOME:-$HOME/.cache}/quay-keyless-login/spire@v1.13.3/spire-server")
    bin=$(dirname "$(realpath "$program")")
    for program in spire-server spire-agent oidc-discovery-provider; do
      [ -x "$bin/$program" ] || die "no $program in $bin"
    done
    pid_of kubelet >/dev/null || die "the cluster does not run: start it with up.sh"
    exec 9>"$CLUSTER_HOME/lock"
    flock -w 600 9 || die "another script holds $CLUSTER_HOME/lock"
    if ! { pid_of spire-server && pid_of spire-agent && pid_of spire-oidc; } >/dev/null; then
      stop_spire
      rm -rf "$spire" && mkdir -p "$spire"/data/{server,agent} "$spire/socket"
      printf '%s\n' "$bin" >"$spire/bin"
      spire_conf server; spire_conf agent; spire_conf oidc
      start spire-server "$bin/spire-server" run -config "$CONF/spire-server.conf"
      wait_for 60 spire-server "SPIRE's server" server healthcheck
      token=$(server token generate -spiffeID "spiffe://$TRUST_DOMAIN/node" -output json | jq -r .value)
      start spire-agent "$bin/spire-agent" run -config "$CONF/spire-agent.conf" -joinToken "$token"
      start spire-oidc "$bin/oidc-discovery-provider" -config "$CONF/spire-oidc.conf"
      wait_for 60 spire-agent "SPIRE's agent" "$bin/spire-agent" healthcheck -socketPath "$spire/socket/spire-agent.sock"
      wait_for 60 spire-oidc "SPIRE's discovery document" curl -fsS --cacert "$PKI/ca.crt" "$SPIRE_ISSUER/.well-known/openid-configuration"
    fi
    printf '%s\n' "$spire/socket"
    ;;
  entry)
    id=spiffe://$TRUST_DOMAIN/ns/${2:?namespace}/sa/${3:?service account}
    # It may be there from before, for a namespace of the same name.
    server entry show -spiffeID "$id" | grep -qxF "SPIFFE ID        : $id" || server entry create -parentID "spiffe://$TRUST_DOMAIN/node" -spiffeID "$id" \
      -selector "k8s:ns:$2" -selector "k8s:sa:$3" -jwtSVIDTTL "${4:-300}" >/dev/null
    printf '%s\n' "$id"
    ;;
  down)
    stop_spire
    ;;
  *) die "usage: spire.sh up | entry NAMESPACE SERVICEACCOUNT [TTL_SECONDS] | down" ;;
esac
