/** The files in which `configure` enters the credential helper, and the folder of its configuration, checked before anything is changed. */
import { rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { assertEnterable, helperName } from "../authfile/cred-helpers.ts";
import { assertHelperRead, assertReadFirst, hidingVariable } from "../authfile/hidden.ts";
import { containersLocations, dockerConfigPath } from "../authfile/locations.ts";
import { readWithoutDead } from "../authfile/of-jobs.ts";
import type { AuthFile } from "../authfile/read.ts";
import { assertReplaceable } from "../authfile/replaceable.ts";
import type { Environment } from "../platform/environment.ts";
import { codeOf, ExplainedError, reworded } from "../platform/errors.ts";
import { existingFolder } from "../platform/fs.ts";
import type { LocalPlatform } from "../platform/platform.ts";
import { createFile, newId } from "../platform/replace.ts";
import { readTrustedFile, type TrustedFile } from "../platform/trusted-file.ts";
import { mention, mentionsIn, text } from "../platform/wording.ts";
import { untrusted } from "./unusable.ts";

export interface PlacesWanted {
  readonly registry: string;
  /** The file of the option auth-file. */
  readonly authFile: string | undefined;
  readonly docker: boolean;
}

/**
 * The file of the containers tools, and docker's.
 * @throws ExplainedError `auth-file-unusable`, `credential-helper`, `login-hidden`, `invalid-input`
 */
export async function planPlaces(
  { registry, authFile, docker }: PlacesWanted,
  env: Environment,
  platform: LocalPlatform,
): Promise<readonly AuthFile[]> {
  const path = authFile ?? containersFile(env);
  if (authFile === undefined) {
    await assertHelperRead(registry, path, env);
    await assertReadFirst([registry], env);
  }
  const file = await planFile(path, registry, platform);
  if (!docker) {
    return [file];
  }
  const ofDocker = await planFile(dockerFile(env), registry, platform).catch((error) => {
    throw error instanceof ExplainedError ? withoutDocker(error) : error;
  });
  const hiding = hidingVariable(registry, env);
  if (hiding !== undefined) {
    platform.reporter.warning(hiding);
  }
  // Both may be one file.
  return ofDocker.path === file.path ? [file] : [file, ofDocker];
}

/** Not the first file that they read, which is gone after a restart (XDG_RUNTIME_DIR, /run), if no variable names another. */
function containersFile(env: Environment): string {
  const [first, lasting] = containersLocations(env);
  return resolve((lasting ?? first).path);
}

/** @throws ExplainedError `invalid-input` */
function dockerFile(env: Environment): string {
  const path = dockerConfigPath(env);
  if (path === undefined) {
    throw new ExplainedError(
      "invalid-input",
      "Neither HOME nor DOCKER_CONFIG is set, so there is no place for docker's configuration.",
      { remedy: ["Set HOME to this user's home folder."] },
    );
  }
  return resolve(path);
}

async function planFile(path: string, registry: string, platform: LocalPlatform): Promise<AuthFile> {
  const file = await readWithoutDead(path, registry, platform);
  assertEnterable({ host: registry, name: helperName }, file, platform.clock.now());
  await assertReplaceable(file);
  return file;
}

/** docker reads one fixed file: naming another one would not help. */
const withoutDocker = (error: ExplainedError): ExplainedError =>
  reworded(error, {
    remedy: (lines) => [
      ...lines.filter((line) => !mentionsIn(line).includes("auth-file")),
      text`Or leave docker's configuration out: ${mention("docker-config", "false")}`,
    ],
  });

/**
 * Refuses root in another user's home (`sudo -E`): folders that are made there would be root's, and closed to that user.
 * @throws ExplainedError `configuration-unusable`
 */
export async function assertOwnHome(path: string): Promise<void> {
  const folder = await existingFolder(dirname(path));
  const { uid } = await stat(folder);
  if (process.geteuid?.() === 0 && uid !== 0) {
    throw new ExplainedError(
      "configuration-unusable",
      `This is root, and ${folder} belongs to user ${uid}, who could not read what root writes there.`,
      {
        remedy: [
          "For that user, type it without sudo.",
          "For root, set root's own home, here and for the tools: sudo -H, or HOME=/root.",
        ],
      },
    );
  }
}

/**
 * Asks the helper's own reader whether it would trust a file beside the configuration.
 * @throws ExplainedError `configuration-unusable`
 */
export async function assertTrustedThere(path: string): Promise<void> {
  const trial = join(dirname(path), `.${basename(path)}.${newId()}.${newId()}.tmp`); // after a kill, a leftover as any other
  let read: TrustedFile;
  try {
    await createFile(trial, "{}");
    read = readTrustedFile(trial);
  } catch (error) {
    throw noFolder(dirname(path), error, "written to");
  } finally {
    await rm(trial, { force: true });
  }
  if (read.kind === "untrusted") {
    throw untrusted({ kind: "file", path }, read);
  }
}

export const noFolder = (folder: string, cause: unknown, what = "made"): ExplainedError =>
  new ExplainedError(
    "configuration-unusable",
    `The folder of the credential helper's configuration, ${folder}, can't be ${what} (${codeOf(cause)}).`,
    {
      remedy: ["Let this user write there, or set XDG_CONFIG_HOME to another folder, here and for the tools."],
      cause,
    },
  );
