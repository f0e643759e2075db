/** What `--help` says, from the table of options. Pure. */
import { type Command, optionsOf } from "../options/table.ts";

const about: Readonly<
  Record<Command, { readonly line: string; readonly usage: string; readonly more: readonly string[] }>
> = {
  login: {
    line: "sign in to Quay with the identity of this place",
    usage: "login --robot ORGANIZATION+NAME [OPTIONS]",
    more: [
      "Trades the identity token that the platform gives for a robot token of one hour, and logs a tool in with it.",
      "Further robots may follow as plain arguments.",
      "",
      "  quay-keyless-login login --robot acme+ci",
      "  quay-keyless-login login --registry quay.example.com --ca-file root.pem --robot acme+ci --auth-file /run/login/auth.json",
    ],
  },
  logout: {
    line: "take a login back",
    usage: "logout [OPTIONS]",
    more: [
      "With --session everything is put back as it was before that login. Otherwise the robot token is deleted from the auth file.",
      "",
      "  quay-keyless-login logout --session /run/login/session",
      "  quay-keyless-login logout --registry quay.example.com",
    ],
  },
  status: {
    line: "tell what an auth file holds for Quay, and until when",
    usage: "status [OPTIONS]",
    more: [
      "Exits 1 where there is no login, or none that lasts long enough.",
      "",
      "  quay-keyless-login status --for 10m",
    ],
  },
  identity: {
    line: "tell which identity this place has, and whether Quay can accept it",
    usage: "identity [OPTIONS]",
    more: [
      "Prints the issuer and subject to enter at a robot in Quay. Nothing is sent to Quay; the issuer's own keys are looked at.",
      "",
      "  quay-keyless-login identity",
      "  quay-keyless-login identity --spiffe-socket unix:///spiffe-workload-api/spire-agent.sock --output json",
    ],
  },
  promote: {
    line: "copy images by digest from where they were built to where they are released",
    usage: "promote --source IMAGE --destination REPOSITORY --tag TAG --destination-robot ROBOT [OPTIONS]",
    more: [
      "Logs in on both sides for itself, copies all platforms without changing a byte, sets the tags last, and reads each back.",
      "What is there already stays as it is: after an interruption, run the same again. Further tags may follow as plain arguments.",
      "",
      "  quay-keyless-login promote --source staging/app:nightly --destination acme/app --tag 1.4.2 --destination-robot acme+release",
      "  quay-keyless-login promote --file release.yaml --source-robot staging+read --destination-robot acme+release --dry-run",
    ],
  },
};

export function help(command: Command | undefined): string {
  return command === undefined ? overview() : helpOf(command);
}

function overview(): string {
  const commands = Object.entries(about).map(([name, { line }]) => `  ${name.padEnd(9)} ${line}`);
  return [
    "Usage: quay-keyless-login COMMAND [OPTIONS]",
    "",
    "Signs in to Quay with the identity token that the platform gives: no stored password.",
    "",
    "Commands:",
    ...commands,
    "",
    "  quay-keyless-login COMMAND --help tells a command's options; --version the version.",
    "",
    "Results stand on standard output, everything else on standard error.",
    "Exit codes: 0 done, 1 refused or failed, 2 wrong use, 75 failed and may pass by itself.",
    "",
  ].join("\n");
}

function helpOf(command: Command): string {
  const { usage, more } = about[command];
  const options = optionsOf(command).flatMap(({ name, value, takes, required, default: preset, description }) => {
    const head = `  --${name}${value ? ` ${value}` : ""}`;
    const notes = [
      ...(required ? ["required"] : []),
      ...(preset === undefined || takes === "flag" ? [] : [`default ${preset}`]),
      ...(takes === "list" ? ["may be given several times"] : []),
    ];
    return [head, ...wrap(`${description}${notes.length > 0 ? ` (${notes.join("; ")})` : ""}`, "      ")];
  });
  return [`Usage: quay-keyless-login ${usage}`, "", ...more, "", "Options:", ...options, ""].join("\n");
}

function wrap(text: string, indent: string): string[] {
  const lines = [indent];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== indent && line.length + word.length >= 100) {
      lines.push(`${indent}${word}`);
    } else {
      lines[lines.length - 1] = line === indent ? `${indent}${word}` : `${line} ${word}`;
    }
  }
  return lines;
}
