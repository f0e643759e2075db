/** The files that docker reads: its configuration, and its builder's for each repository. */
import { join, resolve } from "node:path";
import { assertEnterable, assertNotHidden, type HelperFile } from "../authfile/cred-helpers.ts";
import { isRobotLogin, readEntry } from "../authfile/entry.ts";
import { hidingVariable } from "../authfile/hidden.ts";
import { builderFolder, dockerConfigPath } from "../authfile/locations.ts";
import { readWithoutDead } from "../authfile/of-jobs.ts";
import { type AuthContent, type AuthFile, getOwn, readAuthFile } from "../authfile/read.ts";
import { assertReplaceable } from "../authfile/replaceable.ts";
import { anotherFile, ExplainedError, invalidInput, reworded } from "../platform/errors.ts";
import { isThere, leadsInto } from "../platform/fs.ts";
import type { Platform } from "../platform/platform.ts";
import { mention, mentionsIn, text, type Words } from "../platform/wording.ts";
import { kindOf, scopeParts, scopesThatHide } from "../quay/scope.ts";
import { findsLogin, type Tool, tools } from "../tools/tools.ts";
import type { LoginRequest } from "./request.ts";
import type { Workplace } from "./workplace.ts";

/** The part of a request that decides where its logins go. */
export type DestinationRequest = Pick<LoginRequest, "registry" | "robots" | "store">;

/** Whether docker or its builder is what a login is for, so no other file would do. */
const isForDocker = (tool: Tool, { robots }: DestinationRequest): boolean =>
  tools[tool.name].reads === "docker" || robots.some(({ scope }) => kindOf(scope) === "action");

export const needsDocker = (tool: Tool, request: DestinationRequest): boolean =>
  isForDocker(tool, request) || request.store.dockerConfig === true;

/**
 * Whether docker's files get the login if the user leaves that open. Without a tool, every tool is to find it; but a file that the
 * user names is where it goes, and other jobs of this user don't have a job's helper.
 */
const isWanted = (tool: Tool, { store }: DestinationRequest, { isDisposable, installHelper }: Workplace): boolean =>
  store.dockerConfig === "auto" &&
  (isDisposable || (tool.name === "none" && store.authFile === undefined && installHelper === undefined));

/** One of docker's files, which is to get the login of one scope under the registry's name. */
export interface DockerFile {
  readonly scope: string;
  readonly file: AuthFile;
}

/**
 * docker's files, if they are to get the logins: its configuration for the whole registry, and its builder's for each repository
 * or action. If the user has not asked for that, they must not keep the other tools from their login: a problem with them becomes
 * a warning, and they are left out.
 */
export async function planDocker(
  request: DestinationRequest,
  tool: Tool,
  workplace: Workplace,
  platform: Platform,
): Promise<readonly DockerFile[]> {
  const { registry, robots, store } = request;
  const { dockerConfig } = store;
  if (tools[tool.name].reads === "docker" && dockerConfig === false) {
    throw invalidInput(
      "docker-config",
      "false",
      `the tool ${tool.name} reads its login from there`,
      mention("docker-config", "auto"),
    );
  }
  const isNeeded = needsDocker(tool, request);
  const scopes = robots.map(({ scope }) => scope);
  const canHold = scopes.every((scope) => findsLogin("docker", kindOf(scope)));
  if (!isNeeded && !(canHold && isWanted(tool, request, workplace))) {
    return [];
  }
  try {
    const files: DockerFile[] = [];
    for (const scope of scopes) {
      const path = scope === registry ? dockerConfigOf(platform) : await builderFileOf(scope, scopes, platform);
      files.push({ scope, file: await usableFile(path, request, workplace, platform) });
    }
    const hiding = hidingVariable(registry, platform.env);
    if (hiding !== undefined) {
      platform.reporter.warning(hiding);
    }
    const repositories = scopes.filter((scope) => scope !== registry);
    if (isNeeded && repositories.length > 0) {
      platform.reporter.warning(forBuilderAlone(repositories));
    }
    return files;
  } catch (error) {
    if (!(error instanceof ExplainedError)) {
      throw error;
    }
    if (isNeeded) {
      throw forDocker(error, tool, request, platform);
    }
    platform.reporter.warning(withoutDocker(error));
    return [];
  }
}

const forBuilderAlone = (scopes: readonly string[]): string =>
  `docker uses the ${scopes.length > 1 ? "logins" : "login"} for ${scopes.join(", ")} in its builder alone: docker build, docker buildx build and docker compose build, with buildx 0.31 or newer. docker push and docker pull need a robot without a scope.`;

/** @throws ExplainedError `credential-helper` if a helper hides the login, or ours hides another one */
export function assertFits(
  kind: "containers" | "docker",
  file: HelperFile,
  registry: string,
  { workplace, platform }: { readonly workplace: Workplace; readonly platform: Platform },
): void {
  if (workplace.installHelper) {
    assertEnterable({ host: registry, name: undefined }, file, platform.clock.now());
  } else {
    assertNotHidden(kind, file, registry);
  }
}

async function usableFile(
  path: string,
  { registry, store }: DestinationRequest,
  workplace: Workplace,
  platform: Platform,
): Promise<AuthFile> {
  if (workplace.workspace && (await leadsInto(workplace.workspace, path))) {
    const error = invalidInput("docker-config", String(store.dockerConfig), `${path} ${inWorkspace}`, "");
    const remedy = `Set ${folderVariable(error, platform)} to a folder outside the workspace.`;
    throw reworded(error, { remedy: () => [remedy, anotherFile] });
  }
  const file = await readWithoutDead(path, registry, platform);
  assertFits("docker", file, registry, { workplace, platform });
  await assertReplaceable(file);
  return file;
}

/** docker reads fixed files: naming another one would not help. */
export const forDocker = (
  error: ExplainedError,
  tool: Tool,
  request: DestinationRequest,
  platform: Platform,
): ExplainedError =>
  reworded(error, {
    remedy: (lines) =>
      lines.map((line) =>
        !mentionsIn(line).includes("auth-file")
          ? line
          : isForDocker(tool, request)
            ? `Or give docker another folder, in this step and in later ones: ${folderVariable(error, platform)}=/path/docker`
            : text`Or leave docker's configuration out: ${mention("docker-config", "false")}`,
      ),
  });

/** The variable that decides where the file is that the error names. */
const folderVariable = ({ message }: ExplainedError, { env }: Platform): string =>
  env.BUILDX_CONFIG && message.includes(`${resolve(env.BUILDX_CONFIG)}/`) ? "BUILDX_CONFIG" : "DOCKER_CONFIG";

export const withoutDocker = ({ headline }: ExplainedError): Words =>
  text`docker, cosign, crane, oras and helm will not see this login. ${headline} (${mention("docker-config", "false")} turns this warning off, ${mention("docker-config", "true")} makes this an error.)`;

export const inWorkspace = "is in the workspace, whose files end up in images and artifacts";

const dockerConfigOf = ({ env }: Platform): string => placeFrom(dockerConfigPath(env));

/**
 * The file of docker's builder for one scope.
 * @param scopes all of this login
 * @throws ExplainedError `login-hidden` if the builder would use the login of another program instead
 */
async function builderFileOf(scope: string, scopes: readonly string[], { env }: Platform): Promise<string> {
  const folder = placeFrom(builderFolder(env));
  for (const other of scopesThatHide(scope)) {
    const path = join(folder, other, "config.json");
    if (!scopes.includes(other) && (await isThere(path))) {
      const { content } = await readAuthFile(path, "read").catch(() => ({ content: {} as AuthContent }));
      const found = readEntry(getOwn(content.auths, scopeParts(other).host) ?? {});
      const removal = found && isRobotLogin(found) ? `quay-keyless-login logout --scope ${other}` : `rm ${path}`;
      throw new ExplainedError(
        "login-hidden",
        `docker's builder would not use the login for ${scope}: it takes the one of ${path} first.`,
        { remedy: [`If you don't need that login: ${removal}`] },
      );
    }
  }
  return join(folder, scope, "config.json");
}

function placeFrom(path: string | undefined): string {
  if (path === undefined) {
    throw new ExplainedError(
      "invalid-input",
      "Neither HOME nor DOCKER_CONFIG is set, so there is no place for docker's configuration.",
      { remedy: ["Set HOME to this user's home folder.", anotherFile] },
    );
  }
  return resolve(path);
}
