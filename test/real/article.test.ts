/**
 * "Access Quay on OpenShift with short-lived credentials" (Andrew Block, Red Hat Developer, 22 April 2025), step by step,
 * with our command for each manual one. The objects are those of the article, except the image, the Quay, and the CSI driver
 * of SPIFFE, which this cluster lacks.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask } from "../contract/ask.ts";
import { addOrganization } from "../quay-stand-in/quay/store.ts";
import {
  CLUSTER_ISSUER,
  clusterScript,
  enterNamespace,
  importImages,
  kubectl,
  type Manifest,
  type Namespace,
  NODE_ADDRESS,
  type QuayForPods,
  SPIRE_ISSUER,
  startQuayForPods,
  startSpireForPods,
} from "../support/cluster.ts";
import { caConfigMap, LOGIN_IMAGE, ociArchive, withWorkloadApi } from "./tekton.ts";

const ROBOT = "quay_federation+keyless";

let peers: QuayForPods;
let namespace: Namespace;
let socketFolder: string;
beforeAll(async () => {
  await importImages();
  await kubectl(["delete", "namespace", "quay-keyless", "--ignore-not-found", "--timeout=120s"]);
  [peers, socketFolder] = await Promise.all([startQuayForPods(), startSpireForPods()]);
  addOrganization(peers.quay.store, "quay_federation", ["admin"]);
});
afterAll(async () => {
  await namespace?.remove();
  await peers?.close();
  await clusterScript("spire.sh", "down");
});

/** What the article does in Quay's pages, through their API. */
async function inQuay(method: string, path: string, body: unknown): Promise<unknown> {
  const answer = await ask(`https://${NODE_ADDRESS}:${peers.quay.port}`, peers.authority.ca, {
    method,
    path: `/api/v1/${path}`,
    headers: { authorization: `Bearer ${peers.oauthToken}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.status, answer.body).toBeLessThan(300);
  return answer.body === "" ? undefined : JSON.parse(answer.body);
}

/** One command of `oc rsh -n quay-keyless deployment/quay-keyless`. @returns its standard output */
async function inPod(command: string, input?: Buffer): Promise<string> {
  const run = await namespace.exec("quay-keyless", "quay-keyless", ["sh", "-c", command], input);
  expect(run, run.stderr).toMatchObject({ code: 0 });
  return run.stdout;
}

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

test("creates a robot account", async () => {
  await inQuay("PUT", "organization/quay_federation/robots/keyless", { description: "" });
  const repository = { repository: "app", namespace: "quay_federation", visibility: "private", description: "" };
  await inQuay("POST", "repository", repository);
  await inQuay("PUT", `repository/quay_federation/app/permissions/user/${ROBOT}`, { role: "write" });
});

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

test("sets the robot's federation from that output", async () => {
  const { federation } = await identify(TOKEN_FILE);
  const answer = await inQuay("POST", "organization/quay_federation/robots/keyless/federation", federation);
  // This Quay does not support audiences, and drops them.
  const [{ issuer, subject }] = federation;
  expect(answer).toMatchObject([{ issuer, subject }]);
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
  const path = "organization/quay_federation/robots/keyless/federation";
  const before = await inQuay("POST", path, (await identify(TOKEN_FILE)).federation);
  await inQuay("POST", path, [...(before as object[]), ...identity.federation]);

  await inPod(`${LOGIN} --registry ${peers.registryHost}`);
  await useQuay("2");
});

test("shows no token", async () => {
  expect(peers.secretsShown(await namespace.traces())).toEqual([]);
});
