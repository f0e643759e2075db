/** The SBOMs of what a release ships, each as CycloneDX and as SPDX. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { platformsOf, readInImage } from "./layout.ts";
import { actionFile, architectures, executableFile, layouts, packageFile, type Release } from "./project.ts";
import { git, Refusal } from "./run.ts";
import { cyclonedx } from "./sbom/cyclonedx.ts";
import { bundledParts, debianParts, inOrder, type Part, type Subject } from "./sbom/parts.ts";
import { spdx } from "./sbom/spdx.ts";
import { sha256 } from "./sums.ts";

/** The bundles of the command line and of the credential helper: in the npm package, in each executable, in the image. */
const programs = ["dist/cli", "dist/helper"];

export async function writeSboms(release: Release, folder: string): Promise<void> {
  const created = new Date(Number(await git(["log", "-1", "--format=%ct"])) * 1000).toISOString();
  const write = (what: string, subject: Subject, parts: readonly Part[]) => {
    const sbom = { subject, parts, url: release.url, created: created.replace(".000", "") };
    writeFileSync(join(folder, `sbom-${what}.cdx.json`), cyclonedx(sbom));
    writeFileSync(join(folder, `sbom-${what}.spdx.json`), spdx(sbom));
    console.log(`sbom-${what}: ${parts.length} packages`);
  };
  const file = (name: string) => sha256(readFileSync(join(folder, name)));
  const { name, version, license, description } = release;
  const subject = { name, version, license, description, kind: "application" as const };
  const npm = { ...subject, purl: `pkg:npm/${name}@${version}` };
  write("package", { ...npm, sha256: file(packageFile(release)) }, bundledParts(programs));
  const repository = new URL(release.url).pathname.slice(1).toLowerCase();
  const action = { ...subject, purl: `pkg:github/${repository}@v${version}` };
  write("action", { ...action, sha256: file(actionFile(release)) }, bundledParts(["dist"]));
  const inside = inOrder([...bundledParts(programs), ...runtime()]);
  const platforms = platformsOf(layouts(folder).image);
  for (const [platform, architecture] of Object.entries(architectures)) {
    const program = executableFile(architecture);
    const executable = { ...subject, purl: `pkg:generic/${program}@${version}`, sha256: file(program) };
    write(`linux-${architecture}`, executable, inside);
    const digest = platforms.get(platform);
    if (digest === undefined) throw new Refusal(`the image has no platform linux/${platform}`);
    const image = { ...subject, kind: "container" as const, purl: ociUrl(release.image, digest, platform) };
    const own = { name: program, version, license, purl: executable.purl };
    const debian = await debianIn(folder, digest);
    write(`image-${platform}`, { ...image, sha256: digest.slice(7) }, inOrder([own, ...inside, ...debian]));
  }
}

/** https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md */
function ociUrl(image: string, digest: string, architecture: string): string {
  const qualifiers = new URLSearchParams({ arch: architecture, repository_url: image });
  return `pkg:oci/${image.split("/").at(-1)}@${encodeURIComponent(digest)}?${qualifiers}`;
}

async function debianIn(folder: string, digest: string): Promise<Part[]> {
  const { image } = layouts(folder);
  const status = await readInImage(image, digest, "var/lib/dpkg/status");
  return debianParts(status, await readInImage(image, digest, "usr/lib/os-release"));
}

/** What runs the program inside the executables: this very Node (script/executable), with the libraries that it is built of. */
function runtime(): Part[] {
  const { modules: _, napi: __, ...versions } = process.versions; // those two are numbers of interfaces
  return Object.entries(versions).flatMap(([name, version]) =>
    version ? [{ name, version, purl: `pkg:generic/${name}@${encodeURIComponent(version)}` }] : [],
  );
}
