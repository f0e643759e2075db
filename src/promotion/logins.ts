/** The logins of a promotion: one for each side, each in an auth file of its own, kept alive until the end. */
import { join } from "node:path";
import { type LoginResult, login } from "../login/login.ts";
import { logout } from "../login/logout.ts";
import { renewUntilStopped, sourceOf } from "../login/renewal.ts";
import type { LoginRequest } from "../login/request.ts";
import type { Session } from "../login/session.ts";
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError, reworded } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { newId } from "../platform/replace.ts";
import type { Reporter } from "../platform/reporter.ts";
import type { RobotToken } from "../quay/exchange.ts";
import type { Realm } from "../registry/realm.ts";
import { standInForHelpers } from "../tools/helpers.ts";
import type { PromotionRequest } from "./request.ts";
import type { PromotionContext } from "./result.ts";
import { readSourceLogins, type SourceLogin, writeSourceLogins } from "./source-login.ts";

/** Who reads, or who writes. */
export interface Side {
  readonly name: "source" | "destination";
  /** undefined: no robot's */
  readonly login: SideLogin | undefined;
  /** For the tools. undefined: without a login */
  readonly authFile: string | undefined;
  /** Of a source that no robot reads, by `registry/organization/repository`. */
  readonly others: ReadonlyMap<string, SourceLogin>;
}

export interface SideLogin {
  readonly registry: string;
  readonly robot: string;
  readonly authFile: string;
  /** The robot token as it is now. */
  readonly credential: () => RobotToken;
  /** Where that is traded for bearer tokens. */
  readonly realm: () => Realm;
}

export interface Sides {
  readonly source: Side;
  readonly destination: Side;
  /** Roots for the tools, in a folder; undefined: the system's alone. */
  readonly certificates: string | undefined;
  /** Stand-ins for credential helpers, in a folder; undefined: there are no helpers here. */
  readonly helpers: string | undefined;
  /** Takes the logins back. Never throws: what could not be taken back is told. */
  close(): Promise<void>;
}

/**
 * Logs both sides in at the same time; one robot of one registry logs in once.
 * @throws ExplainedError as `login` does; nothing is left then
 */
export async function openSides(
  request: PromotionRequest,
  context: PromotionContext,
  platform: Platform,
): Promise<Sides> {
  const [first] = request.promotions;
  const { sourceRobot, sourceAuthFile, destinationRobot, sourceTokenHost, destinationTokenHost } = request;
  const sources = request.promotions.map(({ source }) => source);
  const others: Side["others"] =
    sourceAuthFile === undefined ? new Map() : await readSourceLogins(sourceAuthFile, sources);
  const writer: Party = {
    name: "destination",
    registry: first?.destination.registry ?? "",
    robot: destinationRobot,
    tokenHost: destinationTokenHost,
  };
  const reader: Party | undefined =
    sourceRobot === undefined
      ? undefined
      : {
          name: "source",
          registry: first?.source.registry ?? "",
          robot: sourceRobot,
          tokenHost: sourceTokenHost ?? (first?.source.registry === writer.registry ? destinationTokenHost : undefined),
        };
  const same =
    reader?.registry === writer.registry && reader.robot === writer.robot && reader.tokenHost === writer.tokenHost;
  const parties = reader && !same ? [writer, reader] : [writer];

  const { reporter } = platform;
  for (const { auth } of others.values()) {
    reporter.secret(auth);
    reporter.secret(
      Buffer.from(auth, "base64")
        .toString()
        .replace(/^[^:]*:/, ""),
    );
  }
  const quietly = { ...platform, reporter: sayingOnce(reporter) };
  const open: LiveLogin[] = [];
  const close = async () => void (await Promise.all(open.map((each) => each.close())));
  let ofOthers: string | undefined;
  try {
    await mapLimit(parties, parties.length, async (party, index) => {
      open[index] = await logIn(party, request, context, quietly);
    });
    const [{ session } = {}] = open;
    if (session && others.size > 0) {
      // Below the private folder of the destination's login, which goes with that.
      ofOthers = await writeSourceLogins([...others.values()], join(session.folder, "source"));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const [writing, reading = same ? writing : undefined] = open;
  const { roots } = context.workplace;
  return {
    source: { name: "source", login: reading, authFile: reading?.authFile ?? ofOthers, others },
    destination: { name: "destination", login: writing, authFile: writing?.authFile, others: new Map() },
    certificates: roots && writing && join(writing.session.folder, "certificates"),
    helpers: writing && (await standInForHelpers(platform.env, join(writing.session.folder, "helpers"))),
    close,
  };
}

/** Says which of the two logins it was, and names the options as they are called here. */
const ofSide = (name: Side["name"], error: ExplainedError): ExplainedError =>
  reworded(error, {
    message: (text) => `The login to the ${name} failed. ${text}`,
    remedy: (lines) =>
      lines.map((line) =>
        line
          .replace("the option robot:", `the option ${name}-robot:`)
          .replace(" token-host: ", ` ${name}-token-host: `)
          .replace("the option registry (", `the host in the option ${name} (a first part with a dot is one: `),
      ),
  });

/** Both logins have the same identity, and so has each renewal: that is told once. */
function sayingOnce(reporter: Reporter): Reporter {
  const said = new Set<string>();
  const info = (message: string) => {
    (said.has(message) ? reporter.debug : reporter.info)(message);
    said.add(message);
  };
  return { ...reporter, info };
}

interface Party {
  readonly name: Side["name"];
  readonly registry: string;
  readonly robot: string;
  readonly tokenHost: string | undefined;
}

interface LiveLogin extends SideLogin {
  readonly session: Session;
  close(): Promise<void>;
}

async function logIn(
  party: Party,
  request: PromotionRequest,
  { workplace, createPlatform }: PromotionContext,
  { clock, reporter, signal }: Platform,
): Promise<LiveLogin> {
  const { name, registry, robot } = party;
  // A file of its own: among others' logins a more specific one would be taken instead.
  const authFile = join(workplace.temporaryFolder, `quay-keyless-promote-${newId()}`, "config.json");
  const loginRequest = asLogin(request, party, authFile);
  const ended = new AbortController();
  let folder: string | undefined;
  let endAttempt = () => {};
  const attempt = async (renews?: Session): Promise<LoginResult> => {
    const own = createPlatform(request.timeoutSeconds);
    endAttempt = own.close;
    const onSession = (session: Session) => {
      folder = session.folder;
      workplace.onSession(session);
    };
    try {
      const stoppable = { ...own, reporter, signal: AbortSignal.any([own.signal, ended.signal]) };
      return await login(loginRequest, { ...workplace, onSession }, stoppable, renews);
    } finally {
      own.close();
    }
  };
  const takeBack = async () => {
    if (folder !== undefined) {
      const quiet = { clock, reporter: { ...reporter, info: reporter.debug }, signal: AbortSignal.timeout(30_000) };
      await logout(folder, quiet).catch((error: Error) => reporter.warning(error.message));
    }
  };

  let current: LoginResult;
  try {
    current = await attempt();
  } catch (error) {
    await takeBack();
    throw error instanceof ExplainedError ? ofSide(name, error) : error;
  }
  const renew = async (session: Session) => {
    current = await attempt(session);
    return current.session;
  };
  const upkeep = renewUntilStopped(
    current.session,
    { ...sourceOf(current), onLapse: "retry", renew },
    { clock, reporter, signal: AbortSignal.any([signal, ended.signal]) },
  ).catch((error) => {
    if (!ended.signal.aborted && !signal.aborted) {
      reporter.warning(`The login of ${robot} is no longer kept alive. ${(error as Error).message}`);
    }
  });
  return {
    registry,
    robot,
    authFile,
    session: current.session,
    credential: () => {
      const [token] = current.tokens;
      if (token === undefined) {
        throw new ExplainedError("not-logged-in", `${robot} is not logged in.`, { remedy: ["Run the same again."] });
      }
      return token;
    },
    realm: () => current.realm,
    async close() {
      ended.abort();
      endAttempt();
      await upkeep;
      await takeBack();
    },
  };
}

function asLogin(request: PromotionRequest, { registry, robot, tokenHost }: Party, authFile: string): LoginRequest {
  return {
    registry,
    tokenHost,
    robots: [{ robot, scope: registry }],
    identity: request.identity,
    tool: "skopeo",
    store: { authFile, authFileMode: undefined, dockerConfig: false },
    access: [],
  };
}
