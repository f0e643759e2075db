/** The logins of a promotion: one for each endpoint, each in its own auth file, renewed until the end. */
import { join } from "node:path";
import { type LoginResult, login } from "../login/login.ts";
import { logout } from "../login/logout.ts";
import { renewUntilStopped, sourceOf } from "../login/renewal.ts";
import type { LoginRequest } from "../login/request.ts";
import type { Session } from "../login/session.ts";
import { mapLimit } from "../platform/concurrency.ts";
import { asExplainedError, ExplainedError, reworded } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { newId } from "../platform/replace.ts";
import type { Reporter } from "../platform/reporter.ts";
import { type Mention, mention, plainly, text, type Words, withMentions } from "../platform/wording.ts";
import type { RobotToken } from "../quay/exchange.ts";
import type { Realm } from "../registry/realm.ts";
import { offerRoots } from "../tools/certificates.ts";
import { assertFilesAreRead, standInForHelpers } from "../tools/helpers.ts";
import type { PromotionRequest } from "./request.ts";
import type { PromotionContext } from "./result.ts";
import { readSourceLogins, type SourceLogin, writeSourceLogins } from "./source-login.ts";

/** One of the two sides: source or destination. */
export interface Endpoint {
  readonly name: "source" | "destination";
  /** The robot's login; undefined: no robot logs in */
  readonly login: EndpointLogin | undefined;
  /** Auth file for the tools; undefined: they run without a login */
  readonly authFile: string | undefined;
  /** Logins of source-auth-file, keyed by `registry/organization/repository`. */
  readonly others: ReadonlyMap<string, SourceLogin>;
}

export interface EndpointLogin {
  readonly registry: string;
  readonly robot: string;
  readonly authFile: string;
  /** The current robot token. */
  readonly credential: () => RobotToken;
  /** Where it is exchanged for bearer tokens. */
  readonly realm: () => Realm;
}

export interface Endpoints {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** Folder with root certificates for the tools; undefined: the system's only */
  readonly certificates: string | undefined;
  /** Folder with stand-ins for credential helpers; undefined: no helper is configured */
  readonly helpers: string | undefined;
  /** Removes the logins. Never throws: a login that could not be removed is a warning. */
  close(): Promise<void>;
}

/**
 * Logs in to both endpoints at the same time. If both have the same robot and registry, it logs in once.
 * @throws ExplainedError as `login` does; no login is left behind
 */
export async function openEndpoints(
  request: PromotionRequest,
  context: PromotionContext,
  platform: Platform,
): Promise<Endpoints> {
  const { reporter } = platform;
  await assertFilesAreRead(platform.env);
  const others = await readOthers(request, reporter);
  const { writer, reader, isSame } = partiesOf(request);
  const quietly = { ...platform, reporter: withoutRepeats(reporter) };
  const open: LiveLogin[] = [];
  const close = async () => void (await Promise.all(open.map((each) => each.close())));
  try {
    const parties = reader && !isSame ? [writer, reader] : [writer];
    await mapLimit(parties, parties.length, async (party, index) => {
      open[index] = await logIn(party, request, context, quietly);
    });
    const [writing, reading = isSame ? writing : undefined] = open;
    const { roots } = context.workplace;
    // What the tools need is below the private folder of the destination's login, which is removed with it.
    const below = (name: string) => writing && join(writing.session.folder, name);
    const [forSource, forRoots, forHelpers] = [below("source"), below("certificates"), below("helpers")];
    const ofOthers = forSource && others.size > 0 && (await writeSourceLogins([...others.values()], forSource));
    return {
      source: { name: "source", login: reading, authFile: reading?.authFile ?? (ofOthers || undefined), others },
      destination: { name: "destination", login: writing, authFile: writing?.authFile, others: new Map() },
      certificates: roots && forRoots && (await offerRoots(roots, forRoots)),
      helpers: forHelpers && (await standInForHelpers(platform.env, forHelpers)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Reads the logins of the option source-auth-file, and masks them. */
async function readOthers(
  { sourceAuthFile, promotions }: PromotionRequest,
  reporter: Reporter,
): Promise<Endpoint["others"]> {
  if (sourceAuthFile === undefined) {
    return new Map();
  }
  const sources = promotions.map(({ source }) => source);
  const others = await readSourceLogins(sourceAuthFile, sources);
  for (const { auth } of others.values()) {
    reporter.secret(auth);
    reporter.secret(
      Buffer.from(auth, "base64")
        .toString()
        .replace(/^[^:]*:/, ""),
    );
  }
  return others;
}

/** A robot to log in. */
interface Party {
  readonly name: Endpoint["name"];
  readonly registry: string;
  readonly robot: string;
  readonly tokenHost: string | undefined;
}

/** @returns `reader`: undefined if no robot reads the source; `isSame`: whether one login serves both */
function partiesOf(request: PromotionRequest): { writer: Party; reader: Party | undefined; isSame: boolean } {
  const { promotions, sourceRobot, destinationRobot, sourceTokenHost, destinationTokenHost } = request;
  const [from = "", to = ""] = [promotions[0]?.source.registry, promotions[0]?.destination.registry];
  const writer: Party = {
    ...{ name: "destination", registry: to, robot: destinationRobot, tokenHost: destinationTokenHost },
  };
  if (sourceRobot === undefined) {
    return { writer, reader: undefined, isSame: false };
  }
  const tokenHost = sourceTokenHost ?? (from === to ? destinationTokenHost : undefined);
  const isSame = from === to && sourceRobot === destinationRobot && tokenHost === destinationTokenHost;
  return { writer, reader: { name: "source", registry: from, robot: sourceRobot, tokenHost }, isSame };
}

/** The error with the names that the options have in a promotion. */
const ofEndpoint = (name: Endpoint["name"], error: ExplainedError): ExplainedError => {
  const renamed = (words: Words) => withMentions(words, (mentioned) => mentionOf(name, mentioned));
  return reworded(error, { headline: renamed, remedy: (lines) => lines.map(renamed) });
};

function mentionOf(name: Endpoint["name"], mentioned: Mention): Words {
  const { option, value } = mentioned;
  switch (option) {
    case "robot":
    case "token-host":
      return mention(`${name}-${option}`, value);
    case "registry":
      return value === undefined ? text`${mention(name)}, whose first part is the host if it has a dot` : mentioned;
    default:
      return mentioned;
  }
}

/** Both logins and each renewal have the same identity: each line about it is logged once. */
function withoutRepeats(reporter: Reporter): Reporter {
  const logged = new Set<string>();
  const info = (message: Words) => {
    const line = plainly(message);
    (logged.has(line) ? reporter.debug : reporter.info)(message);
    logged.add(line);
  };
  return { ...reporter, info };
}

interface LiveLogin extends EndpointLogin {
  readonly session: Session;
  close(): Promise<void>;
}

async function logIn(
  party: Party,
  request: PromotionRequest,
  context: PromotionContext,
  platform: Platform,
): Promise<LiveLogin> {
  const { name, registry, robot } = party;
  const { clock, reporter, signal } = platform;
  // A separate file: in a shared one a more specific login would take precedence.
  const authFile = join(context.workplace.temporaryFolder, `quay-keyless-promote-${newId()}`, "config.json");
  const attempts = createAttempts(asLogin(request, party, authFile), request.timeoutSeconds, context, platform);
  const attempt = (renews?: Session) =>
    attempts.run(renews).catch((error) => {
      const isOwn = error instanceof ExplainedError && !attempts.stopped.aborted && !signal.aborted;
      throw isOwn ? ofEndpoint(name, error) : error;
    });
  let current: LoginResult;
  try {
    current = await attempt();
  } catch (error) {
    await attempts.remove();
    throw error instanceof ExplainedError
      ? reworded(error, { headline: (words) => text`The login to the ${name} failed. ${words}` })
      : error;
  }
  const renew = async (session: Session) => {
    current = await attempt(session);
    return current.session;
  };
  const renewal = renewUntilStopped(
    current.session,
    { ...sourceOf(current), onLapse: "retry", renew },
    { clock, reporter, signal: AbortSignal.any([signal, attempts.stopped]) },
  ).catch((error) => {
    if (!attempts.stopped.aborted && !signal.aborted) {
      reporter.warning(text`The login of ${robot} is no longer renewed. ${asExplainedError(error).headline}`);
    }
  });
  return {
    ...{ registry, robot, authFile, session: current.session },
    credential: () => {
      const [token] = current.tokens;
      if (token === undefined) {
        throw new ExplainedError("not-logged-in", `${robot} is not logged in.`, { remedy: ["Run the same again."] });
      }
      return token;
    },
    realm: () => current.realm,
    async close() {
      attempts.stop();
      await renewal;
      await attempts.remove();
    },
  };
}

/** One login and its renewals. */
interface Attempts {
  run(renews?: Session): Promise<LoginResult>;
  readonly stopped: AbortSignal;
  /** Ends the running attempt. */
  stop(): void;
  /** Never throws: a login that could not be removed is a warning. */
  remove(): Promise<void>;
}

function createAttempts(
  request: LoginRequest,
  timeoutSeconds: number,
  { workplace, createPlatform }: PromotionContext,
  { clock, reporter }: Platform,
): Attempts {
  const stopping = new AbortController();
  let folder: string | undefined;
  let endAttempt = () => {};
  return {
    stopped: stopping.signal,
    async run(renews) {
      const own = createPlatform(timeoutSeconds);
      endAttempt = own.close;
      const onSession = (session: Session) => {
        folder = session.folder;
        workplace.onSession(session);
      };
      try {
        const stoppable = { ...own, reporter, signal: AbortSignal.any([own.signal, stopping.signal]) };
        return await login(request, { ...workplace, onSession }, stoppable, renews);
      } finally {
        own.close();
      }
    },
    stop() {
      stopping.abort();
      endAttempt();
    },
    async remove() {
      if (folder !== undefined) {
        const quiet = { clock, reporter: { ...reporter, info: reporter.debug }, signal: AbortSignal.timeout(30_000) };
        await logout(folder, quiet).catch((error: unknown) => reporter.warning(asExplainedError(error).headline));
      }
    },
  };
}

function asLogin(request: PromotionRequest, { registry, robot, tokenHost }: Party, authFile: string): LoginRequest {
  return {
    registry,
    tokenHost,
    robots: [{ robot, scope: registry }],
    identity: request.identity,
    tool: "none", // a process for each login and renewal would only cost time
    store: { authFile, authFileMode: undefined, dockerConfig: false },
    access: [],
  };
}
