/**
 * The Tasks as OpenShift runs them: a random user of group 0 with an fsGroup, in a namespace whose Pod Security is
 * `restricted`.
 */
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
  CA_WORKSPACE,
  caConfigMap,
  IMAGE_WORKSPACE,
  imageConfigMap,
  LOGIN_IMAGE,
  OPENSHIFT_USER,
  params,
  RESTRICTED,
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
let toQuay: Record<string, string | string[]>;

/** Tekton's own containers violate `restricted` unless this is set, as in TektonConfig on OpenShift. */
const secured = (on: boolean) =>
  kubectl([
    ...["--namespace", "tekton-pipelines", "patch", "configmap", "feature-flags"],
    ...["--patch", JSON.stringify({ data: { "set-security-context": String(on) } })],
  ]);

beforeAll(async () => {
  await importImages();
  await secured(true);
  peers = await startQuayForPods();
  namespace = await createNamespace("restricted", "restricted");
  addRobot(peers.quay.store, "acme+ci", [
    { issuer: CLUSTER_ISSUER, subject: `system:serviceaccount:${namespace.name}:quay-ci` },
  ]);
  toQuay = { image: LOGIN_IMAGE, registry: peers.registryHost, robots: ["acme+ci"], "ca-file": "ca.crt" };
  await namespace.claim("shared");
  await namespace.apply(
    serviceAccount("quay-ci"),
    caConfigMap(peers),
    await imageConfigMap(),
    ...task("quay-keyless-login"),
    ...task("quay-keyless-logout"),
    ...stepAction(),
  );
});
afterAll(async () => {
  await secured(false);
  await namespace?.remove();
  await peers?.close();
});

const AS_OPENSHIFT = { securityContext: OPENSHIFT_USER };

/** A step that pushes and pulls with that login. */
function copyStep(authFile: string) {
  const image = `docker://${peers.registryHost}/acme/app:1`;
  return {
    name: "copy",
    image: TOOLS_IMAGE,
    env: [
      { name: "REGISTRY_AUTH_FILE", value: authFile },
      { name: "HOME", value: "/tekton/home" },
    ],
    script: `#!/bin/sh
      set -e
      id
      skopeo copy --dest-cert-dir "$(workspaces.ca.path)" oci-archive:$(workspaces.image.path)/image.tar ${image}
      skopeo copy --src-cert-dir "$(workspaces.ca.path)" ${image} dir:/tmp/pulled
    `,
    securityContext: RESTRICTED,
  };
}

test("runs the Pipeline's Tasks, each in its own pod", async () => {
  const of = (...names: string[]) => names.map((name) => ({ name, workspace: name }));
  const run = await namespace.run({
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { name: "release" },
    spec: {
      taskRunTemplate: {
        serviceAccountName: "quay-ci",
        podTemplate: { hostAliases: peers.hostAliases, ...AS_OPENSHIFT },
      },
      workspaces: workspaces({
        ...CA_WORKSPACE,
        ...IMAGE_WORKSPACE,
        dockerconfig: { persistentVolumeClaim: { claimName: "shared" }, subPath: "dockerconfig" },
      }),
      pipelineSpec: {
        workspaces: [{ name: "dockerconfig" }, { name: "ca" }, { name: "image" }],
        results: [{ name: "robot", value: "$(tasks.login.results.robot)" }],
        tasks: [
          {
            name: "login",
            taskRef: { name: "quay-keyless-login" },
            params: params(toQuay),
            workspaces: of("dockerconfig", "ca"),
          },
          {
            name: "use",
            runAfter: ["login"],
            taskSpec: {
              workspaces: [{ name: "dockerconfig" }, { name: "ca" }, { name: "image" }],
              steps: [copyStep("$(workspaces.dockerconfig.path)/config.json")],
            },
            workspaces: of("dockerconfig", "ca", "image"),
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
  expect(run, run.log).toMatchObject({ succeeded: true, results: { robot: "acme+ci" } });
  expect(run.logs["release-use-pod/step-copy"]).toContain("uid=1000680000 gid=0(root)");
});

test("runs the StepAction", async () => {
  const run = await namespace.run(
    taskRun("step", peers, {
      task: {
        workspaces: [{ name: "ca" }, { name: "image" }],
        volumes: [tokenVolume("quay-token")],
        steps: [
          {
            name: "login",
            ref: { name: "quay-keyless-login" },
            params: params({ ...toQuay, "ca-file": "$(workspaces.ca.path)/ca.crt" }),
          },
          copyStep("/tekton/home/auth.json"),
        ],
      },
      workspaces: { ...CA_WORKSPACE, ...IMAGE_WORKSPACE },
      pod: AS_OPENSHIFT,
    }),
  );
  expect(run, run.log).toMatchObject({ succeeded: true });
});

test("the namespace rejects a pod that violates restricted", async () => {
  const containers = [{ name: "main", image: LOGIN_IMAGE }];
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "lax" }, spec: { containers } };
  await expect(namespace.apply(pod)).rejects.toThrow(/violates PodSecurity "restricted/);
});

test("shows no token", async () => {
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
