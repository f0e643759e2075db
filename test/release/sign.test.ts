/** `script/release sign`, with a cosign that only notes what it has signed: a second run signs nothing. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { signRelease } from "../../script/releasing/images.ts";
import { blocksOf } from "../../script/releasing/verify.ts";
import { allOf, makeImage, makeTwoPlatforms, writeLayout } from "../support/images.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quay-keyless-sign-"));
  mkdirSync(join(folder, "bin"));
  vi.stubEnv("PATH", `${folder}/bin:${process.env.PATH}`);
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function program(name: string, text: string) {
  writeFileSync(join(folder, "bin", name), `#!/bin/bash\n${text}`);
  chmodSync(join(folder, "bin", name), 0o755);
}

test.each([
  ["a key", "cosign.key"],
  ["the workflow's identity", undefined],
])("by %s, each thing is signed once, however often it runs", async (_, key) => {
  const log = join(folder, "log");
  writeFileSync(log, "");
  // verify finds what sign has noted; an interrupted run has signed a part.
  program(
    "cosign",
    `what="\${*: -1}"
case "$1" in
  public-key) echo key ;;
  verify*) if [[ "$*" == *--key* ]]; then [[ -n "${key ?? ""}" ]]; else [[ "$*" == *--certificate-identity* ]]; fi && grep -qxF "$1 $what" "${log}.done" ;;
  sign) echo "sign $what" >>"${log}"; echo "verify $what" >>"${log}.done" ;;
  sign-blob) echo "sign-blob $what" >>"${log}"; echo "verify-blob $what" >>"${log}.done" ;;
  attest) echo "attest $what" >>"${log}"; echo "verify-attestation $what" >>"${log}.done" ;;
esac`,
  );
  const [image, bundle] = [makeTwoPlatforms("image"), makeImage("bundle")];
  for (const [name, made] of Object.entries({ image, bundle })) {
    for (const each of allOf(made)) await writeLayout(join(folder, "oci", name), each);
  }
  const named = ({ digest }: { digest: string }) => `quay.io/acme/staging@${digest}`;
  writeFileSync(`${log}.done`, `verify ${named(image)}\n`);
  await signRelease(folder, "quay.io/acme/staging", key);
  await signRelease(folder, "quay.io/acme/staging", key);
  expect(readFileSync(log, "utf8").trim().split("\n")).toEqual([
    `sign-blob ${join(folder, "SHA256SUMS")}`,
    ...[...image.children, bundle].map((made) => `sign ${named(made)}`),
    ...image.children.map((made) => `attest ${named(made)}`),
  ]);
});

test.each([
  ["one", ["same"], 0],
  ["the same twice", ["same", "same"], 0],
  ["two different ones", ["same", "other"], 1],
  ["another", ["other"], 1],
])("the page accepts one SBOM: %s", (_, sboms, code) => {
  const commands = blocksOf(readFileSync("docs/verify.md", "utf8")).find(
    ({ heading }) => heading === "SBOMs",
  )?.commands;
  const index = { manifests: ["amd64", "arm64"].map((architecture) => ({ digest: "d", platform: { architecture } })) };
  program("skopeo", `echo '${JSON.stringify(index)}'`);
  const payload = (name: string) => Buffer.from(JSON.stringify({ predicate: { name, a: 1 } })).toString("base64");
  program("cosign", sboms.map((name) => `echo '{"payload":"${payload(name)}"}'`).join("\n"));
  for (const architecture of index.manifests.map(({ platform }) => platform.architecture)) {
    writeFileSync(join(folder, `sbom-image-${architecture}.cdx.json`), '{"a":1,"name":"same"}');
  }
  const script = `set -euo pipefail\nsigner=() image=quay.io/acme/app@d\n${commands}`;
  expect(spawnSync("bash", ["-c", script], { cwd: folder, encoding: "utf8" }).status).toBe(code);
});
