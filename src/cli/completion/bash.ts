/** The completion script of bash, of version 4 and newer. Pure. */
import type { CompletedCommand, Values } from "./words.ts";

export function bashScript(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name);
  return `# Completion of quay-keyless-login in bash 4 and newer. \`quay-keyless-login completion bash\` prints it.

# Offers the words that begin with what is typed, without the part before "=" that bash keeps.
_quay_keyless_login_offer() {
  local word
  while IFS= read -r word; do COMPREPLY+=("\${word#"$kept"}"); done < <(compgen -W "$1" -P "$before" -- "$value")
}

_quay_keyless_login() {
  local last="\${COMP_WORDS[COMP_CWORD]}" at=$COMP_CWORD whole value before="" kept option command="" word
  COMPREPLY=()
  # Bash cuts words at "=". Put together again: --option=value, NAME=FILE
  whole=$last
  while ((at > 1)) && [[ \${COMP_WORDS[at]} == "=" || \${COMP_WORDS[at - 1]} == "=" ]]; do
    at=$((at - 1))
    whole="\${COMP_WORDS[at]}$whole"
  done
  [[ $last != "=" ]] || last=""
  kept="\${whole%"$last"}"
  if [[ $whole == --*=* ]]; then
    option="\${whole%%=*}" value="\${whole#*=}"
    before="$option="
  else
    option="\${COMP_WORDS[at - 1]}" value=$whole
  fi
  for word in "\${COMP_WORDS[@]:1:at-1}"; do
    case "$word" in ${names.join(" | ")}) command=$word; break ;; esac
  done
  case "$command $option" in
${optionCases(commands).join("\n")}
  esac
  case "$command" in
    "") _quay_keyless_login_offer "${names.join(" ")} --help --version" ;;
${commands.map(commandCase).join("\n")}
  esac
}
complete -F _quay_keyless_login quay-keyless-login
`;
}

/** What completes a value. Without words of ours, bash itself completes files: it knows quotes and tildes. */
function actionOf(values: Values): string {
  switch (values.kind) {
    case "choices":
      return offer(values.of);
    case "results":
      return `if [[ $value == *=* ]]; then compopt -o default; else compopt -o nospace; ${offer(values.of.map((name) => `${name}=`))}; fi`;
    case "variable":
      return '_quay_keyless_login_offer "$(compgen -A export)"';
    case "file":
      return "compopt -o default";
    case "folder":
      return "compopt -o dirnames";
    case "text":
      return ":";
  }
}

const offer = (words: readonly string[]): string => `_quay_keyless_login_offer "${words.join(" ")}"`;

/** The options that take a value, a line for all that are completed in the same way. */
function optionCases(commands: readonly CompletedCommand[]): readonly string[] {
  const options = commands.flatMap(({ name, flags }) =>
    flags.flatMap(({ name: flag, values }) =>
      values ? [{ pattern: `"${name} ${flag}"`, action: actionOf(values) }] : [],
    ),
  );
  return [...Map.groupBy(options, ({ action }) => action)].map(
    ([action, same]) => `    ${same.map(({ pattern }) => pattern).join(" | ")}) ${action}; return ;;`,
  );
}

function commandCase({ name, flags, words }: CompletedCommand): string {
  const options = offer(flags.flatMap(({ name: flag, short }) => (short ? [flag, short] : [flag])));
  return words.kind === "text"
    ? `    ${name}) ${options} ;;`
    : `    ${name}) if [[ $value == -* ]]; then ${options}; else ${actionOf(words)}; fi ;;`;
}
