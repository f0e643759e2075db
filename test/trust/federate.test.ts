/** The whole story of `federate` against the stand-in over real TLS: from options, a file, and the place's own identity. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { OptionValues } from "../../src/options/table.ts";
import { writeTrustFile } from "../../src/trust/export.ts";
import { federate, readOrganization } from "../../src/trust/federate.ts";
import { isDifferent } from "../../src/trust/plan.ts";
import { type ExportRequest, type FederationRequest, parseFederateRequest } from "../../src/trust/request.ts";
import { failureText, makeFolder, testPlatform } from "../fixtures.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addApiToken, addRepository, addRobot, addUser } from "../quay-stand-in/quay/store.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.requests.length = 0;
});

let count = 0;
const newName = () => `acme+f${++count}`;
const robots = () => peers.quay.store.robots;
const subjectsOf = (name: string) =>
  robots()
    .get(name)
    ?.bindings.map(({ subject }) => subject);
const writes = () => peers.quay.requests.filter(({ method, path }) => method !== "GET" && path.startsWith("/api/"));

const platformHere = (env: Record<string, string> = {}) =>
  testPlatform({ env: { QUAY_API_TOKEN: peers.oauthToken, ...env }, roots: peers.authority.ca });

function run(values: OptionValues, platform = platformHere()) {
  const request = parseFederateRequest({ registry: peers.registryHost, ...values }) as FederationRequest;
  return federate(request, platform);
}

async function fileWith(content: string): Promise<string> {
  const file = join(await makeFolder(), "quay-trust.yaml");
  await writeFile(file, content);
  return file;
}

const github = { github: "acme/app", environment: "release", offline: "true" };
const githubSubject = "repo:acme/app:environment:release";

describe("options", () => {
  test("make robot, repository, permission and binding; the same again changes nothing", async () => {
    const robot = newName();
    const repository = `acme/${robot.slice(5)}`;
    const values = { robot, ...github, permission: `${repository}=write` };
    const create = { "create-robot": "true", "create-repository": "true" };
    const made = await run({ ...values, ...create });
    expect(made).toMatchObject({ mode: "apply", failure: undefined, findings: [] });
    expect(made.done).toEqual(new Set([robot, repository]));
    expect(subjectsOf(robot)).toEqual([githubSubject]);
    expect(peers.quay.store.repositories.get(repository)?.permissions.get(robot)).toBe("write");
    peers.quay.requests.length = 0;
    const platform = platformHere();
    const again = await run({ ...values, ...create }, platform);
    expect([isDifferent(again.plan), again.done.size, again.failure]).toEqual([false, 0, undefined]);
    expect(writes()).toEqual([]);
    expect(platform.reporter.text()).toContain("needs the scopes org:admin repo:admin");
    expect(platform.reporter.text()).toContain("user:admin repo:admin repo:create");
  });

  test("make the robot of a user, with the user's token", async () => {
    addUser(peers.quay.store, "dev");
    const token = addApiToken(peers.quay.store, { user: "dev", scopes: ["user:admin"] });
    const platform = platformHere({ QUAY_API_TOKEN: token });
    const values = { robot: "dev+ci", ...github, "create-robot": "true" };
    expect(await run(values, platform)).toMatchObject({ failure: undefined, done: new Set(["dev+ci"]) });
    expect(subjectsOf("dev+ci")).toEqual([githubSubject]);
    expect(platform.reporter.text()).toContain("needs the scopes org:admin (for the robots of a user: user:admin).");
  });

  test("with a risk are refused before Quay is asked", async () => {
    const values = { robot: "acme+ci", issuer: "http://issuer.example.com", subject: "main", offline: "true" };
    expect(await failureText("trust-risky", run(values))).toContain("http://issuer.example.com");
    expect(peers.quay.requests).toEqual([]);
  });

  test("with a warning are applied, and refused with strict", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    addRepository(peers.quay.store, `acme/${robot.slice(5)}`);
    const values = { robot, ...github, permission: `acme/${robot.slice(5)}=admin` };
    await failureText("trust-risky", run({ ...values, strict: "true" }));
    expect(writes()).toEqual([]);
    const platform = platformHere();
    const { findings, failure } = await run(values, platform);
    expect([findings.map(({ rule }) => rule), failure]).toEqual([["role-admin"], undefined]);
    expect(platform.reporter.warnings).toEqual([expect.stringContaining("admin")]);
  });

  test("name an issuer that answers, which is looked at", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const values = { robot, issuer: peers.issuer.url, subject: SUBJECT };
    expect(await run(values)).toMatchObject({ findings: [], failure: undefined });
    expect(subjectsOf(robot)).toEqual([SUBJECT]);
  });

  test("name an issuer that does not answer: a warning", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const platform = platformHere();
    const { findings } = await run({ robot, issuer: "https://localhost:1/x", subject: "main" }, platform);
    expect(findings.map(({ rule }) => rule)).toContain("issuer-look");
    expect(platform.reporter.warnings.join("\n")).toContain("https://localhost:1/x");
  });

  test.each([
    [{ "dry-run": "true" }, "dry-run", undefined],
    [{ check: "true" }, "check", "trust-drift"],
  ] as const)("with %j show what differs, and change nothing", async (more, mode, code) => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const found = await run({ robot, ...github, ...more });
    expect([found.mode, found.failure?.code, isDifferent(found.plan)]).toEqual([mode, code, true]);
    expect(found.failure?.headline ?? "what the options name").toContain("what the options name");
    expect([subjectsOf(robot), writes()]).toEqual([[], []]);
  });
});

describe("a file", () => {
  const bindingOf = (issuer: string, subject: string) => `{ issuer: "${issuer}", subject: "${subject}" }`;
  const fileOf = (robot: string, ...bindings: string[]) =>
    fileWith(`organization: acme\nrobots: { ${robot.slice(5)}: { bindings: [${bindings.join(", ")}] } }\n`);

  test("is applied; check tells drift by its name", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const file = await fileOf(robot, bindingOf("https://ci.example.com", "main"));
    const drift = await run({ file, check: "true", offline: "true" });
    expect(drift.failure?.headline).toBe(`acme on ${peers.registryHost} differs from ${file}: see the plan.`);
    expect(await run({ file, offline: "true" })).toMatchObject({ failure: undefined, done: new Set([robot]) });
    expect((await run({ file, check: "true", offline: "true" })).failure).toBeUndefined();
  });

  test("with a risk that Quay has already is a warning; a new one is refused, and nothing is changed", async () => {
    const robot = newName();
    const [old, fresh] = ["http://old.example.com", "http://new.example.com"];
    addRobot(peers.quay.store, robot, [{ issuer: old, subject: "main" }]);
    const platform = platformHere();
    const kept = await run({ file: await fileOf(robot, bindingOf(old, "main")), offline: "true" }, platform);
    expect(kept).toMatchObject({ failure: undefined, findings: [{ rule: "issuer-not-https", level: "warning" }] });
    expect(platform.reporter.warnings.join("\n")).toContain(old);
    const both = await fileOf(robot, bindingOf(old, "main"), bindingOf(fresh, "main"));
    const output = await failureText("trust-risky", run({ file: both, offline: "true" }));
    expect(output).toContain(fresh);
    expect(output).not.toContain(old);
    expect(writes()).toEqual([]);
  });

  test("with a risk, where Quay refuses too: both are told", async () => {
    const file = await fileOf(newName(), bindingOf("http://old.example.com", "main"));
    const work = run({ file, offline: "true" }, platformHere({ QUAY_API_TOKEN: "X".repeat(40) }));
    const output = await failureText("trust-risky", work);
    expect(output).toContain("http://old.example.com");
    expect(output).toContain("API token");
    const fine = await fileOf(newName(), bindingOf("https://ci.example.com", "main"));
    await failureText(
      "api-token-refused",
      run({ file: fine, offline: "true" }, platformHere({ QUAY_API_TOKEN: "X".repeat(40) })),
    );
  });

  test("that was exported is what Quay has, for an organization", async () => {
    const platform = platformHere();
    const values = { registry: peers.registryHost, organization: "acme", export: "true" };
    const found = await readOrganization(parseFederateRequest(values) as ExportRequest, platform);
    expect(found.robots.find(({ name }) => name === "acme+ci")).toMatchObject({
      bindings: [{ issuer: peers.issuer.url, subject: SUBJECT }],
      permissions: [{ repository: "acme/app", role: "write" }],
    });
    const file = await fileWith(writeTrustFile(found));
    const checked = await run({ file, check: "true", prune: "true", offline: "true" });
    expect([checked.failure, isDifferent(checked.plan)]).toEqual([undefined, false]);
  });
});

describe("this place's identity", () => {
  const envWith = async (claims: object = {}) => ({
    MINE: await peers.issuer.sign({ sub: SUBJECT, aud: "quay", ...claims }),
  });
  const values = (robot: string) => ({ robot, "token-env": "MINE", offline: "true" });

  test("is bound, and its token never shown", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const env = await envWith();
    const platform = platformHere(env);
    expect(await run(values(robot), platform)).toMatchObject({ failure: undefined });
    expect(robots().get(robot)?.bindings).toEqual([{ issuer: peers.issuer.url, subject: SUBJECT }]);
    expect(platform.reporter.secrets).toContain(env.MINE);
  });

  test("comes from a command that gets no copy of the API token, wherever that comes from", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const { MINE } = await envWith();
    const file = await fileWith(peers.oauthToken);
    const env = { QUAY_API_TOKEN: peers.oauthToken, COPY: peers.oauthToken, PATH: "/usr/bin:/bin" };
    const command = { "token-command": `sh -c '[ -z "$COPY" ] && echo ${MINE}'`, offline: "true", robot };
    for (const from of [{}, { "api-token-file": file }]) {
      const without = { ...env, QUAY_API_TOKEN: "api-token-file" in from ? "" : env.QUAY_API_TOKEN };
      expect(await run({ ...command, ...from }, platformHere(without))).toMatchObject({ failure: undefined });
    }
  });

  test("with another audience is bound with a warning", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const platform = platformHere(await envWith({ aud: "other" }));
    const { plan } = await run({ ...values(robot), "dry-run": "true" }, platform);
    expect(plan.robots[0]?.bindings).toMatchObject([{ subject: SUBJECT, audiences: ["other"] }]);
    expect(platform.reporter.warnings.join("\n")).toContain("other");
  });

  test.each([
    ["repo:acme/app:ref:refs/tags/v1", "subject: repo:acme/app:environment:release"],
    ["repository_owner:acme:run_id:7", "a template of its own"],
  ])("that changes with each run is refused, with what to bind instead: %s", async (sub, advice) => {
    const output = await failureText("trust-risky", run(values("acme+ci"), platformHere(await envWith({ sub }))));
    expect(output).toContain(advice);
    expect(peers.quay.requests).toEqual([]);
  });

  test("is missing: says how to name what the robot shall trust", async () => {
    const output = await failureText("identity-not-found", run({ robot: "acme+ci" }));
    expect(output).toContain("github: acme/app");
    expect(output).toContain("environment: release");
  });

  test("without an audience is bound with the one that is asked for", async () => {
    const robot = newName();
    addRobot(peers.quay.store, robot);
    const platform = platformHere(await envWith({ aud: undefined }));
    const { plan } = await run({ ...values(robot), "dry-run": "true" }, platform);
    expect(plan.robots[0]?.bindings).toMatchObject([{ subject: SUBJECT, audiences: ["quay"] }]);
  });

  test("is not set, or GitHub gives the job none: its own error stays", async () => {
    await failureText("token-variable-unusable", run(values("acme+ci")));
    const work = run({ robot: "acme+ci" }, platformHere({ GITHUB_ACTIONS: "true" }));
    expect(await failureText("github-permission-missing", work)).not.toContain("environment: release");
  });
});
