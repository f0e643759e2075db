/** The command line and a real SPIRE: its JWT-SVIDs, the keys that its discovery provider publishes, its refusals. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createMachine, type Machine, removeMachines } from "../support/command.ts";
import { writeImage } from "../support/image.ts";
import type { Secret } from "../support/leaks.ts";
import { type Spire, startSpire } from "../support/spire.ts";

let peers: Peers;
/** Configured for Quay. */
let spire: Spire;
/** SPIRE's default: it signs with ES256. */
let byDefault: Spire;
/** With RSA, and without `jwt_issuer`. */
let nameless: Spire;

beforeAll(async () => {
  peers = await startPeers();
  const { authority } = peers;
  [spire, byDefault, nameless] = await Promise.all([
    startSpire({ authority, jwtKeyType: "rsa-2048" }),
    startSpire({ authority }),
    startSpire({ authority, jwtKeyType: "rsa-2048", issuer: false }),
  ]);
});
afterAll(async () => {
  await Promise.all([spire, byDefault, nameless].map((each) => each?.close()));
  await Promise.all([peers?.close(), removeMachines()]);
});

const id = (name: string) => `spiffe://example.org/${name}`;

/** The tokens of the agents, for the leak check of every run. */
const secrets: Secret[] = [];

/** Makes an entry for this process and waits until the agent has it. The test's end removes it. */
async function register(at: Spire, name: string, hint?: string): Promise<void> {
  const entry = await at.register({ id: id(name), ...(hint !== undefined && { hint }) });
  const token = () => at.token("quay", id(name)).catch(() => "");
  onTestFinished(async () => {
    await at.unregister(entry);
    await expect.poll(token, { timeout: 20_000 }).toBe("");
  });
  await expect.poll(token, { timeout: 20_000 }).not.toBe("");
  secrets.push({ kind: "identity", value: await token() });
}

/** Runs a command with JSON for its results. */
const run = async (machine: Machine, args: readonly string[], env: Record<string, string> = {}) => {
  const ran = await machine.run([...args, "--output=json"], { env });
  return { ...ran, json: JSON.parse(ran.stdout) };
};

const machine = () => createMachine({ peers, secrets });

const quay = () => ["--registry", peers.registryHost, "--ca-file", peers.caFile];
const from = ({ address }: Pick<Spire, "address">) => ["--spiffe-socket", address];
const ask = (at: Pick<Spire, "address">) => ["identity", "--ca-file", peers.caFile, ...from(at)];

describe("an identity that Quay can accept", () => {
  test("identity prints the SPIFFE ID of this process, and the binding to enter", async () => {
    const user = await machine();
    await register(spire, "ci");
    const { code, json, stderr } = await run(user, ask(spire));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(json).toMatchObject({
      source: "spiffe",
      why: `the SPIFFE Workload API at ${spire.address}`,
      issuer: spire.issuer,
      subject: id("ci"),
      audience: ["quay"],
      algorithm: "RS256",
      "key-id": expect.stringMatching(/./),
      acceptable: true,
      federation: [{ issuer: spire.issuer, subject: id("ci") }],
    });
    const left = Date.parse(json["expires-at"]) - Date.now();
    expect(left).toBeGreaterThan(140_000);
    expect(left).toBeLessThan(301_000);
  });

  test("login works: Quay gets SPIRE's keys, skopeo pushes and pulls, and Quay's log has the robot", async () => {
    const user = await machine();
    await register(spire, "ci");
    addRobot(peers.quay.store, "acme+spiffe", [{ issuer: spire.issuer, subject: id("ci") }]);
    addRepository(peers.quay.store, "acme/spiffe", { "acme+spiffe": "write" });
    // The session's certificates make skopeo trust Quay's authority.
    const login = ["login", ...quay(), "--robot", "acme+spiffe", "--session", "../session"];
    const { code, json } = await run(user, login, { SPIFFE_ENDPOINT_SOCKET: spire.address });
    expect(code).toBe(0);
    expect(json).toMatchObject({
      "logged-in": true,
      registry: peers.registryHost,
      robots: [{ robot: "acme+spiffe" }],
      issuer: spire.issuer,
      subject: id("ci"),
      audience: ["quay"],
    });

    const image = await writeImage(join(user.scratch, "image"));
    const there = `docker://${peers.registryHost}/acme/spiffe:v1`;
    expect(await user.other("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0, stderr: "" });
    const read = await user.other("skopeo", ["inspect", there]);
    expect(JSON.parse(read.stdout)).toMatchObject({ Digest: image.digest });
  });

  test("login with another subject than the robot's binding shows the one to add", async () => {
    const user = await machine();
    await register(spire, "stranger");
    addRobot(peers.quay.store, "acme+spiffe", [{ issuer: spire.issuer, subject: id("ci") }]);
    const { code, json } = await run(user, ["login", ...quay(), "--robot", "acme+spiffe", ...from(spire)]);
    expect(code).toBe(1);
    expect(json.error).toMatchObject({
      code: "subject-not-bound",
      binding: { issuer: spire.issuer, subject: id("stranger"), audience: "quay" },
    });
  });
});

describe("a SPIRE that is not set up for Quay", () => {
  test.each([
    ["ES256, SPIRE's default", () => byDefault, "token-algorithm", "ES256", 'jwt_key_type = "rsa-2048"'],
    ["no jwt_issuer", () => nameless, "token-incomplete", "lacks iss", "jwt_issuer"],
  ] as const)("%s", async (_, of, code, said, remedy) => {
    const user = await machine();
    await register(of(), "ci");
    const asked = peers.quay.requests.length;
    const refused = await run(user, ["login", ...quay(), "--robot", "acme+ci", ...from(of())]);
    expect(refused.code).toBe(1);
    expect(refused.json.error).toMatchObject({ code, message: expect.stringContaining(said) });
    expect(refused.json.error.remedy.join("\n")).toContain(remedy);
    // Nothing was sent to Quay.
    expect(peers.quay.requests.slice(asked).filter(({ scheme }) => scheme !== undefined)).toEqual([]);

    const looked = await run(user, ask(of()));
    expect(looked.code).toBe(1);
    expect(looked.json).toMatchObject({ acceptable: false, subject: id("ci"), error: { code } });
  });

  test("rejects its administrators' socket, which is not a Workload API", async () => {
    const user = await machine();
    const { code, json } = await run(user, ask({ address: spire.adminAddress }));
    expect(code).toBe(1);
    expect(json.error).toMatchObject({ code: "spiffe-refused", message: expect.stringContaining("gRPC status 12") });
  });
});

describe("the identity", () => {
  test("is each user's own", async () => {
    const nobody = 65_534;
    const entry = await spire.register({ id: id("nobody"), uid: nobody });
    onTestFinished(() => spire.unregister(entry));
    await register(spire, "ci");
    const users = [await machine(), await createMachine({ peers, secrets, uid: nobody })];
    // Only this user can read the authority's certificate: the other one can't check the issuer's keys.
    const asked = users.map(async (user) => (await run(user, ["identity", ...from(spire)])).json.subject);
    expect(await Promise.all(asked)).toEqual([id("ci"), id("nobody")]);
  });

  test("is missing for this user: the error names the selectors to check", async () => {
    const user = await machine();
    const another = await spire.register({ id: id("another"), uid: (process.getuid?.() ?? 0) + 1 });
    onTestFinished(() => spire.unregister(another));
    const { code, json } = await run(user, [...ask(spire), "--timeout", "4"]);
    expect(code).toBe(1);
    expect(json.error).toMatchObject({
      code: "spiffe-no-identity",
      message: expect.stringContaining("no identity issued"),
    });
    const remedy = json.error.remedy.join("\n");
    for (const word of [`unix:uid:${process.getuid?.()}`, "k8s:ns", "k8s:sa", "ClusterSPIFFEID"])
      expect(remedy).toContain(word);
  });

  test("is registered while the command waits for it", async () => {
    const user = await machine();
    const running = run(user, ask(spire));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await register(spire, "late");
    const { code, json, stderr } = await running;
    expect(code).toBe(0);
    expect(json.subject).toBe(id("late"));
    expect(stderr).toMatch(/issues no identity to this process: "no identity issued"\. Retrying/);
  });

  test("is chosen of several by ID or hint, and the error lists them", async () => {
    const user = await machine();
    await register(spire, "ci");
    await register(spire, "release", "to-production");
    const several = await run(user, ask(spire));
    expect(several.code).toBe(1);
    expect(several.json.error.code).toBe("spiffe-several-identities");
    const listed = several.json.error.remedy.map((line: string) => line.trim());
    expect(listed).toContain(id("ci"));
    expect(listed).toContain(`${id("release")}  hint to-production`);

    for (const chosen of [id("release"), "to-production"]) {
      const { code, json } = await run(user, [...ask(spire), "--spiffe-id", chosen]);
      expect({ code, subject: json.subject }).toEqual({ code: 0, subject: id("release") });
    }
    for (const unknown of [id("nobody"), "nothing"]) {
      const { code, json } = await run(user, [...ask(spire), "--timeout=3", "--spiffe-id", unknown]);
      expect({ code, error: json.error.code }).toEqual({ code: 1, error: "spiffe-no-identity" });
      expect(JSON.stringify(json.error)).toContain(unknown);
    }
  });
});

describe("the agent", () => {
  test("is an error while stopped, and works after a restart", async () => {
    const user = await machine();
    await register(spire, "ci");
    await spire.stopAgent();
    const { code, json } = await run(user, [...ask(spire), "--timeout", "3"]);
    expect(code).toBe(1);
    expect(json.error).toMatchObject({
      code: "spiffe-socket-unusable",
      message: `The Workload API can't be reached: there is no socket at ${spire.address}.`,
    });
    await spire.startAgent();
    expect(await run(user, ask(spire))).toMatchObject({ code: 0, json: { subject: id("ci") } });
  });

  test("is started while the command waits for it", async () => {
    const user = await machine();
    await register(spire, "ci");
    await spire.stopAgent();
    const running = run(user, ask(spire));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await spire.startAgent();
    const { code, json, stderr } = await running;
    expect({ code, subject: json.subject }).toEqual({ code: 0, subject: id("ci") });
    expect(stderr).toContain("Retrying");
  });
});
