/** The completion script of zsh: a file of a folder in `fpath`, or read with `source`. Pure. */
import type { CompletedCommand, Flag, Values } from "./words.ts";

export function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef quay-keyless-login
# Completion of quay-keyless-login in zsh. \`quay-keyless-login completion zsh\` prints it.

# NAME=FILE
_quay-keyless-login-result() {
  if compset -P '*='; then _files; else compadd -S = -- "$@"; fi
}

_quay-keyless-login() {
  local context state state_descr line ret=1
  local -a commands
  typeset -A opt_args
  _arguments -C -S '(- *)'{-h,--help}'[show the commands]' '(- *)'{-V,--version}'[show the version]' '1:command:->command' '*::argument:->argument' && ret=0
  case $state in
    command)
      commands=(
${commands.map(({ name, about }) => `        ${quoted(`${name}:${about}`)}`).join("\n")}
      )
      _describe -t commands command commands && ret=0
      ;;
    argument)
      case $words[1] in
${commands.map(commandCase).join("\n")}
      esac
      ;;
  esac
  return ret
}

# In a folder of fpath, zsh calls this file for a completion; read with source, it registers the function.
if [[ $funcstack[1] == _quay-keyless-login ]]; then _quay-keyless-login "$@"; else compdef _quay-keyless-login quay-keyless-login; fi
`;
}

function commandCase({ name, flags, words }: CompletedCommand): string {
  const specs = [...flags.map(specOf), ...(words.kind === "text" ? [] : [quoted(`*:${name}:${actionOf(words)}`)])];
  return `        ${name}) _arguments -S ${specs.join(" ")} && ret=0 ;;`;
}

/** `-S`: after `--` there are no options. An `=` behind a name: the value may follow it, or be the next word. */
function specOf({ name, short, about, isRepeated, values, placeholder }: Flag): string {
  const value = values === undefined ? "" : `:${placeholder}:${actionOf(values)}`;
  const rest = `[${about.replaceAll(/[[\]\\]/g, "\\$&")}]${value}`;
  if (short) {
    return `'(${short} ${name})'{${short},${name}}${quoted(rest)}`;
  }
  return quoted(`${isRepeated ? "*" : ""}${name}${values ? "=" : ""}${rest}`);
}

function actionOf(values: Values): string {
  switch (values.kind) {
    case "choices":
      return `(${values.of.join(" ")})`;
    case "results":
      return ` _quay-keyless-login-result ${values.of.join(" ")}`;
    case "variable":
      return '_parameters -g "*export*"';
    case "file":
      return "_files";
    case "folder":
      return "_files -/";
    case "text":
      return " ";
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
