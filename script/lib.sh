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

# need_plain_node : for scripts that import no package. They install none where there is a Node that can run them.
need_plain_node() {
  node_is_ready || [[ $(node -p 'parseInt(process.versions.node)' 2>/dev/null) -ge 24 ]] || need_node
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
  # renovate: datasource=go depName=github.com/nektos/act
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
  # renovate: datasource=go depName=github.com/moby/buildkit
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
  # renovate: datasource=go depName=github.com/google/go-containerregistry
  need_go_program referrers-registry@v0.22.1 referrers-registry test/quay-stand-in/referrers "a few seconds"
}

# Tekton's own validation.
need_tekton_validate() {
  # renovate: datasource=go depName=github.com/tektoncd/pipeline
  need_go_program tekton-validate@v1.14.0 tekton-validate test/tekton/validate "about two minutes"
}

# Today's containers tools, beside Debian's of 2022. The versions are those of test/support/{containers,buildah}-today/go.mod.
without_storage="containers_image_openpgp exclude_graphdriver_btrfs exclude_graphdriver_devicemapper"
need_todays_tools() {
  # renovate: datasource=go depName=go.podman.io/image/v5
  need_go_program containers-today@v5.42.1 skopeo test/support/containers-today "about a minute" -tags "$without_storage"
  need_todays_buildah
}

# $todays_buildah is its path.
need_todays_buildah() {
  # renovate: datasource=go depName=github.com/containers/buildah extractVersion=^v(?<version>.+)$
  todays_buildah="$tools/buildah-today@1.42.0/buildah"
  # buildah enters a user's namespace in C. Without that part, it restarts itself endlessly for a user who is not root.
  [[ -x $todays_buildah ]] || need_debian gcc libc6-dev
  # renovate: datasource=go depName=github.com/containers/buildah extractVersion=^v(?<version>.+)$
  CGO_ENABLED=1 need_go_program buildah-today@1.42.0 buildah test/support/buildah-today "about two minutes" \
    -tags "$without_storage" github.com/containers/buildah/cmd/buildah
}

# need_python_tool zizmor|check-jsonschema : installs it from PyPI, in a virtual environment of its own.
need_python_tool() {
  local version
  case "$1" in
    zizmor)
      # renovate: datasource=pypi depName=zizmor
      version=1.32.0 ;;
    check-jsonschema) # brings the schemas of GitHub's files
      # renovate: datasource=pypi depName=check-jsonschema
      version=0.39.0 ;;
    *) die "no such Python tool: $1" ;;
  esac
  local folder="$tools/$1@$version"
  [[ -x "$folder/bin/$1" ]] || alone "$folder" install_python_tool "$1" "$version" "$folder"
  export PATH="$folder/bin:$PATH"
}

install_python_tool() {
  [[ -x "$3/bin/$1" ]] && return # another process did it during the wait
  echo "Installing $1 $2"
  python_environment "$3" "$1==$2"
}

# python_environment FOLDER PACKAGE… : packages from PyPI in a virtual environment of their own.
python_environment() {
  need_debian python3
  python3 -c 'import ensurepip' 2>/dev/null || need_debian python3-venv
  quietly python3 -m venv --clear "$1"
  quietly "$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}"
}

# need_gitlab_ci_local : installs it from npm, in a folder of its own. It runs jobs of GitLab with a shell, and copies the checkout with rsync.
need_gitlab_ci_local() {
  # renovate: datasource=npm depName=gitlab-ci-local
  local version=4.75.1
  local folder="$tools/gitlab-ci-local@$version"
  [[ -x "$folder/gitlab-ci-local" ]] || alone "$folder" install_gitlab_ci_local "$version" "$folder"
  need_debian rsync
}

install_gitlab_ci_local() {
  [[ -x "$2/gitlab-ci-local" ]] && return # another process did it during the wait
  echo "Installing gitlab-ci-local $1"
  quietly npm install --prefix "$2" --no-save --ignore-scripts --no-audit --no-fund "gitlab-ci-local@$1"
  ln -sf node_modules/.bin/gitlab-ci-local "$2/gitlab-ci-local"
}

# need_spire : builds SPIRE's server, agent and OIDC discovery provider from test/spire/go.mod.
need_spire() {
  # renovate: datasource=go depName=github.com/spiffe/spire
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
  # renovate: datasource=maven depName=org.keycloak:keycloak-quarkus-dist
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

# need_sbom_validators : installs those of CycloneDX and SPDX from PyPI, in a virtual environment of their own.
need_sbom_validators() {
  # renovate: datasource=pypi depName=cyclonedx-python-lib
  local cyclonedx=11.12.0
  # renovate: datasource=pypi depName=spdx-tools
  local spdx=0.8.5
  local folder="$tools/sbom-validators@$cyclonedx-$spdx"
  [[ -e "$folder/ready" ]] || alone "$folder" install_sbom_validators "$folder" "cyclonedx-python-lib[json-validation]==$cyclonedx" "spdx-tools==$spdx"
}

install_sbom_validators() {
  [[ -e "$1/ready" ]] && return # another process did it during the wait
  echo "Installing validators of SBOMs (half a minute, once)"
  python_environment "$@"
  touch "$1/ready"
}

# need_renovate : installs it from npm, in a folder of its own.
need_renovate() {
  # renovate: datasource=npm depName=renovate
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
  # renovate: datasource=maven depName=com.google.cloud.tools:jib-maven-plugin
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
  # Under the names that the shells look for.
  mkdir "$1/completions" || failed=1
  local shell file
  while read -r shell file; do
    node "$1/cli/index.js" completion "$shell" >"$1/completions/$file" || failed=1
  done <<<$'bash quay-keyless-login\nzsh _quay-keyless-login\nfish quay-keyless-login.fish'
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

# need_node_of ARCH : the Node that runs here, for Linux on x64 or arm64, from npm. It becomes a part of what is released, so its hash stands here:
# what `npm view node-linux-ARCH@VERSION dist.integrity` prints. $node_of is its folder.
declare -A node_hashes=(
  [x64]=sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==
  [arm64]=sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==
)
need_node_of() {
  local version
  version="$(node -p process.versions.node)"
  node_of="$tools/node-linux-$1@$version/node_modules/node-linux-$1"
  [[ -x $node_of/bin/node ]] || alone "$tools/node-linux-$1@$version" install_node_of "$1" "$version"
}

install_node_of() {
  [[ -x $node_of/bin/node ]] && return # another process did it during the wait
  echo "Installing Node $2 for $1 (seconds, once)" >&2
  local package="node-linux-$1@$2" pinned="${node_hashes[$1]}" place found
  place="$(mktemp -d "$tools/node.XXXXXX")"
  quietly npm pack --pack-destination "$place" "$package"
  found="$(node -p '"sha512-" + crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$place"/*.tgz)"
  [[ $found == "$pinned" ]] || {
    rm -rf "$place"
    die "$package is $found, but script/lib.sh says $pinned. If package-lock.json has another Node now, compare with the hash of its package: npm view $package dist.integrity"
  }
  mkdir -p "${node_of%/*}"
  tar --extract --no-same-owner --file "$place"/*.tgz --directory "$place"
  rm -rf "$node_of"
  mv "$place/package" "$node_of"
  rm -rf "$place"
}

# executable_sources : what the one file without Node is made of, as a hash.
executable_sources() {
  { node --version; hash_sources; } | sha256sum | cut -c1-16
}

hash_sources() {
  find src script/{lib.sh,executable.ts,licenses.ts} tsconfig.json package-lock.json LICENSE docs/troubleshooting.md -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum
}

# executable_alone ARCH FILE : the one file without Node (script/executable), for this architecture.
executable_alone() {
  [[ -x $2 ]] && return # another process did it during the wait
  local work=out/executable cache=false
  need_node_of "$1"
  # It writes V8's cache.
  [[ $1 != "$(node -p process.arch)" ]] || cmp --silent "$(node -p process.execPath)" "$node_of/bin/node" ||
    die "the node of node_modules is not the one of the package node-linux-$1. Type: rm -r node_modules && script/bootstrap"
  rm -rf "${2%-*}"-*
  mkdir -p "${2%/*}"
  # V8's cache of compiled code saves a third of the time to start. An arm64 program does not read an x64 one's.
  [[ $1 != x64 ]] || cache=true
  rm -rf out
  tsc -p tsconfig.json || return
  # A single executable application begins with a CommonJS module.
  mkdir "$work"
  echo 'require("../cli/executable.js");' >"$work/main.cjs"
  # Paths and names are in the result. A code cache without a seed differs from run to run.
  cat >"$work/application.json" <<END
{
  "main": "quay-keyless-login.cjs",
  "output": "blob",
  "disableExperimentalSEAWarning": true,
  "useCodeCache": $cache,
  "execArgv": ["--no-warnings"],
  "execArgvExtension": "none",
  "assets": { "all/licenses.txt": "licenses.txt", "troubleshooting.md": "troubleshooting.md" }
}
END
  ncc build "$work/main.cjs" --minify --no-cache --quiet --stats-out "$work/stats.json" --out "$work" &&
    sed -i 's/import\.meta\.dirname/__dirname/g' "$work/index.cjs" &&
    terser "$work/index.cjs" --compress passes=2 --mangle --output "$work/quay-keyless-login.cjs" &&
    node script/licenses.ts "$work/stats.json" LICENSE "$node_of/LICENSE" >"$work/licenses.txt" &&
    cp docs/troubleshooting.md "$work" &&
    (cd "$work" && quietly node --random-seed=1 --experimental-sea-config application.json) &&
    node script/executable.ts "$node_of/bin/node" "$work/blob" "$2"
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
  need_sbom_validators
  need_jib
  need_go_tool buildx
  need_buildkitd
  need_debian qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross # for the file of script/executable
  need_debian binutils # readelf, for the image's programs
  [[ -z $spire ]] || wait "$spire" || exit
  need_spire # puts it on PATH
}
