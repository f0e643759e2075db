/** Logins that outlast their robot token, which lives seconds here: the sidecars of kubernetes/ and of the Tekton sample. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  createNamespace,
  importImages,
  type Manifest,
  type Namespace,
  type QuayForPods,
  startQuayForPods,
} from "../support/cluster.ts";
import { build, deploy, inWorkload, type Overlay, useIt } from "./deployment.ts";
import {
  BUSYBOX_IMAGE,
  caConfigMap,
  imageConfigMap,
  LOGIN_IMAGE,
  OPENSHIFT_USER,
  serviceAccount,
  taskRun,
} from "./tekton.ts";

/** Seconds. */
const LIFE = 20;

interface ContainerStatus {
  name: string;
  restartCount: number;
  state: { terminated?: { exitCode: number; reason: string } };
}

interface Pod extends Manifest {
  status: {
    phase: string;
    conditions: { type: string; status: string; lastTransitionTime: string }[];
    initContainerStatuses: ContainerStatus[];
    containerStatuses: ContainerStatus[];
  };
}

let peers: QuayForPods;
let namespace: Namespace;
beforeAll(async () => {
  await importImages();
  // Without Quay's leeway a robot token is invalid from the second of its expiry.
  peers = await startQuayForPods({ quay: { robotTokenLife: LIFE, leeway: 0 } });
  namespace = await createNamespace("sidecar");
  await namespace.apply(caConfigMap(peers));
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
});

const subjectOf = (account: string) => `system:serviceaccount:${namespace.name}:${account}`;
const trust = (account: string) =>
  addRobot(peers.quay.store, "acme+ci", [{ issuer: CLUSTER_ISSUER, subject: subjectOf(account) }]);
const trustNobody = () => addRobot(peers.quay.store, "acme+ci");

const exchanges = () => peers.quay.requests.filter(({ path }) => path === "/oauth2/federation/robot/token").length;

/** The only pod with this label, after earlier ones have ended. */
async function podOf(label: string): Promise<Pod> {
  const list = async (): Promise<Pod[]> =>
    JSON.parse(await namespace.kubectl("get", "pods", "--selector", label, "--output", "json")).items;
  await expect.poll(async () => (await list()).length, { timeout: 30_000, interval: 500 }).toBe(1);
  const [pod] = await list();
  return pod as Pod;
}

const readiness = ({ status }: Pod) => status.conditions.find(({ type }) => type === "Ready");
const statusesOf = ({ status }: Pod) => [...status.initContainerStatuses, ...status.containerStatuses];

describe("the Deployment", () => {
  const label = "app.kubernetes.io/name=quay-keyless";
  const inspect = () => inWorkload(namespace, `skopeo inspect docker://${peers.registryHost}/acme/app:sidecar`);

  /** Unchanged, except that the probes' minutes are seconds. */
  async function overlay(): Promise<Overlay> {
    const resource = "overlays/kubernetes";
    const components = ["private-ca"];
    const [deployment] = (await build({ resource, components }, peers)).filter(({ kind }) => kind === "Deployment");
    const { readinessProbe } = JSON.parse(JSON.stringify(deployment)).spec.template.spec.initContainers[0];
    const faster = JSON.parse(JSON.stringify(readinessProbe).replace("--for=2m", "--for=1s"));
    const login = { name: "login", readinessProbe: { ...faster, periodSeconds: 2, failureThreshold: 1 } };
    return { resource, components, pod: { initContainers: [login] } };
  }

  /** The expiry of the login that the workload sees. */
  async function end(): Promise<number> {
    const look = ["quay-keyless-login", "status", "--auth-file=/var/run/quay/auth.json", "--output=json"];
    const { stdout, stderr } = await namespace.exec("quay-keyless", "login", [
      ...look,
      `--registry=${peers.registryHost}`,
    ]);
    expect(stdout, stderr).toContain("expires-at");
    return Date.parse(JSON.parse(stdout).logins[0]["expires-at"]);
  }

  beforeAll(async () => {
    trust("quay-keyless");
    await deploy(namespace, await overlay(), peers);
  });

  test("keeps the login for three lifetimes, and no pull fails", async () => {
    await useIt(namespace, "sidecar", peers);
    const [first, before] = [await end(), exchanges()];
    while (Date.now() < first + 2 * LIFE * 1000) {
      const pulled = await inspect();
      expect(pulled, pulled.stderr).toMatchObject({ code: 0 });
      await sleep(500);
    }
    expect(await end()).toBeGreaterThan(first + 2 * LIFE * 1000);
    expect(exchanges() - before).toBeGreaterThanOrEqual(3);
    const pod = await podOf(label);
    expect(statusesOf(pod).map(({ name, restartCount }) => [name, restartCount])).toEqual([
      ["login", 0],
      ["workload", 0],
    ]);
    expect(readiness(pod)?.status).toBe("True");
    expect(Date.parse(readiness(pod)?.lastTransitionTime ?? "")).toBeLessThan(first);
  });

  test("becomes not ready and warns after the login has lapsed, keeps the workload, and logs in again", async () => {
    trustNobody();
    const isReady = async () => readiness(await podOf(label))?.status;
    await expect.poll(isReady, { timeout: 2 * LIFE * 1000, interval: 1000 }).toBe("False");
    await expect.poll(inspect, { timeout: 5000, interval: 1000 }).toMatchObject({ code: 1 });
    const log = () => namespace.kubectl("logs", "deployment/quay-keyless", "-c", "login");
    await expect.poll(log, { timeout: 5000, interval: 500 }).toContain("explain login-lapsed");
    expect(await log()).toContain("explain robot-not-federated");

    trust("quay-keyless");
    await expect.poll(isReady, { timeout: 90_000, interval: 1000 }).toBe("True");
    expect(await inspect()).toMatchObject({ code: 0 });
    expect(statusesOf(await podOf(label)).map(({ restartCount }) => restartCount)).toEqual([0, 0]);
  });

  test("uses an identity token that Kubernetes replaces at once", async () => {
    trust("quay-keyless");
    peers.quay.settings.robotTokenLife = 3600;
    onTestFinished(() => {
      peers.quay.settings.robotTokenLife = LIFE;
    });
    // Kubernetes replaces a projected token after eight minutes at the earliest: here the file comes from a Secret.
    const secret = async (): Promise<Manifest> => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "quay-token" },
      stringData: {
        "quay-token": (await namespace.kubectl("create", "token", "quay-keyless", "--audience=quay")).trim(),
      },
    });
    const { pod, ...rest } = await overlay();
    const volumes = [{ name: "quay-token", projected: null, secret: { secretName: "quay-token" } }];
    await namespace.apply(await secret());
    await deploy(namespace, { ...rest, pod: { ...pod, volumes } }, peers);
    await podOf(label);
    const [first, before] = [await end(), exchanges()];

    await namespace.apply(await secret());
    await expect.poll(end, { timeout: 60_000, interval: 1000 }).toBeGreaterThan(first);
    expect(exchanges()).toBe(before + 1);
    expect(await inspect()).toMatchObject({ code: 0 });
  });

  test("ends with its pod at once", async () => {
    const { metadata } = await podOf(label);
    await namespace.kubectl("scale", "deployment/quay-keyless", "--replicas=0");
    const begun = Date.now();
    await namespace.kubectl("wait", "--for=delete", `pod/${metadata.name}`, "--timeout=60s");
    // One of the seconds is the sleeping workload's.
    expect(Date.now() - begun).toBeLessThan(8000);
  });

  test("completes a Job of the same pod, and its sidecar exits with 0", async () => {
    const [deployment] = (await build(await overlay(), peers)).filter(({ kind }) => kind === "Deployment");
    const { spec } = JSON.parse(JSON.stringify(deployment)).spec.template;
    const [workload] = spec.containers;
    const command = ["skopeo", "inspect", `docker://${peers.registryHost}/acme/app:sidecar`];
    await namespace.apply({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "once" },
      spec: { template: { spec: { ...spec, containers: [{ ...workload, command }], restartPolicy: "Never" } } },
    });
    await namespace.kubectl("wait", "--for=condition=complete", "job/once", "--timeout=60s");
    const pod = await podOf("job-name=once");
    expect(statusesOf(pod).map(({ name, state }) => [name, state.terminated?.exitCode])).toEqual([
      ["login", 0],
      ["workload", 0],
    ]);
  });
});

describe("the Tekton sample with a sidecar", () => {
  const file = "tekton/stepaction/quay-keyless-login/0.1/samples/task-long-build.yaml";
  const script = `#!/bin/sh
    set -e
    mkdir image && tar -x -C image -f /etc/image/image.tar
    sleep ${LIFE + 10}
  `;
  const caMount = { name: "ca", mountPath: "/etc/quay-ca", readOnly: true };

  /** The sample, with a build that takes longer than a robot token lives, and this Quay's root. */
  function sample() {
    const { spec } = parse(readFileSync(file, "utf8"));
    const [check, { command, args, ...make }, push] = spec.steps;
    const [login] = spec.sidecars;
    const imageMount = { name: "image-tar", mountPath: "/etc/image" };
    return {
      ...spec,
      volumes: [
        ...spec.volumes,
        { name: "ca", configMap: { name: "quay-ca" } },
        { name: "image-tar", configMap: { name: "image" } },
      ],
      sidecars: [
        {
          ...login,
          args: [...login.args, "--ca-file=/etc/quay-ca/ca.crt"],
          volumeMounts: [...login.volumeMounts, caMount],
        },
      ],
      steps: [
        check,
        { ...make, script, volumeMounts: [...make.volumeMounts, imageMount] },
        {
          ...push,
          env: [...push.env, { name: "SSL_CERT_DIR", value: "/etc/quay-ca" }],
          volumeMounts: [...push.volumeMounts, caMount],
        },
      ],
    };
  }

  const runAs = (name: string, account: string) =>
    namespace.run(
      taskRun(name, peers, {
        task: sample(),
        serviceAccount: account,
        params: {
          "login-image": LOGIN_IMAGE,
          registry: peers.registryHost,
          robot: "acme+ci",
          image: `${peers.registryHost}/acme/app:long-build`,
          builder: BUSYBOX_IMAGE,
        },
        workspaces: { source: { emptyDir: {} } },
        pod: { securityContext: OPENSHIFT_USER },
      }),
    );

  beforeAll(async () => {
    trust("quay-ci");
    await namespace.apply(serviceAccount("quay-ci"), serviceAccount("somebody-else"), await imageConfigMap());
  });

  test("pushes after the first robot token has expired, and leaves nothing running", async () => {
    const before = exchanges();
    const run = await runAs("long", "quay-ci");
    expect(run, run.log).toMatchObject({ succeeded: true });
    expect(run.logs["long-pod/step-check"]).toContain("acme+ci");
    expect(exchanges() - before).toBeGreaterThanOrEqual(2);
    expect(run.log).toContain("The login was renewed");

    const ended = async () => (await podOf("tekton.dev/taskRun=long")).status.phase;
    await expect.poll(ended, { timeout: 60_000, interval: 500 }).toBe("Succeeded");
    const sidecar = statusesOf(await podOf("tekton.dev/taskRun=long")).find(({ name }) => name === "sidecar-login");
    expect(sidecar?.state.terminated).toMatchObject({ exitCode: 0, reason: "Completed" });
  });

  test("fails before the build if Quay refuses, and the sidecar's log has the reason", async () => {
    const run = await runAs("refused", "somebody-else");
    expect(run).toMatchObject({ succeeded: false });
    expect(run.message).toContain("sidecar-login");
    expect(run.logs["refused-pod/sidecar-login"]).toContain("explain subject-not-bound");
    expect(run.logs["refused-pod/step-check"]).toContain("explain not-logged-in");
    expect(run.logs["refused-pod/step-push"]).not.toContain("Copying");
  });
});

test("shows no token", async () => {
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
