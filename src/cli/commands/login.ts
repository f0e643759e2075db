import { resolve } from "node:path";
import { isoTime } from "../../identity/token.ts";
import { type LoginResult, login as logIn } from "../../login/login.ts";
import { logout } from "../../login/logout.ts";
import { outputsOf, parseExportToken } from "../../login/outputs.ts";
import { type RenewalOptions, renewUntilStopped, sourceOf } from "../../login/renewal.ts";
import { type LoginRequest, parseRequest } from "../../login/request.ts";
import { removeSession, type Session } from "../../login/session.ts";
import type { Workplace } from "../../login/workplace.ts";
import { type OptionReader, parseTimeout, readOptions } from "../../options/reader.ts";
import { type OptionValues, outputs as outputTable } from "../../options/table.ts";
import { systemClock } from "../../platform/clock.ts";
import type { Environment } from "../../platform/environment.ts";
import { asExplainedError, invalidInput, oneOfTheTwo } from "../../platform/errors.ts";
import { assertNoSecret } from "../../platform/reporter.ts";
import { mention, text } from "../../platform/wording.ts";
import { readRoots } from "../../tools/certificates.ts";
import { inBrief } from "../brief.ts";
import { aligned, type Call, interruption, type Outcome, withPlatform } from "../command.ts";
import { parseResults, writeResults } from "../results.ts";

const resultNames = outputTable.map(({ name }) => name).filter((name) => name !== "token");

export async function login(call: Call): Promise<Outcome> {
  const { values, env, terminal } = call;
  const wanted = await parseLogin(values);
  const { request, watching, sessionFolder } = wanted;
  const removeLogin = (folder: string) =>
    logout(
      folder,
      { clock: systemClock, reporter: terminal, signal: AbortSignal.timeout(30_000) },
      { named: folder === sessionFolder },
    );
  if (sessionFolder !== undefined) {
    await removeLogin(sessionFolder);
  }

  let begun: string | undefined;
  const workplace = workplaceOf(wanted, env, (folder) => {
    begun = folder;
  });
  const attempt = async (renews?: Session) => {
    const output = { env, terminal: renews ? terminal : terminal.briefly() };
    const result = await withPlatform(output, wanted, (platform) => logIn(request, workplace, platform, renews));
    const { token: _, ...outputs } = outputsOf(result, wanted);
    assertNoSecret(outputs, terminal);
    await writeResults(wanted.results, outputs);
    return result;
  };
  let result: LoginResult;
  try {
    result = await attempt();
  } catch (error) {
    if (begun !== undefined) {
      await removeLogin(begun).catch((failure) => terminal.error(asExplainedError(failure).headline));
    }
    throw error;
  } finally {
    terminal.live([]);
  }

  const finish = async () => {
    if (watching?.logoutOnExit) {
      await removeLogin(result.session.folder);
    } else if (sessionFolder === undefined) {
      await removeSession(result.session);
    }
  };
  const outcome = describe(result, wanted);
  if (watching === undefined) {
    await finish();
    return outcome;
  }
  const renew = async (session: Session) => (await attempt(session)).session;
  const afterOutput = async () => {
    try {
      await watch(result, { renew, onLapse: watching.onLapse }, terminal);
    } finally {
      await finish();
    }
  };
  return { ...outcome, afterOutput };
}

interface Wanted {
  readonly request: LoginRequest;
  readonly registry: string;
  readonly exportToken: boolean;
  readonly watching: Watching | undefined;
  readonly timeoutSeconds: number;
  /** The folder of the option session, absolute. */
  readonly sessionFolder: string | undefined;
  readonly results: Awaited<ReturnType<typeof parseResults>>;
  readonly roots: string | undefined;
}

/** @throws ExplainedError `invalid-input` */
async function parseLogin(values: OptionValues): Promise<Wanted> {
  const request = parseRequest(values);
  const reader = readOptions(values);
  const exportToken = parseExportToken(reader, request.robots);
  assertTokenAlone(exportToken, reader.text("output"));
  const watching = parseWatching(reader, exportToken);
  const timeoutSeconds = parseTimeout(reader);
  const named = reader.optional("session");
  const sessionFolder = named && resolve(named);
  const [results, roots] = await Promise.all([
    parseResults(values, resultNames, "expires-at"),
    readRoots(reader.optional("ca-file")),
  ]);
  return { request, registry: request.registry, exportToken, watching, timeoutSeconds, sessionFolder, results, roots };
}

const workplaceOf = (
  { watching, sessionFolder, exportToken, roots }: Wanted,
  env: Environment,
  onFolder: (folder: string) => void,
): Workplace => ({
  temporaryFolder: env.TMPDIR || "/tmp",
  sessionFolder,
  willLogOut: sessionFolder !== undefined || watching?.logoutOnExit === true,
  keepsLogins: "where-the-tool-looks",
  workspace: undefined,
  isDisposable: false,
  roots,
  showsIdentity: !exportToken,
  onSession: ({ folder }) => onFolder(folder),
});

function assertTokenAlone(exportToken: boolean, output: string): void {
  if (exportToken && output !== "text") {
    throw invalidInput("output", output, text`${mention("export-token")} prints the token alone`, oneOfTheTwo);
  }
}

interface Watching {
  readonly onLapse: "exit" | "retry";
  readonly logoutOnExit: boolean;
}

/** @returns undefined without --watch */
function parseWatching(reader: OptionReader, exportToken: boolean): Watching | undefined {
  const onLapse = reader.choice("on-lapse");
  const logoutOnExit = reader.boolean("logout-on-exit");
  if (!reader.boolean("watch")) {
    if (onLapse !== "exit" || logoutOnExit) {
      const watching = mention("watch", "true");
      const problem = text`it belongs to ${mention("watch")}, which is not set`;
      throw logoutOnExit
        ? invalidInput("logout-on-exit", "true", problem, text`${watching} ${mention("logout-on-exit", "true")}`)
        : invalidInput("on-lapse", onLapse, problem, text`${watching} ${mention("on-lapse", onLapse)}`);
    }
    return undefined;
  }
  if (exportToken) {
    throw invalidInput(
      "export-token",
      "true",
      text`it prints one token, and ${mention("watch")} gets new ones`,
      oneOfTheTwo,
    );
  }
  return { onLapse, logoutOnExit };
}

/** Renews the login until a signal arrives or the login lapses. */
async function watch(
  result: LoginResult,
  options: Pick<RenewalOptions, "renew" | "onLapse">,
  terminal: Call["terminal"],
): Promise<void> {
  const signal = interruption();
  try {
    await renewUntilStopped(
      result.session,
      { ...sourceOf(result), ...options },
      { clock: systemClock, reporter: terminal, signal },
    );
  } catch (error) {
    if (error !== signal.reason) {
      throw error;
    }
    terminal.info(asExplainedError(error).headline);
  }
}

function describe(result: LoginResult, { request, watching, sessionFolder, ...asked }: Wanted): Outcome {
  const { session, identity, files, phases } = result;
  const outputs = outputsOf(result, asked);
  const { token, "logged-in": _, ...shown } = outputs;
  const rows = { ...shown, robot: session.robots.map(({ robot }) => robot) };
  return {
    lines: aligned([...Object.entries(rows), ...(sessionFolder ? [["session", sessionFolder] as const] : [])]),
    object: {
      "logged-in": true,
      registry: outputs.registry,
      robots: session.robots.map(({ robot, scope, expiresAt }) => ({ robot, scope, "expires-at": isoTime(expiresAt) })),
      "expires-at": outputs["expires-at"],
      "auth-file": outputs["auth-file"],
      files,
      issuer: identity.issuer,
      subject: identity.subject,
      audience: identity.audience,
      ...(sessionFolder && { session: sessionFolder }),
      phases,
    },
    brief: inBrief({
      outputs,
      robots: session.robots,
      files,
      isWatching: watching !== undefined,
      session: sessionFolder,
      namedFile: request.store.authFile,
    }),
    token: token || undefined,
  };
}
