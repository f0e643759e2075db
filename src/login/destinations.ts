/** Where the logins go: a file named by the user or a private one, and docker's configuration. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { robotLoginState } from "../authfile/entry.ts";
import { assertReadFirst, hidingVariable } from "../authfile/hidden.ts";
import { containersLocations, dockerConfigPath } from "../authfile/locations.ts";
import { groupOfNew, isAsPrivate } from "../authfile/privacy.ts";
import { type AuthContent, type AuthEntry, type AuthFile, assertNotHidden, readAuthFile } from "../authfile/read.ts";
import { assertReplaceable } from "../authfile/replaceable.ts";
import { anotherFile, ExplainedError, invalidInput, reworded } from "../platform/errors.ts";
import { leadsInto } from "../platform/fs.ts";
import type { Platform } from "../platform/platform.ts";
import { mention, mentionsIn, text, type Words } from "../platform/wording.ts";
import { hasNamespacedScope } from "../quay/scope.ts";
import { type Tool, tools } from "../tools/tools.ts";
import type { LoginRequest } from "./request.ts";
import { sessionOfFile } from "./session.ts";
import type { Workplace } from "./workplace.ts";

/** Where the logins go. */
export interface Destinations {
  /** undefined: a private file of the job */
  readonly authFile: AuthFile | undefined;
  /** Permissions of the auth file; undefined: 0600 for a new one, unchanged for an existing one. */
  readonly mode: number | undefined;
  /** docker's configuration, if it gets the login too */
  readonly docker: AuthFile | undefined;
  /** Whether the login fails if docker's configuration can't be written. */
  readonly dockerIsNeeded: boolean;
  /** What the private file starts with. */
  readonly start: AuthContent | undefined;
}

/** The part of a request that decides where its logins go. */
export type DestinationRequest = Pick<LoginRequest, "registry" | "robots" | "store">;

/**
 * Finds everything that could be wrong with the files before the first request leaves this machine.
 * @throws ExplainedError `invalid-input`, `auth-file-unusable`, `credential-helper`, `login-hidden`
 */
export async function planDestinations(
  request: DestinationRequest,
  tool: Tool,
  workplace: Workplace,
  platform: Platform,
): Promise<Destinations> {
  const { registry, store } = request;
  if (workplace.workspace && (await leadsInto(workplace.workspace, workplace.temporaryFolder))) {
    throw new ExplainedError(
      "auth-file-unusable",
      `The temporary folder ${workplace.temporaryFolder} ${inWorkspace}.`,
      {
        remedy: ["Set it to another folder: RUNNER_TEMP on GitHub, elsewhere TMPDIR."],
      },
    );
  }
  const docker = await planDocker(request, tool, workplace, platform);
  const common = { mode: store.authFileMode, docker, dockerIsNeeded: needsDocker(tool, store) };
  const path =
    store.authFile === undefined
      ? ((await sharedFile(store, workplace, platform)) ?? usualFile(request, tool, workplace, platform))
      : resolve(store.authFile);
  const isWhereTheToolLooks = store.authFile === undefined && workplace.keepsLogins === "where-the-tool-looks";
  if (isWhereTheToolLooks && tools[tool.name].readsOwnFilesFirst) {
    const scopes = request.robots.map(({ scope }) => scope);
    await assertReadFirst(scopes, platform.env);
  }
  if (path === undefined) {
    return { ...common, authFile: undefined, start: await otherLogins(request, workplace, platform) };
  }
  if (store.authFile === undefined && tools[tool.name].reads === "docker") {
    return { ...common, authFile: docker, start: undefined };
  }
  await assertOutside(path, workplace, store.authFile ?? path);
  const authFile = await readAuthFile(path);
  assertNotHidden("containers", authFile.path, authFile.content, registry);
  await assertReplaceable(authFile);
  await warnIfMoreCanRead(authFile, request, platform);
  return { ...common, authFile, start: undefined };
}

const needsDocker = (tool: Tool, { dockerConfig }: DestinationRequest["store"]): boolean =>
  tools[tool.name].reads === "docker" || dockerConfig === true;

/**
 * docker's configuration, if it is to get the login. If the user has not asked for that, it must not keep the other tools from
 * their login: a problem with it becomes a warning, and it is left out.
 */
async function planDocker(
  { registry, robots, store }: DestinationRequest,
  tool: Tool,
  workplace: Workplace,
  platform: Platform,
): Promise<AuthFile | undefined> {
  const { dockerConfig } = store;
  if (tools[tool.name].reads === "docker" && dockerConfig === false) {
    throw invalidInput(
      "docker-config",
      "false",
      `the tool ${tool.name} reads its login from there`,
      mention("docker-config", "auto"),
    );
  }
  const isNeeded = needsDocker(tool, store);
  if (!isNeeded && (dockerConfig === false || !workplace.isDisposable || hasNamespacedScope(registry, robots))) {
    return undefined;
  }
  try {
    const path = dockerConfigOf(platform);
    if (workplace.workspace && (await leadsInto(workplace.workspace, path))) {
      const error = invalidInput("docker-config", String(dockerConfig), `${path} ${inWorkspace}`, "");
      throw reworded(error, { remedy: () => ["Set DOCKER_CONFIG to a folder outside the workspace.", anotherFile] });
    }
    const docker = await readAuthFile(path);
    assertNotHidden("docker", docker.path, docker.content, registry);
    await assertReplaceable(docker);
    const hiding = hidingVariable(registry, platform.env);
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

/** docker reads one fixed file: naming another one would not help. */
const forDocker = (error: ExplainedError, tool: Tool): ExplainedError =>
  reworded(error, {
    remedy: (lines) =>
      lines.map((line) =>
        !mentionsIn(line).includes("auth-file")
          ? line
          : tools[tool.name].reads === "docker"
            ? `Or give ${tool.name} another folder, in this step and in later ones: DOCKER_CONFIG=/path/docker`
            : text`Or leave docker's configuration out: ${mention("docker-config", "false")}`,
      ),
  });

export const withoutDocker = ({ headline }: ExplainedError): Words =>
  text`docker, cosign, crane, oras and helm will not see this login. ${headline} (${mention("docker-config", "false")} turns this warning off, ${mention("docker-config", "true")} makes this an error.)`;

const inWorkspace = "is in the workspace, whose files end up in images and artifacts";

async function assertOutside(path: string, { workspace }: Workplace, value: string): Promise<void> {
  if (workspace && (await leadsInto(workspace, path))) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, to be typed so
    throw invalidInput("auth-file", value, `it ${inWorkspace}`, mention("auth-file", "${{ runner.temp }}/auth.json"));
  }
}

/** The private file of an earlier step, which later steps read by now: only logins in that one file can be renewed there. */
async function sharedFile(
  { authFileMode = 0o600 }: DestinationRequest["store"],
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
      text`The login of an earlier step is in ${path} with other permissions (0${mode.toString(8)}, not 0${authFileMode.toString(8)}). This step's file gets a copy of it, which is not renewed: give both steps the same ${mention("auth-file-mode")}.`,
    );
  }
  return undefined;
}

/** Where a login goes if no file is named for it; undefined: a private file. */
function usualFile(
  { registry, robots }: DestinationRequest,
  tool: Tool,
  workplace: Workplace,
  platform: Platform,
): string | undefined {
  if (workplace.keepsLogins === "privately") {
    return undefined;
  }
  if (tools[tool.name].reads === "docker") {
    return dockerConfigOf(platform);
  }
  const [first] = containersLocations(platform.env);
  const path = resolve(first.path);
  if (hasNamespacedScope(registry, robots) && path === resolve(dockerConfigPath(platform.env) ?? "")) {
    throw invalidInput(
      "auth-file",
      "",
      `the default here is docker's ${path}, and docker would send such a login to every repository of ${registry}`,
      mention("auth-file", "/path/auth.json"),
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
      { remedy: ["Set HOME to this user's home folder.", anotherFile] },
    );
  }
  return resolve(path);
}

/** A mode that lets others read the file lets them read its other logins too. */
async function warnIfMoreCanRead(
  { path, existing, content }: AuthFile,
  { registry, store: { authFileMode } }: DestinationRequest,
  { reporter }: Platform,
): Promise<void> {
  const hasOthers = Object.keys(content.auths ?? {}).some((scope) => scope !== registry);
  if (existing && authFileMode !== undefined && hasOthers) {
    if (!(await isAsPrivate({ mode: authFileMode, gid: existing.gid }, path))) {
      reporter.warning(
        text`${mention("auth-file-mode")} lets more users than before read the other logins in ${path}.`,
      );
    }
  }
}

/**
 * The logins that the tools would have read, and that REGISTRY_AUTH_FILE will hide: the private file starts with them, if no
 * more users can read it than can read the files they come from.
 */
async function otherLogins(
  { registry, store }: DestinationRequest,
  workplace: Workplace,
  platform: Platform,
): Promise<AuthContent> {
  let found: { auths: Record<string, AuthEntry>; credHelpers: Record<string, string> } = { auths: {}, credHelpers: {} };
  const privateOne = { mode: store.authFileMode ?? 0o600, gid: await groupOfNew(workplace.temporaryFolder) };
  for (const { path, legacy } of containersLocations(platform.env)) {
    try {
      const { content, existing } = await readAuthFile(path);
      const all = (legacy ? (content as Record<string, AuthEntry>) : content.auths) ?? {};
      let auths = Object.fromEntries(
        Object.entries(all).filter(([, entry]) => robotLoginState(entry, platform.clock.now()) !== "expired"),
      );
      if (existing && Object.keys(auths).length > 0 && !(await isAsPrivate(privateOne, path))) {
        platform.reporter.warning(
          text`Logins in ${path} are left out: with this ${mention("auth-file-mode")}, more users could read them than can read that file.`,
        );
        auths = {};
      }
      found = { auths: { ...auths, ...found.auths }, credHelpers: { ...content.credHelpers, ...found.credHelpers } };
    } catch (error) {
      if (!(error instanceof ExplainedError)) {
        throw error;
      }
      platform.reporter.warning(text`Logins in ${path} are left out. ${error.headline}`);
    }
  }
  // In our private file, a helper for this host would hide the login that the file is made for.
  const { [registry]: _, ...credHelpers } = found.credHelpers;
  return { auths: found.auths, ...(Object.keys(credHelpers).length > 0 && { credHelpers }) };
}
