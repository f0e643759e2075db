/** The Tasks for service accounts, run by Tekton in the real cluster, with tokens of its API server, skopeo and buildah. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  createNamespace,
  importImages,
  kubectl,
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
  sampleFiles,
  serviceAccount,
  stepAction,
  TOOLS_IMAGE,
  task,
  taskRun,
  tokenVolume,
  workspaces,
} from "./tekton.ts";

let peers: QuayForPods;
let namespace: Namespace;
let subject: string;
/** Parameters of every login. */
let toQuay: Record<string, string | string[]>;

beforeAll(async () => {
  await importImages();
  peers = await startQuayForPods();
  namespace = await createNamespace("tasks");
  subject = `system:serviceaccount:${namespace.name}:quay-ci`;
  addRobot(peers.quay.store, "acme+ci", [{ issuer: CLUSTER_ISSUER, subject }]);
  toQuay = { image: LOGIN_IMAGE, registry: peers.registryHost, robots: ["acme+ci"], "ca-file": "ca.crt" };
  await namespace.claim("shared");
  await namespace.apply(
    serviceAccount("quay-ci"),
    caConfigMap(peers),
    ...task("quay-keyless-login"),
    ...task("quay-keyless-logout"),
    ...stepAction(),
  );
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
});

/** As in the sample of the Pipeline. */
const POD = { securityContext: { fsGroup: 65532 } };

/** A TaskRun with these lines of shell in busybox, on the Pipeline's volume. @returns their output */
async function look(name: string, script: string): Promise<string> {
  const steps = [
    { name: "look", image: BUSYBOX_IMAGE, script: `#!/bin/sh\nset -e\ncd $(workspaces.shared.path)\n${script}` },
  ];
  const run = await namespace.run(
    taskRun(name, peers, {
      task: { workspaces: [{ name: "shared" }], steps },
      workspaces: { shared: { persistentVolumeClaim: { claimName: "shared" } } },
      pod: POD,
    }),
  );
  expect(run, run.log).toMatchObject({ succeeded: true });
  // Tekton's own lines begin with the time.
  return run.log.replace(/^\d{4}\/.*\n/gm, "");
}

/** Builds an image with buildah, pushes it with the workspace's login, and reads it back with skopeo. */
const useBoth = {
  params: [{ name: "image" }],
  workspaces: [{ name: "dockerconfig" }, { name: "ca" }],
  results: [{ name: "pushed" }, { name: "read" }],
  volumes: [{ name: "containers", emptyDir: {} }],
  stepTemplate: {
    image: TOOLS_IMAGE,
    env: [
      { name: "REGISTRY_AUTH_FILE", value: "$(workspaces.dockerconfig.path)/config.json" },
      { name: "CERTS", value: "$(workspaces.ca.path)" },
      { name: "IMAGE", value: "$(params.image)" },
    ],
    volumeMounts: [{ name: "containers", mountPath: "/var/lib/containers" }],
  },
  steps: [
    {
      name: "buildah",
      script: `#!/bin/sh
        set -e
        mkdir /tmp/context && date >/tmp/context/built
        printf 'FROM scratch\\nCOPY built /\\n' >/tmp/context/Containerfile
        buildah --storage-driver=vfs bud --isolation=chroot --tag "$IMAGE" /tmp/context
        buildah --storage-driver=vfs push --cert-dir "$CERTS" --digestfile "$(results.pushed.path)" "$IMAGE"
        buildah --storage-driver=vfs pull --cert-dir "$CERTS" --policy always "$IMAGE"
      `,
    },
    {
      name: "skopeo",
      script: `#!/bin/sh
        set -e
        skopeo inspect --cert-dir "$CERTS" --format '{{.Digest}}' "docker://$IMAGE" | tr -d '\\n' >"$(results.read.path)"
        skopeo copy --src-cert-dir "$CERTS" --dest-cert-dir "$CERTS" "docker://$IMAGE" "docker://$IMAGE-copy"
      `,
    },
  ],
};

test("runs a Pipeline that logs in, builds, pushes and pulls with buildah and skopeo, and logs out", async () => {
  // Another login in that file. It is made there, so that no log shows it.
  const before = await look(
    "before",
    `mkdir -m 2775 dockerconfig
    printf '{"auths":{"other.example":{"auth":"%s"}}}' "$(head -c 30 /dev/urandom | base64)" >dockerconfig/config.json
    chmod 666 dockerconfig/config.json; sha256sum dockerconfig/config.json; stat -c %a dockerconfig/config.json`,
  );
  expect(before).toMatch(/config.json\n666\n$/);

  const of = (...names: string[]) => names.map((name) => ({ name, workspace: name }));
  const run = await namespace.run({
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { name: "release" },
    spec: {
      taskRunTemplate: { serviceAccountName: "quay-ci", podTemplate: { hostAliases: peers.hostAliases, ...POD } },
      workspaces: workspaces({
        ...CA_WORKSPACE,
        dockerconfig: { persistentVolumeClaim: { claimName: "shared" }, subPath: "dockerconfig" },
      }),
      pipelineSpec: {
        workspaces: [{ name: "dockerconfig" }, { name: "ca" }],
        results: ["registry", "robot", "expires-at", "issuer", "subject"]
          .map((name) => ({ name, value: `$(tasks.login.results.${name})` }))
          .concat(["pushed", "read"].map((name) => ({ name, value: `$(tasks.use.results.${name})` }))),
        tasks: [
          {
            name: "login",
            taskRef: { name: "quay-keyless-login" },
            params: params({ ...toQuay, access: "acme/app:pull,push" }),
            workspaces: of("dockerconfig", "ca"),
          },
          {
            name: "use",
            runAfter: ["login"],
            taskSpec: useBoth,
            params: params({ image: `${peers.registryHost}/acme/app:1.2.3` }),
            workspaces: of("dockerconfig", "ca"),
          },
        ],
        finally: [
          {
            name: "logout",
            taskRef: { name: "quay-keyless-logout" },
            params: params({ image: LOGIN_IMAGE }),
            workspaces: of("dockerconfig"),
          },
        ],
      },
    },
  });
  expect(run, run.log).toMatchObject({
    succeeded: true,
    results: { registry: peers.registryHost, robot: "acme+ci", issuer: CLUSTER_ISSUER, subject },
  });
  expect(run.results.pushed).toMatch(/^sha256:/);
  expect(run.results.read).toBe(run.results.pushed);
  const left = Date.parse(run.results["expires-at"] ?? "") - Date.now();
  expect(left).toBeGreaterThan(3400_000);
  expect(left).toBeLessThan(3600_000);
  // By Quay's log, the robot has pushed and pulled.
  expect(peers.quay.requests).toContainEqual(
    expect.objectContaining({ path: "/oauth2/federation/robot/token", user: "acme+ci" }),
  );
  expect(peers.quay.requests.filter(({ path }) => path.startsWith("/v2/acme/app/manifests/1.2.3"))).not.toEqual([]);

  const after = await look(
    "after",
    `sha256sum dockerconfig/config.json; stat -c %a dockerconfig/config.json
    ls -A dockerconfig | grep -v config.json || true`,
  );
  expect(after).toBe(before);
});

test("succeeds at a logout without a login, and says so", async () => {
  const run = await namespace.run(
    taskRun("logout", peers, {
      task: "quay-keyless-logout",
      params: { image: LOGIN_IMAGE },
      workspaces: { dockerconfig: { emptyDir: {} } },
    }),
  );
  expect(run, run.log).toMatchObject({ succeeded: true });
  expect(run.log).toMatch(/nothing|no login|not logged in/i);
});

test("logs in the next steps of a user's Task with the StepAction", async () => {
  const copy = {
    name: "copy",
    image: TOOLS_IMAGE,
    env: [{ name: "REGISTRY_AUTH_FILE", value: "/tekton/home/auth.json" }],
    command: ["skopeo", "list-tags", "--cert-dir", "$(workspaces.ca.path)", `docker://${peers.registryHost}/acme/app`],
  };
  const run = await namespace.run(
    taskRun("step", peers, {
      task: {
        workspaces: [{ name: "ca" }],
        results: [{ name: "robot", value: "$(steps.login.results.robot)" }],
        volumes: [tokenVolume("own-name")],
        steps: [
          {
            name: "login",
            ref: { name: "quay-keyless-login" },
            params: params({
              ...toQuay,
              "token-volume": "own-name",
              "ca-file": "$(workspaces.ca.path)/ca.crt",
            }),
          },
          copy,
        ],
      },
      workspaces: CA_WORKSPACE,
    }),
  );
  expect(run, run.log).toMatchObject({ succeeded: true, results: { robot: "acme+ci" } });
  expect(run.logs["step-pod/step-copy"]).toContain('"1.2.3"');
});

test("passes every sample through Tekton's webhook", async () => {
  const files = sampleFiles().flatMap((file) => ["--filename", file]);
  expect(files.length).toBeGreaterThan(16);
  const created = await kubectl(["--namespace", "default", "create", "--dry-run=server", ...files]);
  expect(created).toContain("pipelinerun.tekton.dev/build-and-push-to-quay");
  // The webhook works: it rejects a Task that uses what it doesn't declare.
  const steps = [{ image: BUSYBOX_IMAGE, command: ["echo", "$(params.nonesuch)"] }];
  const wrong = { apiVersion: "tekton.dev/v1", kind: "Task", metadata: { name: "wrong" }, spec: { steps } };
  await expect(namespace.apply(wrong)).rejects.toThrow(/nonesuch/);
});

test("shows no token in logs, objects, results and events", async () => {
  const traces = await namespace.traces();
  expect(traces).toContain("quay-keyless-login");
  expect(peers.secretsShown(traces)).toEqual([]);
});
