/** A thousand calls of the built credential helper on one cache, a fifth of them killed at any moment. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { helperName, helperProgram } from "../support/built.ts";

const [program = "", ...words] = helperProgram;
let peers: Peers;
let folder: string;

beforeAll(async () => {
  peers = await startPeers({ registry: false, quay: { exchangeMs: 50 } });
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-test-"));
});
afterAll(async () => {
  await Promise.all([peers.close(), rm(folder, { recursive: true })]);
});

interface Call {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param killedAfter milliseconds; undefined: never */
function get(env: Record<string, string>, killedAfter?: number): Promise<Call> {
  const child = spawn(program, [...words, "get"], { argv0: helperName, env, stdio: ["pipe", "pipe", "pipe"] });
  const shown = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (text) => {
      shown[stream] += text;
    });
  }
  child.stdin.on("error", () => {}).end(peers.registryHost);
  const timer = killedAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killedAfter);
  return new Promise((done) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      done({ code, ...shown });
    });
  });
}

test("a thousand calls with kills: each that lives gets a token, and few exchange", { timeout: 400_000 }, async () => {
  const robot = "acme+thousand";
  addRobot(peers.quay.store, robot, [{ issuer: peers.issuer.url, subject: SUBJECT }]);
  const runtime = join(folder, "run");
  await mkdir(runtime, { mode: 0o700 });
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, await peers.issuer.sign({ exp: Math.floor(Date.now() / 1000) + 3_600 }));
  const env = {
    XDG_RUNTIME_DIR: runtime,
    QUAY_KEYLESS_REGISTRY: peers.registryHost,
    QUAY_KEYLESS_CA_FILE: peers.caFile,
    QUAY_KEYLESS_ROBOT: robot,
    QUAY_KEYLESS_TOKEN_FILE: tokenFile,
  };
  const cache = join(runtime, "quay-keyless/cache.json");
  const [rounds, calls] = [40, 25];
  let killed = 0;
  for (let round = 0; round < rounds; round++) {
    // Each round begins with an exchange: without a cache, or with a damaged one.
    await (round % 2 === 0 ? rm(cache, { force: true }) : writeFile(cache, '{"version":1,"entries":[{'));
    const all = await Promise.all(
      Array.from({ length: calls }, (_, index) => get(env, index % 5 === 0 ? Math.random() * 500 : undefined)),
    );
    for (const { code, stdout, stderr } of all) {
      if (code === null) {
        killed++;
        continue;
      }
      expect([code, stderr]).toEqual([0, ""]);
      expect(JSON.parse(stdout)).toMatchObject({ Username: robot, Secret: expect.stringMatching(/^ey/) });
    }
    expect(JSON.parse(await readFile(cache, "utf8")).entries).toHaveLength(1);
  }
  const asked = peers.quay.requests.filter(({ path, user }) => path.startsWith("/oauth2/") && user === robot);
  expect(killed).toBeGreaterThan(rounds);
  // One for each round, and one for each call that was killed while it exchanged.
  expect(asked.length).toBeGreaterThanOrEqual(rounds);
  expect(asked.length).toBeLessThanOrEqual(rounds + killed);
  await rm(cache);
  expect((await get(env)).code).toBe(0);
  expect(await readdir(join(runtime, "quay-keyless"))).toEqual(["cache.json"]);
});
