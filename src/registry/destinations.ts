/** Where the logins go: a file named by the user or a private one, and docker's configuration. */
import { join, resolve, sep } from "node:path";
import { invalidInput, LoginError } from "../errors.ts";
import type { Place } from "../platform/place.ts";
import type { Platform } from "../platform/platform.ts";
import { hasNamespacedScope, type LoginRequest } from "../request.ts";
import type { Session } from "../session.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertNotHidden, readAuthFile } from "./authfile.ts";
import { containersLocations, dockerConfigPath } from "./locations.ts";
import { assertWritable, type Change, type FileRecord, mergeEntries } from "./merge.ts";
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
  const path =
    request.authFile === undefined
      ? usualFile(request, tool, place, platform)
      : outsideWorkspace(request.authFile, place);
  const authFile = path === undefined ? undefined : await readAuthFile(path);
  if (authFile) {
    assertNotHidden("containers", authFile.path, authFile.content, request.registry);
    await assertWritable(authFile.path);
  }
  const start = authFile ? undefined : await otherLogins(request.registry, platform);
  const dockerIsUsed = place.isDisposable || tool.name === "docker";
  if (
    request.dockerConfig === false ||
    (request.dockerConfig === "auto" && (!dockerIsUsed || hasNamespacedScope(request)))
  ) {
    return { authFile, docker: undefined, start };
  }
  const docker = await readAuthFile(dockerConfigOf(request, platform));
  assertNotHidden("docker", docker.path, docker.content, request.registry);
  await assertWritable(docker.path);
  return { authFile, docker, start };
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
  return path;
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

/** The logins that the tools would have seen, and that REGISTRY_AUTH_FILE will hide: the private file starts with them. */
async function otherLogins(registry: string, platform: Platform): Promise<AuthContent> {
  let found: { auths: Record<string, AuthEntry>; credHelpers: Record<string, string> } = { auths: {}, credHelpers: {} };
  for (const { path, legacy } of containersLocations(platform.env)) {
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
