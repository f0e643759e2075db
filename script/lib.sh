# shellcheck shell=bash
# What the scripts of this folder share. Sourcing it changes to the project's root and puts the project's own
# tools, Node 24 among them, first on PATH. Every `need_…` function installs one thing if it is missing, and
# is silent, quick and offline if it is installed.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root" || exit
# Programs from unpack_debian. The tests look there too (test/support/runner.ts).
use_unpacked() {
  [[ ! -d $root/.cache/debian/bin ]] || export PATH="$root/.cache/debian/bin:$PATH" TOOLS_FIRST="$root/.cache/debian/bin"
}
use_unpacked
export PATH="$root/node_modules/.bin:$PATH"

# Many programs colour their output because CI is set, terminal or not.
[[ -t 1 ]] || export NO_COLOR=1

# Tools built for this project, one folder per version. All clones of one user share them.
tools="${XDG_CACHE_HOME:-$HOME/.cache}/quay-keyless-login"
# Scratch files that must be inside the project. Git ignores them.
scratch="$root/.cache"
mkdir -p "$tools" "$scratch"

die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# For what only you can do: one line that says what to type, and the exit code of wrong use.
to_type() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 2
}

# Runs a command without its output. Shows all of it and stops if the command fails.
quietly() {
  local log status=0
  log="$(mktemp)"
  with_heartbeat into "$log" "$@" || status=$?
  if ((status)); then cat "$log" >&2; fi
  rm -f "$log"
  ((status == 0)) || die "failed: $*"
}

into() { "${@:2}" >"$1" 2>&1; }

# Runs a command, with a sign of life each minute.
with_heartbeat() {
  local status=0 beat
  heartbeat &
  beat=$!
  "$@" || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  return "$status"
}

heartbeat() {
  local minutes=0 never
  exec {never}<> <(:)
  while :; do
    read -rt 60 -u "$never" || true # no sleep, which would outlive us
    minutes=$((minutes + 1))
    echo "  … $minutes min" >&2
  done
}

# Runs a command while no other process runs one under the same name. A name is a path.
alone() {
  local name="$1"
  shift
  if command -v flock >/dev/null; then
    (
      flock 9
      "$@" 9>&-
    ) 9>"$name.lock"
  else
    "$@"
  fi
}

# Asks for no password: an unattended run must not wait for input.
can_be_root() { [[ $EUID -eq 0 ]] || sudo --non-interactive true 2>/dev/null; }

as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# need_debian PACKAGE… : a package need not be installed if there is a command of its name.
need_debian() {
  local package missing=()
  for package in "$@"; do
    command -v "$package" >/dev/null || dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if ! command -v apt-get >/dev/null; then
    to_type "needs these programs, please install them: ${missing[*]}"
  elif can_be_root; then
    echo "Installing Debian packages: ${missing[*]}"
    alone "$tools/apt" install_debian "${missing[@]}"
  elif works_unpacked "${missing[@]}"; then
    echo "Unpacking Debian packages into .cache/debian: ${missing[*]}"
    alone "$scratch/debian" unpack_debian "${missing[@]}"
    use_unpacked
  else
    to_type "needs root once, type: sudo apt-get install --yes ${missing[*]}"
  fi
}

install_debian() {
  quietly update_debian
  # On a machine that has just started, another apt holds its lock for minutes.
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get --option DPkg::Lock::Timeout=600 install --yes "$@"
  # Debian starts a registry on port 5000. The project starts its own when it needs one.
  if [[ " $* " == *" docker-registry "* && -d /run/systemd/system ]]; then
    quietly as_root systemctl disable --now docker-registry
  fi
}

# apt has no option to wait for the lock of its lists.
update_debian() {
  local tries=0 said
  until said="$(as_root env LC_ALL=C apt-get update 2>&1)"; do
    if [[ $said != *"get lock"* ]] || ((++tries > 60)); then die "apt-get update: $said"; fi
    sleep 10
  done
}

# Programs that need only their own files and libraries, in any folder.
works_unpacked() {
  local package
  for package in "$@"; do
    [[ $package == @(curl|docker-registry|docker.io|jq|openssl|shellcheck|skopeo) ]] || return
  done
}

# For users who can't install: unpacks the packages, and the missing ones that they depend on, without running their scripts.
unpack_debian() {
  local place="$scratch/debian" debs package packages
  local apt=(apt-get --option "Dir::State=$place/state" --option "Dir::State::status=/var/lib/dpkg/status"
    --option "Dir::Cache=$place/cache")
  mkdir -p "$place"/{bin,root,state/lists/partial,cache/archives/partial}
  quietly "${apt[@]}" update
  debs="$(mktemp -d "$place/debs.XXXXXX")"
  mapfile -t packages < <("${apt[@]}" --simulate install "$@" | sed -n 's/^Inst \([^ ]*\).*/\1/p')
  (cd "$debs" && quietly "${apt[@]}" download "${packages[@]}")
  for package in "$debs"/*.deb; do dpkg -x "$package" "$place/root"; done
  rm -rf "$debs"
  wrap_unpacked "$place"
}

# Wraps a program of an unpacked package with the libraries beside it. skopeo also gets the policy.json beside it.
wrap_unpacked() {
  local program name options
  for program in "$1"/root/usr/bin/*; do
    name="${program##*/}" options=""
    [[ -x $program && ! -e $1/bin/$name ]] || continue
    if [[ $name == skopeo ]]; then options="--policy=$(printf %q "$1/root/etc/containers/policy.json")"; fi
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q %s "$@"\n' "$1/root/usr/lib/$(uname -m)-linux-gnu" "$program" "$options" \
      >"$1/bin/$name"
    chmod +x "$1/bin/$name"
  done
}

# need_node : installs node_modules as package-lock.json says, Node 24 included.
need_node() {
  node_is_ready && return
  command -v npm >/dev/null || need_debian npm
  alone "$scratch/npm" install_node
}

node_is_ready() {
  [[ -x node_modules/.bin/node && -f node_modules/.installed ]] &&
    [[ $(<node_modules/.installed) == "$(git hash-object package-lock.json)" ]]
}

install_node() {
  node_is_ready && return # another process did it during the wait
  if ! node_modules/.bin/node script/installed.ts 2>/dev/null; then
    echo "Installing npm packages"
    # Not `npm ci`: it refuses a lock without the packages of other platforms, which a registry may not have
    # (npm/cli issue 9846). This one installs the same versions, checked by the same hashes.
    # npm's cache of a package may be older than the lock: then npm has to ask again.
    npm install --no-save --prefer-offline >/dev/null 2>&1 || quietly npm install --no-save --prefer-online
    node_modules/.bin/node script/installed.ts || die "node_modules is not what package-lock.json says"
  fi
  git hash-object package-lock.json >node_modules/.installed
}

# need_go_tool actionlint|toxiproxy|cosign|cosign2|crane|oras|helm|ko|goreleaser|buildx : tests find it by its path (test/quay-stand-in/built.ts), since
# some programs share a name with another, such as server.
need_go_tool() {
  local module program="$1" takes="up to a minute"
  case "$1" in
    actionlint) module=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 ;;
    toxiproxy) module=github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0 program=server ;;
    cosign) module=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 takes="about four minutes" ;;
    cosign2) module=github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5 program=cosign takes="about four minutes" ;;
    crane) module=github.com/google/go-containerregistry/cmd/crane@v0.22.1 ;;
    oras) module=oras.land/oras/cmd/oras@v1.3.6 ;;
    helm) module=helm.sh/helm/v4/cmd/helm@v4.3.1 takes="about two minutes" ;;
    ko) module=github.com/google/ko@v0.18.1 ;;
    goreleaser) module=github.com/goreleaser/goreleaser/v2@v2.15.1 takes="about three minutes" ;;
    buildx) module=github.com/docker/buildx/cmd/buildx@v0.38.2 takes="about three minutes" ;;
    *) die "no such Go tool: $1" ;;
  esac
  local folder="$tools/$1@${module##*@}"
  [[ -x "$folder/$program" ]] || alone "$folder" install_go_tool "$folder/$program" "$1" "$module" "$takes"
  [[ $program != "$1" ]] || export PATH="$folder:$PATH"
}

# need_go WHAT : test/spire/go.mod needs the newest Go of all that is built here.
need_go() {
  command -v go >/dev/null || die "needs Go 1.26.8 or newer to build $1, please install it"
}

install_go_tool() {
  [[ -x "$1" ]] && return # another process did it during the wait
  need_go "$2"
  echo "Building $2 ${3##*@} ($4, once)"
  quietly env GOBIN="${1%/*}" CGO_ENABLED=0 go install -ldflags "-s -w" "$3"
}

# act, with test/support/act/util.go in place of one of its files; that file says why.
need_act() {
  local version=v0.2.89
  local folder="$tools/act@$version-pipes"
  [[ -x "$folder/act" ]] || alone "$folder" install_act "$folder/act" "$version"
}

install_act() {
  [[ -x "$1" ]] && return
  need_go act
  echo "Building act $2 (up to a minute, once)"
  local source
  source="$(mktemp -d "$scratch/act.XXXXXX")"
  quietly go mod download "github.com/nektos/act@$2"
  cp -R --no-preserve=mode "$(go env GOMODCACHE)/github.com/nektos/act@$2/." "$source"
  cp test/support/act/util.go "$source/pkg/container/util.go"
  quietly env CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off go build -C "$source" -ldflags "-s -w" -o "$1" .
  rm -rf "$source"
}

# docker's builder without docker. Its go.mod has what `go install` does not take. It starts only where there is a runc.
need_buildkitd() {
  local version=v0.34.2
  local folder="$tools/buildkitd@$version"
  [[ -x "$folder/buildkitd" ]] || alone "$folder" install_buildkitd "$folder/buildkitd" "$version"
  need_debian runc
}

install_buildkitd() {
  [[ -x "$1" ]] && return
  need_go buildkitd
  echo "Building buildkitd $2 (about two minutes, once)"
  local source
  source="$(mktemp -d "$scratch/buildkitd.XXXXXX")"
  quietly go mod download "github.com/moby/buildkit@$2"
  cp -R --no-preserve=mode "$(go env GOMODCACHE)/github.com/moby/buildkit@$2/." "$source"
  quietly env CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off go build -C "$source" -ldflags "-s -w" -o "$1" ./cmd/buildkitd
  rm -rf "$source"
}

# need_go_program NAME@VERSION PROGRAM SOURCE TIME [OPTION…] : builds it from a folder with a go.mod. Tests find it by its path
# (test/quay-stand-in/built.ts), since it may have the name of a program on PATH.
need_go_program() {
  local program="$tools/$1/$2"
  [[ -x $program ]] || alone "${program%/*}" install_go_program "$program" "${@:3}"
}

install_go_program() {
  [[ -x "$1" ]] && return # another process did it during the wait
  local name="${1%/*}"
  name="${name##*/}"
  need_go "$name"
  echo "Building ${name/@/ } ($3, once)"
  # test/cluster builds Tekton with the same flags: each finds the other's work in Go's cache.
  quietly env CGO_ENABLED="${CGO_ENABLED:-0}" GOFLAGS=-mod=readonly GOWORK=off \
    go build -C "$2" -trimpath -buildvcs=false -ldflags "-s -w" -o "$1" "${@:4}"
}

# A registry with the referrers API: Debian's has none.
need_referrers_registry() {
  need_go_program referrers-registry@v0.22.1 referrers-registry test/quay-stand-in/referrers "a few seconds"
}

# Tekton's own validation.
need_tekton_validate() {
  need_go_program tekton-validate@v1.14.0 tekton-validate test/tekton/validate "about two minutes"
}

# Today's containers tools, beside Debian's of 2022. The versions are those of test/support/{containers,buildah}-today/go.mod.
need_todays_tools() {
  local without="containers_image_openpgp exclude_graphdriver_btrfs exclude_graphdriver_devicemapper"
  need_go_program containers-today@v5.42.1 skopeo test/support/containers-today "about a minute" -tags "$without"
  # buildah enters a user's namespace in C. Without that part, it restarts itself endlessly for a user who is not root.
  [[ -x $tools/buildah-today@1.42.0/buildah ]] || need_debian gcc libc6-dev
  CGO_ENABLED=1 need_go_program buildah-today@1.42.0 buildah test/support/buildah-today "about two minutes" \
    -tags "$without" github.com/containers/buildah/cmd/buildah
}

# need_zizmor : installs it from PyPI, in a virtual environment of its own.
need_zizmor() {
  local version=1.32.0
  local folder="$tools/zizmor@$version"
  [[ -x "$folder/bin/zizmor" ]] || alone "$folder" install_zizmor "$version" "$folder"
  export PATH="$folder/bin:$PATH"
}

install_zizmor() {
  [[ -x "$2/bin/zizmor" ]] && return
  need_debian python3
  python3 -c 'import ensurepip' 2>/dev/null || need_debian python3-venv
  echo "Installing zizmor $1"
  quietly python3 -m venv --clear "$2"
  quietly "$2/bin/pip" install --quiet --disable-pip-version-check "zizmor==$1"
}

# need_spire : builds SPIRE's server, agent and OIDC discovery provider from test/spire/go.mod.
need_spire() {
  local folder="$tools/spire@v1.13.3"
  spire_is_ready "$folder" || alone "$folder" install_spire "$folder"
  export PATH="$folder:$PATH"
}

spire_is_ready() {
  [[ -x "$1/spire-server" && -x "$1/spire-agent" && -x "$1/oidc-discovery-provider" ]]
}

install_spire() {
  spire_is_ready "$1" && return # another process did it during the wait
  need_go SPIRE
  # The server keeps its entries in SQLite, which is written in C.
  need_debian gcc libc6-dev
  echo "Building SPIRE (about ten minutes, once)"
  # One of its packages takes 3.7 GB to compile: if memory is short, nothing may compile beside it.
  local serially=()
  [[ $(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo) -ge 6 ]] || serially=(-p 1)
  quietly env GOBIN="$1" GOWORK=off CGO_ENABLED=1 go -C test/spire install "${serially[@]}" tool
}

# need_keycloak : installs the published server and builds it for the file database: it then starts in seconds.
need_keycloak() {
  local version=26.4.7
  local folder="$tools/keycloak@$version"
  [[ -x "$folder/bin/kc.sh" ]] || alone "$folder" install_keycloak "$version" "$folder"
}

install_keycloak() {
  [[ -x "$2/bin/kc.sh" ]] && return # another process did it during the wait
  command -v java >/dev/null || need_debian openjdk-17-jre-headless
  command -v mvn >/dev/null || need_debian maven
  need_debian unzip
  echo "Installing Keycloak $1 (about a minute, once)"
  local work
  work="$(mktemp -d "$tools/keycloak.XXXXXX")"
  quietly mvn -B -q dependency:copy "-Dartifact=org.keycloak:keycloak-quarkus-dist:$1:zip" "-DoutputDirectory=$work"
  quietly unzip -q "$work/keycloak-quarkus-dist-$1.zip" -d "$work"
  quietly "$work/keycloak-$1/bin/kc.sh" build --db=dev-file
  rm -rf "$2"
  mv "$work/keycloak-$1" "$2"
  rm -rf "$work"
}

# need_renovate : installs it from npm, in a folder of its own.
need_renovate() {
  local version=44.121.2
  local folder="$tools/renovate@$version"
  [[ -x "$folder/renovate" ]] || alone "$folder" install_renovate "$version" "$folder"
}

install_renovate() {
  [[ -x "$2/renovate" ]] && return # another process did it during the wait
  echo "Installing Renovate $1 (half a minute, once)"
  quietly npm install --prefix "$2" --no-save --ignore-scripts --no-audit --no-fund "renovate@$1"
  ln -sf node_modules/.bin/renovate "$2/renovate"
}

# need_jib : fetches Jib and what Maven needs to compile, into a repository of its own: a test then needs no network.
need_jib() {
  local version=3.5.2
  local folder="$tools/jib@$version"
  [[ -e "$folder/ready" ]] || alone "$folder" install_jib "$version" "$folder"
}

install_jib() {
  [[ -e "$2/ready" ]] && return # another process did it during the wait
  command -v mvn >/dev/null || need_debian maven
  command -v javac >/dev/null || need_debian openjdk-17-jdk-headless
  echo "Fetching Jib $1 (seconds, once)"
  local project
  project="$(mktemp -d "$scratch/jib.XXXXXX")"
  mkdir -p "$project/src/main/java"
  cp test/support/recipes/jib/pom.xml "$project"
  cp test/support/recipes/jib/Main.java "$project/src/main/java"
  quietly mvn -B -q -f "$project" "-Dmaven.repo.local=$2/repository" -Djib.from.image=scratch \
    compile "com.google.cloud.tools:jib-maven-plugin:$1:buildTar"
  rm -rf "$project"
  touch "$2/ready"
}

# bundle_into FOLDER : builds the source, one sub-folder per entry point.
bundle_into() {
  alone "$scratch/build" bundle_alone "$1"
}

bundle_alone() {
  # out/ has a fixed path, since the bundler derives module numbers from it: the bytes are the same everywhere.
  rm -rf out
  tsc -p tsconfig.json || return
  local name job jobs=() failed=0
  for name in github/main github/post github/refresh github/promote-main github/federate-main cli/main cli/all cli/credential-helper cli/credential-exchange; do
    bundle_one "$name" "$1/$(bundle_name "$name")" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  # The pages that `quay-keyless-login explain` prints.
  cp docs/troubleshooting.md "$1/cli/" || failed=1
  return "$failed"
}

# The Actions' bundles are main, post, refresh, promote and federate; the command line's are cli and, below it, all; the
# credential helper's are helper and, below it, exchange.
bundle_name() {
  case "$1" in
    github/promote-main) echo promote ;;
    github/federate-main) echo federate ;;
    cli/credential-helper) echo helper ;;
    cli/credential-exchange) echo helper/exchange ;;
    github/*) echo "${1#github/}" ;;
    *) echo "${1%/main}" ;;
  esac
}

bundle_one() {
  ncc build "out/$1.js" --minify --no-cache --quiet --stats-out "out/$1.json" --out "$2" &&
    # ncc only renames; this also removes what is not used, a fifth of main.
    terser "$2/index.js" --module --compress passes=2 --mangle --output "$2/index.js" &&
    node script/licenses.ts "out/$1.json" >"$2/licenses.txt"
}

# need_real_peers : builds the programs of test/real, which takes minutes, once.
need_real_peers() {
  local spire=""
  # One of SPIRE's packages takes nearly 4 GB to compile, as much as Kubernetes' largest.
  if [[ $(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo) -ge 8 ]]; then
    need_spire &
    spire=$!
  fi
  with_heartbeat test/cluster/up.sh --build-only
  need_go_tool cosign
  need_keycloak
  need_go_tool cosign2
  need_go_tool crane
  need_go_tool oras
  need_go_tool helm
  need_go_tool goreleaser
  need_renovate
  need_jib
  need_go_tool buildx
  need_buildkitd
  [[ -z $spire ]] || wait "$spire" || exit
  need_spire # puts it on PATH
}
