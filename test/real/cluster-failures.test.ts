/** The errors of a Task in the real cluster when something is missing or wrong. */
import { createSign } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  clusterSigningKey,
  createNamespace,
  importImages,
  type Namespace,
  type QuayForPods,
  startQuayForPods,
} from "../support/cluster.ts";
import {
  BUSYBOX_IMAGE,
  CA_WORKSPACE,
  caConfigMap,
  LOGIN_IMAGE,
  params,
  serviceAccount,
  stepAction,
  task,
  taskRun,
  tokenVolume,
} from "./tekton.ts";

let peers: QuayForPods;
let namespace: Namespace;
let toQuay: Record<string, string | string[]>;

beforeAll(async () => {
  await importImages();
  peers = await startQuayForPods({ registry: false });
  namespace = await createNamespace("failures");
  addRobot(peers.quay.store, "acme+ci", [
    { issuer: CLUSTER_ISSUER, subject: `system:serviceaccount:${namespace.name}:quay-ci` },
  ]);
  toQuay = { image: LOGIN_IMAGE, registry: peers.registryHost, robots: ["acme+ci"], "ca-file": "ca.crt" };
  await namespace.apply(
    serviceAccount("quay-ci"),
    serviceAccount("somebody-else"),
    caConfigMap(peers),
    ...task("quay-keyless-login"),
    ...stepAction(),
  );
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
});

const DOCKERCONFIG = { dockerconfig: { emptyDir: {} } };

describe("a login that fails says why", () => {
  test.concurrent("another service account: what to enter in Quay", async () => {
    const run = await namespace.run(
      taskRun("other", peers, {
        task: "quay-keyless-login",
        serviceAccount: "somebody-else",
        params: toQuay,
        workspaces: { ...DOCKERCONFIG, ...CA_WORKSPACE },
      }),
    );
    expect(run).toMatchObject({ succeeded: false, results: {} });
    expect(run.log).toContain("explain subject-not-bound");
    expect(run.log).toMatch(new RegExp(`Issuer:? +${CLUSTER_ISSUER}`, "i"));
    expect(run.log).toMatch(new RegExp(`Subject:? +system:serviceaccount:${namespace.name}:somebody-else`, "i"));
  });

  test.concurrent("the root of Quay's certificate is missing", async () => {
    const run = await namespace.run(
      taskRun("no-ca", peers, {
        task: "quay-keyless-login",
        params: { ...toQuay, "ca-file": "" },
        workspaces: DOCKERCONFIG,
      }),
    );
    expect(run.succeeded).toBe(false);
    expect(run.log).toContain("explain tls-untrusted");
  });

  test.concurrent("a workspace that can't be written to", async () => {
    const run = await namespace.run(
      taskRun("read-only", peers, {
        task: "quay-keyless-login",
        params: toQuay,
        workspaces: { dockerconfig: { configMap: { name: "quay-ca" } }, ...CA_WORKSPACE },
      }),
    );
    expect(run.succeeded).toBe(false);
    expect(run.log).toMatch(/\/workspace\/dockerconfig.* (read-only|written)/);
    expect(run.log).toContain("More: quay-keyless-login explain ");
  });

  test.concurrent("no workspace bound: Tekton itself says so", async () => {
    const run = await namespace.run(
      taskRun("no-workspace", peers, { task: "quay-keyless-login", params: toQuay, workspaces: CA_WORKSPACE }),
    );
    expect(run.succeeded).toBe(false);
    expect(run.message).toContain("dockerconfig");
  });

  test.concurrent("a cluster whose issuer can't be reached from outside", async () => {
    // A token of an API server with the default issuer, signed with this one's key.
    const now = Math.floor(Date.now() / 1000);
    const token = sign({
      iss: "https://kubernetes.default.svc.cluster.local",
      sub: `system:serviceaccount:${namespace.name}:quay-ci`,
      aud: ["quay"],
      iat: now,
      nbf: now,
      exp: now + 3600,
    });
    await namespace.apply({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "internal-token" },
      stringData: { "quay-token": token },
    });
    const run = await stepIn("internal", { name: "quay-token", secret: { secretName: "internal-token" } });
    expect(run.succeeded).toBe(false);
    expect(run.log).toContain("https://kubernetes.default.svc.cluster.local");
    expect(run.log).toContain("explain issuer-cluster-internal");
    expect(run.log).toMatch(/SPIFFE/);
  });

  test.concurrent("a volume without the token", async () => {
    const run = await stepIn("empty", { name: "quay-token", emptyDir: {} });
    expect(run.succeeded).toBe(false);
    expect(run.log).toContain("/var/run/secrets/tokens/quay-token");
    expect(run.log).toContain("More: quay-keyless-login explain ");
  });

  /** The StepAction alone, on this volume. */
  function stepIn(name: string, volume: object) {
    const login = {
      name: "login",
      ref: { name: "quay-keyless-login" },
      params: params({ ...toQuay, "ca-file": "$(workspaces.ca.path)/ca.crt" }),
    };
    return namespace.run(
      taskRun(name, peers, {
        task: { workspaces: [{ name: "ca" }], volumes: [volume], steps: [login] },
        workspaces: CA_WORKSPACE,
      }),
    );
  }
});

test("shows no token in any of them", async () => {
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});

test("notices a Task that shows its token", async () => {
  const elsewhere = await createNamespace("leaky");
  try {
    await elsewhere.apply(serviceAccount("quay-ci"));
    const volumeMounts = [{ name: "quay-token", mountPath: "/token" }];
    const step = { name: "show", image: BUSYBOX_IMAGE, command: ["cat", "/token/quay-token"], volumeMounts };
    const run = await elsewhere.run(
      taskRun("leak", peers, { task: { volumes: [tokenVolume("quay-token")], steps: [step] } }),
    );
    expect(run.succeeded).toBe(true);
    expect(peers.secretsShown(await elsewhere.traces())).not.toEqual([]);
  } finally {
    await elsewhere.remove();
  }
});

function sign(claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ alg: "RS256", kid: "cluster" })}.${encode(claims)}`;
  return `${text}.${createSign("sha256").update(text).sign(clusterSigningKey(), "base64url")}`;
}
