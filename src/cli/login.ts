import { access, constants, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { asLoginError, invalidInput, type LoginError, oneOfTheTwo } from "../errors.ts";
import { isoTime } from "../identity/token.ts";
import { type LoginResult, login as logIn } from "../login.ts";
import { logout } from "../logout.ts";
import { readOptions } from "../option-values.ts";
import { type OptionValues, type OutputName, outputs } from "../options.ts";
import { outputsOf } from "../outputs.ts";
import { systemClock } from "../platform/clock.ts";
import { readRoots } from "../registry/certificates.ts";
import { parseRequest } from "../request.ts";
import { removeSession } from "../session.ts";
import { aligned, type Call, type Outcome, withPlatform } from "./command.ts";

export async function login(call: Call): Promise<Outcome> {
  const { values, env, terminal } = call;
  const request = parseRequest(values);
  const reader = readOptions(values);
  if (request.exportToken && reader.text("output") !== "text") {
    throw invalidInput("output", reader.text("output"), "export-token prints the token alone", oneOfTheTwo);
  }
  const named = reader.optional("session");
  const sessionFolder = named && resolve(named);
  const [results, roots] = await Promise.all([
    parseResults(values),
    request.caFile === undefined ? undefined : readRoots(request.caFile),
  ]);
  const takeBack = (folder: string) =>
    logout(folder, { clock: systemClock, reporter: terminal, signal: AbortSignal.timeout(30_000) });
  if (sessionFolder !== undefined) {
    await takeBack(sessionFolder);
  }

  let begun: string | undefined;
  let result: LoginResult;
  try {
    const place = {
      temporaryFolder: env.TMPDIR || "/tmp",
      sessionFolder,
      willLogOut: sessionFolder !== undefined,
      keepsLogins: "where-the-tool-looks",
      workspace: undefined,
      isDisposable: false,
      roots,
      onSession: (folder: string) => {
        begun = folder;
      },
    } as const;
    result = await withPlatform(call, { timeoutSeconds: request.timeoutSeconds, roots }, (platform) =>
      logIn(request, place, platform),
    );
    await writeResults(results, outputsOf(request, result));
  } catch (error) {
    if (begun !== undefined) {
      await takeBack(begun).catch((failure) => terminal.error(asLoginError(failure).message));
    }
    throw error;
  }
  if (sessionFolder === undefined) {
    await removeSession(result.session);
  }

  const told = outputsOf(request, result);
  return { ...describe(told, result, sessionFolder), token: told.token || undefined };
}

function describe(
  told: Readonly<Record<OutputName, string>>,
  { session, identity, files }: LoginResult,
  sessionFolder: string | undefined,
): Outcome {
  const { token: _, "logged-in": __, ...shown } = told;
  return {
    lines: aligned([...Object.entries(shown), ...(sessionFolder ? [["session", sessionFolder] as const] : [])]),
    object: {
      "logged-in": true,
      registry: told.registry,
      robots: session.robots.map(({ robot, scope, expiresAt }) => ({ robot, scope, "expires-at": isoTime(expiresAt) })),
      "expires-at": told["expires-at"],
      "auth-file": told["auth-file"],
      files,
      issuer: identity.issuer,
      subject: identity.subject,
      audience: identity.audience,
      ...(sessionFolder && { session: sessionFolder }),
    },
  };
}

interface ResultFile {
  readonly name: OutputName;
  readonly file: string;
}

/** Where results belong is found out before anything is changed. */
function parseResults(values: OptionValues): Promise<readonly ResultFile[]> {
  const names = outputs.map(({ name }) => name).filter((name) => name !== "token");
  return Promise.all(
    readOptions(values)
      .list("result")
      .map(async (entry) => {
        const [, given, file] = /^([^=]*)=(.+)$/.exec(entry) ?? [];
        const name = names.find((candidate) => candidate === given);
        if (name === undefined || file === undefined) {
          throw invalidInput("result", entry, `it is NAME=FILE, with a name of ${names.join(", ")}`, resultExample);
        }
        await assertWritable(file).catch((error: NodeJS.ErrnoException) => {
          throw cannotWrite(entry, error);
        });
        return { name, file };
      }),
  );
}

async function writeResults(results: readonly ResultFile[], told: Readonly<Record<OutputName, string>>): Promise<void> {
  for (const { name, file } of results) {
    await writeFile(file, told[name]).catch((error: NodeJS.ErrnoException) => {
      throw cannotWrite(`${name}=${file}`, error);
    });
  }
}

const resultExample = "--result expires-at=/tekton/results/expires-at";

const cannotWrite = (entry: string, { code }: NodeJS.ErrnoException): LoginError =>
  invalidInput("result", entry, `the file can't be written (${code})`, resultExample);

async function assertWritable(file: string): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  if (there?.isDirectory()) {
    throw Object.assign(new Error("a folder"), { code: "EISDIR" });
  }
  await access(there ? file : dirname(file), constants.W_OK);
}
