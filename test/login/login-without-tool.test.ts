/** Whole logins without a tool (`tool: none`): the check, the files, what runs. */
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { failure, fakeTool, makeFolder } from "../fixtures.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { startProxy } from "../support/proxy.ts";
import { authOf, certificates, host, peers, read, startJob } from "./job.ts";

/** The paths that Quay was asked for, in order, and by which robot. */
const asked = () => peers.quay.requests.map(({ path, user }) => `${path} ${user ?? "-"}`);

test("logs in and writes what a tool would, and no tool runs", async () => {
  const bin = await fakeTool(await makeFolder(), "skopeo", "exit 1");
  const job = await startJob({ env: { PATH: bin } });
  const result = await job.run({ tool: "none" });
  const [session = ""] = job.sessions;
  expect(result.tool).toEqual({ name: "none" });
  expect(await read(result.authFile)).toEqual({
    auths: { [host()]: { auth: authOf("acme+ci", result.tokens[0]?.token) } },
  });
  expect(asked().toSorted()).toEqual(
    ["/v2/ -", "/oauth2/federation/robot/token acme+ci", "/v2/auth acme+ci"].toSorted(),
  );
  // No folder for a tool, its certificates or its helpers; the roots are where tools of later steps find them.
  expect((await readdir(session)).toSorted()).toEqual(["auth.json", "session.json"]);
  expect(await readdir(certificates(job))).toEqual([`quay-keyless-login-${result.session.id}.crt`]);
  expect(job.platform.reporter.infos.at(-1)).toMatch(
    new RegExp(`^Logged in to ${host()} as acme\\+ci without a tool, until `),
  );
  expect(job.platform.reporter.secrets).toContain(authOf("acme+ci", result.tokens[0]?.token));
  await job.logout();
  expect(await readdir(job.home)).toEqual([]);
});

test("auto does the same where no tool is installed", async () => {
  const job = await startJob({ env: { PATH: await makeFolder() } });
  expect((await job.run()).tool).toEqual({ name: "none" });
  await job.logout();
});

test("the phases name the check", async () => {
  const job = await startJob();
  const { phases } = await job.run({ tool: "none" });
  expect(phases.map(({ phase }) => phase).toSorted()).toEqual(
    ["identity token", "exchange for acme+ci", "check of acme+ci", "auth file"].toSorted(),
  );
  await job.logout();
});

test("several robots have a scope each, and each is checked", async () => {
  const job = await startJob();
  const robot = `acme+ci1\n${host()}/acme/b=acme+ci2\n${host()}/acme/c=acme+ci3`;
  const { authFile, tokens } = await job.run({ tool: "none", robot });
  expect(await read(authFile)).toEqual({
    auths: {
      [`${host()}/acme`]: { auth: authOf("acme+ci1", tokens[0]?.token) },
      [`${host()}/acme/b`]: { auth: authOf("acme+ci2", tokens[1]?.token) },
      [`${host()}/acme/c`]: { auth: authOf("acme+ci3", tokens[2]?.token) },
    },
  });
  const checked = peers.quay.requests.filter(({ path }) => path === "/v2/auth").map(({ user }) => user);
  expect(checked.toSorted()).toEqual(["acme+ci1", "acme+ci2", "acme+ci3"]);
  await job.logout();
});

test("each check uses a connection that is open already", async () => {
  const proxy = await startProxy();
  const job = await startJob({ env: { HTTPS_PROXY: proxy.url } });
  const robot = `acme+ci1\n${host()}/acme/b=acme+ci2\n${host()}/acme/c=acme+ci3`;
  await job.run({ tool: "none", robot });
  await proxy.close();
  // At most one for each exchange, and the one that has asked where logins go, which an exchange may take once it is idle.
  expect(proxy.targets.filter((target) => target === host()).length).toBeLessThanOrEqual(4);
  expect(peers.quay.requests).toHaveLength(7);
  await job.logout();
});

test("docker's configuration gets the login on request", async () => {
  const job = await startJob();
  const { authFile, files, tokens } = await job.run({ tool: "none", "docker-config": "true" });
  const docker = join(job.home, ".docker/config.json");
  expect(files).toEqual([authFile, docker]);
  expect(await read(docker)).toEqual({ auths: { [host()]: { auth: authOf("acme+ci", tokens[0]?.token) } } });
  await job.logout();
  expect(existsSync(docker)).toBe(false);
});

test("warns if the containers tools will ask a helper, and does not ask it", async () => {
  const job = await startJob();
  await mkdir(join(job.home, ".config/containers"), { recursive: true });
  const settings = join(job.home, ".config/containers/registries.conf");
  await writeFile(settings, 'credential-helpers = ["pass"]');
  await job.run({ tool: "none" });
  expect(job.platform.reporter.warnings).toEqual([
    expect.stringContaining(`The containers tools will not read this login: ${settings} sets credential-helpers.`),
  ]);
  await job.logout();
});

test("a renewal replaces the entry", async () => {
  const job = await startJob();
  const first = await job.run({ tool: "none" });
  const second = await job.run({ tool: "none" }, {}, first.session);
  expect(second.authFile).toBe(first.authFile);
  expect(await read(first.authFile)).toEqual({
    auths: { [host()]: { auth: authOf("acme+ci", second.tokens[0]?.token) } },
  });
  await job.logout();
});

describe("nothing is written if the registry does not accept the robot token", () => {
  test("one of several", async () => {
    const job = await startJob();
    const errors = [{ code: "UNAUTHORIZED", message: "Could not find robot" }];
    const ofSecond = ({ headers }: IncomingMessage) =>
      Buffer.from((headers.authorization ?? "").slice(6), "base64")
        .toString()
        .startsWith("acme+ci2:");
    const remove = peers.quay.authScript.always(answer(401, { errors }), ofSecond);
    const robot = `acme+ci1\n${host()}/acme/b=acme+ci2`;
    const file = join(job.home, "auth.json");
    const error = await failure(job.run({ tool: "none", robot, "auth-file": file }));
    remove();
    expect([error.code, error.also]).toEqual(["login-refused", []]);
    expect(existsSync(file)).toBe(false);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("the registry sends logins to another host", async () => {
    const job = await startJob();
    const challenge = { "www-authenticate": 'Bearer realm="https://evil.example.com/v2/auth",service="x"' };
    peers.quay.registryScript.next(answer(401, "", challenge));
    expect((await failure(job.run({ tool: "none" }))).code).toBe("realm-refused");
    expect(asked().filter((each) => each.startsWith("/v2/auth"))).toEqual([]);
    await job.logout();
  });
});
