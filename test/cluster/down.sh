#!/usr/bin/env bash
# Stops the cluster that up.sh started: its own processes by their recorded
# pids, its containers, its bridge and its two NAT rules, nothing else.
#
#   down.sh          stop; objects, keys, images and programs are kept, so
#                    the next up.sh brings the same cluster back
#   down.sh --purge  also delete CLUSTER_HOME, built programs included
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/cluster/lib.sh
. "$here/lib.sh"

purge=false
case ${1:-} in
  "") ;;
  --purge) purge=true ;;
  *) die "unknown argument $1" ;;
esac
[ -d "$CLUSTER_HOME/pids" ] || { say "no cluster in $CLUSTER_HOME"; exit 0; }
exec 9>"$CLUSTER_HOME/lock"
flock -w 1800 9 || die "another up.sh or down.sh holds $CLUSTER_HOME/lock"

stop_cluster
if $purge; then
  if grep -qF " $CLUSTER_HOME/" /proc/self/mountinfo; then die "something is still mounted below $CLUSTER_HOME"; fi
  rm -rf "$CLUSTER_HOME"
fi
say "stopped"
