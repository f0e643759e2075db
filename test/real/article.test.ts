/**
 * "Access Quay on OpenShift with short-lived credentials" (Andrew Block, Red Hat Developer, 22 April 2025), step by step,
 * with our command for each manual one. The objects are those of the article, except the image, the Quay, and the CSI driver
 * of SPIFFE, which this cluster lacks.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { addOrganization } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  clusterScript,
  enterNamespace,
  importImages,
  kubectl,
  type Manifest,
  type Namespace,
  type QuayForPods,
  SPIRE_ISSUER,
  startQuayForPods,
  startSpireForPods,
} from "../support/cluster.ts";
import { caConfigMap, LOGIN_IMAGE, ociArchive, withWorkloadApi } from "./tekton.ts";

const ROBOT = "quay_federation+keyless";
/** The issuers of this cluster are on the machine itself: no other Quay can reach them, and federate refuses them for any other. */
const QUAY_NAME = "quay.localhost";

let peers: QuayForPods;
let namespace: Namespace;
let socketFolder: string;
beforeAll(async () => {
  await importImages();
  await kubectl(["delete", "namespace", "quay-keyless", "--ignore-not-found", "--timeout=120s"]);
  [peers, socketFolder] = await Promise.all([startQuayForPods({ quay: { name: QUAY_NAME } }), startSpireForPods()]);
  addOrganization(peers.quay.store, "quay_federation", ["admin"]);
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

/** One command of `oc rsh -n quay-keyless deployment/quay-keyless`. @returns its standard output */
async function inPod(command: string, input?: Buffer): Promise<string> {
  const run = await namespace.exec("quay-keyless", "quay-keyless", ["sh", "-c", command], input);
  expect(run, run.stderr).toMatchObject({ code: 0 });
  return run.stdout;
}

/** With the API token of an administrator, which stays on the administrator's machine. */
async function federate(options: string): Promise<Record<string, unknown>> {
  const quay = `--registry ${peers.registryHost} --ca-file /tmp/roots.pem --api-token-file -`;
  const command = `quay-keyless-login federate --robot ${ROBOT} ${options} ${quay} --output json`;
  const roots = "cat /etc/quay-ca/ca.crt /etc/cluster-ca/ca.crt > /tmp/roots.pem";
  return JSON.parse(await inPod(`${roots} && ${command}`, Buffer.from(peers.oauthToken)));
}

/** What Quay has: the robot's bindings. */
const bindings = () => peers.quay.store.robots.get(ROBOT)?.bindings;

const identify = async (options: string) =>
  JSON.parse(await inPod(`quay-keyless-login identity ${options} --ca-file /etc/cluster-ca/ca.crt --output json`));

/** The application pushes, lists and inspects with the login of the pod. */
async function useQuay(tag: string): Promise<void> {
  const image = `docker://${peers.registryHost}/quay_federation/app`;
  const certs = "--cert-dir /etc/quay-ca";
  const push = `skopeo copy --dest-cert-dir /etc/quay-ca oci:/tmp/image:v1 ${image}:${tag}`;
  await inPod(`rm -rf /tmp/image; mkdir /tmp/image && tar -x -C /tmp/image && ${push}`, await ociArchive());
  expect(JSON.parse(await inPod(`skopeo list-tags ${certs} ${image}`)).Tags).toContain(tag);
  expect(JSON.parse(await inPod(`skopeo inspect ${certs} ${image}:${tag}`))).toHaveProperty("Digest");
}

test("creates the namespace, the service account and the workload", async () => {
  namespace = await enterNamespace("quay-keyless", "privileged");
  const metadata = { name: "quay-keyless" };
  await namespace.apply(
    { apiVersion: "v1", kind: "ServiceAccount", metadata },
    caConfigMap(peers),
    deployment({
      containers: [
        {
          name: "quay-keyless",
          image: LOGIN_IMAGE,
          command: ["sleep", "infinity"],
          volumeMounts: [
            { name: "openshift-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
            ...CA_MOUNTS,
          ],
        },
      ],
      volumes: [{ name: "openshift-token", projected: { sources: [{ serviceAccountToken: TOKEN }] } }, ...CA_VOLUMES],
    }),
  );
  await namespace.kubectl("rollout", "status", "deployment/quay-keyless", "--timeout=120s");
});

const TOKEN = { audience: "openshift", expirationSeconds: 7200, path: "openshift-token" };
const CA_MOUNTS = [
  { name: "quay-ca", mountPath: "/etc/quay-ca" },
  { name: "cluster-ca", mountPath: "/etc/cluster-ca" },
];
const CA_VOLUMES = [
  { name: "quay-ca", configMap: { name: "quay-ca" } },
  // The issuer's certificate; a real issuer has one of a public authority.
  { name: "cluster-ca", configMap: { name: "kube-root-ca.crt" } },
];

function deployment(pod: Record<string, unknown>): Manifest {
  const labels = { app: "quay-keyless", deployment: "quay-keyless" };
  const spec = {
    serviceAccountName: "quay-keyless",
    terminationGracePeriodSeconds: 1,
    // On the machine's network, where the issuers' addresses work, as a public issuer's would.
    hostNetwork: true,
    hostAliases: peers.hostAliases,
    ...pod,
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "quay-keyless" },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "quay-keyless" } },
      strategy: { type: "Recreate" },
      template: { metadata: { labels }, spec },
    },
  };
}

const TOKEN_FILE = "--token-file /var/run/secrets/tokens/openshift-token --audience openshift";
const LOGIN = `quay-keyless-login login --robot ${ROBOT} --ca-file /etc/quay-ca/ca.crt`;

test("prints issuer and subject, without cut, sed, base64 and python", async () => {
  const identity = await identify(TOKEN_FILE);
  expect(identity).toMatchObject({
    source: "file",
    issuer: CLUSTER_ISSUER,
    subject: "system:serviceaccount:quay-keyless:quay-keyless",
    audience: ["openshift"],
    algorithm: "RS256",
    acceptable: true,
  });
  const { issuer, subject } = identity;
  expect(identity.federation).toEqual([{ issuer, subject, audiences: ["openshift"] }]);
});

test("creates the robot account with its repository, permission and federation: the pod's own identity", async () => {
  const options = `--create-robot --permission quay_federation/app=write --create-repository ${TOKEN_FILE}`;
  expect(await federate(`${options} --dry-run`)).toMatchObject({ drift: true, changed: false, findings: [] });
  expect(bindings()).toBeUndefined();
  expect(await federate(options)).toMatchObject({ changed: true });
  const { issuer, subject } = await identify(TOKEN_FILE);
  // This Quay does not support audiences, and drops them.
  expect(bindings()).toEqual([{ issuer, subject }]);
  expect(await federate(options)).toMatchObject({ drift: false, changed: false });
});

test("exchanges the token and logs skopeo in with one command, and uses Quay", async () => {
  const printed = JSON.parse(await inPod(`${LOGIN} --registry ${peers.registryHost} ${TOKEN_FILE} --output json`));
  expect(printed).toMatchObject({ "logged-in": true, registry: peers.registryHost });
  await useQuay("1");
});

test("gets a token that is valid for an hour, by its exp claim", async () => {
  const { logins } = JSON.parse(
    await inPod(`quay-keyless-login status --registry ${peers.registryHost} --for 55m --output json`),
  );
  expect(logins).toEqual([expect.objectContaining({ scope: peers.registryHost, robot: ROBOT })]);
  expect(logins[0]["seconds-left"]).toBeGreaterThan(3500);
});

test("patches the workload for SPIRE", async () => {
  await clusterScript("spire.sh", "entry", "quay-keyless", "quay-keyless");
  const patch = {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: "quay-keyless",
              env: [{ name: "SPIFFE_ENDPOINT_SOCKET", value: "unix:///run/spire/sockets/spire-agent.sock" }],
              volumeMounts: [{ name: "spiffe-workload-api", mountPath: "/run/spire/sockets", readOnly: true }],
            },
          ],
          volumes: [{ name: "spiffe-workload-api", csi: { driver: "csi.spiffe.io", readOnly: true } }],
        },
      },
    },
  };
  const patched = JSON.stringify(withWorkloadApi(patch, socketFolder));
  await namespace.kubectl("patch", "deployment/quay-keyless", "--patch", patched);
  await namespace.kubectl("rollout", "status", "deployment/quay-keyless", "--timeout=120s");
});

test("adds the SPIFFE ID to the first binding, and uses Quay", async () => {
  const identity = await identify("");
  expect(identity).toMatchObject({
    source: "spiffe",
    issuer: SPIRE_ISSUER,
    subject: "spiffe://test.example/ns/quay-keyless/sa/quay-keyless",
    acceptable: true,
  });
  const [first] = bindings() ?? [];
  expect(await federate("")).toMatchObject({ changed: true });
  const { issuer, subject } = identity;
  expect(bindings()).toEqual([first, { issuer, subject }]);

  await inPod(`${LOGIN} --registry ${peers.registryHost}`);
  await useQuay("2");
});

test("shows no token", async () => {
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
