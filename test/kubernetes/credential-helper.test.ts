/** The Job of `kubernetes/` whose tools ask the credential helper, read as text; its script is run with a skopeo that only takes notes. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { optionsOf } from "../../src/options/table.ts";
import { render } from "./render.ts";

const overlay = "kubernetes/overlays/credential-helper";
const { pod, documents, configMaps } = render(overlay);

/** @param components that come after the overlay */
function jobWith(...components: string[]) {
  const rendered = render(overlay, ...components.map((each) => `kubernetes/components/${each}`));
  const [workload, ...more] = rendered.pod.containers;
  if (!workload || more.length > 0) throw new Error("the Job has not one container");
  const env = new Map(workload.env?.map((each) => [each.name, each]));
  return { ...rendered, workload, env, value: (name: string) => env.get(name)?.value };
}

const { workload, env, value } = jobWith();
const mounted = (volume: string) => workload.volumeMounts?.find(({ name }) => name === volume)?.mountPath;

test("takes the place of the Deployment, without a sidecar", () => {
  expect(documents.map(({ kind }) => kind)).toEqual(["ServiceAccount", "Job"]);
  expect(pod.initContainers).toEqual([]);
});

test("gets no variables of a Service, which could have the names of the helper's", () => {
  expect(pod).toMatchObject({ enableServiceLinks: false });
});

test("configures the helper by variables that are options, with the registry and robot of quay-login", () => {
  const own = [...env.keys()].filter((name) => name.startsWith("QUAY_KEYLESS_"));
  const known = optionsOf("helper").map(({ name }) => `QUAY_KEYLESS_${name.toUpperCase().replaceAll("-", "_")}`);
  expect(own.filter((name) => !known.includes(name))).toEqual([]);
  const referred = own.flatMap((name) => env.get(name)?.valueFrom?.configMapKeyRef ?? []);
  expect(referred.map(({ name, key }) => configMaps[name]?.[key])).toEqual(["quay.io", "", "acme+keyless"]);
});

test("names the helper for that registry in the file that tools read", () => {
  expect(value("REGISTRY_AUTH_FILE")).toBe(`${mounted("quay-helper")}/auth.json`);
  const { registry = "" } = configMaps["quay-login"] ?? {};
  const authFile = JSON.parse(configMaps["quay-helper"]?.["auth.json"] ?? "");
  expect(authFile).toEqual({ credHelpers: { [registry]: "quay-keyless" } });
});

test("has a token for Quay where the helper reads it", () => {
  expect(value("QUAY_KEYLESS_TOKEN_FILE")).toBe(`${mounted("quay-token")}/quay-token`);
  const audience = optionsOf("helper").find(({ name }) => name === "audience")?.default;
  const serviceAccountToken = { audience, expirationSeconds: 3600, path: "quay-token" };
  expect(pod.volumes).toContainEqual({ name: "quay-token", projected: { sources: [{ serviceAccountToken }] } });
});

test.each([[[]], [["private-ca"]], [["spiffe"]], [["private-ca", "spiffe"]]])(
  "writes nowhere, with %j",
  (components) => {
    const job = jobWith(...components);
    expect(job.workload.volumeMounts?.filter(({ readOnly }) => readOnly !== true)).toEqual([]);
    expect(job.pod.volumes.filter(({ emptyDir }) => emptyDir !== undefined)).toEqual([]);
    expect(job.workload.securityContext).toMatchObject({ readOnlyRootFilesystem: true });
    const names = job.workload.volumeMounts?.map(({ name }) => name) ?? [];
    expect(job.pod.volumes.map(({ name }) => name).sort()).toEqual(names.toSorted());
  },
);

test("SPIFFE replaces the service account token", () => {
  const job = jobWith("spiffe");
  expect(job.value("QUAY_KEYLESS_IDENTITY")).toBe("spiffe");
  expect(job.env.has("QUAY_KEYLESS_TOKEN_FILE")).toBe(false);
  const place = job.workload.volumeMounts?.find(({ name }) => name === "spiffe-workload-api")?.mountPath;
  expect(job.value("QUAY_KEYLESS_SPIFFE_SOCKET")).toBe(`unix://${place}/spire-agent.sock`);
  expect(job.pod.volumes.map(({ name }) => name)).not.toContain("quay-token");
});

test("a private authority is trusted by the helper and by skopeo", () => {
  const job = jobWith("private-ca");
  const place = job.workload.volumeMounts?.find(({ name }) => name === "quay-ca")?.mountPath;
  expect([job.value("QUAY_KEYLESS_CA_FILE"), job.value("SSL_CERT_DIR")]).toEqual([`${place}/ca.crt`, place]);
  expect(value("QUAY_KEYLESS_CA_FILE")).toBe("");
});

test("copies every image of the list, also after one that fails, and then fails", async () => {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-job-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const notes = join(folder, "notes");
  await writeFile(join(folder, "skopeo"), `#!/bin/sh\necho "$@" >>${notes}\ncase "$4" in *nodejs*) exit 1;; esac\n`, {
    mode: 0o755,
  });
  const list = configMaps["quay-helper"]?.images ?? "";
  const lines = list.trim().split("\n");
  const failing = lines.findIndex((line) => line.includes("nodejs"));
  expect([lines.length, failing]).toEqual([2, 1]);
  const run = async (images: string) => {
    await writeFile(join(folder, "images"), images);
    const [shell = "", ...args] = (workload.command ?? []).map((word) =>
      word.replace(mounted("quay-helper") ?? "?", folder),
    );
    const path = `${folder}:/usr/bin:/bin`;
    return promisify(execFile)(shell, args, { env: { PATH: path } }).then(
      () => 0,
      ({ code }) => code,
    );
  };
  expect(await run(lines.toReversed().join("\n").concat("\n"))).toBe(1);
  const copied = (await readFile(notes, "utf8")).trim().split("\n");
  const wanted = lines.toReversed().map((line) => `copy --all docker://${line.replace(" ", " docker://")}`);
  expect(copied).toEqual(wanted);
  expect(await run(`${lines[0]}\n`)).toBe(0);
});
