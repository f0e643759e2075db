/** Where the logins go: a file named by the user or a private one, and docker's configuration. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type Change, type FileRecord, mergeEntries } from "../authfile/change.ts";
import { robotLoginState } from "../authfile/entry.ts";
import { assertReadFirst, hidingVariable } from "../authfile/hidden.ts";
import { containersLocations, dockerConfigPath } from "../authfile/locations.ts";
import { groupOfNew, isAsPrivate } from "../authfile/privacy.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertNotHidden, readAuthFile } from "../authfile/read.ts";
import { assertReplaceable } from "../authfile/replaceable.ts";
import { anotherFile, ExplainedError, invalidInput, reworded } from "../platform/errors.ts";
import { leadsInto } from "../platform/fs.ts";
import type { Platform } from "../platform/platform.ts";
import { type Tool, tools } from "../tools/tools.ts";
import { hasNamespacedScope, type LoginRequest } from "./request.ts";
import { privateFile, type Session, sessionOfFile } from "./session.ts";
import type { Workplace } from "./workplace.ts";

/** Where the logins go. */
export interface Destinations {
  /** undefined: a private file of the job */
  readonly authFile: AuthFile | undefined;
  /** docker's configuration, where that gets the login too */
  readonly docker: AuthFile | undefined;
  /** Whether it has failed if docker's configuration can't be had. */
  readonly dockerIsNeeded: boolean;
  /** What the private file starts with. */
  readonly start: AuthContent | undefined;
}

/**
 * Everything that could be wrong with the files is found before the first request leaves this machine.
 * @throws ExplainedError `invalid-input`, `auth-file-unusable`, `credential-helper`, `login-hidden`
 */
export async function planDestinations(
  request: LoginRequest,
  tool: Tool,
  workplace: Workplace,
  platform: Platform,
): Promise<Destinations> {
  if (workplace.workspace && (await leadsInto(workplace.workspace, workplace.temporaryFolder))) {
    throw new ExplainedError(
      "auth-file-unusable",
      `The temporary folder ${workplace.temporaryFolder} ${inWorkspace}.`,
      {
        remedy: ["Let it be elsewhere: RUNNER_TEMP on GitHub, elsewhere TMPDIR."],
      },
    );
  }
  const dockerIsNeeded = tools[tool.name].reads === "docker" || request.dockerConfig === true;
  const docker = await planDocker(request, tool, workplace, platform, dockerIsNeeded);
  const path =
    request.authFile === undefined
      ? ((await sharedFile(request, workplace, platform)) ?? usualFile(request, tool, workplace, platform))
      : resolve(request.authFile);
  const isWhereTheToolLooks = request.authFile === undefined && workplace.keepsLogins === "where-the-tool-looks";
  if (isWhereTheToolLooks && tools[tool.name].readsOwnFilesFirst) {
    const scopes = request.robots.map(({ scope }) => scope);
    await assertReadFirst(scopes, platform.env);
  }
  if (path === undefined) {
    return { authFile: undefined, docker, dockerIsNeeded, start: await otherLogins(request, workplace, platform) };
  }
  if (request.authFile === undefined && tools[tool.name].reads === "docker") {
    return { authFile: docker, docker, dockerIsNeeded, start: undefined };
  }
  await assertOutside(path, workplace, request.authFile ?? path);
  const authFile = await readAuthFile(path);
  assertNotHidden("containers", authFile.path, authFile.content, request.registry);
  await assertReplaceable(authFile);
  await tellOpened(authFile, request, platform);
  return { authFile, docker, dockerIsNeeded, start: undefined };
}

/**
 * docker's configuration, where it is to get the login. Where nobody has asked for that, it must not keep the other tools from
 * theirs: what is wrong with it is told, and it is left out.
 */
async function planDocker(
  request: LoginRequest,
  tool: Tool,
  workplace: Workplace,
  platform: Platform,
  isNeeded: boolean,
): Promise<AuthFile | undefined> {
  if (tools[tool.name].reads === "docker" && request.dockerConfig === false) {
    throw invalidInput(
      "docker-config",
      "false",
      `${tool.name}, the tool, reads its login from there`,
      "docker-config: auto",
    );
  }
  if (!isNeeded && (request.dockerConfig === false || !workplace.isDisposable || hasNamespacedScope(request))) {
    return undefined;
  }
  try {
    const path = dockerConfigOf(platform);
    if (workplace.workspace && (await leadsInto(workplace.workspace, path))) {
      const error = invalidInput("docker-config", String(request.dockerConfig), `${path} ${inWorkspace}`, "");
      throw reworded(error, { remedy: () => ["Let docker's configuration be elsewhere.", anotherFile] });
    }
    const docker = await readAuthFile(path);
    assertNotHidden("docker", docker.path, docker.content, request.registry);
    await assertReplaceable(docker);
    const hiding = hidingVariable(request.registry, platform.env);
    if (hiding !== undefined) {
      platform.reporter.warning(hiding);
    }
    return docker;
  } catch (error) {
    if (!(error instanceof ExplainedError)) {
      throw error;
    }
    if (isNeeded) {
      throw forDocker(error, tool);
    }
    platform.reporter.warning(withoutDocker(error));
    return undefined;
  }
}

/** docker's configuration has a name of its own, so that another file would be no use to it. */
const forDocker = (error: ExplainedError, tool: Tool): ExplainedError =>
  reworded(error, {
    remedy: (lines) =>
      lines.map((line) =>
        line !== anotherFile
          ? line
          : tools[tool.name].reads === "docker"
            ? `Or give ${tool.name} another folder, in this step and in later ones: DOCKER_CONFIG=/path/docker`
            : "Or leave docker's configuration out: docker-config: false",
      ),
  });

const withoutDocker = ({ message }: ExplainedError): string =>
  `docker, cosign, crane, oras and helm will not see this login. ${message} (docker-config: false leaves them out without a word, docker-config: true makes this an error.)`;

const inWorkspace = "is in the workspace, whose files end up in images and artifacts";

async function assertOutside(path: string, { workspace }: Workplace, value: string): Promise<void> {
  if (workspace && (await leadsInto(workspace, path))) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, to be typed so
    throw invalidInput("auth-file", value, `it ${inWorkspace}`, "auth-file: ${{ runner.temp }}/auth.json");
  }
}

/** The private file of an earlier step, which later steps read by now: only what stands in one file can be kept alive there. */
async function sharedFile(
  { authFileMode = 0o600 }: LoginRequest,
  { job, temporaryFolder }: Workplace,
  { env, reporter }: Platform,
): Promise<string | undefined> {
  const path = env.REGISTRY_AUTH_FILE;
  const earlier = job && (await sessionOfFile(path, temporaryFolder));
  if (path === undefined || earlier === undefined) {
    return undefined;
  }
  const mode = await stat(path).then(
    (info) => info.mode & 0o777,
    () => undefined,
  );
  if (mode === authFileMode) {
    return path;
  }
  if (mode !== undefined && earlier.job?.refresh) {
    reporter.warning(
      `The login of an earlier step stands in ${path} with other permissions (0${mode.toString(8)}, not 0${authFileMode.toString(8)}). This step's file gets a copy of it, which is not renewed: give both steps the same auth-file-mode.`,
    );
  }
  return undefined;
}

/** Where a login goes that no file is named for; undefined: a private file. */
function usualFile(request: LoginRequest, tool: Tool, workplace: Workplace, platform: Platform): string | undefined {
  if (workplace.keepsLogins === "privately") {
    return undefined;
  }
  if (tools[tool.name].reads === "docker") {
    return dockerConfigOf(platform);
  }
  const [first] = containersLocations(platform.env);
  const path = resolve(first.path);
  if (hasNamespacedScope(request) && path === resolve(dockerConfigPath(platform.env) ?? "")) {
    throw invalidInput(
      "auth-file",
      "",
      `the default here is docker's ${path}, and docker would send such a login to every repository of ${request.registry}`,
      "auth-file: /path/auth.json",
    );
  }
  return path;
}

function dockerConfigOf({ env }: Platform): string {
  const path = dockerConfigPath(env);
  if (path === undefined) {
    throw new ExplainedError(
      "invalid-input",
      "Neither HOME nor DOCKER_CONFIG is set, so there is no place for docker's configuration.",
      { remedy: ["Set HOME to the folder of this user.", anotherFile] },
    );
  }
  return resolve(path);
}

/**
 * Puts the logins there, in each file in one step.
 * @param session the private folder, what distinguishes its files, and what an earlier login of it did
 * @param remember is called with what is about to be done to a file
 * @returns the auth file, for REGISTRY_AUTH_FILE
 */
export async function storeLogins(
  entries: Readonly<Record<string, AuthEntry>>,
  destinations: Destinations,
  session: Pick<Session, "folder" | "id" | "files">,
  request: LoginRequest,
  platform: Platform,
  remember: (record: FileRecord) => Promise<void>,
): Promise<string> {
  const authFile = destinations.authFile?.path ?? privateFile(session.folder);
  const { start } = destinations;
  const merge = (path: string, more: Partial<Change>) => {
    const renews = session.files.find((record) => record.path === path);
    return mergeEntries({ path, entries, mode: undefined, id: session.id, renews, ...more }, platform, remember);
  };
  await merge(authFile, { mode: request.authFileMode, ...(start && { start }) });
  const docker = destinations.docker?.path;
  // Both may be one file: a second merge would take our own entry for what stood there before.
  if (docker !== undefined && docker !== authFile) {
    await merge(docker, {}).catch((error) => {
      if (destinations.dockerIsNeeded || !(error instanceof ExplainedError) || error.code !== "auth-file-unusable") {
        throw error;
      }
      platform.reporter.warning(withoutDocker(error));
    });
  }
  return authFile;
}

/** Who asks for a file that others can read has its other logins read as well. */
async function tellOpened(
  { path, existing, content }: AuthFile,
  { authFileMode, registry }: LoginRequest,
  { reporter }: Platform,
): Promise<void> {
  const hasOthers = Object.keys(content.auths ?? {}).some((scope) => scope !== registry);
  if (existing && authFileMode !== undefined && hasOthers) {
    if (!(await isAsPrivate({ mode: authFileMode, gid: existing.gid }, path))) {
      reporter.warning(`auth-file-mode lets more users than before read the other logins in ${path}.`);
    }
  }
}

/**
 * The logins that the tools would have seen, and that REGISTRY_AUTH_FILE will hide: the private file starts with them, where no
 * more users can read it than the files that they come from.
 */
async function otherLogins(request: LoginRequest, workplace: Workplace, platform: Platform): Promise<AuthContent> {
  let found: { auths: Record<string, AuthEntry>; credHelpers: Record<string, string> } = { auths: {}, credHelpers: {} };
  const opened = { mode: request.authFileMode ?? 0o600, gid: await groupOfNew(workplace.temporaryFolder) };
  for (const { path, legacy } of containersLocations(platform.env)) {
    try {
      const { content, existing } = await readAuthFile(path);
      const all = (legacy ? (content as Record<string, AuthEntry>) : content.auths) ?? {};
      let auths = Object.fromEntries(
        Object.entries(all).filter(([, entry]) => robotLoginState(entry, platform.clock.now()) !== "ended"),
      );
      if (existing && Object.keys(auths).length > 0 && !(await isAsPrivate(opened, path))) {
        platform.reporter.warning(
          `Logins in ${path} are left out: with this auth-file-mode, more users could read them than can read that file.`,
        );
        auths = {};
      }
      found = { auths: { ...auths, ...found.auths }, credHelpers: { ...content.credHelpers, ...found.credHelpers } };
    } catch (error) {
      if (!(error instanceof ExplainedError)) {
        throw error;
      }
      platform.reporter.warning(`Logins in ${path} are left out. ${error.message}`);
    }
  }
  // In a file of our own, a helper for this host would only hide the login that the file is made for.
  const { [request.registry]: _, ...credHelpers } = found.credHelpers;
  return { auths: found.auths, ...(Object.keys(credHelpers).length > 0 && { credHelpers }) };
}
