/** All files of a release, from the commit that is checked out. The same commit gives the same bytes on each machine. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { name } from "../project.ts";
import { packAction } from "./action-tarball.ts";
import { newestSection } from "./changelog.ts";
import { digestOf } from "./layout.ts";
import { packNpm } from "./npm-package.ts";
import {
  type Architecture,
  actionFile,
  architectures,
  executableFile,
  imagesFile,
  layouts,
  notesFile,
  packageFile,
  type Release,
  sumsFile,
  tektonFile,
} from "./project.ts";
import { Refusal, run } from "./run.ts";
import { writeSboms } from "./sboms.ts";
import { writeSums } from "./sums.ts";

/**
 * Replaces a release that the folder holds.
 * @param base an OCI layout in place of the image's base, for a machine without a registry (script/image)
 * @throws Refusal for a folder with anything else
 */
export async function makeFiles(release: Release, folder: string, base?: string): Promise<void> {
  const notes = newestSection(release.version);
  if (existsSync(folder)) requireOwn(folder);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, notesFile), notes); // the first of all files
  mkdirSync(join(folder, "oci"));
  await packNpm(release, folder);
  console.log(packageFile(release));
  await packAction(release, folder);
  console.log(actionFile(release));
  for (const architecture of Object.values(architectures)) await makeExecutable(folder, architecture);
  await makeImages(release, folder, base);
  await writeSboms(release, folder);
  writeSums(folder);
  console.log(sumsFile);
}

/** What a release of any version has, halfway files included. */
const own = {
  folders: ["oci", "rehearsal"],
  files: new RegExp(
    `^(images\\.txt|notes\\.md|SHA256SUMS(\\.sigstore\\.json)?|sbom-.*\\.json|tekton-.*\\.yaml|package\\.tar|${name}-.*)$`,
  ),
};

/** @throws Refusal for a folder that is not empty and not surely a release: it is about to be removed */
export function requireOwn(folder: string): void {
  const there = readdirSync(folder, { withFileTypes: true });
  if (there.length === 0) return;
  const strangers = there
    .filter((entry) => !(entry.isDirectory() ? own.folders.includes(entry.name) : own.files.test(entry.name)))
    .map((entry) => entry.name);
  const images = existsSync(join(folder, "oci")) ? readdirSync(join(folder, "oci")) : [];
  strangers.push(...images.filter((image) => !["image", "bundle"].includes(image)).map((image) => `oci/${image}`));
  if (strangers.length === 0 && existsSync(join(folder, notesFile))) return;
  const why = strangers[0] ?? `it has no ${notesFile}`;
  throw new Refusal(`${folder} holds something else than a release: name a new folder (${why})`);
}

async function makeExecutable(folder: string, architecture: Architecture): Promise<void> {
  await run("script/executable", ["--arch", architecture, join(folder, executableFile(architecture))]);
  console.log(executableFile(architecture));
}

/** The image, and the Tasks as a bundle and as YAML, which name it by its digest. */
async function makeImages(release: Release, folder: string, base: string | undefined): Promise<void> {
  const { image, bundle } = layouts(folder);
  const options = base === undefined ? [] : ["--base", base];
  await run("script/image", [...options, "--programs", folder, image]);
  const name = `${release.image}@${digestOf(image)}`;
  console.log(`image ${name}`);
  const yaml = join(folder, tektonFile(release));
  await run("script/bundle", ["--image", name, "--yaml", yaml, bundle]);
  const bundled = `${release.image}@${digestOf(bundle)}`;
  console.log(`bundle ${bundled}`);
  writeFileSync(join(folder, imagesFile), `image ${name}\nbundle ${bundled}\n`);
}

/** @throws Refusal for a folder without a release's files */
export function requireFiles(folder: string): void {
  if (existsSync(join(folder, imagesFile))) return;
  throw new Refusal(`${folder} has no ${imagesFile}, as a release has. Type: script/release files FOLDER`);
}

/** @returns the names of images.txt, with their digests */
export function readImages(folder: string): { image: string; bundle: string } {
  const text = readFileSync(join(folder, imagesFile), "utf8");
  const [, image, bundle] = /^image (\S+@sha256:[0-9a-f]{64})\nbundle (\S+@sha256:[0-9a-f]{64})\n$/.exec(text) ?? [];
  if (!image || !bundle) throw new Refusal(`${imagesFile} does not have its two lines:\n${text}`);
  return { image, bundle };
}
