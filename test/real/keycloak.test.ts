/** The command line and a real Keycloak: its tokens from a variable, its keys, its restart. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createMachine, type Machine, removeMachines } from "../support/command.ts";
import { writeImage } from "../support/image.ts";
import { type Keycloak, startKeycloak } from "../support/keycloak.ts";
import type { Secret } from "../support/leaks.ts";

let peers: Peers;
let keycloak: Keycloak;

beforeAll(async () => {
  peers = await startPeers();
  keycloak = await startKeycloak(peers.authority);
  addRobot(peers.quay.store, "acme+kc", [{ issuer: keycloak.issuer, subject: keycloak.subject }]);
  addRobot(peers.quay.store, "acme+other", [{ issuer: keycloak.issuer, subject: "service-account-ci" }]);
  addRepository(peers.quay.store, "acme/kc", { "acme+kc": "write" });
});
afterAll(async () => {
  await Promise.all([keycloak?.close(), peers?.close(), removeMachines()]);
});

/** The tokens of Keycloak, for the leak check of every run. */
const secrets: Secret[] = [];

async function tokenOf(client: "ci" | "es256" | "short"): Promise<string> {
  const value = await keycloak.token(client);
  secrets.push({ kind: "identity", value });
  return value;
}

const machine = () => createMachine({ peers, secrets });

const variable = (token: string) => ({ env: { KEYCLOAK_TOKEN: token } });
const from = ["--token-env", "KEYCLOAK_TOKEN", "--output=json"];
const login = (robot: string, ...more: string[]) => [
  ...["login", "--registry", peers.registryHost, "--ca-file", peers.caFile, "--robot", robot],
  ...from,
  ...more,
];

async function run(user: Machine, args: readonly string[], token: string) {
  const ran = await user.run(args, variable(token));
  return { ...ran, json: JSON.parse(ran.stdout) };
}

describe("an identity that Quay can accept", () => {
  test("identity prints the account, and the only audience to enter", async () => {
    const args = ["identity", "--ca-file", peers.caFile, ...from];
    const { code, json } = await run(await machine(), args, await tokenOf("ci"));
    expect(code).toBe(0);
    expect(json).toMatchObject({
      source: "environment",
      issuer: keycloak.issuer,
      subject: keycloak.subject,
      algorithm: "RS256",
      acceptable: true,
      federation: [{ issuer: keycloak.issuer, subject: keycloak.subject, audiences: ["quay"] }],
    });
    expect(json.audience).toContain("quay");
  });

  test("login works: Quay gets Keycloak's keys, and skopeo pushes", async () => {
    const user = await machine();
    const { code, json } = await run(user, login("acme+kc", "--session", "../session"), await tokenOf("ci"));
    expect({ code, json }).toMatchObject({ code: 0, json: { "logged-in": true, issuer: keycloak.issuer } });
    const image = await writeImage(join(user.scratch, "image"));
    const there = `docker://${peers.registryHost}/acme/kc:v1`;
    expect(await user.other("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("an error has the facts of Keycloak", () => {
  test("a binding for the account's name: the subject is the account's id", async () => {
    const { code, json } = await run(await machine(), login("acme+other"), await tokenOf("ci"));
    expect(code).toBe(1);
    expect(json.error).toMatchObject({
      code: "subject-not-bound",
      binding: { issuer: keycloak.issuer, subject: keycloak.subject, audience: "quay" },
    });
  });

  test("a client that signs with ES256: nothing is sent", async () => {
    const { code, json } = await run(await machine(), login("acme+kc"), await tokenOf("es256"));
    expect({ code, error: json.error }).toMatchObject({ code: 1, error: { code: "token-algorithm" } });
    expect(json.error.remedy.join("\n")).toContain("Keycloak");
  });

  test("the whole answer in the variable: the remedy extracts the token", async () => {
    const answer = await keycloak.answer("ci");
    secrets.push({ kind: "identity", value: JSON.parse(answer).access_token });
    const { code, json, stderr } = await run(await machine(), login("acme+kc"), answer);
    expect({ code, error: json.error }).toMatchObject({ code: 1, error: { code: "token-variable-unusable" } });
    expect(json.error.remedy.join("\n")).toContain("access_token");
    expect(stderr + JSON.stringify(json)).not.toContain("GitLab");
  });

  test("an expired token: the remedy is for a variable", { timeout: 120_000 }, async () => {
    const token = await tokenOf("short");
    await new Promise((resolve) => setTimeout(resolve, 36_000));
    const { code, json } = await run(await machine(), login("acme+kc"), token);
    expect({ code, error: json.error }).toMatchObject({ code: 1, error: { code: "token-expired" } });
    expect(json.error.remedy.join("\n")).not.toContain("kubelet");
  });
});

describe("changes at Keycloak", () => {
  test("exits with 75 if it is stopped, and names the unreachable issuer", async () => {
    const token = await tokenOf("ci");
    await keycloak.stop();
    try {
      const { code, json } = await run(await machine(), login("acme+kc", "--timeout", "5"), token);
      expect({ code, error: json.error }).toMatchObject({ code: 75, error: { code: "issuer-unreachable" } });
    } finally {
      await keycloak.start();
      await keycloak.ready();
    }
  });

  test("waits in a login for its restart", async () => {
    const user = await machine();
    const token = await tokenOf("ci");
    await keycloak.stop();
    const begun = run(user, login("acme+kc", "--timeout", "120"), token);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await keycloak.start();
    const [ended] = await Promise.all([begun, keycloak.ready()]);
    expect(ended).toMatchObject({ code: 0, json: { "logged-in": true } });
  });

  test("rejects an old token after the key was replaced, with the reason, and accepts a new one", async () => {
    const old = await tokenOf("ci");
    await keycloak.replaceKey();
    const { code, json } = await run(await machine(), login("acme+kc"), old);
    expect({ code, error: json.error }).toMatchObject({ code: 1, error: { code: "key-not-published" } });
    const kid = JSON.parse(Buffer.from(old.split(".")[0] ?? "", "base64url").toString()).kid;
    const [which] = json.error.remedy as string[];
    // Keycloak's key for encryption is an RSA key too, but signs nothing: only one published key can sign.
    expect(which).toMatch(new RegExp(`^The token's kid is ${kid}; the issuer publishes [\\w-]+\\.$`));

    expect(await run(await machine(), login("acme+kc"), await tokenOf("ci"))).toMatchObject({ code: 0 });
  });
});
