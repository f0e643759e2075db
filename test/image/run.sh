#!/usr/bin/env bash
# Runs a command in an unpacked image like a pod under Kubernetes' strictest policy: one user, group 0, no capabilities
# and no way to gain any, a read-only root, this machine's network, and only /tmp to write to.
#   run.sh ROOT UID TMP [ENVIRONMENT…] -- COMMAND…
#     TMP          the folder for /tmp, visible from outside
#     ENVIRONMENT  NAME=VALUE
set -euo pipefail
if [[ ${1:-} != --inside ]]; then
  exec unshare --mount --propagation private "$(realpath "$0")" --inside "$@"
fi
root="$2" uid="$3" tmp="$4"
shift 4
environment=()
while [[ $1 != -- ]]; do
  environment+=("$1")
  shift
done
shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for each in hosts resolv.conf; do mount --bind "/etc/$each" "$root/etc/$each"; done
mount --bind "$tmp" "$root/tmp"
mount --rbind /dev "$root/dev"
mount --bind /proc "$root/proc"
exec env --ignore-environment "${environment[@]}" chroot "$root" \
  setpriv --reuid="$uid" --regid=0 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
