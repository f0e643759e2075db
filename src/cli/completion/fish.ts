/** The completion script of fish. Pure. */
import type { CompletedCommand, Flag, Values } from "./words.ts";

export function fishScript(commands: readonly CompletedCommand[]): string {
  return `# Completion of quay-keyless-login in fish. \`quay-keyless-login completion fish\` prints it.
complete -c quay-keyless-login -f
complete -c quay-keyless-login -n __fish_use_subcommand -s h -l help -d 'show the commands'
complete -c quay-keyless-login -n __fish_use_subcommand -s V -l version -d 'show the version'
${commands.flatMap(linesOf).join("\n")}
`;
}

function linesOf({ name, about, flags, words }: CompletedCommand): readonly string[] {
  const within = `complete -c quay-keyless-login -n '__fish_seen_subcommand_from ${name}'`;
  return [
    `complete -c quay-keyless-login -n __fish_use_subcommand -a ${name} -d ${quoted(about)}`,
    ...flags.map((flag) => `${within} ${flagOf(flag)}`),
    ...(words.kind === "text" ? [] : [`${within} ${argumentsOf(words).replace(/^-[rx] ?/, "")}`]),
  ];
}

const flagOf = ({ name, short, about, values }: Flag): string =>
  [
    ...(short ? [`-s ${short.slice(1)}`] : []),
    `-l ${name.slice(2)}`,
    ...(values ? [argumentsOf(values)] : []),
    `-d ${quoted(about)}`,
  ].join(" ");

/** `-x`: takes a value, which is no file; `-r -F`: it is one. */
function argumentsOf(values: Values): string {
  switch (values.kind) {
    case "choices":
      return `-x -a ${quoted(values.of.join(" "))}`;
    case "results":
      return `-r -F -a ${quoted(values.of.map((name) => `${name}=`).join(" "))}`;
    case "variable":
      return "-x -a '(set -nx)'";
    case "file":
      return "-r -F";
    case "folder":
      return "-x -a '(__fish_complete_directories)'";
    case "text":
      return "-x";
  }
}

const quoted = (text: string): string => `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
