/** Whole logins and logouts against the peers, as functions. */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { removeSession } from "../../src/login/session.ts";
import { failure, fakeClock } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { RELEASE_SUBJECT } from "../quay-stand-in/peers.ts";
import { answer, slow } from "../quay-stand-in/scripted.ts";
import { startProxy } from "../support/proxy.ts";
import { authOf, certificates, host, type Job, peers, read, startJob, theirs } from "./job.ts";

describe("one robot", () => {
  test("logs in to a private file, and leaves nothing after logout", async () => {
    const job = await startJob();
    const result = await job.run({ tool: "skopeo" });
    const [session] = job.sessions;
    expect(result.authFile).toBe(join(session ?? "", "auth.json"));
    expect(result.files).toEqual([result.authFile]);
    expect(await read(result.authFile)).toEqual({
      auths: { [host()]: { auth: authOf("acme+ci", result.tokens[0]?.token) } },
    });
    expect((await stat(result.authFile)).mode & 0o777).toBe(0o600);
    expect(result.tool.name).toBe("skopeo");
    expect(result.identity).toMatchObject({ issuer: peers.issuer.url, audience: ["quay"] });
    expect(result.session.robots).toEqual([
      { robot: "acme+ci", scope: host(), expiresAt: result.tokens[0]?.expiresAt, lifeSeconds: 3600 },
    ]);
    // The tool's own folder is gone, the roots are where later steps find them.
    expect((await readdir(session ?? "")).sort()).toEqual(["auth.json", "certificates", "session.json"]);
    expect(await readdir(certificates(job))).toEqual([`quay-keyless-login-${result.session.id}.crt`]);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
    expect(await readdir(job.workspace)).toEqual([]);
  });

  test("does not log an identity that results show", async () => {
    const job = await startJob();
    await job.run({}, { showsIdentity: true });
    const { infos, debugs } = job.platform.reporter;
    expect(infos.map((line) => line.split(" ")[0])).toEqual(["Identity:", "Logged"]);
    expect(debugs).toContain(`  issuer    ${peers.issuer.url}`);
    await job.logout();
  });

  test("logs robot, source and expiry; masks every secret first", async () => {
    const job = await startJob();
    const { identity, tokens, tool } = await job.run();
    const until = new Date((tokens[0]?.expiresAt ?? 0) * 1000).toISOString().replace(".000", "");
    expect(job.platform.reporter.infos).toEqual([
      "Identity: GitHub's token endpoint, which this job may use.",
      `  issuer    ${peers.issuer.url}`,
      "  subject   repo:acme/app:ref:refs/heads/main",
      "  audience  quay",
      `Logged in to ${host()} as acme+ci with ${tool.name}, until ${until}.`,
    ]);
    expect(job.platform.reporter.warnings).toEqual([]);
    const token = tokens[0]?.token ?? "";
    for (const secret of [identity.token, authOf("acme+ci", identity.token), token, authOf("acme+ci", token)]) {
      expect(job.platform.reporter.secrets).toContain(secret);
    }
    await job.logout();
    expect(job.platform.reporter.infos.at(-1)).toBe(
      `Quay cannot revoke the robot token of acme+ci; it expires at ${until}.`,
    );
  });

  test("logs how long each phase took in the verbose log", async () => {
    const job = await startJob();
    peers.github.script.next(slow(100));
    const { phases, tool } = await job.run();
    const names = phases.map(({ phase }) => phase);
    expect(names.toSorted()).toEqual(
      ["identity token", "exchange for acme+ci", `${tool.name} login ${host()}`, "auth file"].toSorted(),
    );
    expect(phases.find(({ phase }) => phase === "identity token")?.milliseconds).toBeGreaterThanOrEqual(90);
    for (const { phase, milliseconds } of phases) {
      expect(job.platform.reporter.debugs).toContain(`${phase}: ${milliseconds} ms`);
    }
    await job.logout();
    const second = await job.run({ access: "acme/app:pull" });
    expect(second.phases.map(({ phase }) => phase)).toContain("permissions");
    await job.logout();
  });

  test("leaves no connection to Quay without an identity token", async () => {
    const relay = createServer((client) => {
      const upstream = connect(Number(host().split(":")[1]), "127.0.0.1");
      client.pipe(upstream).pipe(client);
      upstream.on("error", () => client.destroy());
      client.on("close", () => upstream.destroy());
    });
    const { port, close } = await listen(relay);
    let count = 0;
    relay.on("connection", () => void count++);
    const open = () =>
      new Promise<number>((resolve, reject) =>
        relay.getConnections((error, number) => (error ? reject(error) : resolve(number))),
      );
    const job = await startJob();
    peers.github.script.always(answer(403, ""));
    expect((await failure(job.run({ registry: `localhost:${port}` }))).code).toBe("identity-endpoint-refused");
    expect(count).toBe(2);
    // The connection to the registry is kept for further requests, until the platform is closed.
    await expect.poll(open).toBe(1);
    job.platform.http.close();
    await expect.poll(open).toBe(0);
    await job.logout();
    await close();
  });

  test("opens one connection to GitHub and two to Quay early, and sends one request on each", async () => {
    const proxy = await startProxy();
    // The tool doesn't take the proxy: Go leaves loopback addresses out.
    const job = await startJob({ env: { HTTPS_PROXY: proxy.url } });
    await job.run();
    await proxy.close();
    const endpoint = new URL(peers.githubEnv.ACTIONS_ID_TOKEN_REQUEST_URL ?? "").host;
    expect([...proxy.targets].sort()).toEqual([endpoint, host(), host()].sort());
    expect(peers.github.requests).toHaveLength(1);
    expect(peers.quay.requests.filter(({ path }) => path.startsWith("/oauth2"))).toHaveLength(1);
    await job.logout();
  });

  test("asks for another audience; only warns of a foreign one in a file", async () => {
    const job = await startJob();
    expect((await job.run({ audience: "quay.example.com" })).identity.audience).toEqual(["quay.example.com"]);
    await job.logout();
    const path = join(job.home, "token");
    await writeFile(path, await peers.issuer.sign({ aud: ["sts", "vault"] }));
    const result = await job.run({ "token-file": path });
    expect(result.identity.source).toBe("file");
    expect(job.platform.reporter.warnings).toEqual([expect.stringContaining("has the audience sts vault, not quay")]);
    expect(job.platform.reporter.infos).toContain(`Identity: the file ${path}.`);
    await job.logout();
  });

  test("accepts a token without an audience from a variable", async () => {
    const job = await startJob({ env: { QUAY_ID_TOKEN: await peers.issuer.sign({ aud: undefined }) } });
    await job.run({ "token-env": "QUAY_ID_TOKEN" });
    expect(job.platform.reporter.infos).toContain("  audience  (none)");
    expect(job.platform.reporter.warnings).toHaveLength(1);
    await job.logout();
  });
});

describe("a login as the command line makes it", () => {
  /** Where the tool looks by default, in the job's runtime folder. */
  const usual = (job: Job) => join(job.home, "../run/containers/auth.json");
  const workplace = { keepsLogins: "where-the-tool-looks", willLogOut: false } as const;

  test("goes where the tool looks by default, beside other logins, and leaves no roots", async () => {
    const job = await startJob();
    await mkdir(join(usual(job), ".."), { recursive: true });
    await writeFile(usual(job), JSON.stringify({ auths: { "ghcr.io": theirs } }), { mode: 0o640 });
    const result = await job.run({}, workplace);
    expect(result).toMatchObject({ authFile: usual(job), files: [usual(job)] });
    expect(await read(usual(job))).toEqual({
      auths: { "ghcr.io": theirs, [host()]: { auth: authOf("acme+ci", result.tokens[0]?.token) } },
    });
    expect((await stat(usual(job))).mode & 0o777).toBe(0o640);
    // The tool that logs in now had them.
    expect(await readdir(join(result.session.folder, "certificates"))).toEqual(["ca.crt"]);
    expect(result.session.certificates).toEqual([]);
    expect(await readdir(job.home)).toEqual([]);
    // Without a logout only the session is removed.
    await removeSession(result.session);
    expect(await readdir(job.temporary)).toEqual([]);
    expect(Object.keys((await read(usual(job))).auths)).toEqual(["ghcr.io", host()]);
  });

  test("goes to docker's configuration once, if docker is the tool", async () => {
    const job = await startJob();
    const config = join(job.home, ".docker/config.json");
    expect(await job.run({ tool: "docker" }, workplace)).toMatchObject({ authFile: config, files: [config] });
    expect(existsSync(usual(job))).toBe(false);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("with a folder for its session installs roots, and is undone from there", async () => {
    const job = await startJob();
    const sessionFolder = join(job.home, "session");
    const { session } = await job.run({}, { ...workplace, willLogOut: true, sessionFolder });
    expect(session).toMatchObject({ folder: sessionFolder, named: true });
    expect(job.sessions).toEqual([sessionFolder]);
    expect(await readdir(certificates(job))).toHaveLength(1);
    expect(await readdir(job.temporary)).toEqual([]);
    // An earlier session is not overwritten.
    expect((await failure(job.run({}, { ...workplace, sessionFolder }))).message).toContain(
      "the folder holds other files",
    );
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
    expect(existsSync(usual(job))).toBe(false);
  });

  test("that fails leaves its session to be undone, and nothing else", async () => {
    const job = await startJob();
    const sessionFolder = join(job.home, "session");
    const error = await failure(job.run({ robot: "acme+bare" }, { ...workplace, willLogOut: true, sessionFolder }));
    expect(error.code).toBe("robot-not-federated");
    expect(existsSync(usual(job))).toBe(false);
    expect(job.sessions).toEqual([sessionFolder]);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("whose session can't be made sends nothing", async () => {
    const job = await startJob();
    await writeFile(join(job.home, "file"), "");
    const error = await failure(job.run({}, { ...workplace, sessionFolder: join(job.home, "file") }));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toContain('The option "session" is');
    expect([...peers.github.requests, ...peers.quay.requests]).toEqual([]);
    expect(job.sessions).toEqual([]);
  });
});

describe("several robots", () => {
  const six = () => [1, 2, 3, 4, 5, 6].map((number) => `${host()}/acme/app${number}=acme+ci${number}`).join("\n");

  test("all are in one file, with one identity token", async () => {
    const job = await startJob();
    const { authFile, tokens, session } = await job.run({ robot: six() });
    expect(tokens.map(({ robot }) => robot)).toEqual([1, 2, 3, 4, 5, 6].map((number) => `acme+ci${number}`));
    expect(await read(authFile)).toEqual({
      auths: Object.fromEntries(
        tokens.map(({ robot, token }) => [`${host()}/acme/app${robot.slice(-1)}`, { auth: authOf(robot, token) }]),
      ),
    });
    expect(session.robots).toHaveLength(6);
    expect(peers.github.requests).toHaveLength(1);
    await job.logout();
    expect(job.platform.reporter.infos.filter((line) => line.includes("cannot revoke"))).toHaveLength(6);
  });

  test("reports all that fail together, and leaves nothing", async () => {
    const job = await startJob();
    const robot = ["acme/a=acme+ci", "acme/b=acme+release", "acme/c=acme+bare", "acme/d=acme+ghost"]
      .map((line) => `${host()}/${line}`)
      .join("\n");
    const error = await failure(job.run({ robot, "auth-file": join(job.home, "auth.json") }));
    expect([error, ...error.also].map(({ code }) => code)).toEqual([
      "subject-not-bound",
      "robot-not-federated",
      "robot-not-found",
    ]);
    expect(existsSync(join(job.home, "auth.json"))).toBe(false);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("report one failure to get an identity once", async () => {
    peers.github.script.always(answer(403, ""));
    const job = await startJob();
    const error = await failure(job.run({ robot: six() }));
    expect(error.code).toBe("identity-endpoint-refused");
    expect(error.also).toEqual([]);
    await job.logout();
  });
});

describe("an identity token that is about to expire", () => {
  test("is replaced, not sent again", async () => {
    const clock = fakeClock();
    const seconds = Math.floor(clock.now() / 1000);
    peers.github.claim({ exp: seconds + 60 });
    // The wait takes the token's life down to 5 s.
    peers.quay.exchangeScript.next(answer(503, "", { "retry-after": "55" }));
    const job = await startJob({ clock });
    const issued = peers.github.issued.length;
    const { identity } = await job.run();
    const [first, second] = peers.github.issued.slice(issued);
    expect(peers.github.requests).toHaveLength(2);
    expect(peers.quay.seen(first ?? "")).toHaveLength(1);
    expect(peers.quay.seen(second ?? "")).toHaveLength(1);
    expect(identity.token).toBe(first);
    await job.logout();
  });

  test("is kept if it lives long enough", async () => {
    peers.quay.exchangeScript.next(answer(503, "", { "retry-after": "55" }));
    const job = await startJob({ clock: fakeClock() });
    await job.run();
    expect(peers.github.requests).toHaveLength(1);
    await job.logout();
  });
});

describe("access", () => {
  test("that is granted", async () => {
    const job = await startJob();
    await job.run({ access: "acme/app:pull,push" });
    await job.logout();
  });

  test("that is missing fails the login, and nothing of it stays", async () => {
    const job = await startJob();
    const path = join(job.home, "auth.json");
    const error = await failure(job.run({ access: "acme/private:pull", "auth-file": path }));
    expect(error.code).toBe("access-missing");
    expect(existsSync(path)).toBe(false);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });
});

test("another subject logs in another robot", async () => {
  peers.github.claim({ sub: RELEASE_SUBJECT });
  const job = await startJob();
  expect((await job.run({ robot: "acme+release" })).identity.subject).toBe(RELEASE_SUBJECT);
  expect((await failure(job.run())).binding?.subject).toBe(RELEASE_SUBJECT);
  await chmod(job.temporary, 0o700);
  await job.logout();
});
