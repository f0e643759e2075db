/** The Deployments of kubernetes/ in a real cluster: the login in one container, skopeo in another, under another user. */
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
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
import { deploy, useIt } from "./deployment.ts";
import { OPENSHIFT_USER } from "./tekton.ts";

let peers: QuayForPods;
let socketFolder: string;
beforeAll(async () => {
  await importImages();
  [peers, socketFolder] = await Promise.all([startQuayForPods(), startSpireForPods()]);
});
afterAll(async () => {
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

async function enter(prefix: string, podSecurity: "privileged" | "restricted"): Promise<Namespace> {
  const namespace = await createNamespace(prefix, podSecurity);
  onTestFinished(() => namespace.remove());
  return namespace;
}

const trust = (issuer: string, subject: string) => addRobot(peers.quay.store, "acme+ci", [{ issuer, subject }]);

const id = (namespace: Namespace) => namespace.exec("quay-keyless", "workload", ["id"]);

test("overlays/kubernetes works under Pod Security restricted; the login retries until Quay trusts it", async () => {
  const namespace = await enter("deployment", "restricted");
  const subject = `system:serviceaccount:${namespace.name}:quay-keyless`;
  addRobot(peers.quay.store, "acme+ci");
  // Awaited below; an earlier failure is one of the test.
  const ready = deploy(namespace, { resource: "overlays/kubernetes", components: ["private-ca"] }, peers);
  ready.catch(() => {});

  // The README names this log for a refusal of Quay.
  await expect
    .poll(() => namespace.kubectl("logs", "deployment/quay-keyless", "-c", "login").catch(String), { timeout: 60_000 })
    .toMatch(new RegExp(`Error:[^]*${CLUSTER_ISSUER}[^]*${subject}[^]*explain robot-not-federated`));
  trust(CLUSTER_ISSUER, subject);
  await ready;
  await useIt(namespace, "kubernetes", peers);
  // The login ran as 65532.
  expect((await id(namespace)).stdout).toMatch(/^uid=1000\b.*\b65532\b/);
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("base works as on OpenShift, with a random user", async () => {
  const namespace = await enter("openshift", "restricted");
  trust(CLUSTER_ISSUER, `system:serviceaccount:${namespace.name}:quay-keyless`);
  const pod = { securityContext: OPENSHIFT_USER };
  await deploy(namespace, { resource: "base", components: ["private-ca"], pod }, peers);
  await useIt(namespace, "openshift", peers);
  expect((await id(namespace)).stdout).toMatch(/^uid=1000680000 gid=0/);
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("overlays/spiffe works", async () => {
  const namespace = await enter("workload", "privileged");
  trust(SPIRE_ISSUER, await clusterScript("spire.sh", "entry", namespace.name, "quay-keyless"));
  const components = ["fixed-user", "private-ca"];
  await deploy(namespace, { resource: "overlays/spiffe", components, socketFolder }, peers);
  await useIt(namespace, "spiffe", peers);
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
