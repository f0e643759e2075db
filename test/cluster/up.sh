#!/usr/bin/env bash
# Brings up a single-node Kubernetes cluster with Tekton Pipelines on this
# machine; see README.md. Run as root. Idempotent: it builds and
# starts only what is missing.
#
#   up.sh                everything; prints the KUBECONFIG path on stdout
#   up.sh --build-only   only install packages and build the programs
#   up.sh --no-tekton    Kubernetes alone
#   up.sh --fresh        forget the old cluster's objects and keys first
#                        (built programs and imported images stay)
#   up.sh --running      only says whether it runs, by its exit code
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/cluster/lib.sh
. "$here/lib.sh"

build_only=false fresh=false tekton=true running=false
for arg in "$@"; do
  case $arg in
    --build-only) build_only=true ;;
    --fresh) fresh=true ;;
    --no-tekton) tekton=false ;;
    --running) running=true ;;
    *) die "unknown argument $arg" ;;
  esac
done
[ "$(id -u)" = 0 ] || die "must run as root"
case $CLUSTER_HOME in /?*) ;; *) die "CLUSTER_HOME must be an absolute path" ;; esac
[ "${#CLUSTER_HOME}" -le 70 ] || die "CLUSTER_HOME is too long for the socket paths below it"

if $running; then pid_of kubelet >/dev/null && pid_of kube-apiserver >/dev/null && exit 0 || exit 1; fi

mkdir -p "$BIN" "$PKI" "$KUBECONFIGS" "$CONF/cni" "$LOGS" "$PIDS" "$CLUSTER_HOME"/{run,tmp,build,etcd,kubelet,pod-logs,images}
exec 9>"$CLUSTER_HOME/lock"
flock -w 1800 9 || die "another up.sh or down.sh holds $CLUSTER_HOME/lock"

# --- 1. Debian packages ----------------------------------------------------

install_packages() {
  local command missing=()
  local -A package=([containerd]=containerd [ctr]=containerd [runc]=runc [etcd]=etcd-server
    [busybox]=busybox-static [iptables]=iptables [openssl]=openssl [jq]=jq [curl]=curl [ip]=iproute2 [flock]=util-linux)
  for command in "${!package[@]}"; do
    command -v "$command" >/dev/null || missing+=("${package[$command]}")
  done
  [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
  # busybox may be the dynamically linked one, which an empty image can't run
  dpkg -s busybox-static >/dev/null 2>&1 || missing+=(busybox-static)
  [ "${#missing[@]}" -gt 0 ] || return 0
  say "installing ${missing[*]}"
  # Keep the packages' own services from starting: this script runs its own.
  local policy=/usr/sbin/policy-rc.d made=false
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    made=true
  fi
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"; } >"$LOGS/apt.log" 2>&1 ||
    { $made && rm -f $policy; die "apt-get failed, see $LOGS/apt.log"; }
  if $made; then rm -f $policy; fi
}

# --- 2. Kubernetes and Tekton, built from their Go modules ------------------

export GOFLAGS="-mod=mod -buildvcs=false" GOWORK=off
k8s_programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl)
tekton_services=(controller webhook)
tekton_helpers=(entrypoint nop workingdirinit sidecarlogresults)
tekton_others=(resolvers) # resolvers.sh starts it

module_dir() { # MODULE VERSION -> its folder in the module cache (downloaded if necessary)
  (cd "$CLUSTER_HOME/build" && go mod download -json "$1@$2") | jq -r .Dir
}

build_kubernetes() {
  local stamp=$BIN/.kubernetes-$K8S_VERSION dir work module minor flags='' p
  [ ! -e "$stamp" ] || return 0
  command -v go >/dev/null || die "there is no go in PATH"
  say "building Kubernetes $K8S_VERSION (about 10 minutes the first time)"
  dir=$(module_dir k8s.io/kubernetes "$K8S_VERSION")
  work=$CLUSTER_HOME/build/kubernetes
  rm -rf "$work" && mkdir -p "$work/out"
  # Kubernetes' own go.mod replaces its k8s.io/* modules by folders, which a
  # module that merely requires it doesn't inherit: name their releases instead
  # (v1.x.y goes with v0.x.y).
  {
    printf 'module local/kubernetes-build\n\n'
    grep -E '^(go|godebug) ' "$dir/go.mod"
    printf '\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$K8S_VERSION"
    sed -n 's#^[[:space:]]*\(k8s\.io/[a-z0-9-]*\) => \./staging/.*#\1#p' "$dir/go.mod" |
      while read -r module; do printf '\t%s => %s v0.%s\n' "$module" "$module" "${K8S_VERSION#v1.}"; done
    printf ')\n'
  } >"$work/go.mod"
  cp "$dir/go.sum" "$work/go.sum" && chmod u+w "$work/go.sum"
  minor=${K8S_VERSION#v1.} minor=${minor%%.*}
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $p.gitVersion=$K8S_VERSION -X $p.gitMajor=1 -X $p.gitMinor=$minor"
  done
  (cd "$work" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w$flags" -o out/ \
    "${k8s_programs[@]/#/k8s.io/kubernetes/cmd/}") >"$LOGS/build-kubernetes.log" 2>&1 ||
    die "the build of Kubernetes failed, see $LOGS/build-kubernetes.log"
  mv "$work"/out/* "$BIN/"
  touch "$stamp"
}

build_tekton() {
  local stamp=$BIN/.tekton-$TEKTON_VERSION-with-resolvers dir work
  [ ! -e "$stamp" ] || return 0
  say "building Tekton Pipelines $TEKTON_VERSION (a few minutes the first time)"
  dir=$(module_dir github.com/tektoncd/pipeline "$TEKTON_VERSION")
  work=$CLUSTER_HOME/build/tekton
  rm -rf "$work" && mkdir -p "$work/out" "$BIN/tekton"
  {
    printf 'module local/tekton-build\n\n'
    grep -E '^go ' "$dir/go.mod"
    printf '\nrequire github.com/tektoncd/pipeline %s\n\n' "$TEKTON_VERSION"
    grep -E '^replace ' "$dir/go.mod" || true
  } >"$work/go.mod"
  cp "$dir/go.sum" "$work/go.sum" && chmod u+w "$work/go.sum"
  (cd "$work" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o out/ \
    "${tekton_services[@]/#/github.com/tektoncd/pipeline/cmd/}" \
    "${tekton_helpers[@]/#/github.com/tektoncd/pipeline/cmd/}" \
    "${tekton_others[@]/#/github.com/tektoncd/pipeline/cmd/}") >"$LOGS/build-tekton.log" 2>&1 ||
    die "the build of Tekton failed, see $LOGS/build-tekton.log"
  rm -rf "$BIN/tekton" && mv "$work/out" "$BIN/tekton"
  touch "$stamp"
}

# --- 3. keys, certificates, kubeconfigs ------------------------------------

# certificate NAME SUBJECT [SAN]   signed by our CA, EC key
certificate() {
  [ -s "$PKI/$1.crt" ] && return 0
  {
    printf '[req]\ndistinguished_name=dn\n[dn]\n[ext]\nbasicConstraints=critical,CA:FALSE\n'
    printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n'
    if [ -n "${3:-}" ]; then printf 'subjectAltName=%s\n' "$3"; fi
  } >"$PKI/$1.cnf"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config "$PKI/$1.cnf" \
    -subj "$2" -keyout "$PKI/$1.key" -out "$PKI/$1.csr" 2>>"$LOGS/pki.log"
  openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
    -days 3650 -extfile "$PKI/$1.cnf" -extensions ext -out "$PKI/$1.crt" 2>>"$LOGS/pki.log"
  rm "$PKI/$1.csr" "$PKI/$1.cnf"
}

kubeconfig() { # NAME
  local file=$KUBECONFIGS/$1.conf
  local config=("$BIN/kubectl" config --kubeconfig "$file.new")
  [ -s "$file" ] && return 0
  "${config[@]}" set-cluster local --server="https://localhost:$API_PORT" --embed-certs --certificate-authority="$PKI/ca.crt"
  "${config[@]}" set-credentials "$1" --embed-certs --client-certificate="$PKI/$1.crt" --client-key="$PKI/$1.key"
  "${config[@]}" set-context "$1" --cluster=local --user="$1"
  "${config[@]}" use-context "$1"
  mv "$file.new" "$file"
}

make_keys() ( # in a subshell, for the umask
  umask 077
  if [ ! -s "$PKI/ca.crt" ]; then
    say "making keys and certificates"
    printf '[req]\ndistinguished_name=dn\n[dn]\n[ext]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' >"$PKI/ca.cnf"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -config "$PKI/ca.cnf" \
      -extensions ext -subj "/CN=quay-keyless-cluster test CA" -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>>"$LOGS/pki.log"
    rm "$PKI/ca.cnf"
  fi
  # Service account tokens are signed RS256 with this key.
  [ -s "$PKI/sa.key" ] || openssl genrsa -out "$PKI/sa.key" 2048 2>>"$LOGS/pki.log"
  [ -s "$PKI/sa.pub" ] || openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>>"$LOGS/pki.log"
  certificate apiserver "/CN=kube-apiserver" "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$SERVICE_IP,IP:$NODE_IP"
  certificate kubelet-server "/CN=$NODE_NAME" "DNS:localhost,DNS:$NODE_NAME,IP:127.0.0.1,IP:$NODE_IP"
  certificate apiserver-kubelet-client "/CN=kube-apiserver-kubelet-client"
  certificate admin "/O=system:masters/CN=admin"
  certificate kube-controller-manager "/CN=system:kube-controller-manager"
  certificate kube-scheduler "/CN=system:kube-scheduler"
  certificate spire-agent "/CN=spire-agent"
  certificate spire-oidc "/CN=localhost" "DNS:localhost,IP:127.0.0.1"
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME"
  local name
  for name in admin kube-controller-manager kube-scheduler kubelet; do kubeconfig "$name" >>"$LOGS/pki.log"; done
  chmod 755 "$PKI" && chmod 644 "$PKI/ca.crt" "$PKI/sa.pub"
)

# --- 4. the control plane ---------------------------------------------------

start_control_plane() {
  start etcd etcd --name default --data-dir "$CLUSTER_HOME/etcd" \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-cluster "default=http://127.0.0.1:$ETCD_PEER_PORT" --logger zap
  wait_for 60 etcd "etcd" curl -fsS "http://127.0.0.1:$ETCD_PORT/health"

  start kube-apiserver "$BIN/kube-apiserver" \
    --bind-address=127.0.0.1 --secure-port="$API_PORT" --advertise-address="$NODE_IP" \
    --etcd-servers="http://127.0.0.1:$ETCD_PORT" \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --service-account-issuer="$ISSUER" --service-account-jwks-uri="$ISSUER/openid/v1/jwks" \
    --service-account-signing-key-file="$PKI/sa.key" --service-account-key-file="$PKI/sa.pub" \
    --service-cluster-ip-range="$SERVICE_NET.0/24" --enable-aggregator-routing=true \
    --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" --kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --profiling=false
  wait_for 120 kube-apiserver "the API server" curl -fsS --cacert "$PKI/ca.crt" "https://localhost:$API_PORT/readyz"

  start kube-controller-manager "$BIN/kube-controller-manager" \
    --kubeconfig="$KUBECONFIGS/kube-controller-manager.conf" --bind-address=127.0.0.1 --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
    --profiling=false
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$KUBECONFIGS/kube-scheduler.conf" \
    --bind-address=127.0.0.1 --leader-elect=false --profiling=false
  kc apply -f "$here/manifests/cluster.yaml" >/dev/null
}

# --- 5. the node -------------------------------------------------------------

set_up_network() {
  ip link show "$BRIDGE" >/dev/null 2>&1 || ip link add "$BRIDGE" type bridge
  [[ $(ip -o addr show dev "$BRIDGE") == *" inet $NODE_IP/"* ]] || ip addr add "$NODE_IP/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # Pods reach the API server, which listens on 127.0.0.1 only, at the cluster
  # IP of the Service "kubernetes" (there is no kube-proxy).
  sysctl -qw "net.ipv4.conf.$BRIDGE.route_localnet=1"
  api_nat_rules -C || { api_nat_rules -D || true; api_nat_rules -A; } || die "iptables refused the rules for the API server"
}

launch_containerd() {
  start containerd containerd --config "$CONF/containerd.toml"
  wait_for 60 containerd "containerd" cctr version
}

start_containerd() {
  if pid_of containerd >/dev/null; then return 0; fi
  fill "$here/manifests/containerd.toml.in" >"$CONF/containerd.toml"
  fill "$here/manifests/cni.conflist.in" >"$CONF/cni/10-bridge.conflist"
  launch_containerd
  # Containers of a cluster that was killed, not stopped by down.sh:
  # forget them, the kubelet starts their pods anew.
  if [ -n "$(cctr containers ls -q)" ]; then
    stop kubelet
    drop_containers
    stop containerd
    clean_node_state
    launch_containerd
  fi
}

base_images() {
  local work program
  if ! have_image "$BUSYBOX_IMAGE" || ! have_image "$PAUSE_IMAGE"; then
    say "making the busybox and pause images"
    work=$(mktemp -d "$CLUSTER_HOME/tmp/rootfs.XXXXXX")
    chmod 755 "$work"
    mkdir -p "$work"/{bin,etc,root,tmp,usr/bin,var/tmp} && chmod 1777 "$work/tmp" "$work/var/tmp"
    cp "$(dpkg -L busybox-static | sed -n "/\/bin\/busybox\$/p")" "$work/bin/busybox"
    for program in $("$work/bin/busybox" --list); do
      [ -e "$work/bin/$program" ] || ln -s busybox "$work/bin/$program"
    done
    ln -s /bin/env "$work/usr/bin/env"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$work/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$work/etc/group"
    image_of "$work" '{"Cmd": ["/bin/sh"], "Env": ["PATH=/bin:/usr/bin"]}' "$BUSYBOX_IMAGE"
    image_of "$work" '{"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]}' "$PAUSE_IMAGE"
    rm -rf "$work"
  fi
}

start_kubelet() {
  if ! pid_of kubelet >/dev/null; then
    fill "$here/manifests/kubelet.yaml.in" >"$CONF/kubelet.yaml"
    # Leases of controllers that ran before would make their successors wait a minute.
    kc -n tekton-pipelines delete leases --all --ignore-not-found >/dev/null
    start kubelet "$BIN/kubelet" --config="$CONF/kubelet.yaml" --kubeconfig="$KUBECONFIGS/kubelet.conf" \
      --hostname-override="$NODE_NAME" --node-ip="$NODE_IP" --root-dir="$CLUSTER_HOME/kubelet" --cert-dir="$PKI/kubelet"
  fi
  wait_for 120 kubelet "the node" kc get node "$NODE_NAME"
  kc wait --for=condition=Ready --timeout=180s "node/$NODE_NAME" >/dev/null || die "the node is not Ready, see $LOGS/kubelet.log"
}

# --- 6. Tekton Pipelines ------------------------------------------------------

install_tekton() {
  local program dir file yaml
  for program in "${tekton_services[@]}" "${tekton_helpers[@]}"; do
    have_image "localhost/tekton/$program:$TEKTON_VERSION" || {
      say "making the image localhost/tekton/$program:$TEKTON_VERSION"
      go_image "$BIN/tekton/$program" "localhost/tekton/$program:$TEKTON_VERSION"
    }
  done
  if [ "$(kc -n tekton-pipelines get deployment tekton-pipelines-webhook --ignore-not-found \
    -o 'jsonpath={.metadata.labels.version}' 2>/dev/null || true)" != "$TEKTON_VERSION" ]; then
    say "installing Tekton Pipelines $TEKTON_VERSION"
    dir=$(module_dir github.com/tektoncd/pipeline "$TEKTON_VERSION")/config
    yaml=$CONF/tekton.yaml
    # Left out: the autoscaler (needs a metrics server), the cloud events controller
    # and the remote resolvers (resolvers.sh).
    local files=()
    for file in "$dir"/100-namespace/*.yaml "$dir"/300-crds/*.yaml "$dir"/*.yaml; do
      case $(basename "$file") in webhook-hpa.yaml | events.yaml) continue ;; esac
      files+=("$file")
    done
    tekton_manifests "${files[@]}" >"$yaml"
    kc apply --server-side --force-conflicts -f "$yaml" >"$LOGS/tekton-apply.log" 2>&1 ||
      die "the Tekton manifests were refused, see $LOGS/tekton-apply.log"
  fi
  kc -n tekton-pipelines rollout status deployment --timeout=300s >/dev/null || die "Tekton did not start"
  # The webhook fills in its own certificate and rules some seconds after it is Ready.
  wait_for 120 - "the Tekton webhook" webhook_answers
  wait_for 120 - "the Tekton controller" controller_leads
}

webhook_answers() { # it sets defaults, and is registered with the API server
  [ -n "$(kc create --dry-run=server -o 'jsonpath={.spec.timeout}' -f - <<'YAML'
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {generateName: probe-, namespace: default}
spec: {taskSpec: {steps: [{image: none, command: ["true"]}]}}
YAML
  )" ] && [ -n "$(kc get validatingwebhookconfiguration validation.webhook.pipeline.tekton.dev \
    -o 'jsonpath={.webhooks[0].rules}')" ]
}

controller_leads() { # it has begun to look after TaskRuns
  [[ $(kc -n tekton-pipelines get leases -o 'jsonpath={range .items[*]}{.metadata.name}={.spec.holderIdentity}{"\n"}{end}') == \
    *.taskrun.reconciler.00-of-01=tekton-* ]]
}

# ------------------------------------------------------------------------------

install_packages
build_kubernetes
if $tekton; then build_tekton; fi
if $build_only; then exit 0; fi
if $fresh; then
  stop_cluster
  rm -rf "$CLUSTER_HOME/etcd" "$PKI" "$KUBECONFIGS"
  mkdir -p "$CLUSTER_HOME/etcd" "$PKI" "$KUBECONFIGS"
fi
chmod 700 "$CLUSTER_HOME/etcd"
make_keys
set_up_network
start_control_plane
start_containerd
base_images
start_kubelet
if $tekton; then install_tekton; fi
say "ready; add $BIN to PATH for kubectl"
printf '%s\n' "$ADMIN_KUBECONFIG"
