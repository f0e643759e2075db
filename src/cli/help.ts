/** The text of `--help`, from the table of options. Pure. */
import { describe } from "../options/descriptions.ts";
import { type Command, type Option, type OptionGroup, optionsOf } from "../options/table.ts";
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
  explain: {
    line: "explain the code of an error",
    usage: "explain [CODE]",
    more: "Prints what causes an error and what to do. Without a code, lists all codes.",
    examples: [["explain subject-not-bound"], ["explain"]],
  },
};

/** In this order. */
const titles: Readonly<Record<OptionGroup, string>> = {
  login: "Login",
  promotion: "Promotion",
  checks: "Checks before anything is changed",
  identity: "Identity",
  files: "Files",
  network: "Network",
  lifetime: "Lifetime",
  output: "Output",
};

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
    ...Object.entries(about).flatMap(([name, { line }]) => wrap(line, width, " ".repeat(12), `  ${name.padEnd(10)}`)),
    "",
    "Examples:",
    ...["login --robot acme+ci", "help login"].map((example) => `  quay-keyless-login ${example}`),
    "",
    "  -h, --help     show a command's options",
    "  -V, --version  show the version",
    "",
    ...wrap("Results go to standard output, everything else to standard error.", width),
    ...wrap("Exit codes: 0 done, 1 refused or failed, 2 wrong use, 75 failed, try again later.", width),
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
    ...(topic === "explain" ? [] : optionsIn(topic, width)),
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

function optionLines(option: Option, description: string, width: number): string[] {
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
