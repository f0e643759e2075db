/** script/bundle: what it writes is what Tekton's contract for bundles asks for, and the same bytes each time. */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { address, ownBuild, version } from "../support/project.ts";
import { type Finished, finish } from "../support/runner.ts";
import { resources } from "./resources.ts";

const root = resolve(import.meta.dirname, "../..");
const image = `quay.example.com/acme/quay-keyless-login@sha256:${"ab".repeat(32)}`;

let folder: string;
let digest: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-bundle-test-"));
  const made = await bundle(["--image", image, "--yaml", "tekton.yaml", "bundle"]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  digest = made.stdout.trim();
});
afterAll(() => rm(folder, { recursive: true }));

const bundle = (args: string[], before = "") =>
  finish(
    spawn("bash", ["-c", `${before} exec "$0" "$@"`, join(root, "script/bundle"), ...args], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    }),
  ) as Promise<Finished>;

const own = () =>
  resources("tekton/{task,stepaction}/*/*/*.yaml").map(({ apiVersion, kind, metadata }) => ({
    apiVersion,
    kind: kind.toLowerCase(),
    name: metadata.name,
  }));
const blob = (of: string) => join(folder, "bundle/blobs/sha256", of.replace("sha256:", ""));

test("has a layer for each Task and StepAction, whose parameter image has the digest as default", async () => {
  const manifest = JSON.parse(await readFile(blob(digest), "utf8"));
  expect(manifest.layers.length).toBeLessThanOrEqual(20);
  expect(manifest.annotations).toMatchObject({
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.source": address(),
  });
  const named = [];
  for (const { digest: layer, annotations, mediaType } of manifest.layers) {
    expect(mediaType).toBe("application/vnd.oci.image.layer.v1.tar+gzip");
    const { stdout } = await promisify(execFile)("tar", ["--extract", "--gzip", "--to-stdout", "--file", blob(layer)]);
    expect(parseAllDocuments(stdout)).toHaveLength(1);
    const { apiVersion, kind, metadata, spec } = parse(stdout);
    named.push({ apiVersion, kind: kind.toLowerCase(), name: metadata.name });
    expect(annotations).toEqual({
      "dev.tekton.image.apiVersion": apiVersion,
      "dev.tekton.image.kind": kind.toLowerCase(),
      "dev.tekton.image.name": metadata.name,
    });
    const parameter = spec.params.find(({ name }: { name: string }) => name === "image");
    expect(parameter).toMatchObject({ default: image, description: expect.not.stringContaining("built") });
  }
  const byName = (list: object[]) => list.map((each) => JSON.stringify(each)).toSorted();
  expect(byName(named)).toEqual(byName(own()));
});

test("writes the same objects as one YAML file", async () => {
  const documents = parseAllDocuments(await readFile(join(folder, "tekton.yaml"), "utf8"));
  expect(documents.map((each) => each.toJS().metadata.name).toSorted()).toEqual(
    own()
      .map(({ name }) => name)
      .toSorted(),
  );
  for (const each of documents) {
    expect(each.toJS().spec.params.find(({ name }: { name: string }) => name === "image").default).toBe(image);
  }
});

test("gives the same bytes from another folder, under another umask and time zone", async () => {
  await mkdir(join(folder, "deeper"));
  const again = await bundle(["--image", image, "../again"], "umask 077; export TZ=Asia/Tokyo; cd deeper;");
  expect(again).toMatchObject({ code: 0, stdout: `${digest}\n` });
  const blobs = (name: string) => readdir(join(folder, name, "blobs/sha256"));
  expect(await blobs("again")).toEqual(await blobs("bundle"));
});

test.each([
  ["a tag", ["--image", ownBuild, "x"], /^bundle: --image is "registry.*@sha256:/],
  ["no image", ["x"], /^bundle: --image is "".*for example/],
  ["no folder", ["--image", image], /^bundle: needs one folder.*for example/],
  ["an option that is none", ["--img", image, "x"], /^bundle: .*--img/],
  ["a folder of something else", ["--image", image, "taken"], /^bundle: .*taken exists and is no OCI layout/],
])("refuses %s, and writes nothing", async (_, args, said) => {
  await mkdir(join(folder, "taken"), { recursive: true });
  await writeFile(join(folder, "taken/file"), "");
  expect(await bundle(args)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(said) });
  expect(await readdir(join(folder, "taken"))).toEqual(["file"]);
  expect(await readdir(folder)).not.toContain("x");
});
