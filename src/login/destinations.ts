/** Where the logins go: a file named by the user or a private one, and docker's configuration. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { assertEnterable } from "../authfile/cred-helpers.ts";
import { robotLoginState } from "../authfile/entry.ts";
import { assertReadFirst } from "../authfile/hidden.ts";
import { containersLocations, dockerConfigPath } from "../authfile/locations.ts";
import { readWithoutDead } from "../authfile/of-jobs.ts";
import { groupOfNew, isAsPrivate } from "../authfile/privacy.ts";
import { type AuthContent, type AuthEntry, type AuthFile, readAuthFile } from "../authfile/read.ts";
import { assertReplaceable } from "../authfile/replaceable.ts";
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { leadsInto } from "../platform/fs.ts";
import type { Platform } from "../platform/platform.ts";
import { mention, text } from "../platform/wording.ts";
import { hasNamespacedScope, kindOf } from "../quay/scope.ts";
import { type Tool, tools } from "../tools/tools.ts";
import {
  assertFits,
  type DestinationRequest,
  type DockerFile,
  forDocker,
  inWorkspace,
  needsDocker,
  planDocker,
} from "./docker-files.ts";
import { sessionOfFile } from "./session.ts";
import type { Workplace } from "./workplace.ts";

/** Where the logins go. */
export interface Destinations {
  /** undefined: a private file of the job */
  readonly authFile: AuthFile | undefined;
  /** Whether it is one of docker's files, which gets only what docker reads there, and the login's only kind of file. */
  readonly isDockers: boolean;
  /** Permissions of the auth file; undefined: 0600 for a new one, unchanged for an existing one. */
  readonly mode: number | undefined;
  /** docker's files, if it gets the logins too. */
  readonly docker: readonly DockerFile[];
  /** The failure of a login whose file of docker's can't be written; undefined: it does not fail for that. */
  readonly explainDocker: ((error: ExplainedError) => ExplainedError) | undefined;
  /** What the private file starts with. */
  readonly start: AuthContent | undefined;
}

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
  const explainDocker = needsDocker(tool, request)
    ? (error: ExplainedError) => forDocker(error, tool, request, platform)
    : undefined;
  const common = { isDockers: false, mode: store.authFileMode, explainDocker };
  // What is for docker's builder alone goes into no other file.
  const ofTools = request.robots.filter(({ scope }) => kindOf(scope) !== "action");
  const isWhereTheToolLooks = store.authFile === undefined && workplace.keepsLogins === "where-the-tool-looks";
  if (ofTools.length === 0 || (isWhereTheToolLooks && tools[tool.name].reads === "docker")) {
    const docker = await planDocker(request, tool, workplace, platform);
    return {
      ...common,
      docker,
      isDockers: true,
      authFile: (docker.find(({ scope }) => scope === registry) ?? docker[0])?.file,
      start: undefined,
    };
  }
  const named = store.authFile === undefined ? await sharedFile(store, workplace, platform) : resolve(store.authFile);
  const path = named ?? usualFile({ ...request, robots: ofTools }, workplace, platform);
  if (isWhereTheToolLooks && tools[tool.name].readsOwnFilesFirst) {
    const scopes = ofTools.map(({ scope }) => scope);
    await assertReadFirst(scopes, platform.env);
  }
  if (path === undefined) {
    const docker = await planDocker(request, tool, workplace, platform);
    return { ...common, docker, authFile: undefined, start: await otherLogins(request, workplace, platform) };
  }
  await assertOutside(path, workplace, store.authFile ?? path);
  const authFile = await readWithoutDead(path, registry, platform);
  assertFits("containers", authFile, registry, { workplace, platform });
  await assertReplaceable(authFile);
  // After the auth file: a warning of docker's files must not precede a failure.
  const docker = await planDocker(request, tool, workplace, platform);
  await warnIfMoreCanRead(authFile, request, platform);
  return { ...common, docker, authFile, start: undefined };
}

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
  workplace: Workplace,
  platform: Platform,
): string | undefined {
  if (workplace.keepsLogins === "privately") {
    return undefined;
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
      if (workplace.installHelper) {
        // As a login would, the helper takes the place of the registry's own login; it would hide those of its organizations.
        const { [registry]: _, ...others } = auths;
        auths = others;
        assertEnterable({ host: registry, name: undefined }, { path, content: { auths } }, platform.clock.now());
      }
      if (existing && Object.keys(auths).length > 0 && !(await isAsPrivate(privateOne, path))) {
        platform.reporter.warning(
          text`Logins in ${path} are left out: with this ${mention("auth-file-mode")}, more users could read them than can read that file.`,
        );
        auths = {};
      }
      found = { auths: { ...auths, ...found.auths }, credHelpers: { ...content.credHelpers, ...found.credHelpers } };
    } catch (error) {
      if (!(error instanceof ExplainedError) || error.code === "credential-helper") {
        throw error;
      }
      platform.reporter.warning(text`Logins in ${path} are left out. ${error.headline}`);
    }
  }
  // In our private file, a helper for this host would hide the login that the file is made for.
  const { [registry]: _, ...credHelpers } = found.credHelpers;
  return { auths: found.auths, ...(Object.keys(credHelpers).length > 0 && { credHelpers }) };
}
