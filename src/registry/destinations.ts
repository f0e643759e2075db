/** Where the logins go: a file named by the user or a private one, and docker's configuration. */
import { join, resolve } from "node:path";
import { invalidInput, LoginError, reworded } from "../errors.ts";
import { leadsInto } from "../platform/folders.ts";
import type { Place } from "../platform/place.ts";
import type { Platform } from "../platform/platform.ts";
import { hasNamespacedScope, type LoginRequest } from "../request.ts";
import type { Session } from "../session.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertNotHidden, readAuthFile } from "./authfile.ts";
import { containersLocations, dockerConfigPath } from "./locations.ts";
import { type Change, type FileRecord, mergeEntries } from "./merge.ts";
import { groupOfNew, isAsPrivate } from "./privacy.ts";
import { assertReplaceable } from "./replaceable.ts";
import type { Tool } from "./tools.ts";

/** Where the logins go. */
export interface Destinations {
  /** undefined: a private file of the job */
  readonly authFile: AuthFile | undefined;
  readonly docker: AuthFile | undefined;
  /** What the private file starts with. */
  readonly start: AuthContent | undefined;
}

/**
 * Everything that could be wrong with the files is found before the first request leaves this machine.
 * @throws LoginError `invalid-input`, `auth-file-unusable`, `credential-helper`
 */
export async function planDestinations(
  request: LoginRequest,
  tool: Tool,
  place: Place,
  platform: Platform,
): Promise<Destinations> {
  if (place.workspace && (await leadsInto(place.workspace, place.temporaryFolder))) {
    throw new LoginError("auth-file-unusable", `The temporary folder ${place.temporaryFolder} ${inWorkspace}.`, {
      remedy: ["Let it be elsewhere: RUNNER_TEMP on GitHub, elsewhere TMPDIR."],
    });
  }
  const path = request.authFile === undefined ? usualFile(request, tool, place, platform) : resolve(request.authFile);
  if (path !== undefined) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, to be typed so
    await assertOutside(path, place, "auth-file", path, "auth-file: ${{ runner.temp }}/auth.json");
  }
  const authFile = path === undefined ? undefined : await readAuthFile(path);
  if (authFile) {
    assertNotHidden("containers", authFile.path, authFile.content, request.registry);
    await assertReplaceable(authFile);
    await tellOpened(authFile, request, platform);
  }
  const start = authFile ? undefined : await otherLogins(request, place, platform);
  const dockerIsUsed = place.isDisposable || tool.name === "docker";
  if (
    request.dockerConfig === false ||
    (request.dockerConfig === "auto" && (!dockerIsUsed || hasNamespacedScope(request)))
  ) {
    return { authFile, docker: undefined, start };
  }
  const docker = await planDocker(request, place, platform).catch((error) => {
    throw error instanceof LoginError ? reworded(error, { remedy: (lines) => lines.map(withoutDocker) }) : error;
  });
  return { authFile, docker, start };
}

async function planDocker(request: LoginRequest, place: Place, platform: Platform): Promise<AuthFile> {
  const path = dockerConfigOf(request, platform);
  await assertOutside(path, place, "docker-config", String(request.dockerConfig), "docker-config: false");
  const docker = await readAuthFile(path);
  assertNotHidden("docker", docker.path, docker.content, request.registry);
  await assertReplaceable(docker);
  return docker;
}

/** Of docker's file there is no other: what helps is to leave it out. */
const withoutDocker = (line: string): string =>
  line.replace(
    /(n)ame (?:a|another) [a-z ]*: auth-file: \S+$/i,
    (_, n) => `${n === "N" ? "L" : "l"}eave docker's configuration out: docker-config: false`,
  );

const inWorkspace = "is in the workspace, whose files end up in images and artifacts";

async function assertOutside(
  path: string,
  { workspace }: Place,
  option: "auth-file" | "docker-config",
  value: string,
  example: string,
): Promise<void> {
  if (workspace && (await leadsInto(workspace, path))) {
    throw invalidInput(option, value, option === "auth-file" ? `it ${inWorkspace}` : `${path} ${inWorkspace}`, example);
  }
}

/** Where a login goes that no file is named for; undefined: a private file. */
function usualFile(request: LoginRequest, tool: Tool, place: Place, platform: Platform): string | undefined {
  if (place.keepsLogins === "privately") {
    return undefined;
  }
  if (tool.name === "docker") {
    return dockerConfigOf(request, platform);
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

function dockerConfigOf(request: LoginRequest, platform: Platform): string {
  const path = dockerConfigPath(platform.env);
  if (path === undefined) {
    throw invalidInput(
      "docker-config",
      String(request.dockerConfig),
      "neither HOME nor DOCKER_CONFIG is set, so there is no place for it",
      "docker-config: false",
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
  const authFile = destinations.authFile?.path ?? join(session.folder, "auth.json");
  const { start } = destinations;
  const merge = (path: string, more: Partial<Change>) => {
    const renews = session.files.find((record) => record.path === path);
    return mergeEntries({ path, entries, mode: undefined, id: session.id, renews, ...more }, platform, remember);
  };
  await merge(authFile, { mode: request.authFileMode, ...(start && { start }) });
  const docker = destinations.docker?.path;
  // Both may be one file: a second merge would take our own entry for what stood there before.
  if (docker !== undefined && docker !== authFile) {
    await merge(docker, {});
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
async function otherLogins(request: LoginRequest, place: Place, platform: Platform): Promise<AuthContent> {
  let found: { auths: Record<string, AuthEntry>; credHelpers: Record<string, string> } = { auths: {}, credHelpers: {} };
  const opened = { mode: request.authFileMode ?? 0o600, gid: await groupOfNew(place.temporaryFolder) };
  for (const { path, legacy } of containersLocations(platform.env)) {
    try {
      const { content, existing } = await readAuthFile(path);
      let auths = legacy ? (content as Record<string, AuthEntry>) : (content.auths ?? {});
      if (existing && Object.keys(auths).length > 0 && !(await isAsPrivate(opened, path))) {
        platform.reporter.warning(
          `Logins in ${path} are left out: with this auth-file-mode, more users could read them than can read that file.`,
        );
        auths = {};
      }
      found = { auths: { ...auths, ...found.auths }, credHelpers: { ...content.credHelpers, ...found.credHelpers } };
    } catch (error) {
      if (!(error instanceof LoginError)) {
        throw error;
      }
      platform.reporter.warning(`Logins in ${path} are left out. ${error.message}`);
    }
  }
  // In a file of our own, a helper for this host would only hide the login that the file is made for.
  const { [request.registry]: _, ...credHelpers } = found.credHelpers;
  return { auths: found.auths, ...(Object.keys(credHelpers).length > 0 && { credHelpers }) };
}
