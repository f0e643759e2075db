/** The story of a login: identity -> exchange -> tool login -> session. The steps run in the order in which you read them. */
import { chooseIdentity, type IdentityChoice, openIdentity } from "../identity/index.ts";
import { type Identity, isoTime } from "../identity/token.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { listed } from "../platform/text.ts";
import { createTimeline, type Phase } from "../platform/timeline.ts";
import { connect, type RobotToken } from "../quay/exchange.ts";
import { hasNamespacedScope, kindOf } from "../quay/scope.ts";
import { assertAccess } from "../registry/access.ts";
import { findRealm, openRegistry, type Realm } from "../registry/realm.ts";
import { findTool, scopedTools, type Tool, tools } from "../tools/tools.ts";
import { type Destinations, planDestinations } from "./destinations.ts";
import { cacheIdentity } from "./identity-cache.ts";
import { openJournal, reopenSession } from "./journal.ts";
import type { LoginRequest } from "./request.ts";
import { installRootsForJob } from "./roots.ts";
import type { Session } from "./session.ts";
import { type SignedIn, signInAll } from "./sign-in.ts";
import { type Stored, storeLogins } from "./store.ts";
import type { FirstLogin, Workplace } from "./workplace.ts";

export interface LoginResult {
  readonly session: Session;
  readonly source: IdentityChoice;
  readonly identity: Identity;
  readonly tool: Tool;
  readonly tokens: readonly RobotToken[];
  /** Where clients trade them for bearer tokens. */
  readonly realm: Realm;
  /** The one for REGISTRY_AUTH_FILE; where only docker's builder reads the logins, the first of its files. */
  readonly authFile: string;
  /** All files that hold the login now. */
  readonly files: readonly string[];
  /** How long each phase took; some run at the same time. */
  readonly phases: readonly Phase[];
}

/**
 * Logs every robot of the request in, and reports it once all files are written. On failure only what `logout` undoes is left.
 * @param renews the session that this login renews: on failure its earlier login stays
 * @throws ExplainedError
 */
export async function login(
  request: LoginRequest,
  workplace: Workplace,
  outer: Platform,
  renews?: Session,
): Promise<LoginResult> {
  const { registry, robots, access } = request;
  // What is the same at each renewal was logged at the login; the caller logs how a renewal went.
  const platform = renews ? quietly(outer) : outer;
  const earlier = renews && (await reopenSession(renews)); // first: without it there is nothing to renew
  const { choice, early, tool, destinations } = await prepare(request, workplace, platform);

  const journal = await openJournal(workplace, earlier);
  const timeline = createTimeline(platform);
  const identities = cacheIdentity(
    { choice, audience: request.identity.audience, opened: early.identity, robots: robots.map(({ robot }) => robot) },
    platform,
    workplace.showsIdentity ? platform.reporter.debug : platform.reporter.info,
  );
  void timeline.time("identity token", () => identities.first).catch(() => {}); // every robot waits for it, and gets the error
  const realm = findRealm(registry, request.tokenHost, early.registry, platform);
  if (!renews) {
    await installRootsForJob(registry, workplace, journal, platform); // while the identity token is on its way
  }

  const common = { registry, tool, folder: journal.session.folder, roots: workplace.roots, opened: early.quay };
  const signedIn = await signInAll(
    robots,
    { ...common, currentIdentity: identities.current, realm, timeline },
    platform,
  );
  const tokens = signedIn.map(({ token }) => token);
  if (access.length > 0) {
    await timeline.time("permissions", async () =>
      assertAccess({ registry, robots, tokens, realm: await realm() }, access, platform),
    );
  }

  await journal.write({
    robots: signedIn.map(({ robot, token: { expiresAt, lifeSeconds } }) => ({ ...robot, expiresAt, lifeSeconds })),
  });
  const found = { source: choice, identity: await identities.first };
  const stored = await whatToStore(signedIn, { ...found, session: journal.session }, request, workplace);
  // With the outer platform: a renewal, too, logs that another process has replaced an entry.
  const authFile = await timeline.time("auth file", () => storeLogins(stored, destinations, journal, outer));
  logLoggedIn(signedIn, stored, registry, { tool, platform });
  const { session } = journal;
  const files = session.files.map(({ path }) => path);
  return { session, ...found, realm: await realm(), tool, tokens, authFile, files, phases: timeline.phases };
}

/** The robots' logins; or the helper that has the one robot's, which is installed before any tool can ask it. */
async function whatToStore(
  signedIn: readonly SignedIn[],
  first: Omit<FirstLogin, "token">,
  { registry }: LoginRequest,
  { installHelper }: Workplace,
): Promise<Stored> {
  const [only] = signedIn;
  if (installHelper && only) {
    return { entries: {}, helpers: { [registry]: await installHelper({ ...first, token: only.token }) } };
  }
  return { entries: Object.fromEntries(signedIn.map(({ robot, entry }) => [robot.scope, entry])) };
}

const quietly = (platform: Platform): Platform => {
  const { reporter } = platform;
  return { ...platform, reporter: { ...reporter, info: reporter.debug, warning: reporter.debug } };
};

interface Prepared {
  readonly choice: IdentityChoice;
  readonly early: {
    readonly identity: PendingRequest | undefined;
    readonly quay: PendingRequest;
    readonly registry: PendingRequest;
  };
  readonly tool: Tool;
  readonly destinations: Destinations;
}

/** Everything that can be decided before anything is sent or changed. */
async function prepare(request: LoginRequest, workplace: Workplace, platform: Platform): Promise<Prepared> {
  const { registry, robots, identity } = request;
  const choice = await chooseIdentity(identity, platform);
  // A handshake takes longer than everything else before the first request; nothing is sent yet.
  const early = {
    identity: openIdentity(choice, identity.audience, platform),
    quay: connect(registry, platform),
    registry: openRegistry(registry, platform),
  };
  const kinds = robots.map(({ scope }) => kindOf(scope));
  const tool = await findTool(request.tool, kinds, platform.env);
  const destinations = await planDestinations(request, tool, workplace, platform);
  platform.reporter.info(`Identity: ${choice.why}.`);
  return { choice, early, tool, destinations };
}

function logLoggedIn(
  signedIn: readonly SignedIn[],
  { helpers }: Stored,
  registry: string,
  { tool, platform: { reporter } }: { readonly tool: Tool; readonly platform: Platform },
): void {
  if (helpers) {
    const [{ robot, expiresAt } = { robot: "", expiresAt: 0 }] = signedIn.map(({ token }) => token);
    reporter.info(
      `Tools that ask for the login of ${registry} get a robot token of ${robot} from a credential helper. The first expires at ${isoTime(expiresAt)}.`,
    );
    return;
  }
  const how = tool.name === "none" ? "without a tool" : `with ${tool.name}`;
  for (const { robot, token } of signedIn) {
    reporter.info(`Logged in to ${robot.scope} as ${robot.robot} ${how}, until ${isoTime(token.expiresAt)}.`);
  }
  const robots = signedIn.map(({ robot }) => robot).filter(({ scope }) => kindOf(scope) !== "action");
  if (tools[tool.name].knowsScopes && hasNamespacedScope(registry, robots)) {
    reporter.info(
      `Only ${listed(scopedTools)} take the login of the longest scope. crane and cosign find one whose scope is the whole repository, and so does docker's builder if docker's configuration gets the login; docker pull, docker push, oras, helm and GitHub's attest Actions none, or another robot's. What works for all: one robot without a scope, in a job of its own.`,
    );
  }
}
