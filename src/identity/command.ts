/** The command that prints the identity token. */
import { isAbsolute } from "node:path";
import { secretVariables, tokenCommandEnvironment } from "../platform/child-environment.ts";
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { type Finished, start, which } from "../platform/exec.ts";
import { isJwt } from "../platform/jwt.ts";
import type { Platform } from "../platform/platform.ts";
import { shortestSecret } from "../platform/reporter.ts";
import { asPattern, oneLine, withoutKeys, withoutSecrets } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import { nameOf } from "./command-words.ts";
import type { TokenCommand } from "./source.ts";
import { readTokenText } from "./token-text.ts";

/** Bytes: a token that Quay accepts has some 6,000. */
const maxBytes = 65_536;

/** Milliseconds before the timeout of the whole: the error then says what took so long. */
const marginMs = 200;

/**
 * Runs the command and takes what it prints to standard output. No shell runs it, it gets no input, and what it leaves running in its
 * process group is killed. A process that began a session of its own is in another group.
 * @throws ExplainedError `token-command-failed`, `token-command-unusable`; the signal's reason once it aborts
 */
export async function runTokenCommand(command: TokenCommand, platform: Platform): Promise<string> {
  const env = environmentFor(command, platform);
  const { finished, isLate, seconds } = await run(command, env, platform);
  const said = saidBy(finished, platform);
  const withheld = withheldFrom(command, env, platform);
  if (isLate) {
    throw failed(`took longer than ${seconds} s and was killed`, command, said, [
      text`It can't ask a question: it has no terminal. If it needs more time: ${mention("timeout", "600")}`,
    ]);
  }
  if (finished.isTooLong) {
    throw unusable("is longer than 64 KiB", command, said, undefined);
  }
  if (finished.exitCode !== 0) {
    const how = finished.exitCode === undefined ? "was killed" : `exited with ${finished.exitCode}`;
    throw failed(how, command, said, ["Run it by hand in the same job, and see what it says.", ...withheld]);
  }
  const read = readTokenText(finished.stdout ?? "");
  if (!read.ok) {
    const remedy = read.field ? remedyOfField(read.field) : read.remedy;
    // What a variable would have held is missing.
    const lacks = finished.stdout?.trim() === "" ? withheld : [];
    throw unusable(read.problem, command, [...said, ...lacks], remedy);
  }
  if (isJwt(read.token)) {
    platform.reporter.secret(read.token);
  }
  for (const line of said) {
    platform.reporter.debug(platform.reporter.hide(line));
  }
  return read.token;
}

/** What the command gets. Masks each secret of ours first, so that a copy under another name is withheld too. */
function environmentFor({ withheld }: TokenCommand, { env, reporter }: Platform): Environment {
  for (const name of [...secretVariables, ...withheld]) {
    const value = env[name]?.trim() ?? "";
    if (value.length >= shortestSecret) {
      reporter.secret(value);
    }
  }
  return tokenCommandEnvironment(env, reporter.holdsSecret, withheld);
}

/** Which variables the command lacks: those that its words name, else all but the many of options. As lines for a remedy. */
function withheldFrom({ words }: TokenCommand, given: Environment, { env }: Platform): readonly Words[] {
  const all = Object.keys(env).filter((name) => !(name in given));
  const named = all.filter((name) => words.some((word) => new RegExp(`(?<!\\w)${asPattern(name)}(?!\\w)`).test(word)));
  const names = named.length > 0 ? named : all.filter((name) => !/^(?:INPUT|QUAY_KEYLESS)_/.test(name));
  const wayOut = named.map((name) =>
    name.startsWith("ACTIONS_ID_TOKEN_REQUEST_")
      ? text`For the job's own token: ${mention("identity", "github")}`
      : text`If ${name} holds the token: ${mention("token-env", name)}`,
  );
  return names.length === 0
    ? []
    : [`It does not get ${names.join(", ")}: only quay-keyless-login does.`, ...wayOut.slice(0, 1)];
}

async function run(command: TokenCommand, childEnv: Environment, { env, clock, deadline, signal }: Platform) {
  const [program, ...args] = command.words;
  const file = isAbsolute(program) ? program : await which(program, env);
  if (file === undefined) {
    throw failed(
      `was not started: ${withoutSecrets(program)} is not on PATH`,
      command,
      [],
      [
        "Only the absolute folders of PATH count. Install it in this job or image, or name it by an absolute path, such as /usr/local/bin/print-token.",
        text`An alias, a function or a builtin of a shell is no program. To use one: ${mention("token-command", "sh -c '…'")}`,
      ],
    );
  }
  const running = start({ file, args, env: childEnv }, signal, { maxStdout: maxBytes });
  const leftMs = Math.max(1, deadline - clock.now() - marginMs);
  let isLate = false;
  const kill = () => {
    isLate = true;
    void running.kill();
  };
  const timer = Number.isFinite(leftMs) ? setTimeout(kill, leftMs) : undefined;
  const finished = await running.finish("").finally(() => clearTimeout(timer));
  if (running.pid === undefined) {
    throw failed(
      `can't be started (${oneLine(finished.output, 200)})`,
      command,
      [],
      ["Check that the file exists, that this user may execute it, and that it begins with #! if it is a script."],
    );
  }
  return { finished, isLate, seconds: Math.round(leftMs / 1000) };
}

/** Lines of a single word each, as fold and base64 print a token. */
const pieces = /^[ \t]*[\w+/=.-]+[ \t]*(?:\r?\n[ \t]*[\w+/=.-]+[ \t]*)+$/gm;

/**
 * What it printed to standard error, as one line: the end of it, where programs say why. Tokens are hidden, whole or in pieces, and what
 * standard output has too: all before the text is cut, since the rest of a secret would not be found.
 */
function saidBy({ output, stdout = "" }: Finished, { reporter }: Platform): readonly string[] {
  const most = 500;
  const printed = stdout.split(/\s+/).filter((word) => word.length >= shortestSecret);
  const hidden = printed.reduce((rest, word) => rest.replaceAll(word, "…"), reporter.hide(output));
  const lines = withoutKeys(hidden.replaceAll(pieces, "…"))
    .trim()
    .split(/\s*\n\s*/);
  const line = oneLine(lines.join(" "), 65_536);
  return line === "" ? [] : [`It says: ${line.length > most ? `…${line.slice(-most)}` : line}`];
}

const optionsOfTools: Readonly<Record<string, string>> = {
  WebIdentityToken: "--query WebIdentityToken --output text",
  accessToken: "--query accessToken --output tsv",
};

const remedyOfField = (field: string): Words =>
  field in optionsOfTools
    ? `Have it print the token alone, with the options ${optionsOfTools[field]}`
    : text`Have it print the token alone: ${mention("token-command", `sh -c '… | jq -r .${field}'`)}`;

function failed(how: string, command: TokenCommand, said: readonly Words[], remedy: readonly Words[]): ExplainedError {
  return new ExplainedError(
    "token-command-failed",
    `The command ${nameOf(command.words)} ${how}, so there is no identity token.`,
    {
      remedy: [...said, ...remedy],
    },
  );
}

function unusable(
  problem: string,
  command: TokenCommand,
  said: readonly Words[],
  remedy: Words | undefined,
): ExplainedError {
  return new ExplainedError(
    "token-command-unusable",
    `The output of the command ${nameOf(command.words)} ${problem}.`,
    {
      remedy: [
        ...said,
        remedy ?? "Have it print the JWT and nothing else to standard output. Messages belong on standard error.",
      ],
    },
  );
}
