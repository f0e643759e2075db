/** The normal case: main logs in, later steps push and pull with unchanged real tools, post removes the login. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { createJob, runAction } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import { differences } from "../support/leaks.ts";
import { findTool, toolNames } from "../support/runner.ts";
import { authsIn, digestIn, entryOf, makeHomeFor, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers();

describe.concurrent("the whole way", () => {
  for (const tool of [...toolNames, "none"] as const) {
    const isThere = tool === "none" || findTool(tool) !== undefined;
    test.skipIf(!isThere)(`${tool} logs in, a later step pushes and pulls`, async ({ expect }) => {
      const robot = newRobot(peers());
      const job = await createJob({ peers: peers() });
      await makeHomeFor(tool, job);
      const before = await job.snapshot();
      const main = await job.run({ robot: robot.name, tool, audience: robot.audience });
      expect(main).toMatchObject({ code: 0, annotations: [] });

      const image = await writeImage(join(job.scratch, "image"));
      const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
      const back = `oci:${job.scratch}/back:v1`;
      expect(await job.later("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0, stderr: "" });
      expect(await job.later("skopeo", ["copy", there, back])).toMatchObject({ code: 0, stderr: "" });
      expect(await digestIn(join(job.scratch, "back"))).toBe(image.digest);

      const programs = tool === "none" ? [] : [[join(job.scratch, "tools", tool)]];
      expect(main.children.map(({ argv }) => argv.slice(0, 1))).toEqual(programs);
      const asked = peers().quay.requests.filter(({ user }) => user === robot.name);
      expect(asked.filter(({ path }) => path === "/oauth2/federation/robot/token")).toHaveLength(1);

      const post = await main.post();
      expect(post).toMatchObject({ code: 0, annotations: [] });
      expect(post.shown).toContain(`Logged out of ${peers().registryHost}.`);
      expect(differences(before, await job.snapshot())).toEqual([]);
      const refused = await job.later("skopeo", ["copy", "--src-cert-dir", peers().certDir, there, back]);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain("unauthorized");
    });
  }

  test("buildah builds and pushes", async ({ expect }) => {
    const robot = newRobot(peers());
    const { job, ...main } = await runAction({ peers: peers(), inputs: { robot: robot.name } });
    await job.write(join(job.workspace, "Containerfile"), "FROM scratch\nCOPY Containerfile /\n", 0o644);
    const target = `${peers().registryHost}/${robot.repository}:built`;
    const built = await job.later("buildah", ["bud", "--isolation", "chroot", "--tag", target, "."]);
    expect(built).toMatchObject({ code: 0 });
    expect(await job.later("buildah", ["push", target])).toMatchObject({ code: 0 });
    const inspected = await job.later("skopeo", ["inspect", `docker://${target}`]);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ Layers: [expect.stringMatching(/^sha256:/)] });
    expect(await main.post()).toMatchObject({ code: 0 });
    expect(await job.later("buildah", ["push", "--cert-dir", peers().certDir, target])).not.toMatchObject({ code: 0 });
  });

  test("tools that read docker's configuration are logged in too", async ({ expect }) => {
    const robot = newRobot(peers());
    const { job, ...main } = await runAction({ peers: peers(), inputs: { robot: robot.name } });
    const config = join(job.home, ".docker/config.json");
    expect(Object.keys(await authsIn(config))).toEqual([peers().registryHost]);
    const image = await writeImage(join(job.scratch, "image"));
    const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
    // What docker, crane and cosign do: no REGISTRY_AUTH_FILE.
    const pushed = await job.later("skopeo", ["copy", "--dest-authfile", config, image.reference, there]);
    expect(pushed).toMatchObject({ code: 0 });
    await main.post();
    await expect(readFile(config)).rejects.toThrow("ENOENT");
  });

  test.for([
    ["the host", (host: string) => host, 1],
    ["an address of the host", (host: string) => `https://${host}/v1/`, 1],
    ["another host", () => "registry.example.com", 0],
  ] as const)(
    "DOCKER_AUTH_CONFIG with a login for %s, which docker takes first",
    async ([, key, times], { expect }) => {
      const variable = JSON.stringify({
        auths: { [key(peers().registryHost)]: entryOf("older", "an-older-password") },
      });
      const inputs = { robot: newRobot(peers()).name };
      const main = await runAction({ peers: peers(), env: { DOCKER_AUTH_CONFIG: variable }, inputs });
      expect([main.code, main.annotations.map(({ message }) => message)]).toEqual([
        0,
        Array.from({ length: times }, () => expect.stringMatching(/^The variable DOCKER_AUTH_CONFIG has a login for /)),
      ]);
      await main.post();
    },
  );

  test("shows robot, scope and expiry in outputs, log and summary", async ({ expect }) => {
    const robot = newRobot(peers());
    const { job, ...main } = await runAction({
      peers: peers(),
      inputs: { robot: robot.name, audience: robot.audience },
    });
    const authFile = join(main.state.session ?? "", "auth.json");
    const until = main.outputs["expires-at"] ?? "";
    expect(main.outputs).toEqual({
      "logged-in": "true",
      registry: peers().registryHost,
      robot: robot.name,
      "expires-at": expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      "auth-file": authFile,
      issuer: peers().issuer.url,
      subject: SUBJECT,
      audience: robot.audience,
      token: "",
    });
    expect(Math.abs(Date.parse(until) - Date.now() - 3_600_000)).toBeLessThan(60_000);
    expect(main.exported).toEqual({ REGISTRY_AUTH_FILE: authFile });
    expect(authFile.startsWith(`${job.temp}/`)).toBe(true);
    expect(Object.keys(await authsIn(authFile))).toEqual([peers().registryHost]);
    for (const text of [main.shown, decode(main.summary)]) {
      for (const fact of [robot.name, peers().registryHost, peers().issuer.url, SUBJECT, robot.audience, until]) {
        expect(text).toContain(fact);
      }
    }
    expect(main.state).toEqual({
      session: expect.stringContaining(job.temp),
      traces: expect.stringContaining(job.temp),
    });
    expect((await main.post()).shown).toContain(`; it expires at ${until}`);
  });

  test("returns the robot token, masked, on request", async ({ expect }) => {
    const robot = newRobot(peers());
    const main = await runAction({ peers: peers(), inputs: { robot: robot.name, "export-token": "true" } });
    const { token = "" } = main.outputs;
    expect(
      peers()
        .quay.seen(token)
        .map(({ path }) => path),
    ).toContain("/v2/auth");
    expect(main.masks).toContain(token);
    expect((await main.post()).shown).not.toContain(token);
  });

  test("stays logged in with logout: false", async ({ expect }) => {
    const robot = newRobot(peers());
    const { job, ...main } = await runAction({ peers: peers(), inputs: { robot: robot.name, logout: "false" } });
    const loggedIn = await job.snapshot();
    const post = await main.post();
    expect(post).toMatchObject({ code: 0, annotations: [] });
    expect(post.shown).toContain("The login was not removed");
    // All but the roots, which no later step would remove: they are removed with their folders, and the log says so.
    const roots = [...loggedIn.keys()].find((path) => path.endsWith(".crt")) ?? "";
    expect(post.shown).toContain(`The roots of ca-file were: ${roots}.`);
    const changed = differences(loggedIn, await job.snapshot());
    expect(changed.filter((line) => !line.startsWith(join(job.home, ".config")))).toEqual([
      `${join(main.state.session ?? "", "session.json")} has other content`,
    ]);
    expect(changed).toContain(`${roots} is gone`);
    // Later steps use what main has exported.
    expect(post.exported).toEqual({});
  });

  test("two logins in one job: each removes its own", async ({ expect }) => {
    const [first, second] = [newRobot(peers()), newRobot(peers())];
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const [host, repository] = [peers().registryHost, `${peers().registryHost}/${second.repository}`];
    const outer = await job.run({ robot: first.name });
    const loggedIn = await job.snapshot();
    const inner = await job.run({ robot: `${repository}=${second.name}` });
    const both = await authsIn(job.exported.REGISTRY_AUTH_FILE ?? "");
    expect(userOf(both[host])).toBe(first.name);
    expect(userOf(both[repository])).toBe(second.name);
    expect(await inner.post()).toMatchObject({ code: 0 });
    expect(differences(loggedIn, await job.snapshot())).toEqual([]);
    expect(await outer.post()).toMatchObject({ code: 0 });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("runs as an ordinary user", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), uid: 1234 });
    const before = await job.snapshot();
    const ca = await job.write(join(job.scratch, "ca.pem"), peers().authority.ca, 0o644);
    const main = await job.run({ robot: robot.name, "ca-file": ca, tool: "skopeo" });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

describe.concurrent("a subject with markup", () => {
  const subject =
    "repo:acme/app:x|y`code`<img src=x onerror=alert(1)></pre>**b** [l](https://evil.example)\n\n# Title\n::error::pwned\n##[error]pwned";

  const inOneLine = subject.replaceAll(/\n+/g, " ");

  test("stays in its cell of the summary, and in its line of the log", async ({ expect }) => {
    const { issuer } = peers();
    const robot = newRobot(peers(), [{ issuer: issuer.url, subject }]);
    const token = await issuer.sign({ sub: subject });
    const main = await runAction({
      peers: peers(),
      env: { T: token },
      inputs: { robot: robot.name, "token-env": "T" },
    });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.shown).not.toMatch(/^\s*::/m);
    expect(main.shown).not.toContain("##[");
    const row = main.summary.split("\n").filter((line) => line.startsWith("| Subject"));
    expect(row).toHaveLength(1);
    expect(row[0]?.split("|")).toHaveLength(4);
    expect(decode(row[0] ?? "")).toContain(inOneLine);
    expect(main.summary).not.toMatch(/[`<>*[\]]|^# Title/m);
    expect(main.outputs.subject).toBe(subject);
  });

  test("stays text in the summary of a failure, and in its annotation", async ({ expect }) => {
    const robot = newRobot(peers());
    const token = await peers().issuer.sign({ sub: subject });
    const main = await runAction({
      peers: peers(),
      env: { T: token },
      inputs: { robot: robot.name, "token-env": "T" },
    });
    expect(main.annotations).toMatchObject([{ title: "quay-keyless-login: subject-not-bound" }]);
    expect(main.annotations[0]?.message).toContain(inOneLine);
    const [, inside = "", rest = ""] = /<pre>([\s\S]*?)<\/pre>([\s\S]*)/.exec(main.summary) ?? [];
    expect(inside).not.toMatch(/[<>]/);
    expect(decode(inside)).toContain(inOneLine);
    expect(rest.trim()).toBe("");
  });
});

function decode(text: string): string {
  return text
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
