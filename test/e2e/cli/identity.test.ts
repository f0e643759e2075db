/** `identity`: the identity token, whether Quay can accept it, and the binding to enter in Quay. */
import { request } from "node:https";
import { describe, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import type { Peers } from "../../quay-stand-in/peers.ts";
import { createMachine } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { failed, machineWithToken, newRobot, quayOf, resultsOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const trust = () => ["--ca-file", peers().caFile];

/** An administrator sends the JSON to Quay. */
function federate({ quay, authority, oauthToken }: Peers, robot: string, body: unknown): Promise<number> {
  const [organization, name] = robot.split("+");
  return new Promise((done, failed) => {
    const headers = { authorization: `Bearer ${oauthToken}`, "content-type": "application/json" };
    const url = `${quay.url}/api/v1/organization/${organization}/robots/${name}/federation`;
    request(url, { method: "POST", ca: authority.ca, headers }, (response) => {
      response.resume().on("end", () => done(response.statusCode ?? 0));
    })
      .on("error", failed)
      .end(JSON.stringify(body));
  });
}

describe.concurrent("identity", () => {
  test("prints the identity and the binding to enter as text", async ({ expect }) => {
    const machine = await machineWithToken(peers());
    const before = await machine.snapshot();
    const asked = peers().quay.requests.length;
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust()]);
    expect(ran).toMatchObject({ code: 0, stderr: "", children: [] });
    expect(resultsOf(ran.stdout)).toMatchObject({
      source: expect.stringContaining(machine.tokenFile),
      issuer: peers().issuer.url,
      subject: SUBJECT,
      audience: "quay",
      algorithm: "RS256",
      "key-id": "rsa1",
      "expires-at": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      acceptable: expect.stringMatching(/^yes/),
    });
    expect(ran.stdout).toContain(
      `  quay-keyless-login federate --robot ORGANIZATION+ROBOT --issuer ${peers().issuer.url} --subject ${SUBJECT}\n`,
    );
    // Nothing is sent to Quay, and nothing is changed here.
    expect(peers().quay.requests.length).toBe(asked);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("prints JSON whose federation Quay's API accepts; then the login works", async ({ expect }) => {
    const subject = "spiffe://example.org/ns/build/sa/pipeline";
    const robot = newRobot(peers(), []);
    const machine = await machineWithToken(peers(), {}, { sub: subject });
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust(), "--output=json"]);
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    const result = JSON.parse(ran.stdout);
    expect(result).toEqual({
      source: "file",
      why: expect.stringContaining(machine.tokenFile),
      issuer: peers().issuer.url,
      subject,
      audience: ["quay"],
      algorithm: "RS256",
      "key-id": "rsa1",
      "expires-at": expect.any(String),
      acceptable: true,
      federation: [{ issuer: peers().issuer.url, subject, audiences: ["quay"] }],
    });
    const login = ["login", ...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    failed(expect, await machine.run(login), 1, "robot-not-federated");
    expect(await federate(peers(), robot.name, result.federation)).toBe(200);
    expect(await machine.run(login)).toMatchObject({ code: 0 });
  });

  test("prints the audience to enter, of several", async ({ expect }) => {
    const machine = await machineWithToken(peers(), {}, { aud: ["account", "quay"] });
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust()]);
    expect(ran.stdout).toMatch(/^audience {4}account quay$/m);
    expect(ran.stdout).toMatch(/^ {2}audience {2}quay$/m);
  });

  test("suggests an environment's subject for a job of a tag, with what the workflow needs", async ({ expect }) => {
    const subject = "repo:acme/app:ref:refs/tags/v1.2.3";
    const machine = await machineWithToken(peers(), {}, { sub: subject });
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust()]);
    expect(ran.stdout).toMatch(
      /changes with every tag: a binding for it would match only once\.\n.*\n {2}environment: release\n/,
    );
    expect(ran.stdout).toMatch(/^ {2}subject {3}repo:acme\/app:environment:release$/m);
    const json = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust(), "--output=json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      subject,
      "subject-changes-with": "tag",
      federation: [{ subject }],
    });
  });

  test("says that no binding fits a subject of each step, and prints none", async ({ expect }) => {
    const subject = "{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}";
    const machine = await machineWithToken(peers(), {}, { sub: subject });
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust()]);
    expect(resultsOf(ran.stdout).acceptable).toBe(
      "yes, but a binding matches once: the subject changes with every step",
    );
    expect(ran.stdout).toContain("Bitbucket has no other subject, so no binding works for its own tokens.");
    expect(ran.stdout).not.toContain("federate");
    const json = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust(), "--output=json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ subject, "subject-changes-with": "step", federation: [] });
  });

  test("says of an issuer that can't be reached, too, that no binding fits the subject", async ({ expect }) => {
    const claims = { sub: "repo:acme/app:ref:refs/tags/v1.2.3", iss: "https://localhost:1" };
    const machine = await machineWithToken(peers(), {}, claims);
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust()]);
    expect(resultsOf(ran.stdout).acceptable).toBe("no, and a binding matches once: the subject changes with every tag");
  });

  test("says that a binding matches one user's pipelines, and prints it", async ({ expect }) => {
    const subject = "org/1111/project/2222/user/3333";
    const machine = await machineWithToken(peers(), {}, { sub: subject });
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust()]);
    expect(ran.stdout).toContain("names the user who starts the pipeline");
    expect(ran.stdout).toMatch(/^ {2}subject {3}org\/1111\/project\/2222\/user\/3333$/m);
    const json = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust(), "--output=json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      "subject-matches-only": expect.stringContaining("no other user's pipelines"),
      federation: [{ subject }],
    });
  });

  test("names the option for an issuer with an unknown certificate", async ({ expect }) => {
    const machine = await machineWithToken(peers());
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile]);
    expect(failed(expect, ran, 75, "issuer-unreachable")).toMatch(/For this check: .*--ca-file path\/to\/root\.pem/);
  });

  test("requests the audience from GitHub", async ({ expect }) => {
    const { audience } = newRobot(peers());
    const machine = await createMachine({ peers: peers(), env: peers().githubEnv });
    const ran = await machine.run(["identity", "--audience", audience, ...trust(), "--output=json"]);
    expect(ran).toMatchObject({ code: 0 });
    expect(JSON.parse(ran.stdout)).toMatchObject({ source: "github", audience: [audience], acceptable: true });
  });

  const wrong: [string, string, Parameters<Peers["issuer"]["sign"]>, RegExp][] = [
    ["ES256, as SPIRE signs by default", "token-algorithm", [{}, { alg: "ES256" }], /RS256/],
    ["no subject", "token-incomplete", [{ sub: undefined }], /sub/],
    ["no issuer", "token-incomplete", [{ iss: undefined }], /iss/],
    ["already expired", "token-expired", [{ exp: 1_700_000_000, iat: 1_699_999_000 }], /2023-11-14/],
    ["a key that its issuer doesn't publish", "key-not-published", [{}, { kid: "another" }], /another/],
    [
      "an API server without an external issuer",
      "issuer-cluster-internal",
      [{ iss: "https://kubernetes.default.svc" }],
      /kubernetes\.default\.svc/,
    ],
    ["an issuer by http", "issuer-not-https", [{ iss: "http://issuer.example.com" }], /http:\/\/issuer/],
    ["an issuer that can't be reached", "issuer-unreachable", [{ iss: "https://localhost:1" }], /localhost:1/],
  ];
  const exitCode = (code: string) => (code === "issuer-unreachable" ? 75 : 1);
  test.for(wrong)("reports what Quay can't accept: %s", async ([, code, token, says], { expect }) => {
    const machine = await createMachine({ peers: peers() });
    const signed = await peers().issuer.sign(...token);
    const file = await machine.write(`${machine.home}/token`, signed);
    const ran = await machine.run(["identity", "--token-file", file, ...trust(), "--output", "json"]);
    expect(ran.stderr).toMatch(says);
    expect(ran.stderr).toContain(`explain ${code}`);
    const result = JSON.parse(ran.stdout);
    expect([ran.code, result]).toMatchObject([
      exitCode(code),
      { source: "file", acceptable: false, algorithm: expect.any(String) },
    ]);
    expect(result.error).toMatchObject({ code, message: expect.any(String), remedy: expect.any(Array) });
    const text = await machine.run(["identity", "--token-file", file, ...trust()]);
    expect([text.code, resultsOf(text.stdout).acceptable]).toEqual([exitCode(code), "no"]);
  });

  test("reports a broken issuer", async ({ expect }) => {
    const issuer = peers().issuer.at("identity-broken");
    issuer.behave({ keys: "empty" });
    const machine = await createMachine({ peers: peers() });
    const file = await machine.write(`${machine.home}/token`, await issuer.sign());
    const ran = await machine.run(["identity", "--token-file", file, ...trust(), "--output", "json"]);
    expect([ran.code, JSON.parse(ran.stdout).error.code]).toEqual([1, "issuer-broken"]);
  });

  test("warns of another audience, on which Quay decides", async ({ expect }) => {
    const machine = await machineWithToken(peers(), {}, { aud: ["vault", "sts"] });
    const ran = await machine.run(["identity", "--token-file", machine.tokenFile, ...trust(), "--output=json"]);
    expect(JSON.parse(ran.stdout)).toMatchObject({ audience: ["vault", "sts"] });
    expect(ran.stderr).toMatch(/vault.*quay/s);
  });

  test("fails without an identity token", async ({ expect }) => {
    const machine = await createMachine();
    failed(expect, await machine.run(["identity", "--output=json"]), 1, "identity-not-found");
  });

  test("does not show a file that is not a token", async ({ expect }) => {
    const machine = await createMachine({ secrets: [{ kind: "identity", value: "a-password-by-mistake" }] });
    const file = await machine.write(`${machine.home}/token`, "a-password-by-mistake");
    failed(expect, await machine.run(["identity", "--token-file", file, "--output=json"]), 1, "token-not-a-jwt");
  });
});
