# shellcheck shell=bash
# Fakes of the platforms' programs, for docs/platforms.md. Each accepts what its documentation has, refuses everything else, and prints the token of
# a file: $FAKE_TOKENS/AUDIENCE.

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 64
}

declare -A given=()

# The options of these names, --name VALUE or --name=VALUE, go into `given`.
read_options() {
  local known=" $1 " name value
  shift
  while (($# > 0)); do
    case "$1" in
      -*=*) name="${1%%=*}" value="${1#*=}" && shift ;;
      -*)
        (($# > 1)) || fail "flag needs an argument: $1"
        name="$1" value="$2" && shift 2
        ;;
      *) fail "unexpected argument: $1" ;;
    esac
    [[ $known == *" $name "* ]] || fail "unknown option: $name"
    [[ ! -v given[$name] ]] || fail "given twice: $name"
    given[$name]="$value"
  done
}

need_options() {
  local name
  for name; do
    [[ -n ${given[$name]:-} ]] || fail "the option $name is required"
  done
}

need_variables() {
  local name
  for name; do
    [[ -n ${!name:-} ]] || fail "$name is not set"
  done
}

print_token() {
  local file="$FAKE_TOKENS/${1//\//_}"
  [[ -f $file ]] || fail "no token for the audience $1"
  cat "$file"
}
