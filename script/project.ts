/** Who we are, as package.json says it: the one place for owner, version and image. */
import { readFileSync } from "node:fs";

export interface Project {
  /** The account on GitHub. */
  readonly owner: string;
  readonly version: string;
  /** Where the published image is, without a tag. */
  readonly image: string;
}

/** Repository, package, command and image have it; a fork keeps it. */
export const name = "quay-keyless-login";

/** The `v1` of `uses: …@v1`. */
export const majorOf = (version: string): string => `v${version.split(".")[0]}`;

/** @throws Error that names the line of package.json and an example that works */
export function readProject(file = "package.json"): Project {
  const { version, repository, config } = JSON.parse(readFileSync(file, "utf8"));
  const wrong = (key: string, value: unknown, valid: string) =>
    new Error(`${file}: ${key} is ${JSON.stringify(value)}. It has to look like ${valid}.`);
  if (!/^\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$/.test(version)) {
    throw wrong("version", version, '"1.2.3" or "1.3.0-rc.1"');
  }
  // GitHub's rule for accounts: letters, digits and single hyphens.
  const owner = /^https:\/\/github\.com\/((?:[a-z\d]|-(?=[a-z\d])){1,39})\/quay-keyless-login$/i.exec(repository)?.[1];
  if (owner === undefined || owner.startsWith("-")) {
    throw wrong("repository", repository, `"https://github.com/acme/${name}"`);
  }
  const image = config?.image ?? `quay.io/${owner.toLowerCase()}/${name}`;
  if (!/^[a-z\d-]+(\.[a-z\d-]+)+(:\d+)?(\/[a-z\d]+([._-]+[a-z\d]+)*)*\/quay-keyless-login$/.test(image)) {
    throw wrong("config.image", image, `"ghcr.io/acme/${name}", without a tag`);
  }
  // While nobody owns the repository, its image is a name that no registry accepts, as its address is.
  return { owner, version, image: owner === nobody && !config?.image ? `quay.io/${nobody}/${name}` : image };
}

/** Stands for the account until the repository has one. */
export const nobody = "OWNER";
