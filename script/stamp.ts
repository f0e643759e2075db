/** The files of tekton/ with an image as the default of their parameter `image`. In git it has none: a digest can't be in the tree it is built from. */
import { globSync, readFileSync } from "node:fs";
import { matchesGlob } from "node:path";

/** A Task or StepAction. */
export interface Resource {
  readonly file: string;
  readonly text: string;
}

const parameter = /^( +)- name: image\n\1 {2}type: string\n/m;
const origin = "Image of quay-keyless-login, which you have built and pushed; best by its digest. ";

/** @throws Error for a file without the parameter, or whose description has changed */
function stamp({ file, text: original }: Resource, image: string): Resource {
  if (!parameter.test(original) || !original.includes(origin)) {
    throw new Error(`${file} has no parameter image with the description "${origin.trim()}"`);
  }
  const text = original
    .replace(parameter, (all, indent: string) => `${all}${indent}  default: ${image}\n`)
    .replace(origin, "Image of quay-keyless-login; by default that of this release. ");
  return { file, text };
}

/** Matches the files of tekton/ that have the parameter. */
const files = "tekton/{task,stepaction}/*/*/*.yaml";

export const readTree = (): Resource[] => globSync(files).map((file) => ({ file, text: readFileSync(file, "utf8") }));

/** The same, as the commit that is checked out has them. */
export function readCommit(git: (args: readonly string[]) => string): Resource[] {
  const all = git(["ls-tree", "-r", "-z", "--name-only", "HEAD", "tekton"]).split("\0");
  return all
    .filter((file) => matchesGlob(file, files))
    .map((file) => ({ file, text: `${git(["cat-file", "blob", `HEAD:${file}`])}\n` }));
}

/** @throws Error for an image without its digest */
export function stampAll(image: string, resources: readonly Resource[]): readonly Resource[] {
  if (!/^[a-z\d][\w.:/-]*@sha256:[0-9a-f]{64}$/.test(image)) {
    const example = `quay.io/acme/quay-keyless-login@sha256:${"0".repeat(64)}`;
    throw new Error(`--image is "${image}". It has to have its digest, for example: --image ${example}`);
  }
  return resources.toSorted((a, b) => (a.file < b.file ? -1 : 1)).map((resource) => stamp(resource, image));
}
