/** What is released: the facts of package.json, and the names of the release's files. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { name, type Project, readProject } from "../project.ts";
import { Refusal } from "./run.ts";

export interface Release {
  readonly name: string;
  /** Without the v. */
  readonly version: string;
  readonly license: string;
  readonly description: string;
  /** https://github.com/OWNER/quay-keyless-login */
  readonly url: string;
  /** Where the image is released to: registry/organization/repository. */
  readonly image: string;
}

/** @param image another repository for the image than package.json's
 * @throws Refusal for a package.json that says who we are in another form */
export function readRelease(image?: string): Release {
  const { owner, ...project } = readOwn();
  const { license, description } = JSON.parse(readFileSync("package.json", "utf8"));
  const url = `https://github.com/${owner}/${name}`;
  return { name, version: project.version, license, description, url, image: image ?? project.image };
}

function readOwn(): Project {
  try {
    return readProject();
  } catch (error) {
    throw new Refusal((error as Error).message);
  }
}

export const tagOf = ({ version }: Pick<Release, "version">): string => `v${version}`;
/** The tags of the image, and of the bundle of Tasks in the same repository. */
export const imageTagsOf = ({ version }: Pick<Release, "version">) => ({ image: version, bundle: `tekton-${version}` });

export const packageFile = ({ name, version }: Release): string => `${name}-${version}.tgz`;
export const actionFile = ({ name, version }: Release): string => `${name}-action-${version}.tar.gz`;
export const tektonFile = ({ version }: Release): string => `tekton-${version}.yaml`;
export const executableFile = (architecture: Architecture): string => `quay-keyless-login-linux-${architecture}`;
/** A name with its digest per line, after the word `image` or `bundle`. */
export const imagesFile = "images.txt";
export const notesFile = "notes.md";
export const sumsFile = "SHA256SUMS";
export const signatureFile = `${sumsFile}.sigstore.json`;

/** What is pushed to registries, as OCI layouts. */
export const layouts = (folder: string) => ({ image: join(folder, "oci/image"), bundle: join(folder, "oci/bundle") });

/** The names that Node has for the architectures of the image's platforms. */
export const architectures = { amd64: "x64", arm64: "arm64" } as const;
export type Architecture = (typeof architectures)[keyof typeof architectures];
