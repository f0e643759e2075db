/** The Tekton bundle and the release's YAML: each file of tekton/ with an image as the default of its parameter `image`. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { readProject } from "./project.ts";
import { type Resource, readTree, stampAll } from "./stamp.ts";

/** Tekton's limit (its docs/tekton-bundle-contracts.md). */
const mostLayers = 20;
/** A layer of one file. Not zlib of this Node: what it makes of the same bytes depends on the processor. */
function layerOf({ file, text }: Resource): { tar: Buffer; packed: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), "quay-keyless-bundle-"));
  try {
    const name = basename(file);
    writeFileSync(join(folder, name), text);
    const same = ["--format=ustar", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=0644"];
    const tar = execFileSync("tar", ["--create", ...same, "--directory", folder, name]);
    return { tar, packed: execFileSync("gzip", ["--best", "--no-name"], { input: tar }) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();

/** @returns the digest of its manifest */
function writeBundle(folder: string, resources: readonly Resource[], labels: Readonly<Record<string, string>>): string {
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType: string, bytes: Buffer) => {
    writeFileSync(join(blobs, sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const packed = resources.map((resource) => ({ resource, ...layerOf(resource) }));
  const layers = packed.map(({ resource, packed: bytes }) => {
    const { apiVersion, kind, metadata } = parse(resource.text);
    return {
      ...put("application/vnd.oci.image.layer.v1.tar+gzip", bytes),
      annotations: {
        "dev.tekton.image.apiVersion": apiVersion,
        "dev.tekton.image.kind": kind.toLowerCase(),
        "dev.tekton.image.name": metadata.name,
      },
    };
  });
  const rootfs = { type: "layers", diff_ids: packed.map(({ tar }) => `sha256:${sha256(tar)}`) };
  const created = labels["org.opencontainers.image.created"];
  const config = json({ created, architecture: "amd64", os: "linux", config: { Labels: labels }, rootfs });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = put(
    mediaType,
    json({
      schemaVersion: 2,
      mediaType,
      config: put("application/vnd.oci.image.config.v1+json", config),
      layers,
      annotations: labels,
    }),
  );
  writeFileSync(join(folder, "index.json"), json({ schemaVersion: 2, manifests: [manifest] }));
  writeFileSync(join(folder, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  return manifest.digest;
}

function labelsOf(): Readonly<Record<string, string>> {
  const { owner, version } = readProject();
  const source = `https://github.com/${owner}/quay-keyless-login`;
  const seconds = Number(process.env.SOURCE_DATE_EPOCH ?? git("log", "-1", "--format=%ct"));
  const labels = {
    title: "Tekton Tasks of quay-keyless-login",
    description:
      "Tasks and a StepAction that log in to Quay, promote and federate without a stored password: a Tekton bundle.",
    licenses: "Apache-2.0",
    version,
    revision: git("rev-parse", "HEAD"),
    created: new Date(seconds * 1000).toISOString(),
    url: source,
    source,
    documentation: `${source}/blob/v${version}/tekton/README.md`,
  };
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [`org.opencontainers.image.${name}`, value]));
}

function main(startedIn: string, args: string[]): void {
  const options = { image: { type: "string" }, yaml: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const { image = "", yaml } = values;
  const [target, ...more] = positionals;
  if (target === undefined || more.length > 0) {
    throw new Error("needs one folder to write, for example: script/bundle --image IMAGE@DIGEST bundle");
  }
  const folder = resolve(startedIn, target);
  if (existsSync(folder) && !existsSync(join(folder, "oci-layout"))) {
    throw new Error(`${folder} exists and is no OCI layout: name a new folder`);
  }
  const resources = stampAll(image, readTree());
  if (resources.length > mostLayers) {
    throw new Error(`Tekton takes at most ${mostLayers} objects in a bundle, and tekton/ has ${resources.length}`);
  }
  rmSync(folder, { recursive: true, force: true });
  const digest = writeBundle(folder, resources, labelsOf());
  if (yaml !== undefined) {
    writeFileSync(resolve(startedIn, yaml), resources.map(({ text }) => text).join(""));
  }
  console.log(digest);
}

try {
  main(process.argv[2] ?? ".", process.argv.slice(3));
} catch (error) {
  console.error(`bundle: ${(error as Error).message}`);
  process.exitCode = 2;
}
