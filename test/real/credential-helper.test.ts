/** The Job of kubernetes/README.md in a real cluster: every copy asks the credential helper, for longer than a robot token lives. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  clusterScript,
  createNamespace,
  importImages,
  type Namespace,
  type QuayForPods,
  SPIRE_ISSUER,
  startQuayForPods,
  startSpireForPods,
} from "../support/cluster.ts";
import { writeImage } from "../support/image.ts";
import { address, version } from "../support/project.ts";
import { documentBlock, substitute } from "../support/readme.ts";
import { kustomize } from "./deployment.ts";
import { caConfigMap, OPENSHIFT_USER, withWorkloadApi } from "./tekton.ts";

/** Seconds. */
const LIFE = 8;

let peers: QuayForPods;
let socketFolder: string;
beforeAll(async () => {
  await importImages();
  // Without Quay's leeway a robot token is invalid from the second of its expiry.
  const quay = { robotTokenLife: LIFE, leeway: 0 };
  [peers, socketFolder] = await Promise.all([startQuayForPods({ quay }), startSpireForPods()]);
  await pushSource();
});
afterAll(async () => {
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

/** Pushes what the Jobs copy, from this machine, where only an own /etc/hosts knows the registry. */
async function pushSource(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-source-"));
  try {
    const [{ ip, hostnames }] = peers.hostAliases as [{ ip: string; hostnames: string[] }];
    await writeFile(join(folder, "hosts"), `${await readFile("/etc/hosts", "utf8")}\n${ip} ${hostnames.join(" ")}\n`);
    const image = await writeImage(join(folder, "image"));
    const auth = Buffer.from(`acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`).toString("base64");
    await writeFile(join(folder, "auth.json"), JSON.stringify({ auths: { [peers.registryHost]: { auth } } }));
    const copy =
      'mount --bind "$1/hosts" /etc/hosts; skopeo copy --authfile "$1/auth.json" --dest-cert-dir "$2" "$3" "$4"';
    const target = `docker://${peers.registryHost}/acme/app:source`;
    const args = ["--mount", "sh", "-ec", copy, "sh", folder, peers.certDir, image.reference, target];
    await promisify(execFile)("unshare", args);
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Job {
  /** Patched into the Job's pod. */
  pod?: Record<string, unknown>;
  components?: string[];
  /** Tags that the source is copied to. */
  tags: readonly string[];
}

/** Applies the overlay of the README, with the names of this cluster. */
async function start(namespace: Namespace, { pod, components = [], tags }: Job): Promise<void> {
  const { registryHost, hostAliases } = peers;
  const files = {
    images: tags.map((tag) => `${registryHost}/acme/app:source ${registryHost}/acme/app:${tag}\n`).join(""),
    "auth.json": JSON.stringify({ credHelpers: { [registryHost]: "quay-keyless" } }),
  };
  const job = { apiVersion: "batch/v1", kind: "Job", metadata: { name: "quay-keyless" } };
  const spec = { backoffLimit: 0, template: { spec: { hostAliases, ...pod } } };
  const manifests = await kustomize((path) => {
    const written = substitute(documentBlock("kubernetes/README.md", "## A Job with the credential helper", "yaml"), [
      [`${address()}//kubernetes/overlays/credential-helper?ref=v${version}`, path("overlays/credential-helper")],
      ["robot=acme+keyless", "robot=acme+ci"],
      ["namespace: quay-keyless", `namespace: ${namespace.name}`],
    ]);
    const overlay = parse(written);
    overlay.configMapGenerator[0].literals.push(`registry=${registryHost}`);
    overlay.configMapGenerator[1].files.push("auth.json");
    const more = { components: ["private-ca", ...components].map((each) => path(`components/${each}`)) };
    return { ...overlay, ...more, patches: [{ patch: JSON.stringify({ ...job, spec }) }] };
  }, files);
  await namespace.apply(caConfigMap(peers), ...manifests.map((each) => withWorkloadApi(each, socketFolder)));
}

async function enter(prefix: string, podSecurity: "privileged" | "restricted"): Promise<Namespace> {
  const namespace = await createNamespace(prefix, podSecurity);
  onTestFinished(() => namespace.remove());
  return namespace;
}

const trust = (issuer: string, subject: string) => addRobot(peers.quay.store, "acme+ci", [{ issuer, subject }]);
const log = (namespace: Namespace) => namespace.kubectl("logs", "job/quay-keyless");
const ends = (namespace: Namespace, condition: "Complete" | "Failed") =>
  namespace.kubectl("wait", `--for=condition=${condition}`, "--timeout=240s", "job/quay-keyless");
const exchanges = () => peers.quay.requests.filter(({ path }) => path === "/oauth2/federation/robot/token").length;
const tagsOf = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

test("copies for three lives of a robot token, and no copy fails", { timeout: 300_000 }, async () => {
  const namespace = await enter("helper", "restricted");
  trust(CLUSTER_ISSUER, `system:serviceaccount:${namespace.name}:quay-keyless`);
  const tags = tagsOf("long", 120);
  const [began, before] = [performance.now(), exchanges()];
  await start(namespace, { tags });
  await ends(namespace, "Complete").catch(async (error) => expect.fail(`${error}\n${await log(namespace)}`));
  expect((performance.now() - began) / 1000).toBeGreaterThan(3 * LIFE);
  // Source and destination of each copy: without a place to write to, there is no cache.
  expect(exchanges() - before).toBe(2 * tags.length);
  expect((await log(namespace)).match(/Writing manifest/g)).toHaveLength(tags.length);
  expect(peers.quay.requests.filter(({ path }) => path === `/v2/acme/app/manifests/${tags.at(-1)}`)).not.toEqual([]);
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("works as on OpenShift, with a random user, and with SPIFFE", async () => {
  const namespace = await enter("helper-spiffe", "privileged");
  trust(SPIRE_ISSUER, await clusterScript("spire.sh", "entry", namespace.name, "quay-keyless"));
  const tags = tagsOf("spiffe", 1);
  await start(namespace, { tags, components: ["spiffe"], pod: { securityContext: OPENSHIFT_USER } });
  await ends(namespace, "Complete").catch(async (error) => expect.fail(`${error}\n${await log(namespace)}`));
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("fails if Quay refuses, and the log has the lines to enter", async () => {
  const namespace = await enter("helper-refused", "restricted");
  const subject = `system:serviceaccount:${namespace.name}:quay-keyless`;
  trust(CLUSTER_ISSUER, "system:serviceaccount:another:quay-keyless");
  await start(namespace, { tags: tagsOf("refused", 1), pod: { securityContext: OPENSHIFT_USER } });
  await ends(namespace, "Failed");
  const shown = await log(namespace);
  expect(shown).toContain(CLUSTER_ISSUER);
  expect(shown).toContain(subject);
  expect(shown).toContain("explain subject-not-bound");
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
