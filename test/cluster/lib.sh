# shellcheck shell=bash
# Settings and helper functions shared by up.sh, down.sh, image.sh, resolvers.sh
# and spire.sh.
# Sourced, never run. Every setting can be overridden from the environment; all
# state lives below CLUSTER_HOME.

# shellcheck disable=SC2034 # the variables are used by the scripts that source this file
{
  CLUSTER_HOME=${CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/quay-keyless-login/cluster}
  # renovate: datasource=github-releases depName=kubernetes/kubernetes
  K8S_VERSION=${K8S_VERSION:-v1.34.4}       # 1.34 is the last minor whose kubelet takes cgroup v1 by default
  # renovate: datasource=go depName=github.com/tektoncd/pipeline
  TEKTON_VERSION=${TEKTON_VERSION:-v1.14.0}

  API_PORT=${API_PORT:-6443}
  ISSUER=https://localhost:$API_PORT        # "iss" of every service account token
  ETCD_PORT=${ETCD_PORT:-12379}
  ETCD_PEER_PORT=${ETCD_PEER_PORT:-12380}

  NODE_NAME=${NODE_NAME:-node1}
  BRIDGE=${BRIDGE:-qkc0}                    # the pods' bridge; its address is the node's address
  POD_NET=${POD_NET:-10.88.64}              # a /24: pods get .2 and up, the host is .1
  NODE_IP=$POD_NET.1
  SERVICE_NET=${SERVICE_NET:-10.88.65}      # a /24 for cluster IPs (only the API server's, .1, is reachable)
  SERVICE_IP=$SERVICE_NET.1

  BIN=$CLUSTER_HOME/bin
  PKI=$CLUSTER_HOME/pki
  KUBECONFIGS=$CLUSTER_HOME/kubeconfig
  CONF=$CLUSTER_HOME/conf
  LOGS=$CLUSTER_HOME/logs
  PIDS=$CLUSTER_HOME/pids
  ADMIN_KUBECONFIG=$KUBECONFIGS/admin.conf
  CONTAINERD_SOCKET=$CLUSTER_HOME/run/containerd.sock

  BUSYBOX_IMAGE=localhost/busybox:test
  PAUSE_IMAGE=localhost/pause:test
  TOOLS_IMAGE=localhost/tools:test
  RESOLVERS_IMAGE=localhost/tekton/resolvers:$TEKTON_VERSION
}

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'ERROR: %s\n' "$*" >&2; exit 1; }

# --- processes -----------------------------------------------------------
# A pid file holds "PID STARTTIME" so that a reused pid is never mistaken for
# ours (and never killed).

start_time_of() { # PID -> its start time in clock ticks; fails for a zombie
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  awk '$1 == "Z" {exit 1} {print $20}' <<<"${stat##*) }" # what follows "pid (comm) "
}

pid_of() { # NAME -> pid, if that very process still runs
  local pid started
  [ -s "$PIDS/$1" ] || return 1
  read -r pid started <"$PIDS/$1"
  [ "$(start_time_of "$pid")" = "$started" ] || return 1
  printf '%s\n' "$pid"
}

start() { # NAME COMMAND...   (does nothing when it already runs)
  local name=$1 pid
  shift
  if pid_of "$name" >/dev/null; then return 0; fi
  say "starting $name"
  setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(start_time_of "$pid" || echo gone)" >"$PIDS/$name"
}

stop() { # NAME [SECONDS]   TERM, then KILL after SECONDS (default 20)
  local name=$1 left=$(( ${2:-20} * 5 )) pid
  if pid=$(pid_of "$name"); then
    say "stopping $name (pid $pid)"
    kill -TERM "$pid" 2>/dev/null || true
    while pid_of "$name" >/dev/null && [ "$left" -gt 0 ]; do sleep 0.2; left=$((left - 1)); done
    if pid=$(pid_of "$name"); then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$PIDS/$name"
}

# wait_for SECONDS NAME DESCRIPTION COMMAND...
# until COMMAND succeeds; gives up at once when the process NAME is gone ("-": none)
wait_for() {
  local deadline=$((SECONDS + $1)) name=$2 what=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "timed out waiting for $what (logs in $LOGS)"
    [ "$name" = - ] || pid_of "$name" >/dev/null || die "$name ended: $(tail -n 3 "$LOGS/$name.log")"
    sleep 0.5
  done
}

# --- the cluster's tools --------------------------------------------------

kc() { "$BIN/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }
cctr() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

fill() { # TEMPLATE -> stdout, with @NAME@ replaced
  sed -e "s|@CLUSTER_HOME@|$CLUSTER_HOME|g" -e "s|@NODE_IP@|$NODE_IP|g" \
    -e "s|@POD_NET@|$POD_NET|g" -e "s|@BRIDGE@|$BRIDGE|g" \
    -e "s|@PAUSE_IMAGE@|$PAUSE_IMAGE|g" -e "s|@BUSYBOX_IMAGE@|$BUSYBOX_IMAGE|g" \
    -e "s|@MAX_OPEN_FILES@|$(ulimit -Hn)|g" "$1"
}

# The release's own manifests of Tekton, with the image names that exist here.
tekton_manifests() { # FILE...
  local file
  for file in "$@"; do
    printf -- '---\n'
    sed -e "s#ko://github.com/tektoncd/pipeline/cmd/\([a-z]*\)#localhost/tekton/\1:$TEKTON_VERSION#g" \
      -e "s#\"-shell-image\", \"[^\"]*\"#\"-shell-image\", \"$BUSYBOX_IMAGE\"#" \
      -e "s#\"devel\"#\"$TEKTON_VERSION\"#g" "$file"
  done
}

# --- images ---------------------------------------------------------------

# make_image ARCHIVE CONFIG NAME:TAG LAYER...
# Writes an image archive made of LAYERs (tar files, the lowest first). CONFIG
# is the JSON object with Entrypoint, Cmd, Env, User and so on.
make_image() {
  local archive=$1 config=$2 name=$3 work layer id ids=() files=()
  shift 3
  work=$(mktemp -d "$CLUSTER_HOME/tmp/image.XXXXXX")
  for layer in "$@"; do
    id=$(sha256sum "$layer" | cut -d' ' -f1)
    ln -s "$(realpath "$layer")" "$work/$id.tar"
    ids+=("sha256:$id") files+=("$id.tar")
  done
  jq -n --argjson c "$config" '{architecture: "amd64", os: "linux", created: "2026-01-01T00:00:00Z",
    config: $c, rootfs: {type: "layers", diff_ids: $ARGS.positional},
    history: [$ARGS.positional[] | {created: "2026-01-01T00:00:00Z", created_by: "make_image"}]}' \
    --args "${ids[@]}" >"$work/config.json"
  jq -n --arg n "$name" '[{Config: "config.json", RepoTags: [$n], Layers: $ARGS.positional}]' \
    --args "${files[@]}" >"$work/manifest.json"
  tar --dereference -C "$work" -cf "$archive" manifest.json config.json "${files[@]}"
  rm -rf "$work"
}

layer_of() { # FOLDER TAR   a layer with the folder's contents
  tar --sort=name --numeric-owner -C "$1" -cf "$2" .
}

have_image() { [[ $'\n'$(cctr images ls -q)$'\n' == *$'\n'"$1"$'\n'* ]]; }

import_image() { # ARCHIVE
  cctr images import "$1" >/dev/null
}

# image_of FOLDER CONFIG NAME:TAG   an image of one layer, imported
image_of() {
  local tar=$CLUSTER_HOME/tmp/image-of
  layer_of "$1" "$tar.layer"
  make_image "$tar" "$2" "$3" "$tar.layer"
  import_image "$tar"
  rm "$tar" "$tar.layer"
}

# go_image BINARY NAME:TAG   a scratch image with /ko-app/$(basename BINARY)
go_image() {
  local binary=$1 name=$2 base work
  base=$(basename "$binary")
  work=$(mktemp -d "$CLUSTER_HOME/tmp/rootfs.XXXXXX")
  mkdir -p "$work/ko-app" "$work/etc" "$work/tmp"
  chmod 755 "$work" && chmod 1777 "$work/tmp"
  cp "$binary" "$work/ko-app/$base"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$work/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$work/etc/group"
  image_of "$work" "{\"Entrypoint\": [\"/ko-app/$base\"], \"Env\": [\"PATH=/ko-app\"], \"User\": \"0\"}" "$name"
  rm -rf "$work"
}

# --- the node's leftovers ---------------------------------------------------

# Ends and forgets every container (containerd must run).
drop_containers() {
  local id
  for id in $(cctr containers ls -q); do
    cctr tasks delete --force "$id" >/dev/null 2>&1 || true
    cctr containers rm "$id" >/dev/null 2>&1 || true
  done
}

# Unmounts and removes what kubelet and containers leave behind (neither may run).
clean_node_state() {
  local mount cgroup
  while read -r mount; do
    umount "$mount" 2>/dev/null || umount --lazy "$mount" || true
  done < <(awk -v home="$CLUSTER_HOME/" 'index($5, home) == 1 {print $5}' /proc/self/mountinfo | sort -r)
  if grep -qF " $CLUSTER_HOME/kubelet/" /proc/self/mountinfo; then die "can't unmount the volumes below $CLUSTER_HOME/kubelet"; fi
  rm -rf "$CLUSTER_HOME/kubelet/pods" "$CLUSTER_HOME/cni-state" "$CLUSTER_HOME/containerd/state"
  # Version 1 has a hierarchy for each controller, version 2 a single one.
  for cgroup in /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods; do
    [ -d "$cgroup" ] || continue
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

api_nat_rules() { # ACTION (-A, -C, -D)   the two iptables rules that lead pods to the API server
  local chain rc=0
  for chain in "PREROUTING -i $BRIDGE" OUTPUT; do
    # shellcheck disable=SC2086 # a chain name and, in one case, a match
    iptables -t nat "$1" $chain -d "$SERVICE_IP/32" -p tcp --dport 443 \
      -j DNAT --to-destination "127.0.0.1:$API_PORT" 2>/dev/null || rc=1
  done
  return $rc
}

# --- the end ------------------------------------------------------------------

stop_spire() {
  stop spire-oidc
  stop spire-agent
  stop spire-server
}

stop_cluster() { # stops what up.sh started, by its recorded pids; keeps files
  stop_spire
  stop kubelet
  if pid_of containerd >/dev/null; then
    drop_containers
    stop containerd
  fi
  stop kube-scheduler
  stop kube-controller-manager
  stop kube-apiserver 40
  stop etcd
  clean_node_state
  api_nat_rules -D || true
  if ip link show "$BRIDGE" >/dev/null 2>&1; then ip link delete "$BRIDGE"; fi
}
