/** A login that is renewed, and logged out afterwards. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ExplainedError } from "../../src/platform/errors.ts";
import { failure } from "../fixtures.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { authOf, certificates, host, peers, read, startJob, theirs } from "./job.ts";

describe("a renewal", () => {
  /** Two tokens of one second would be one and the same. */
  const newLife = () => void peers.quay.settings.robotTokenLife++;
  afterEach(() => {
    peers.quay.settings.robotTokenLife = 3600;
  });

  test("replaces the old token; logout restores what was there before the first", async () => {
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

  test("that fails before it has a token changes nothing", async () => {
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

  test("of a login that another process has removed sends nothing, and leaves nothing", async () => {
    const job = await startJob();
    const { session } = await job.run();
    await job.logout();
    peers.github.requests.length = 0;
    peers.quay.requests.length = 0;
    const error = await failure(job.run({}, {}, session));
    expect(error.code).toBe("not-logged-in");
    expect(error.message).toBe(`Another process has logged out: ${session.folder} has no session any more.`);
    expect(error.remedy).toEqual(["Log in again if you still need the login."]);
    expect([...peers.github.requests, ...peers.quay.requests, ...job.sessions]).toEqual([]);
    expect([...(await readdir(job.temporary)), ...(await readdir(job.home))]).toEqual([]);
  });

  test("of the job's private file, which is gone, starts a new one", async () => {
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

  test("after one that failed between two files recognizes every entry of ours", async () => {
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
    // The renewing process knows only the first one.
    await job.run(options, {}, first.session);
    job.sessions.length = 1;
    await job.logout();
    expect(await readFile(file, "utf8")).toBe("{}");
    expect(await readdir(job.home)).toEqual(["auth.json"]);
  });
});
