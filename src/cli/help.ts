/** What `--help` says, from the table of options. Pure. */
import { type Command, type Option, type OptionGroup, optionsOf } from "../options/table.ts";
import type { Topic } from "./arguments.ts";
import { wrap } from "./wrap.ts";

interface About {
  readonly line: string;
  readonly usage: string;
  readonly more: string;
  /** Without the program's name; a line for each argument, where it is long. */
  readonly examples: readonly (readonly string[])[];
}

const about: Readonly<Record<Topic, About>> = {
  login: {
    line: "sign in to Quay with this workplace's identity",
    usage: "login --robot ORGANIZATION+NAME [OPTIONS]",
    more: "Trades the identity token that the platform gives for a robot token of one hour, and logs a tool in with it. Further robots may follow as plain arguments.",
    examples: [
      ["login --robot acme+ci"],
      ["login --robot acme+ci --registry quay.example.com", "--ca-file root.pem --auth-file /run/login/auth.json"],
    ],
  },
  logout: {
    line: "remove a login",
    usage: "logout [OPTIONS]",
    more: "With --session, puts everything back as it was before that login. Without it, deletes the robot token from the auth file.",
    examples: [["logout --session /run/login/session"], ["logout --registry quay.example.com"]],
  },
  status: {
    line: "show the logins of an auth file, and when they expire",
    usage: "status [OPTIONS]",
    more: "Exits with 1 where there is no login, or none that lasts long enough.",
    examples: [["status --for 10m"], ["status --auth-file /run/login/auth.json --output json"]],
  },
  identity: {
    line: "show this workplace's identity, and whether Quay can accept it",
    usage: "identity [OPTIONS]",
    more: "Prints the issuer and subject to enter at a robot in Quay. Sends nothing to Quay; asks the issuer for its keys.",
    examples: [
      ["identity"],
      ["identity --output json", "--spiffe-socket unix:///spiffe-workload-api/spire-agent.sock"],
    ],
  },
  promote: {
    line: "copy images by digest from where they were built to where they are released",
    usage: "promote --source IMAGE --destination REPOSITORY --tag TAG --destination-robot ROBOT [OPTIONS]",
    more: "Logs in to both registries, copies all platforms without changing a byte, sets the tags last, and reads each back. What is there already stays as it is: after an interruption, run the same again. Further tags may follow as plain arguments.",
    examples: [
      ["promote --source staging/app:nightly", "--destination acme/app --tag 1.4.2 --destination-robot acme+release"],
      ["promote --file release.yaml --source-robot staging+read", "--destination-robot acme+release --dry-run"],
    ],
  },
  explain: {
    line: "explain the code of an error",
    usage: "explain [CODE]",
    more: "Prints how an error comes about, and what helps. Without a code, lists all of them.",
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
    ...wrap("Signs in to Quay with the identity token that the platform gives: no stored password.", width),
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
  const own = optionsOf(command);
  return Object.entries(titles).flatMap(([group, title]) => {
    const lines = own.filter((option) => option.group === group).flatMap((option) => optionLines(option, width));
    return lines.length > 0 ? ["", `${title}:`, ...lines] : [];
  });
}

function optionLines(option: Option, width: number): string[] {
  const { name, short, value, takes, required, default: preset, description } = option;
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
