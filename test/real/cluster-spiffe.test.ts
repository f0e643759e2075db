/** The Task for SPIFFE with a real SPIRE, whose agent learns from the kubelet which pod asks. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  clusterScript,
  createNamespace,
  importImages,
  type Namespace,
  type QuayForPods,
  SPIRE_ISSUER,
  startQuayForPods,
  startSpireForPods,
} from "../support/cluster.ts";
import { CA_WORKSPACE, caConfigMap, LOGIN_IMAGE, serviceAccount, task, taskRun, withWorkloadApi } from "./tekton.ts";

let peers: QuayForPods;
let namespace: Namespace;
let toQuay: Record<string, string | string[]>;
let id: string;

beforeAll(async () => {
  await importImages();
  const socketFolder = await startSpireForPods();
  peers = await startQuayForPods({ registry: false });
  namespace = await createNamespace("spiffe");
  id = await clusterScript("spire.sh", "entry", namespace.name, "quay-spiffe");
  addRobot(peers.quay.store, "acme+ci", [{ issuer: SPIRE_ISSUER, subject: id }]);
  toQuay = { image: LOGIN_IMAGE, registry: peers.registryHost, robots: ["acme+ci"], "ca-file": "ca.crt" };
  const tasks = [...task("quay-keyless-login-spiffe"), ...task("quay-keyless-logout")];
  await namespace.apply(
    serviceAccount("quay-spiffe"),
    serviceAccount("somebody-else"),
    caConfigMap(peers),
    ...tasks.map((each) => withWorkloadApi(each, socketFolder)),
  );
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

const WORKSPACES = { dockerconfig: { emptyDir: {} }, ...CA_WORKSPACE };

test("logs in with a JWT-SVID", async () => {
  expect(id).toBe(`spiffe://test.example/ns/${namespace.name}/sa/quay-spiffe`);
  const run = await namespace.run(
    taskRun("login", peers, {
      task: "quay-keyless-login-spiffe",
      serviceAccount: "quay-spiffe",
      params: toQuay,
      workspaces: WORKSPACES,
    }),
  );
  expect(run, run.log).toMatchObject({
    succeeded: true,
    results: { robot: "acme+ci", issuer: SPIRE_ISSUER, subject: id },
  });
});

test("reports the reason in a pod without a registration entry", async () => {
  const run = await namespace.run(
    taskRun("unknown", peers, {
      task: "quay-keyless-login-spiffe",
      serviceAccount: "somebody-else",
      params: { ...toQuay, timeout: "10" },
      workspaces: WORKSPACES,
    }),
  );
  expect(run.succeeded).toBe(false);
  expect(run.log).toContain("explain spiffe-no-identity");
});

test("shows no token", async () => {
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
