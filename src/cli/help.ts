/** The text of `--help`, from the table of options. Pure. */
import { describe } from "../options/descriptions.ts";
import { type Command, commands, type OptionGroup, type OwnOption, optionsOf } from "../options/table.ts";
import { actionAddress } from "../platform/project.ts";
import type { Topic } from "./arguments.ts";
import { wrap } from "./wrap.ts";

interface About {
  readonly line: string;
  readonly usage: string;
  readonly more: string;
  /** Without the program's name; a long one has several lines. */
  readonly examples: readonly (readonly string[])[];
}

const about: Readonly<Record<Topic, About>> = {
  login: {
    line: "log in to Quay with the platform's identity token",
    usage: "login --robot ORGANIZATION+NAME [OPTIONS]",
    more: "Exchanges the platform's identity token for a robot token that lasts one hour, and logs a tool in with it. More robots can follow as plain arguments.",
    examples: [
      ["login --robot acme+ci"],
      ["login --robot acme+ci --registry quay.example.com", "--ca-file root.pem --auth-file /run/login/auth.json"],
    ],
  },
  configure: {
    line: "let tools ask a credential helper for the login, at the moment of use",
    usage: "configure --robot ORGANIZATION+NAME [OPTIONS] | configure --remove [OPTIONS]",
    more: "Enters docker-credential-quay-keyless in the files that the tools read. Sends nothing. Nothing needs to be renewed, and no login is in any file.",
    examples: [["configure --robot acme+ci"], ["configure --remove"]],
  },
  logout: {
    line: "remove a login",
    usage: "logout [OPTIONS]",
    more: "With --session, restores what was there before that login. Without it, deletes the robot token from the auth file.",
    examples: [["logout --session /run/login/session"], ["logout --registry quay.example.com"]],
  },
  status: {
    line: "show the logins of an auth file, and when they expire",
    usage: "status [OPTIONS]",
    more: "Exits with 1 if there is no login, or if one expires too soon.",
    examples: [["status --for 10m"], ["status --auth-file /run/login/auth.json --output json"]],
  },
  identity: {
    line: "show the platform's identity token, and whether Quay can accept it",
    usage: "identity [OPTIONS]",
    more: "Prints the issuer and subject to enter at a robot in Quay. Sends nothing to Quay; gets the keys of the issuer.",
    examples: [
      ["identity"],
      ["identity --output json", "--spiffe-socket unix:///spiffe-workload-api/spire-agent.sock"],
    ],
  },
  promote: {
    line: "copy images by digest from where they were built to where they are released",
    usage: "promote --source IMAGE --destination REPOSITORY --tag TAG --destination-robot ROBOT [OPTIONS]",
    more: "Logs in to both registries, copies all platforms without changing a byte, sets the tags last, and reads each back. Skips what is already there: after an interruption, run the same again. More tags can follow as plain arguments.",
    examples: [
      ["promote --source staging/app:nightly", "--destination acme/app --tag 1.4.2 --destination-robot acme+release"],
      ["promote --file release.yaml --source-robot staging+read", "--destination-robot acme+release --dry-run"],
    ],
  },
  federate: {
    line: "let a robot trust an identity, with the permissions that it needs",
    usage: "federate --robot ORGANIZATION+NAME [OPTIONS] | federate --file FILE [OPTIONS]",
    more: "Shows what differs from Quay, changes that, and reads it back. Without an option that names an identity, the robot trusts the identity of this pipeline or pod. What others have entered is kept. Needs a token of Quay's API.",
    examples: [
      ["federate --robot acme+ci --dry-run"],
      [
        "federate --robot acme+release --create-robot",
        "--github acme/app --environment release --permission acme/app=write",
      ],
      ["federate --file quay-trust.yaml --check"],
    ],
  },
  audit: {
    line: "show which robots of an organization still use their static token",
    usage: "audit --organization NAME [OPTIONS]",
    more: "Reads robots, bindings and the usage log, and changes nothing. Needs a token of Quay's API.",
    examples: [["audit --organization acme --since 30d"], ["audit --organization acme --fail-on static-token"]],
  },
  "retire-static-token": {
    line: "replace a robot's static token by one that nobody knows",
    usage: "retire-static-token ROBOT [OPTIONS]",
    more: "Afterwards, only keyless logins of the robot work. It is the last step of a migration. Needs a token of Quay's API.",
    examples: [["retire-static-token acme+ci"], ["retire-static-token acme+ci --yes acme+ci"]],
  },
  migrate: {
    line: "find logins with stored passwords in a checkout, and show the change",
    usage: "migrate [PATH...] [OPTIONS]",
    more: "Looks at GitHub workflows, composite actions, Tekton YAML and GitLab pipelines. Changes nothing without --write.",
    examples: [["migrate"], [`migrate --action ${actionAddress} --write`]],
  },
  explain: {
    line: "explain the code of an error",
    usage: "explain [CODE]",
    more: "Prints what causes an error and what to do. Without a code, lists all codes.",
    examples: [["explain subject-not-bound"], ["explain"]],
  },
  completion: {
    line: "print the completion script of a shell",
    usage: "completion bash|zsh|fish",
    more: "The script completes commands, options and their values. The image has it already.",
    examples: [
      ["completion bash >~/.local/share/bash-completion/completions/quay-keyless-login"],
      ["completion fish >~/.config/fish/completions/quay-keyless-login.fish"],
    ],
  },
};

/** In this order. */
const titles: Readonly<Record<OptionGroup, string>> = {
  login: "Login",
  promotion: "Promotion",
  trust: "Trust",
  binding: "Binding: the identity to trust",
  audit: "Audit",
  migration: "Migration",
  checks: "Checks before anything is changed",
  management: "Quay's API",
  identity: "Identity",
  files: "Files",
  network: "Network",
  lifetime: "Lifetime",
  output: "Output",
};

/** What a command does, in a few words. */
export const lineOf = (topic: Topic): string => about[topic].line;

/** @param width columns */
export function help(topic: Topic | undefined, width: number): string {
  return (topic === undefined ? overview(width) : helpOf(topic, width)).join("\n");
}

function overview(width: number): string[] {
  return [
    "Usage: quay-keyless-login COMMAND [OPTIONS]",
    "",
    ...wrap("Logs in to Quay with the platform's identity token, without a stored password.", width),
    "",
    "Commands:",
    ...Object.entries(about).flatMap(([name, { line }]) => wrap(line, width, " ".repeat(23), `  ${name.padEnd(21)}`)),
    "",
    "Examples:",
    ...["login --robot acme+ci", "help login"].map((example) => `  quay-keyless-login ${example}`),
    "",
    "  -h, --help     show a command's options",
    "  -V, --version  show the version",
    "",
    ...wrap("Results go to standard output, everything else to standard error.", width),
    ...wrap("The licenses of what is inside: quay-keyless-login licenses", width),
    ...wrap("Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 Quay differs, 75 failed, try again later.", width),
  ];
}

function helpOf(topic: Topic, width: number): string[] {
  const { usage, more, examples } = about[topic];
  return [
    ...wrap(`quay-keyless-login ${usage}`, width, "         ", "Usage: "),
    "",
    ...wrap(more, width),
    "",
    "Examples:",
    ...examples.map((lines) => `  quay-keyless-login ${lines.join(" \\\n    ")}`),
    ...commands.filter((command) => command === topic).flatMap((command) => optionsIn(command, width)),
  ];
}

function optionsIn(command: Command, width: number): string[] {
  const known = optionsOf(command);
  return Object.entries(titles).flatMap(([group, title]) => {
    const lines = known
      .filter((option) => option.group === group)
      .flatMap((option) => optionLines(option, describe(option.name, command), width));
    return lines.length > 0 ? ["", `${title}:`, ...lines] : [];
  });
}

function optionLines(option: OwnOption, description: string, width: number): string[] {
  const { name, short, value, takes, required, default: preset } = option;
  const notes = [
    ...(required ? ["required"] : []),
    ...(preset === undefined || takes === "flag" ? [] : [`default ${preset}`]),
    ...(takes === "list" ? ["may be given several times"] : []),
  ];
  return [
    `  ${short ? `-${short}, ` : ""}--${name}${value ? ` ${value}` : ""}`,
    ...wrap(`${description}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`, width, "      "),
  ];
}
