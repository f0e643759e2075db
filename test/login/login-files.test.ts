/** Whole logins: the files that they are in, before, during and after. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { failure, fakeTool, makeFolder } from "../fixtures.ts";
import { authOf, host, peers, read, startJob, theirs } from "./job.ts";

describe("the auth file", () => {
  test("that is named keeps its content, and is byte for byte the same after logout", async () => {
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
    // The session's own folder is not above it.
    expect((await stat(job.sessions[0] ?? "")).mode & 0o777).toBe(0o700);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });

  test("may be reached by a link, which stays a link", async () => {
    const job = await startJob();
    await writeFile(join(job.home, "real.json"), "{}");
    await symlink(join(job.home, "real.json"), join(job.home, "link.json"));
    expect((await job.run({ "auth-file": join(job.home, "link.json") })).authFile).toBe(join(job.home, "real.json"));
    await job.logout();
    expect(await readFile(join(job.home, "link.json"), "utf8")).toBe("{}");
  });

  test("of the job lets others read it on request", async () => {
    const job = await startJob();
    const { authFile, session } = await job.run({ "auth-file-mode": "0644" });
    expect((await stat(authFile)).mode & 0o777).toBe(0o644);
    expect((await stat(session.folder)).mode & 0o777).toBe(0o711);
    await job.logout();
  });

  test("of the job starts with the logins that it hides", async () => {
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

  test("gets the login too, on request", async () => {
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

  test("may be the auth file too", async () => {
    const before = '{"auths":{}}';
    const { job, path } = await withConfig(before);
    expect((await job.run({ "auth-file": path }, { isDisposable: true })).files).toEqual([path]);
    await job.logout();
    expect(await readFile(path, "utf8")).toBe(before);
  });

  test("gets it by default on a machine made for the job, and if docker is the tool", async () => {
    const { job, path } = await withConfig(undefined);
    expect((await job.run({}, { isDisposable: true })).files).toContain(path);
    await job.logout();
    expect(existsSync(join(job.home, ".docker"))).toBe(false);
    const { files, tool } = await job.run({ tool: "docker" });
    expect(tool.name).toBe("docker");
    expect(files).toContain(path);
    await job.logout();
  });

  test("does not get it against the option, nor for an organization", async () => {
    const { job, path } = await withConfig(undefined);
    expect((await job.run({ "docker-config": "false" }, { isDisposable: true })).files).not.toContain(path);
    expect((await job.run({ robot: `${host()}/acme=acme+ci` }, { isDisposable: true })).files).not.toContain(path);
    await job.logout();
  });

  test("is rejected before anything is sent if its store would hide the login", async () => {
    const { job } = await withConfig('{"credsStore":"desktop"}');
    const error = await failure(job.run({ "docker-config": "true" }));
    expect(error.code).toBe("credential-helper");
    expect(job.sessions).toEqual([]);
    expect([...peers.github.requests, ...peers.quay.requests]).toEqual([]);
  });

  test("without a path", async () => {
    const job = await startJob({ env: { HOME: undefined } });
    const error = await failure(job.run({ "docker-config": "true" }));
    expect(error.message).toContain("Neither HOME nor DOCKER_CONFIG is set");
  });
});

describe("extra roots", () => {
  /** A tool that asks no server, so that it needs no roots. */
  const trusting = async () => {
    const entry = `auth=$(printf %s "$5:$(cat)" | base64 -w0); printf '{"auths":{"%s":{"auth":"%s"}}}' "$8" "$auth" > "$3"`;
    return { PATH: `${await fakeTool(await makeFolder(), "skopeo", entry)}:${process.env.PATH}` };
  };

  test("are not installed if there are none", async () => {
    const job = await startJob({ env: await trusting() });
    const { session } = await job.run({}, { roots: undefined });
    expect(session.certificates).toEqual([]);
    expect(await readdir(job.home)).toEqual([]);
    expect(existsSync(join(session.folder, "certificates"))).toBe(false);
    await job.logout();
  });

  test("that can't be installed for later steps are a warning, not a failure", async () => {
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

  test("sends no token to a Quay whose certificate it does not trust", async () => {
    const job = await startJob({ trusted: false, env: { T: await peers.issuer.sign() } });
    const error = await failure(job.run({ "token-env": "T" }));
    expect(error.code).toBe("tls-untrusted");
    expect(peers.quay.requests).toEqual([]);
    await job.logout();
  });
});
