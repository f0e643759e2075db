/** The story of a login: identity -> exchange -> tool login -> session. */
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { invalidInput, LoginError } from "./errors.ts";
import { chooseIdentity, fetchIdentity, type IdentityChoice, openIdentity } from "./identity/index.ts";
import { assertUsable, audienceWarning, type Identity, isoTime } from "./identity/token.ts";
import type { PendingRequest } from "./platform/http.ts";
import type { Platform } from "./platform/platform.ts";
import { settleAll } from "./platform/settle.ts";
import { connect, exchange, type RobotToken } from "./quay/exchange.ts";
import { assertAccess } from "./registry/access.ts";
import {
  type AuthContent,
  type AuthEntry,
  type AuthFile,
  assertNotHidden,
  mergeEntries,
  readAuthFile,
} from "./registry/authfile.ts";
import { installRoots } from "./registry/certificates.ts";
import { certificatesFolder, containersLocations, dockerConfigPath } from "./registry/locations.ts";
import { startToolLogin, type ToolLogin } from "./registry/login.ts";
import { findTool, type Tool } from "./registry/tools.ts";
import { hasNamespacedScope, type LoginRequest, type RobotLogin } from "./request.ts";
import { openFolderTo, openSession, type Session, saveSession } from "./session.ts";

/** What a face knows of the place it runs in. */
export interface Place {
  /** Private files of the job belong here. */
  readonly temporaryFolder: string;
  /** Never written to: what lies there ends up in images and artifacts. */
  readonly workspace: string | undefined;
  /** A machine made for this job alone, whose home folder may be used freely. */
  readonly isDisposable: boolean;
  /** PEM text of the option ca-file. */
  readonly roots: string | undefined;
  /** Called as soon as there is something that logout would have to take back. */
  readonly onSession: (folder: string) => void;
}

export interface LoginResult {
  readonly session: Session;
  readonly identity: Identity;
  readonly tool: Tool;
  readonly tokens: readonly RobotToken[];
  /** For REGISTRY_AUTH_FILE. */
  readonly authFile: string;
  /** All files that hold the login now. */
  readonly files: readonly string[];
}

/**
 * Signs every robot of the request in. On failure nothing of it is left but what `logout` takes back.
 * @throws LoginError
 */
export async function login(request: LoginRequest, place: Place, platform: Platform): Promise<LoginResult> {
  const choice = await chooseIdentity(request, platform);
  // Handshakes take longer than everything else until a request can be sent; nothing is sent yet.
  const early = {
    identity: openIdentity(choice, request.audience, platform),
    quay: connect(request.registry, platform),
  };
  const tool = await findTool(request.tool, hasNamespacedScope(request), platform.env);
  const files = await planFiles(request, tool, place, platform);
  platform.reporter.info(`Identity: ${choice.why}.`);

  let session = await openSession(place.temporaryFolder);
  place.onSession(session.folder);
  const keep = async (change: Partial<Session>) => {
    session = await saveSession({ ...session, ...change });
  };

  const identities = keepIdentity(request, choice, early.identity, platform);
  const certificates = place.roots === undefined ? undefined : await offerRoots(session.folder, place.roots);
  const logins = await settleAll(request.robots, atOnce, (robot, index) =>
    signIn(robot, join(session.folder, `tool-${index}`), {
      request,
      tool,
      certificates,
      connection: index === 0 ? early.quay : connect(request.registry, platform),
      currentIdentity: identities.current,
      platform,
    }),
  );
  const tokens = logins.map(({ token }) => token);
  await assertAccess(request.registry, request.robots, tokens, request.access, platform);

  await keep({ robots: logins.map(({ robot, token }) => ({ ...robot, expiresAt: token.expiresAt })) });
  const entries: Record<string, AuthEntry> = Object.fromEntries(logins.map(({ robot, entry }) => [robot.scope, entry]));
  const authFile = files.containers?.path ?? join(session.folder, "auth.json");
  // Both may be one file: a second merge would take our own entry for what stood there before.
  for (const path of new Set([authFile, ...(files.docker ? [files.docker.path] : [])])) {
    const isPrivate = files.containers === undefined && path === authFile;
    await mergeEntries(
      {
        path,
        entries,
        mode: path === authFile ? request.authFileMode : undefined,
        ...(isPrivate && { start: await otherLogins(request.registry, platform) }),
        id: session.id,
      },
      platform,
      (record) => keep({ files: [...session.files.filter((file) => file.path !== record.path), record] }),
    );
  }
  if (files.containers === undefined) {
    await openFolderTo(session, request.authFileMode ?? 0o600);
  }
  await leaveRoots(request, place, session, keep, platform);
  return {
    session,
    identity: await identities.first,
    tool,
    tokens,
    authFile,
    files: session.files.map(({ path }) => path),
  };
}

/** Robots that log in at the same time: more gain nothing on the two cores of a common runner, and Quay is asked as often. */
const atOnce = 10;

interface Files {
  /** undefined: a private file of the job */
  readonly containers: AuthFile | undefined;
  readonly docker: AuthFile | undefined;
}

/** Everything that could be wrong with the files is found before the first call leaves this machine. */
async function planFiles(request: LoginRequest, tool: Tool, place: Place, platform: Platform): Promise<Files> {
  const containers =
    request.authFile === undefined ? undefined : await readAuthFile(outsideWorkspace(request.authFile, place));
  if (containers) {
    assertNotHidden("containers", containers.path, containers.content, request.registry);
  }
  const dockerIsUsed = place.isDisposable || tool.name === "docker";
  if (
    request.dockerConfig === false ||
    (request.dockerConfig === "auto" && (!dockerIsUsed || hasNamespacedScope(request)))
  ) {
    return { containers, docker: undefined };
  }
  const path = dockerConfigPath(platform.env);
  if (path === undefined) {
    throw invalidInput(
      "docker-config",
      String(request.dockerConfig),
      "neither HOME nor DOCKER_CONFIG is set, so there is no place for it",
      "docker-config: false",
    );
  }
  const docker = await readAuthFile(path);
  assertNotHidden("docker", docker.path, docker.content, request.registry);
  return { containers, docker };
}

function outsideWorkspace(path: string, { workspace }: Place): string {
  const absolute = resolve(path);
  if (workspace && (absolute === resolve(workspace) || absolute.startsWith(resolve(workspace) + sep))) {
    throw invalidInput(
      "auth-file",
      path,
      "it is in the workspace, whose files end up in images and artifacts",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, to be typed so
      "auth-file: ${{ runner.temp }}/auth.json",
    );
  }
  return absolute;
}

interface Identities {
  /** The one that the log and the results speak of. */
  readonly first: Promise<Identity>;
  readonly current: () => Promise<Identity>;
}

/** One token serves all robots; one that is about to end is replaced before it is used again. */
function keepIdentity(
  request: LoginRequest,
  choice: IdentityChoice,
  opened: PendingRequest | undefined,
  platform: Platform,
): Identities {
  const robots = request.robots.map(({ robot }) => robot);
  const enoughSeconds = 10;
  const fetch = async (connection?: PendingRequest) => {
    const identity = await fetchIdentity(choice, request.audience, platform, connection);
    assertUsable(identity, robots, platform.clock.now());
    return identity;
  };
  const first = fetch(opened).then((identity) => {
    announce(identity, request, platform);
    return identity;
  });
  first.catch(() => {}); // every robot that waits for it gets the error
  let latest = first;
  const current = async () => {
    const identity = await latest;
    if (identity.expiresAt - enoughSeconds <= platform.clock.now() / 1000) {
      latest = fetch();
    }
    return latest;
  };
  return { first, current };
}

function announce(identity: Identity, request: LoginRequest, { reporter }: Platform): void {
  reporter.info(`  issuer    ${identity.issuer}`);
  reporter.info(`  subject   ${identity.subject}`);
  reporter.info(`  audience  ${identity.audience.join(" ") || "(none)"}`);
  const warning = audienceWarning(identity, request.audience);
  if (warning !== undefined) {
    reporter.warning(warning);
  }
}

interface SignIn {
  readonly request: LoginRequest;
  readonly tool: Tool;
  readonly certificates: string | undefined;
  readonly connection: PendingRequest;
  readonly currentIdentity: () => Promise<Identity>;
  readonly platform: Platform;
}

/** One robot. Its tool starts while Quay answers, and waits for the robot token. */
async function signIn(robot: RobotLogin, folder: string, options: SignIn) {
  const { request, tool, certificates, connection, currentIdentity, platform } = options;
  const { registry } = request;
  let toolLogin: ToolLogin | undefined;
  try {
    // Starting a process stops this one for milliseconds: during the exchange nothing else waits for it.
    await currentIdentity();
    const exchanging = exchange(registry, robot.robot, currentIdentity, connection, platform);
    exchanging.catch(() => {}); // awaited below
    toolLogin = await startToolLogin({ tool, registry, login: robot, folder, certificates }, platform);
    const token = await exchanging;
    const entry = await toolLogin.finish(token);
    platform.reporter.info(
      `Logged in to ${robot.scope} as ${robot.robot} with ${tool.name}, until ${isoTime(token.expiresAt)}.`,
    );
    return { robot, token, entry };
  } finally {
    connection.abandon();
    await toolLogin?.abandon();
  }
}

/** The logins that the tools would have seen, and that REGISTRY_AUTH_FILE will hide: the private file starts with them. */
async function otherLogins(registry: string, platform: Platform): Promise<AuthContent> {
  let found: { auths: Record<string, AuthEntry>; credHelpers: Record<string, string> } = { auths: {}, credHelpers: {} };
  for (const { path, legacy } of containersLocations(platform.env, process.getuid?.() ?? 0)) {
    try {
      const { content } = await readAuthFile(path);
      const auths = legacy ? (content as Record<string, AuthEntry>) : content.auths;
      found = { auths: { ...auths, ...found.auths }, credHelpers: { ...content.credHelpers, ...found.credHelpers } };
    } catch (error) {
      if (!(error instanceof LoginError)) {
        throw error;
      }
      platform.reporter.warning(`Logins in ${path} are left out. ${error.message}`);
    }
  }
  // In a file of our own, a helper for this host would only hide the login that the file is made for.
  const { [registry]: _, ...credHelpers } = found.credHelpers;
  return { auths: found.auths, ...(Object.keys(credHelpers).length > 0 && { credHelpers }) };
}

/** For the tools that log in now. */
async function offerRoots(folder: string, pem: string): Promise<string> {
  const certificates = join(folder, "certificates");
  await mkdir(certificates, { mode: 0o700 });
  await writeFile(join(certificates, "ca.crt"), pem, { mode: 0o600 });
  return certificates;
}

/** For the tools of later steps, in the user's folder for this host, until logout. */
async function leaveRoots(
  request: LoginRequest,
  place: Place,
  session: Session,
  keep: (change: Partial<Session>) => Promise<void>,
  platform: Platform,
): Promise<void> {
  const folder = certificatesFolder(platform.env, request.registry);
  if (place.roots === undefined) {
    return;
  }
  try {
    if (folder === undefined) {
      throw new Error("HOME is not set");
    }
    await installRoots(place.roots, folder, session.id, (record) => keep({ certificates: [record] }));
  } catch (error) {
    platform.reporter.warning(
      `The roots of ca-file could not be left for later steps (${(error as Error).message}): give them --cert-dir, or --src-cert-dir and --dest-cert-dir.`,
    );
  }
}
