/** Sources of the identity token: a file of the kubelet, a variable, GitHub; and the choice of auto. */
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import { listen } from "../../quay-stand-in/listen.ts";
import { createMachine } from "../../support/command.ts";
import { differences } from "../../support/leaks.ts";
import { failed, machineWithToken, newRobot, project, quayOf, resultsOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const account = "system:serviceaccount:build:pipeline";

describe.concurrent("identity", () => {
  test("from a projected token, through its links, read again after a rotation", async ({ expect }) => {
    const { issuer, quay } = peers();
    const robot = newRobot(peers(), [{ issuer: issuer.url, subject: account }]);
    const machine = await createMachine({ peers: peers() });
    const tokens = [await issuer.sign({ sub: account, jti: "1" }), await issuer.sign({ sub: account, jti: "2" })];
    for (const [index, token] of tokens.entries()) {
      const path = await project(machine, token, `..2026_11_24_0${index}`);
      const ran = await machine.run(["login", ...quayOf(peers()), "--robot", robot.name, "--token-file", path]);
      expect(ran).toMatchObject({ code: 0 });
      expect(resultsOf(ran.stdout).subject).toBe(account);
      expect(quay.seen(token).map(({ user }) => user)).toEqual([robot.name]);
    }
  });

  test("from a variable", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await createMachine({ peers: peers(), env: { QUAY_ID_TOKEN: await peers().issuer.sign() } });
    const target = [...quayOf(peers()), "--robot", robot.name];
    const ran = await machine.run(["login", ...target, "--token-env", "QUAY_ID_TOKEN"]);
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stderr).toContain("QUAY_ID_TOKEN");
    expect(resultsOf(ran.stdout).subject).toBe(SUBJECT);
  });

  test.for(["BUILDAH_ID_TOKEN", "STORAGE_TOKEN", "XDG_TOKEN", "CONTAINERS_ID_TOKEN", "LC_TOKEN"])(
    "from a variable named like one of the tools': %s, which no tool gets",
    async (name, { expect }) => {
      const robot = newRobot(peers());
      const token = await peers().issuer.sign();
      const machine = await createMachine({ peers: peers(), env: { [name]: `${token}\n`, XDG_KEPT: "kept" } });
      const ran = await machine.run(["login", ...quayOf(peers()), "--robot", robot.name, "--token-env", name]);
      expect(ran).toMatchObject({ code: 0 });
      expect(ran.children.map(({ env }) => env.includes(token))).toEqual([false]);
      expect(ran.children.map(({ env }) => env.includes("XDG_KEPT=kept"))).toEqual([true]);
    },
  );

  test.for(["auto", "github"])("%s: GitHub's, if the job may request it", async (identity, { expect }) => {
    const robot = newRobot(peers());
    const machine = await createMachine({ peers: peers(), env: peers().githubEnv });
    const target = [...quayOf(peers()), "--robot", robot.name, "--audience", robot.audience];
    const ran = await machine.run(["login", ...target, "--identity", identity]);
    expect(ran).toMatchObject({ code: 0 });
    expect(resultsOf(ran.stdout)).toMatchObject({ audience: robot.audience, subject: SUBJECT });
    const asked = peers().github.requests.filter(({ audience }) => audience === robot.audience);
    expect(asked).toEqual([{ audience: robot.audience, authorized: true }]);
    // This entry point prints no commands of GitHub's log.
    expect(ran.stdout + ran.stderr).not.toContain("::");
  });

  test("names the sources it tried if there is none", async ({ expect }) => {
    const machine = await createMachine({ peers: peers() });
    const before = await machine.snapshot();
    const ran = await machine.run(["login", ...quayOf(peers()), "--robot", "acme+ci"]);
    const stderr = failed(expect, ran, 1, "identity-not-found");
    for (const place of [
      "SPIFFE_ENDPOINT_SOCKET",
      "/var/run/secrets/tokens/quay-token",
      "--token-env",
      "--spiffe-socket",
    ])
      expect(stderr).toContain(place);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("fails if GitHub gives none", async ({ expect }) => {
    const machine = await createMachine({ peers: peers() });
    const ran = await machine.run(["login", ...quayOf(peers()), "--robot", "acme+ci", "--identity", "github"]);
    expect([ran.code, ran.stdout]).toEqual([1, ""]);
    expect(ran.stderr).toContain("Error:");
  });
});

describe.concurrent("a login that Quay refuses shows the binding to add", () => {
  test("an identity of an API server without an external issuer", async ({ expect }) => {
    const issuer = "https://kubernetes.default.svc";
    const machine = await machineWithToken(peers(), {}, { iss: issuer, sub: account });
    const before = await machine.snapshot();
    const target = [...quayOf(peers()), "--robot", newRobot(peers()).name, "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target, "--output", "json"]);
    const stderr = failed(expect, ran, 1, "issuer-cluster-internal");
    expect(stderr).toContain(issuer);
    expect(stderr).toMatch(/SPIFFE/);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("another subject", async ({ expect }) => {
    const { issuer } = peers();
    const machine = await machineWithToken(peers(), {}, { sub: account });
    const target = [...quayOf(peers()), "--robot", newRobot(peers()).name, "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target, "--output=json"]);
    const stderr = failed(expect, ran, 1, "subject-not-bound");
    expect(stderr).toContain(`subject   ${account}`);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      error: { binding: { issuer: issuer.url, subject: account, audience: "quay" } },
    });
  });

  test("two robots: one error for both", async ({ expect }) => {
    const [first, second] = [newRobot(peers(), []), newRobot(peers(), [])];
    const machine = await machineWithToken(peers());
    const scope = (name: string) => `${peers().registryHost}/${name}`;
    const robots = [`${scope("acme/a")}=${first.name}`, `${scope("acme/b")}=${second.name}`];
    const target = [...quayOf(peers()), "--token-file", machine.tokenFile, "--output=json"];
    const ran = await machine.run(["login", ...target, ...robots]);
    const stderr = failed(expect, ran, 1, "robot-not-federated");
    for (const { name } of [first, second]) expect(stderr).toContain(name);
    expect(JSON.parse(ran.stdout).error.also).toMatchObject([{ code: "robot-not-federated" }]);
  });
});

describe.concurrent("a temporary failure exits with 75:", () => {
  test("Quay can't be reached", async ({ expect }) => {
    const machine = await machineWithToken(peers());
    const target = ["--registry", "localhost:1", "--robot", "acme+ci", "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target, "--timeout", "2", "--output", "json"]);
    failed(expect, ran, 75, "quay-unreachable");
  });

  test("the timeout has passed", async ({ expect }) => {
    const silent = await listen(createServer(() => {}));
    const machine = await machineWithToken(peers());
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://localhost:${silent.port}/?x=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "the-request-token-of-this-job",
    };
    const target = [...quayOf(peers()), "--robot", "acme+ci", "--timeout", "1"];
    const ran = await machine.run(["login", ...target, "--auth-file", join(machine.home, "auth.json")], { env });
    expect([ran.code, ran.stdout]).toEqual([75, ""]);
    await silent.close();
  });
});
