/** The story of a login: identity -> exchange -> tool login -> session. */
import { join } from "node:path";
import { certificatesFolders } from "../authfile/locations.ts";
import { chooseIdentity, type IdentityChoice, openIdentity } from "../identity/index.ts";
import { type Identity, isoTime } from "../identity/token.ts";
import { mapLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import { leadsInto } from "../platform/fs.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { createTimeline, type Phase, type Timeline } from "../platform/timeline.ts";
import { connect, exchange, type RobotToken } from "../quay/exchange.ts";
import type { RobotLogin } from "../quay/scope.ts";
import { assertAccess } from "../registry/access.ts";
import { findRealm, openRegistry, type Realm } from "../registry/realm.ts";
import { type CertificateRecord, installRoots, offerRoots } from "../tools/certificates.ts";
import { besideHelpers } from "../tools/helpers.ts";
import { startToolLogin, type ToolLogin } from "../tools/tool-login.ts";
import { findTool, scopedTools, type Tool } from "../tools/tools.ts";
import { planDestinations, storeLogins } from "./destinations.ts";
import { cacheIdentity } from "./identity-cache.ts";
import { hasNamespacedScope, type LoginRequest } from "./request.ts";
import { openFolderTo, openNamedSession, openSession, readSession, type Session, saveSession } from "./session.ts";
import type { Workplace } from "./workplace.ts";

export interface LoginResult {
  readonly session: Session;
  readonly source: IdentityChoice;
  readonly identity: Identity;
  readonly tool: Tool;
  readonly tokens: readonly RobotToken[];
  /** Where they are traded for bearer tokens. */
  readonly realm: Realm;
  /** For REGISTRY_AUTH_FILE. */
  readonly authFile: string;
  /** All files that hold the login now. */
  readonly files: readonly string[];
  /** What took how long; some of it at the same time. */
  readonly phases: readonly Phase[];
}

/**
 * Signs every robot of the request in, and says so once all that was asked for is there. On failure nothing of it is left but what `logout` takes back.
 * @param renews the session that a new login is for: on failure its earlier one stays
 * @throws ExplainedError
 */
export async function login(
  request: LoginRequest,
  workplace: Workplace,
  outer: Platform,
  renews?: Session,
): Promise<LoginResult> {
  // What is the same at each renewal was said at the login; whoever renews says how it went.
  const platform = renews ? quietly(outer) : outer;
  const earlier = renews && (await reopen(renews)); // first of all: without it there is nothing to renew
  const choice = await chooseIdentity(request, platform);
  // Handshakes take longer than everything else until a request can be sent; nothing is sent yet.
  const early = {
    identity: openIdentity(choice, request.audience, platform),
    quay: connect(request.registry, platform),
    registry: openRegistry(request.registry, platform),
  };
  const tool = await findTool(request.tool, hasNamespacedScope(request), platform.env);
  const destinations = await planDestinations(request, tool, workplace, platform);
  platform.reporter.info(`Identity: ${choice.why}.`);

  let session = earlier ?? (await open(workplace));
  workplace.onSession(session);
  const keep = async (change: Partial<Session>) => {
    session = { ...session, ...change };
    workplace.onSession(session);
    await saveSession(session);
  };

  const timeline = createTimeline(platform);
  const identities = cacheIdentity(request, choice, early.identity, platform);
  void timeline.time("identity token", () => identities.first).catch(() => {}); // every robot waits for it, and gets the error
  const realm = findRealm(request.registry, request.tokenHost, early.registry, platform);
  if (!renews) {
    await leaveRoots(request, workplace, session, keep, platform); // while the identity token is on its way
  }
  const certificates = workplace.roots && (await offerRoots(workplace.roots, join(session.folder, "certificates")));
  const { result: logins, asked } = await besideHelpers(platform.env, join(session.folder, "helpers"), (helpers) =>
    mapLimit(request.robots, maxConcurrentLogins, (robot, index) =>
      signIn(robot, join(session.folder, `tool-${index}`), {
        request,
        tool,
        certificates,
        helpers,
        realm,
        connection: index === 0 ? early.quay : connect(request.registry, platform),
        currentIdentity: identities.current,
        timeline,
        platform,
      }),
    ),
  );
  if (asked.length > 0 && !renews) {
    platform.reporter.warning(
      `registries.conf names the credential helper ${asked.join(", ")} before the file: where it holds another login for ${request.registry}, later steps use that one.`,
    );
  }
  const tokens = logins.map(({ token }) => token);
  if (request.access.length > 0) {
    await timeline.time("permissions", async () =>
      assertAccess(request.registry, request.robots, tokens, request.access, await realm(), platform),
    );
  }

  await keep({
    robots: logins.map(({ robot, token }) => ({
      ...robot,
      expiresAt: token.expiresAt,
      lifeSeconds: token.lifeSeconds,
    })),
  });
  const entries = Object.fromEntries(logins.map(({ robot, entry }) => [robot.scope, entry]));
  const authFile = await timeline.time("auth file", () =>
    // By the outer one: that others have taken a place is told at a renewal as well.
    storeLogins(entries, destinations, session, request, outer, (record) =>
      keep({ files: [...session.files.filter(({ path }) => path !== record.path), record] }),
    ),
  );
  if (destinations.authFile === undefined) {
    await openFolderTo(session, request.authFileMode ?? 0o600);
  }
  for (const { robot, token } of logins) {
    platform.reporter.info(
      `Logged in to ${robot.scope} as ${robot.robot} with ${tool.name}, until ${isoTime(token.expiresAt)}.`,
    );
  }
  if (hasNamespacedScope(request)) {
    platform.reporter.info(
      `Only ${scopedTools.slice(0, -1).join(", ")} and ${scopedTools.at(-1)} take the login of the longest scope. crane and cosign find one whose scope is the whole repository; docker, oras, helm and GitHub's attest Actions none, or another robot's. What works for all: one robot without a scope, in a job of its own.`,
    );
  }
  const files = session.files.map(({ path }) => path);
  return {
    session,
    source: choice,
    identity: await identities.first,
    tool,
    tokens,
    realm: await realm(),
    authFile,
    files,
    phases: timeline.phases,
  };
}

const quietly = (platform: Platform): Platform => {
  const { reporter } = platform;
  return { ...platform, reporter: { ...reporter, info: reporter.debug, warning: reporter.debug } };
};

/** As it stands on disk: the last renewal may have failed between one file and the next. */
async function reopen({ folder, named, id }: Session): Promise<Session> {
  const session = await readSession(folder, named);
  if (session?.id !== id) {
    throw new ExplainedError(
      "not-logged-in",
      `The login was taken back by somebody else: ${folder} has no session any more.`,
      {
        remedy: ["Log in again, if it is still wanted."],
      },
    );
  }
  return session;
}

const open = ({ sessionFolder, temporaryFolder, onSession, job }: Workplace): Promise<Session> =>
  sessionFolder === undefined ? openSession(temporaryFolder, onSession, job) : openNamedSession(sessionFolder);

/** Robots that log in at the same time. Measured: 20 robots take under 2 times as long as one; by tens, over 2 times. */
const maxConcurrentLogins = 20;

interface SignIn {
  readonly request: LoginRequest;
  readonly tool: Tool;
  readonly certificates: string | undefined;
  readonly realm: () => Promise<Realm>;
  readonly helpers: string | undefined;
  readonly connection: PendingRequest;
  readonly currentIdentity: () => Promise<Identity>;
  readonly timeline: Timeline;
  readonly platform: Platform;
}

/** One robot. Its tool starts while Quay answers, and waits for the robot token. */
async function signIn(robot: RobotLogin, folder: string, options: SignIn) {
  const { request, tool, certificates, helpers, realm, connection, currentIdentity, timeline, platform } = options;
  const { registry } = request;
  let toolLogin: ToolLogin | undefined;
  try {
    // Starting a process stops this one for milliseconds: during the exchange nothing else waits for it.
    await currentIdentity();
    const exchanging = timeline.time(`exchange for ${robot.robot}`, () =>
      exchange(registry, robot.robot, currentIdentity, connection, platform),
    );
    exchanging.catch(() => {}); // awaited below
    const started = await startToolLogin(
      { tool, registry, login: robot, folder, certificates, helpers, realm },
      platform,
    );
    toolLogin = started;
    const token = await exchanging;
    const entry = await timeline.time(`${tool.name} login ${robot.scope}`, () => started.finish(token));
    return { robot, token, entry };
  } finally {
    connection.abandon();
    await toolLogin?.abandon();
  }
}

/** For the tools of later steps, in the user's folders for this host, until logout. */
async function leaveRoots(
  { registry }: LoginRequest,
  { roots, willLogOut, workspace }: Workplace,
  { id }: Session,
  keep: (change: Partial<Session>) => Promise<void>,
  { env, reporter }: Platform,
): Promise<void> {
  if (roots === undefined || !willLogOut) {
    return;
  }
  const warn = (why: string) =>
    reporter.warning(
      `The roots of ca-file could not be left for later steps (${why}): give them --cert-dir, or --src-cert-dir and --dest-cert-dir.`,
    );
  const folders = certificatesFolders(env, registry);
  if (folders.length === 0) {
    warn(env.HOME ? "HOME is no absolute path" : "HOME is not set");
  }
  const certificates: CertificateRecord[] = [];
  for (const folder of folders) {
    const remember = (record: CertificateRecord) => keep({ certificates: [...certificates, record] });
    try {
      if (workspace && (await leadsInto(workspace, folder))) {
        throw new Error(`${folder} is in the workspace`);
      }
      await installRoots(roots, folder, id, async (record) => {
        await remember(record);
        certificates.push(record);
      });
    } catch (error) {
      warn((error as Error).message);
    }
  }
}
