/** Whole logins and logouts against the peers, as functions: what stands where, before, between and after. */
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type LoginResult, login } from "../../src/login/login.ts";
import { logout } from "../../src/login/logout.ts";
import { parseRequest } from "../../src/login/request.ts";
import { removeSession, type Session } from "../../src/login/session.ts";
import type { Workplace } from "../../src/login/workplace.ts";
import type { OptionValues } from "../../src/options/table.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { ExplainedError, formatError } from "../../src/platform/errors.ts";
import { failure, fakeClock, fakeTool, makeFolder, type TestPlatform, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, RELEASE_SUBJECT, startPeers } from "../quay-stand-in/peers.ts";
import { answer, hang, slow } from "../quay-stand-in/scripted.ts";
import { startProxy } from "../support/proxy.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false, robots: 6 });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.exchangeScript.clear();
  peers.quay.registryScript.clear();
  peers.github.script.clear();
  peers.github.claim({});
  peers.github.requests.length = 0;
  peers.quay.requests.length = 0;
});

interface Job {
  home: string;
  temporary: string;
  workspace: string;
  platform: TestPlatform;
  /** Folders of sessions, as the entry point heard of them. */
  sessions: string[];
  run(
    options?: OptionValues,
    workplace?: Partial<Workplace>,
    renews?: Session,
    signal?: AbortSignal,
  ): Promise<LoginResult>;
  logout(): Promise<void>;
}

interface JobOptions {
  env?: Record<string, string | undefined>;
  clock?: Clock;
  signal?: AbortSignal;
  trusted?: boolean;
}

async function startJob({ env = {}, clock, signal, trusted = true }: JobOptions = {}): Promise<Job> {
  const base = await makeFolder();
  const [home, temporary, workspace] = ["home", "temp", "work"].map((name) => join(base, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [home, temporary, workspace]) {
    await mkdir(folder);
  }
  const runtime = join(base, "run");
  const platform = testPlatform({
    env: { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: runtime, ...peers.githubEnv, ...env },
    roots: trusted ? peers.authority.ca : undefined,
    ...(clock && { clock }),
    ...(signal && { signal }),
  });
  const sessions: string[] = [];
  return {
    home,
    temporary,
    workspace,
    platform,
    sessions,
    run: (options = {}, workplace = {}, renews = undefined, signal = platform.signal) =>
      login(
        parseRequest({ registry: peers.registryHost, robot: "acme+ci", ...options }),
        {
          temporaryFolder: temporary,
          sessionFolder: undefined,
          willLogOut: true,
          keepsLogins: "privately",
          workspace,
          isDisposable: false,
          roots: peers.authority.ca,
          onSession: ({ folder }) => void (sessions.includes(folder) || sessions.push(folder)),
          ...workplace,
        },
        { ...platform, signal },
        renews,
      ),
    logout: async () => {
      for (const folder of sessions.splice(0)) {
        await logout(folder, platform);
      }
      expect(await readdir(temporary)).toEqual([]);
    },
  };
}

const host = () => peers.registryHost;
const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));
const authOf = (robot: string, token: string | undefined) => Buffer.from(`${robot}:${token}`).toString("base64");
const theirs = { auth: "dGhlaXJzOnRoZWlycw==" };
const certificates = (job: Job) => join(job.home, ".config/containers/certs.d", host());

describe("one robot", () => {
  test("is logged in into a private file, and leaves nothing after logout", async () => {
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
    // The tool's own folder is gone, the roots lie where later steps find them.
    expect((await readdir(session ?? "")).sort()).toEqual(["auth.json", "certificates", "session.json"]);
    expect(await readdir(certificates(job))).toEqual([`quay-keyless-login-${result.session.id}.crt`]);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
    expect(await readdir(job.workspace)).toEqual([]);
  });

  test("the log leaves the identity to results that show it", async () => {
    const job = await startJob();
    await job.run({}, { showsIdentity: true });
    const { infos, debugs } = job.platform.reporter;
    expect(infos.map((line) => line.split(" ")[0])).toEqual(["Identity:", "Logged"]);
    expect(debugs).toContain(`  issuer    ${peers.issuer.url}`);
    await job.logout();
  });

  test("the log says who, where from and until when; every secret was hidden first", async () => {
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
      `The robot token of acme+ci can't be revoked in Quay: it ends by itself at ${until}.`,
    );
  });

  test("what took how long is told for whoever looks closely, by what it was", async () => {
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

  test("without an identity token, no connection to Quay stays", async () => {
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
    // What the registry was asked on is kept for further questions, until the platform is closed.
    await expect.poll(open).toBe(1);
    job.platform.http.close();
    await expect.poll(open).toBe(0);
    await job.logout();
    await close();
  });

  test("one connection to GitHub, two to Quay: opened early, and used; one request on each", async () => {
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

  test("another audience is asked for; a foreign one in a file is only a warning", async () => {
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

  test("a token without an audience from a variable", async () => {
    const job = await startJob({ env: { QUAY_ID_TOKEN: await peers.issuer.sign({ aud: undefined }) } });
    await job.run({ "token-env": "QUAY_ID_TOKEN" });
    expect(job.platform.reporter.infos).toContain("  audience  (none)");
    expect(job.platform.reporter.warnings).toHaveLength(1);
    await job.logout();
  });
});

describe("the auth file", () => {
  test("that is asked for keeps what it holds, and is byte for byte the same after logout", async () => {
    const job = await startJob();
    const path = join(job.home, "auth.json");
    const before = `{ "auths": {"${host()}": {"auth":"b2xk"}, "ghcr.io": ${JSON.stringify(theirs)}}, "more": 1 }`;
    await writeFile(path, before, { mode: 0o640 });
    const result = await job.run({ "auth-file": path });
    expect(result.authFile).toBe(path);
    const auths = { [host()]: { auth: authOf("acme+ci", result.tokens[0]?.token) }, "ghcr.io": theirs };
    expect(await read(path)).toEqual({ auths, more: 1 });
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    await job.logout();
    expect(await readFile(path, "utf8")).toBe(before);
    expect((await stat(path)).mode & 0o777).toBe(0o640);
  });

  test("may be new, in new folders, with a mode for others", async () => {
    const job = await startJob();
    const path = join(job.home, "a/b/auth.json");
    expect((await job.run({ "auth-file": path, "auth-file-mode": "0644" })).authFile).toBe(path);
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    // The session's own folder is not the way to it.
    expect((await stat(job.sessions[0] ?? "")).mode & 0o777).toBe(0o700);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("may be reached by a link, which stays one", async () => {
    const job = await startJob();
    await writeFile(join(job.home, "real.json"), "{}");
    await symlink(join(job.home, "real.json"), join(job.home, "link.json"));
    expect((await job.run({ "auth-file": join(job.home, "link.json") })).authFile).toBe(join(job.home, "real.json"));
    await job.logout();
    expect(await readFile(join(job.home, "link.json"), "utf8")).toBe("{}");
  });

  test("of the job's own lets others in where it is asked to", async () => {
    const job = await startJob();
    const { authFile, session } = await job.run({ "auth-file-mode": "0644" });
    expect((await stat(authFile)).mode & 0o777).toBe(0o644);
    expect((await stat(session.folder)).mode & 0o777).toBe(0o711);
    await job.logout();
  });

  test("of the job's own starts with the logins that it hides", async () => {
    const job = await startJob();
    const put = async (path: string, content: unknown) => {
      await mkdir(join(job.home, path, ".."), { recursive: true });
      await writeFile(join(job.home, path), JSON.stringify(content));
    };
    await put("../run/containers/auth.json", { auths: { "a.example": { auth: "MQ==" }, [host()]: theirs } });
    await put(".config/containers/auth.json", { auths: { "a.example": { auth: "Mg==" }, "b.example": theirs } });
    await put(".docker/config.json", {
      auths: { "c.example": theirs },
      credHelpers: { "gcr.io": "gcloud", [host()]: "hides-us" },
      psFormat: "x",
    });
    await put(".dockercfg", { "d.example": theirs });
    const { authFile, tokens } = await job.run();
    expect(await read(authFile)).toEqual({
      auths: {
        "a.example": { auth: "MQ==" },
        "b.example": theirs,
        "c.example": theirs,
        "d.example": theirs,
        [host()]: { auth: authOf("acme+ci", tokens[0]?.token) },
      },
      credHelpers: { "gcr.io": "gcloud" },
    });
    expect(job.platform.reporter.warnings).toEqual([]);
    await job.logout();
  });

  test("one of those that can't be read is left out, with a warning", async () => {
    const job = await startJob({ env: { REGISTRY_AUTH_FILE: "/proc/self/nothing/auth.json" } });
    await job.run();
    expect(job.platform.reporter.warnings).toEqual([]);
    await job.logout();
    const broken = join(job.home, "broken.json");
    await writeFile(broken, `secret ${theirs.auth}`);
    const other = await startJob({ env: { REGISTRY_AUTH_FILE: broken } });
    await other.run();
    expect(other.platform.reporter.warnings).toEqual([
      `Logins in ${broken} are left out. The auth file ${broken} is not JSON.`,
    ]);
    await other.logout();
  });
});

describe("docker's config", () => {
  const withConfig = async (content: string | undefined, env = {}) => {
    const job = await startJob({ env });
    const path = join(job.home, ".docker/config.json");
    if (content !== undefined) {
      await mkdir(join(job.home, ".docker"));
      await writeFile(path, content, { mode: 0o600 });
    }
    return { job, path };
  };

  test("gets the login too, where it is asked for", async () => {
    const before = '{"auths":{},"currentContext":"remote"}\n';
    const { job, path } = await withConfig(before);
    const { files, authFile, tokens } = await job.run({ "docker-config": "true" });
    expect(files).toEqual([authFile, path]);
    const auths = { [host()]: { auth: authOf("acme+ci", tokens[0]?.token) } };
    expect(await read(path)).toEqual({ auths, currentContext: "remote" });
    expect(await read(authFile)).toEqual({ auths });
    await job.logout();
    expect(await readFile(path, "utf8")).toBe(before);
  });

  test("may be the auth file as well: it is one file then", async () => {
    const before = '{"auths":{}}';
    const { job, path } = await withConfig(before);
    expect((await job.run({ "auth-file": path }, { isDisposable: true })).files).toEqual([path]);
    await job.logout();
    expect(await readFile(path, "utf8")).toBe(before);
  });

  test("by itself on a machine made for the job, and when docker is the tool", async () => {
    const { job, path } = await withConfig(undefined);
    expect((await job.run({}, { isDisposable: true })).files).toContain(path);
    await job.logout();
    expect(existsSync(join(job.home, ".docker"))).toBe(false);
    const { files, tool } = await job.run({ tool: "docker" });
    expect(tool.name).toBe("docker");
    expect(files).toContain(path);
    await job.logout();
  });

  test("not where it isn't wanted, nor where the login is for an organization", async () => {
    const { job, path } = await withConfig(undefined);
    expect((await job.run({ "docker-config": "false" }, { isDisposable: true })).files).not.toContain(path);
    expect((await job.run({ robot: `${host()}/acme=acme+ci` }, { isDisposable: true })).files).not.toContain(path);
    await job.logout();
  });

  test("whose store would hide the login is refused before anything is sent", async () => {
    const { job } = await withConfig('{"credsStore":"desktop"}');
    const error = await failure(job.run({ "docker-config": "true" }));
    expect(error.code).toBe("credential-helper");
    expect(job.sessions).toEqual([]);
    expect([...peers.github.requests, ...peers.quay.requests]).toEqual([]);
  });

  test("that has no place", async () => {
    const job = await startJob({ env: { HOME: undefined } });
    const error = await failure(job.run({ "docker-config": "true" }));
    expect(error.message).toContain("Neither HOME nor DOCKER_CONFIG is set");
  });
});

describe("a login as the command line makes it", () => {
  /** Where the tool looks by itself, in the job's runtime folder. */
  const usual = (job: Job) => join(job.home, "../run/containers/auth.json");
  const workplace = { keepsLogins: "where-the-tool-looks", willLogOut: false } as const;

  test("stands where the tool looks by itself, beside what is there, and leaves no roots", async () => {
    const job = await startJob();
    await mkdir(join(usual(job), ".."), { recursive: true });
    await writeFile(usual(job), JSON.stringify({ auths: { "ghcr.io": theirs } }), { mode: 0o640 });
    const result = await job.run({}, workplace);
    expect(result).toMatchObject({ authFile: usual(job), files: [usual(job)] });
    expect(await read(usual(job))).toEqual({
      auths: { "ghcr.io": theirs, [host()]: { auth: authOf("acme+ci", result.tokens[0]?.token) } },
    });
    expect((await stat(usual(job))).mode & 0o777).toBe(0o640);
    // For the tool that logs in now they were there.
    expect(await readdir(join(result.session.folder, "certificates"))).toEqual(["ca.crt"]);
    expect(result.session.certificates).toEqual([]);
    expect(await readdir(job.home)).toEqual([]);
    // Without a logout only the session goes.
    await removeSession(result.session);
    expect(await readdir(job.temporary)).toEqual([]);
    expect(Object.keys((await read(usual(job))).auths)).toEqual(["ghcr.io", host()]);
  });

  test("docker's stands in its configuration, once", async () => {
    const job = await startJob();
    const config = join(job.home, ".docker/config.json");
    expect(await job.run({ tool: "docker" }, workplace)).toMatchObject({ authFile: config, files: [config] });
    expect(existsSync(usual(job))).toBe(false);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("with a folder for its session leaves roots, and all is put back from there", async () => {
    const job = await startJob();
    const sessionFolder = join(job.home, "session");
    const { session } = await job.run({}, { ...workplace, willLogOut: true, sessionFolder });
    expect(session).toMatchObject({ folder: sessionFolder, named: true });
    expect(job.sessions).toEqual([sessionFolder]);
    expect(await readdir(certificates(job))).toHaveLength(1);
    expect(await readdir(job.temporary)).toEqual([]);
    // An earlier session is not written over.
    expect((await failure(job.run({}, { ...workplace, sessionFolder }))).message).toContain(
      "the folder holds other files",
    );
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
    expect(existsSync(usual(job))).toBe(false);
  });

  test("that fails leaves its session to be taken back, and nothing else", async () => {
    const job = await startJob();
    const sessionFolder = join(job.home, "session");
    const error = await failure(job.run({ robot: "acme+bare" }, { ...workplace, willLogOut: true, sessionFolder }));
    expect(error.code).toBe("robot-not-federated");
    expect(existsSync(usual(job))).toBe(false);
    expect(job.sessions).toEqual([sessionFolder]);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("whose session has no place sends nothing", async () => {
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

  test("all stand in one file, with one identity token", async () => {
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
    expect(job.platform.reporter.infos.filter((line) => line.includes("can't be revoked"))).toHaveLength(6);
  });

  test("what is wrong with any of them is told at once; nothing is left", async () => {
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

  test("an identity that none of them gets is told once", async () => {
    peers.github.script.always(answer(403, ""));
    const job = await startJob();
    const error = await failure(job.run({ robot: six() }));
    expect(error.code).toBe("identity-endpoint-refused");
    expect(error.also).toEqual([]);
    await job.logout();
  });
});

describe("an identity token that is about to lapse", () => {
  test("is fetched again, not sent again", async () => {
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

  test("one that lives long enough is not", async () => {
    peers.quay.exchangeScript.next(answer(503, "", { "retry-after": "55" }));
    const job = await startJob({ clock: fakeClock() });
    await job.run();
    expect(peers.github.requests).toHaveLength(1);
    await job.logout();
  });
});

describe("nothing is sent where it can be seen before", () => {
  const untouched = async (job: Job, options: OptionValues) => {
    const error = await failure(job.run(options));
    expect([...peers.github.requests, ...peers.quay.requests]).toEqual([]);
    expect(await readdir(job.temporary)).toEqual([]);
    return error;
  };

  test("no tool", async () => {
    const job = await startJob({ env: { PATH: "" } });
    expect((await untouched(job, {})).code).toBe("tool-not-found");
  });

  test("an auth file in the workspace", async () => {
    const job = await startJob();
    for (const path of [job.workspace, join(job.workspace, "a/auth.json"), join(job.home, "../work/auth.json")]) {
      expect((await untouched(job, { "auth-file": path })).message).toBe(
        `The option "auth-file" is "${path}": it is in the workspace, whose files end up in images and artifacts.`,
      );
    }
    const beside = `${job.workspace}-2/auth.json`;
    expect((await job.run({ "auth-file": beside })).authFile).toBe(beside);
    await job.logout();
  });

  test("where there is no workspace, any place will do", async () => {
    const job = await startJob();
    const path = join(job.workspace, "auth.json");
    await job.run({ "auth-file": path }, { workspace: undefined });
    await job.logout();
    expect(existsSync(path)).toBe(false);
  });

  test("an auth file that can't be used, or whose helper would hide the login", async () => {
    const job = await startJob();
    const path = join(job.home, "auth.json");
    expect((await untouched(job, { "auth-file": job.home })).code).toBe("auth-file-unusable");
    await writeFile(path, "");
    expect((await untouched(job, { "auth-file": path })).code).toBe("auth-file-unusable");
    await writeFile(path, JSON.stringify({ credHelpers: { [host()]: "x" } }));
    expect((await untouched(job, { "auth-file": path })).code).toBe("credential-helper");
  });

  test("no identity", async () => {
    const job = await startJob({ env: { ACTIONS_ID_TOKEN_REQUEST_URL: undefined } });
    expect((await untouched(job, { identity: "github" })).code).toBe("github-permission-missing");
  });
});

describe("an identity token that Quay could never accept goes nowhere", () => {
  test.each([
    ["issuer-cluster-internal", { iss: "https://kubernetes.default.svc.cluster.local" }],
    ["token-expired", { exp: Math.floor(Date.now() / 1000) - 60 }],
    ["token-too-big", { groups: "g".repeat(7_000) }],
  ])("%s", async (code, claims) => {
    const token = await peers.issuer.sign(claims);
    const job = await startJob({ env: { T: token } });
    const error = await failure(job.run({ "token-env": "T" }));
    expect(error.code).toBe(code);
    expect(formatError(error)).not.toContain(token);
    expect(peers.quay.requests.filter(({ path, scheme }) => path !== "/v2/" || scheme)).toEqual([]);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });
});

describe("access", () => {
  test("that is granted", async () => {
    const job = await startJob();
    await job.run({ access: "acme/app:pull,push" });
    await job.logout();
  });

  test("that is lacking fails the login, and nothing of it stays", async () => {
    const job = await startJob();
    const path = join(job.home, "auth.json");
    const error = await failure(job.run({ access: "acme/private:pull", "auth-file": path }));
    expect(error.code).toBe("access-missing");
    expect(existsSync(path)).toBe(false);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });
});

describe("roots of one's own", () => {
  /** A tool that asks no server, so that it needs no roots. */
  const trusting = async () => {
    const entry = `auth=$(printf %s "$5:$(cat)" | base64 -w0); printf '{"auths":{"%s":{"auth":"%s"}}}' "$8" "$auth" > "$3"`;
    return { PATH: `${await fakeTool(await makeFolder(), "skopeo", entry)}:${process.env.PATH}` };
  };

  test("are not left where there are none", async () => {
    const job = await startJob({ env: await trusting() });
    const { session } = await job.run({}, { roots: undefined });
    expect(session.certificates).toEqual([]);
    expect(await readdir(job.home)).toEqual([]);
    expect(existsSync(join(session.folder, "certificates"))).toBe(false);
    await job.logout();
  });

  test("that can't be left for later steps are a warning, no failure", async () => {
    const homeless = await startJob({ env: { HOME: undefined } });
    await homeless.run();
    expect(homeless.platform.reporter.warnings).toEqual([expect.stringMatching(/HOME is not set.*--cert-dir/)]);
    await homeless.logout();
    const job = await startJob({ env: await trusting() });
    await mkdir(join(job.home, ".config/containers"), { recursive: true });
    await writeFile(join(job.home, ".config/containers/certs.d"), "a file");
    await job.run();
    expect(job.platform.reporter.warnings).toEqual([expect.stringMatching(/ENOTDIR.*--cert-dir/)]);
    await job.logout();
  });

  test("a Quay that nobody vouches for gets no token", async () => {
    const job = await startJob({ trusted: false, env: { T: await peers.issuer.sign() } });
    const error = await failure(job.run({ "token-env": "T" }));
    expect(error.code).toBe("tls-untrusted");
    expect(peers.quay.requests).toEqual([]);
    await job.logout();
  });
});

test("the end of the time in the middle: no tool, no file, no session stays", async () => {
  const controller = new AbortController();
  const job = await startJob({ signal: controller.signal });
  peers.quay.exchangeScript.always(hang());
  const running = job.run({ robot: `acme+ci1\n${host()}/acme/b=acme+ci2`, "auth-file": join(job.home, "auth.json") });
  await expect.poll(() => peers.quay.requests.filter(({ scheme }) => scheme).length).toBe(2);
  controller.abort(new Error("over"));
  await expect(running).rejects.toThrow("over");
  const local = { ...job.platform, signal: new AbortController().signal };
  for (const folder of job.sessions) {
    expect((await readdir(folder)).filter((name) => name.startsWith("tool-"))).toEqual([]);
    await logout(folder, local);
  }
  expect(await readdir(job.temporary)).toEqual([]);
  expect(await readdir(job.home)).toEqual([]);
});

describe("a renewal", () => {
  /** Two tokens of one second would be one and the same. */
  const newLife = () => void peers.quay.settings.robotTokenLife++;
  afterEach(() => {
    peers.quay.settings.robotTokenLife = 3600;
  });

  test("puts a new token where the old one stood; logout puts back what stood there before the first", async () => {
    const job = await startJob();
    const file = join(job.home, "auth.json");
    const docker = join(job.home, ".docker/config.json");
    const text = `{"auths": {"${host()}": ${JSON.stringify(theirs)}} }\n`;
    await writeFile(file, text);
    const options = { "auth-file": file, "docker-config": "true" };
    let { session, tokens } = await job.run(options);
    const seen = new Set([tokens[0]?.token]);
    for (let round = 0; round < 5; round++) {
      newLife();
      ({ session, tokens } = await job.run(options, {}, session));
      seen.add(tokens[0]?.token);
      for (const path of [file, docker]) {
        expect((await read(path)).auths[host()]).toEqual({ auth: authOf("acme+ci", tokens[0]?.token) });
      }
    }
    expect(seen.size).toBe(6);
    expect(session.files.map(({ path }) => path).toSorted()).toEqual([docker, file].toSorted());
    expect(await readdir(certificates(job))).toHaveLength(1);
    expect(new Set(job.sessions)).toEqual(new Set([session.folder]));
    job.sessions.length = 1;
    await job.logout();
    expect(await readFile(file, "utf8")).toBe(text);
    expect(await readdir(job.home)).toEqual(["auth.json"]);
  });

  test("that fails before it has a token leaves all as it was", async () => {
    const job = await startJob();
    const first = await job.run();
    const before = await readFile(first.authFile, "utf8");
    peers.quay.exchangeScript.always(answer(400, { error: "no" }));
    await failure(job.run({}, {}, first.session));
    expect(await readFile(first.authFile, "utf8")).toBe(before);
    expect((await readdir(first.session.folder)).sort()).toEqual(["auth.json", "certificates", "session.json"]);
    job.sessions.length = 1;
    await job.logout();
  });

  test("of a login that somebody has taken back meanwhile sends nothing, and leaves nothing", async () => {
    const job = await startJob();
    const { session } = await job.run();
    await job.logout();
    peers.github.requests.length = 0;
    peers.quay.requests.length = 0;
    const error = await failure(job.run({}, {}, session));
    expect(error.code).toBe("not-logged-in");
    expect(error.message).toBe(`The login was taken back by somebody else: ${session.folder} has no session any more.`);
    expect(error.remedy).toEqual(["Log in again, if it is still wanted."]);
    expect([...peers.github.requests, ...peers.quay.requests, ...job.sessions]).toEqual([]);
    expect([...(await readdir(job.temporary)), ...(await readdir(job.home))]).toEqual([]);
  });

  test("of the job's private file, which is gone: it starts anew", async () => {
    const job = await startJob();
    const first = await job.run();
    newLife();
    await rm(first.authFile);
    const second = await job.run({}, {}, first.session);
    expect((await read(first.authFile)).auths[host()].auth).toBe(authOf("acme+ci", second.tokens[0]?.token));
    job.sessions.length = 1;
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("after one that failed between two files takes no entry of ours for another's", async () => {
    const job = await startJob();
    const file = join(job.home, "auth.json");
    await writeFile(file, "{}");
    const options = { "auth-file": file, "docker-config": "true" };
    const first = await job.run(options);
    // docker's file turns out to be broken once the other one is written.
    const docker = join(job.home, ".docker/config.json");
    const held = await readFile(docker);
    const lock = `${docker}.lock`;
    await mkdir(lock);
    const time = new AbortController();
    newLife();
    const renewing = failure(job.run(options, {}, first.session, time.signal));
    await vi.waitUntil(async () => (await readFile(file, "utf8")) !== (await readFile(docker, "utf8")), 10_000);
    time.abort(new ExplainedError("timeout", "The time is over.", { remedy: [] }));
    expect((await renewing).code).toBe("timeout");
    await rm(lock, { recursive: true });
    expect(await readFile(docker)).toEqual(held);
    newLife();
    // Whoever kept the login alive knows of the first one alone.
    await job.run(options, {}, first.session);
    job.sessions.length = 1;
    await job.logout();
    expect(await readFile(file, "utf8")).toBe("{}");
    expect(await readdir(job.home)).toEqual(["auth.json"]);
  });
});

test("another subject gets another robot", async () => {
  peers.github.claim({ sub: RELEASE_SUBJECT });
  const job = await startJob();
  expect((await job.run({ robot: "acme+release" })).identity.subject).toBe(RELEASE_SUBJECT);
  expect((await failure(job.run())).binding?.subject).toBe(RELEASE_SUBJECT);
  await chmod(job.temporary, 0o700);
  await job.logout();
});
