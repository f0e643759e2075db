/** Logins with a JWT-SVID, by the command line and by the Action; the Workload API does what a real agent rarely does. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, test } from "vitest";
import type { SignOptions } from "../quay-stand-in/issuer.ts";
import { createJob } from "../support/action.ts";
import { createMachine } from "../support/command.ts";
import { type Svid, startWorkloadApi, type WorkloadAnswer, type WorkloadApi } from "../support/workload-api.ts";
import { failed, quayOf, useWorld } from "./cli/world.ts";
import { failure, newRobot, type Robot, until } from "./world.ts";

const peers = useWorld({ registry: false });

const id = "spiffe://example.org/ci";
const seconds = () => Math.floor(Date.now() / 1000);

/** A JWT-SVID as SPIRE makes it, known to the leak harness. */
async function svid(claims: Record<string, unknown> = {}, options: SignOptions = {}): Promise<Svid> {
  const { issuer, github } = peers();
  const token = await issuer.sign({ sub: id, aud: ["quay"], jti: undefined, ...claims }, options);
  github.issued.push(token);
  return { id, token };
}

/** Run after all tests: if several run at once, vitest does not know which of them a clean-up belongs to. */
const closers: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "spiffe-"));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function startApi(answer?: WorkloadAnswer, at?: string): Promise<WorkloadApi> {
  const where = at ?? join(await makeFolder(), "api.sock");
  const api = await startWorkloadApi(where, answer ?? { svids: [await svid()] });
  closers.push(api.close);
  return api;
}

const spiffeRobot = () => newRobot(peers(), [{ issuer: peers().issuer.url, subject: id }]);

const login = ({ name }: Robot, ...more: string[]) => ["login", ...quayOf(peers()), "--robot", name, ...more];

describe.concurrent("the command line", () => {
  test("finds the Workload API by its variable, says so, and logs in all robots with one token", async ({ expect }) => {
    const [first, second] = [spiffeRobot(), spiffeRobot()];
    const api = await startApi();
    const machine = await createMachine({ peers: peers(), env: { SPIFFE_ENDPOINT_SOCKET: api.address } });
    // skopeo keeps them apart by their repositories.
    const scoped = ({ name, repository }: Robot) => ["--robot", `${peers().registryHost}/${repository}=${name}`];
    const args = ["login", ...quayOf(peers()), ...scoped(first), ...scoped(second), "--output=json"];
    const ran = await machine.run(args);
    expect(ran).toMatchObject({ code: 0 });
    expect(JSON.parse(ran.stdout)).toMatchObject({
      robots: [{ robot: first.name }, { robot: second.name }],
      subject: id,
      audience: ["quay"],
    });
    expect(ran.stderr).toContain(`the SPIFFE Workload API at ${api.address}, which SPIFFE_ENDPOINT_SOCKET names`);
    expect(api.calls).toEqual([{ audience: ["quay"], id: "", security: ["true"] }]);
  });

  test("asks for the audience and the SPIFFE ID of the options, over TCP", async ({ expect }) => {
    const robot = spiffeRobot();
    const api = await startApi({ svids: [await svid({ aud: ["https://quay.example.com"] })] }, "127.0.0.1");
    const machine = await createMachine({ peers: peers() });
    const source = ["--spiffe-socket", api.address, "--spiffe-id", id, "--audience", "https://quay.example.com"];
    expect(await machine.run(login(robot, ...source))).toMatchObject({ code: 0 });
    expect(api.calls).toEqual([{ audience: ["https://quay.example.com"], id, security: ["true"] }]);
  });

  test("a slow agent", async ({ expect }) => {
    const api = await startApi();
    api.next({ status: 14, message: "starting" }, { status: 7, message: "no identity issued" });
    const machine = await createMachine({ peers: peers() });
    const ran = await machine.run(login(spiffeRobot(), "--spiffe-socket", api.address));
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stderr).toMatch(
      /"starting" \(gRPC status 14\)\. Retrying (?:at once|in .* s)\.\n.*"no identity issued"\. Retrying/,
    );
  });

  test("replaces a cached token that is about to expire", async ({ expect }) => {
    const [old, fresh] = [await svid({ iat: seconds() - 60, exp: seconds() + 5 }), await svid()];
    const api = await startApi({ svids: [fresh] });
    api.next({ svids: [old] });
    const machine = await createMachine({ peers: peers() });
    expect(await machine.run(login(spiffeRobot(), "--spiffe-socket", api.address))).toMatchObject({ code: 0 });
    expect(api.calls).toHaveLength(2);
    expect(peers().quay.seen(old.token)).toEqual([]);
    expect(peers().quay.seen(fresh.token)).not.toEqual([]);
  });

  test("uses a cached token that is about to expire if there is no other", async ({ expect }) => {
    const old = await svid({ iat: seconds() - 60, exp: seconds() + 9 });
    const api = await startApi({ svids: [old] });
    const machine = await createMachine({ peers: peers() });
    expect(await machine.run(login(spiffeRobot(), "--spiffe-socket", api.address))).toMatchObject({ code: 0 });
    expect(peers().quay.seen(old.token)).not.toEqual([]);
  });

  const faults: [string, () => Promise<WorkloadAnswer>, code: string, exit: number, says: RegExp][] = [
    [
      "no identity",
      async () => ({ status: 7, message: "no identity issued" }),
      "spiffe-no-identity",
      1,
      /unix:uid:\d+/,
    ],
    ["a refusal", async () => ({ status: 3, message: "bad audience" }), "spiffe-refused", 1, /"bad audience" \(gRPC/],
    ["unavailable", async () => ({ status: 14, message: "away" }), "spiffe-unavailable", 75, /"away"/],
    ["no message", async () => ({ bytes: Buffer.of(255) }), "spiffe-answer-unusable", 1, /not a JWTSVIDResponse/],
    ["2 MiB", async () => ({ bytes: Buffer.alloc(2 ** 21) }), "spiffe-answer-unusable", 1, /larger than 1 MiB/],
    ["silence", async () => "hang", "timeout", 75, /It was waiting for the Workload API\./],
    [
      "two SVIDs",
      async () => ({ svids: [{ ...(await svid()), hint: "here" }, await svid()] }),
      "spiffe-several-identities",
      1,
      /the option --spiffe-id:\n.*spiffe:\/\/example\.org\/ci {2}hint here\n/,
    ],
    ["ES256", async () => ({ svids: [await svid({}, { alg: "ES256" })] }), "token-algorithm", 1, /jwt_key_type/],
    ["no iss", async () => ({ svids: [await svid({ iss: undefined })] }), "token-incomplete", 1, /jwt_issuer/],
    ["no JWT", async () => ({ svids: [{ id, token: "not-a-jwt-at-all" }] }), "token-not-a-jwt", 1, /is not a JWT/],
  ];
  for (const [name, answer, code, exit, says] of faults) {
    test(`${name}: ${code}`, async ({ expect }) => {
      const api = await startApi(await answer());
      const machine = await createMachine({ peers: peers() });
      const before = peers().quay.requests.length;
      const robot = spiffeRobot();
      const ran = await machine.run(login(robot, "--spiffe-socket", api.address, "--timeout=3", "--output=json"));
      expect(failed(expect, ran, exit, code)).toMatch(says);
      expect(
        peers()
          .quay.requests.slice(before)
          .filter(({ user }) => user === robot.name),
      ).toEqual([]);
    });
  }

  test("stopped in the middle of a call, it ends at once", async ({ expect }) => {
    const api = await startApi("hang");
    const machine = await createMachine({ peers: peers() });
    const running = await machine.start(login(spiffeRobot(), "--spiffe-socket", api.address));
    await until(() => api.calls.length === 1, "the call");
    const asked = performance.now();
    running.kill("SIGTERM");
    failed(expect, await running.done, 75, "cancelled");
    expect(performance.now() - asked).toBeLessThan(2_000);
  });

  test("rejects what is not a socket, and what is not an address", async ({ expect }) => {
    const folder = await makeFolder();
    await mkdir(join(folder, "folder"));
    await writeFile(join(folder, "file"), "");
    const machine = await createMachine({ peers: peers() });
    const ask = (address: string) => machine.run(["identity", "--timeout=2", "--spiffe-socket", address]);
    const wrong = [
      [`unix://${folder}/none`, 1, "spiffe-socket-unusable", "there is no socket at unix:///"],
      [`unix://${folder}/folder`, 1, "spiffe-socket-unusable", "is a folder, not a socket"],
      [`unix://${folder}/file`, 1, "spiffe-socket-unusable", "is a file, not a socket"],
      [
        `${folder}/api.sock`,
        2,
        "invalid-input",
        `it is a path, not an address.\n  Write, for example, --spiffe-socket unix://`,
      ],
      ["tcp://localhost:8081", 2, "invalid-input", "tcp:// needs an IP address and a port"],
    ] as const;
    for (const [address, exit, code, says] of wrong) {
      expect(failed(expect, await ask(address), exit, code), address).toContain(says);
    }
    const env = { SPIFFE_ENDPOINT_SOCKET: `${folder}/api.sock` };
    const byVariable = failed(expect, await machine.run(["identity"], { env }), 2, "invalid-input");
    expect(byVariable).toContain(`SPIFFE_ENDPOINT_SOCKET=unix://${folder}/api.sock`);
  });

  test("rejects two sources at once", async ({ expect }) => {
    const machine = await createMachine({ peers: peers() });
    const both = ["--token-file=/token", "--spiffe-socket=unix:///api.sock"];
    expect(failed(expect, await machine.run(login(spiffeRobot(), ...both)), 2, "invalid-input")).toContain(
      "token-file",
    );
  });
});

describe.concurrent("the Action", () => {
  test("logs in, masks the token before its first use, and logs out", async ({ expect }) => {
    const api = await startApi();
    const job = await createJob({ peers: peers(), idToken: false });
    const main = await job.run({ robot: spiffeRobot().name, "spiffe-socket": api.address });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.outputs).toMatchObject({ subject: id, issuer: peers().issuer.url });
    expect(main.masks.some((mask) => mask.startsWith("eyJ"))).toBe(true);
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  });

  test("names the option in the workflow's syntax in an error", async ({ expect }) => {
    const api = await startApi({ svids: [await svid(), { ...(await svid()), hint: "other" }] });
    const job = await createJob({ peers: peers(), idToken: false });
    const main = await job.run({ robot: spiffeRobot().name, "spiffe-socket": api.address });
    expect(failure(expect, main, "spiffe-several-identities")).toContain("with the option spiffe-id:");
  });
});
