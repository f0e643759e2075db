/** Who we are, for tests: as package.json says it. */
import { join, resolve } from "node:path";
import { majorOf, readProject } from "../../script/project.ts";

const root = resolve(import.meta.dirname, "../..");
const project = readProject(join(root, "package.json"));
export const { version, image } = project;

/** Owner and name of the repository. */
export const repository = `${project.owner}/quay-keyless-login`;

/** What a workflow has in `uses`. @param path of another Action: `/promote` */
export const uses = (path = ""): string => `${repository}${path}@${majorOf(version)}`;

/** An address of the repository on GitHub. @param path with its slash */
export const address = (path = ""): string => `https://github.com/${repository}${path}`;

/** Stands in the samples for your own build of the image. */
export const ownBuild = `registry.example.com/tools/quay-keyless-login:${version}`;
