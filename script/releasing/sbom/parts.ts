/** What a file of the release consists of, as both SBOM formats say it. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A package inside the subject. */
export interface Part {
  readonly name: string;
  readonly version: string;
  /** Package URL. */
  readonly purl: string;
  /** SPDX expression; absent: not known. */
  readonly license?: string;
  /** Of the package as its registry serves it, hexadecimal. */
  readonly sha512?: string;
}

/** What the SBOM is of. */
export interface Subject {
  readonly name: string;
  readonly version: string;
  readonly kind: "application" | "container";
  readonly license: string;
  readonly description: string;
  readonly purl: string;
  /** Of the file or of the image's manifest, hexadecimal. */
  readonly sha256: string;
}

export interface Sbom {
  readonly subject: Subject;
  readonly parts: readonly Part[];
  /** The project's page; namespaces of documents begin with it. */
  readonly url: string;
  /** ISO 8601, of the commit: the same commit gives the same bytes. */
  readonly created: string;
}

/** The npm packages in the bundles below a folder, as the bundler's own list of modules names them (script/licenses.ts). */
export function bundledParts(folders: readonly string[]): Part[] {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const parts = new Map<string, Part>();
  for (const file of folders.flatMap((folder) => globSync(join(folder, "**/licenses.txt")))) {
    for (const { name, version, license } of parseLicenses(readFileSync(file, "utf8"))) {
      const { integrity } = packages[`node_modules/${name}`];
      const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
      parts.set(purl, {
        name,
        version,
        license,
        purl,
        sha512: Buffer.from(integrity.slice(7), "base64").toString("hex"),
      });
    }
  }
  return inOrder(parts.values());
}

/** The first line of each section is `NAME VERSION (LICENSE)`. */
export function parseLicenses(text: string): { name: string; version: string; license: string }[] {
  if (text.trim() === "") return [];
  return text.split(`\n${"-".repeat(80)}\n\n`).map((section) => {
    const [, name = "", version = "", license = ""] = /^(\S+) (\S+) \((.+)\)\n/.exec(section) ?? [];
    if (name === "") throw new Error(`not a section of licenses.txt: ${section.slice(0, 80)}`);
    return { name, version, license };
  });
}

/**
 * The installed packages of dpkg's list.
 * @param status /var/lib/dpkg/status
 * @param osRelease /etc/os-release
 */
export function debianParts(status: string, osRelease: string): Part[] {
  const field = (text: string, name: string) => new RegExp(`^${name}[:=] ?"?([^"\n]*)`, "m").exec(text)?.[1] ?? "";
  const distribution = field(osRelease, "ID");
  const distro = `${distribution}-${field(osRelease, "VERSION_ID")}`;
  const installed = status.split(/\n{2,}/).filter((entry) => / installed$/m.test(field(entry, "Status")));
  return inOrder(
    installed.map((entry) => {
      const [name, version] = [field(entry, "Package"), field(entry, "Version")];
      const qualifiers = [`arch=${field(entry, "Architecture")}`, `distro=${distro}`];
      const purl = `pkg:deb/${distribution}/${name.replaceAll("+", "%2B")}@${encodeURIComponent(version)}?${qualifiers.join("&")}`;
      return { name, version, purl };
    }),
  );
}

export const inOrder = (parts: Iterable<Part>): Part[] => [...parts].sort((a, b) => (a.purl < b.purl ? -1 : 1));
