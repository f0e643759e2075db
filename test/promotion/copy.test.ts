/** One copy, by a scripted tool. The real one copies in test/promotion/promote.test.ts and test/e2e/promote. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { type Copy, copyByDigest } from "../../src/promotion/copy.ts";
import type { Endpoint, Endpoints } from "../../src/promotion/logins.ts";
import { failure, failureText, fakeClock, fakeTool, makeFolder, testPlatform } from "../fixtures.ts";
import { systemPath } from "../support/runner.ts";

const digest = `sha256:${"a".repeat(64)}`;
const [from, to] = ["staging", "release"].map((name) => ({ registry: `${name}.example.com`, repository: "acme/app" }));

interface Login {
  token: string;
  /** Seconds since 1970. */
  expiresAt: number;
}

function endpointOf(name: Endpoint["name"], registry: string, login: Login | undefined): Endpoint {
  if (login === undefined) return { name, login, authFile: undefined, others: new Map() };
  const robot = `acme+${name}`;
  const authFile = `/private/${name}/config.json`;
  const credential = () => ({ robot, lifeSeconds: 3600, ...login });
  const realm = () => ({ url: new URL(`https://${registry}/v2/auth`), service: registry });
  return { name, login: { registry, robot, authFile, credential, realm }, authFile, others: new Map() };
}

interface Setting {
  /** What the tool does the first, second … time; after that it succeeds. */
  readonly runs?: readonly string[];
  readonly source?: Login;
  readonly destination?: Login;
  readonly copy?: Partial<Copy>;
  readonly idleMs?: number;
  /** Waits between attempts take no time on either clock. */
  readonly clock?: ReturnType<typeof fakeClock> | typeof systemClock;
}

async function start({ runs = [], source, destination, copy, idleMs = 60_000, clock = fakeClock() }: Setting) {
  const folder = await makeFolder();
  const cases = runs.map((run, index) => `${index + 1}) ${run} ;;`).join("\n");
  const script = `printf '%s\\n' "$@" >"${folder}/args"
echo "\${DOCKER_CONFIG-none}" >"${folder}/config"
echo >>"${folder}/times"
case "$(wc -l <"${folder}/times" | tr -d ' ')" in
${cases}
esac`;
  const file = join(await fakeTool(folder, "skopeo", script), "skopeo");
  const platform = testPlatform({ env: { PATH: systemPath }, clock });
  const endpoints: Endpoints = {
    source: endpointOf("source", "staging.example.com", source),
    destination: endpointOf("destination", "release.example.com", destination),
    certificates: undefined,
    helpers: undefined,
    close: async () => {},
  };
  if (from === undefined || to === undefined) throw new Error("no places");
  const what = { from, to, digest, onProgress: () => {}, ...copy };
  const read = async (name: string) => (await readFile(join(folder, name), "utf8")).trim().split("\n");
  return {
    ended: copyByDigest(what, { tool: { name: "skopeo", file }, endpoints, idleMs }, platform),
    reporter: platform.reporter,
    args: () => read("args"),
    dockerConfig: async () => (await read("config"))[0],
    times: async () => (await readFile(join(folder, "times"), "utf8")).length,
  };
}

const inAnHour = () => ({ token: "first", expiresAt: Date.now() / 1000 + 3600 });
const says = (words: string) => `echo '${words}' >&2; exit 1`;
const refuses = says("unauthorized: authentication required");

describe("the tool's logins", () => {
  test("are none without logins, not even the machine's", async () => {
    const { ended, args, dockerConfig } = await start({});
    await ended;
    expect(await args()).toEqual(expect.arrayContaining(["--src-no-creds", "--dest-no-creds"]));
    expect(await args()).not.toContain("--insecure-policy");
    expect((await args()).slice(-2)).toEqual([
      `docker://staging.example.com/acme/app@${digest}`,
      `docker://release.example.com/acme/app@${digest}`,
    ]);
    expect(await dockerConfig()).toBe("none");
  });

  test("are one file per endpoint; the machine's policy does not apply to an artifact", async () => {
    const logins = { source: inAnHour(), destination: inAnHour() };
    const { ended, args, dockerConfig } = await start({ ...logins, copy: { isArtifact: true } });
    await ended;
    const text = (await args()).join(" ");
    expect(text).toContain(
      "--src-authfile /private/source/config.json --dest-authfile /private/destination/config.json",
    );
    expect(text).toContain("--insecure-policy");
    expect(text).not.toContain("-no-creds");
    expect(await dockerConfig()).toBe("/private/destination");
  });
});

test("reports each blob once when it begins", async () => {
  const seen: number[] = [];
  const run = "echo 'Copying blob abc'; echo 'Copying config def'; echo 'Copying blob abc'; sleep 1.3";
  const { ended } = await start({ runs: [run], copy: { onProgress: (blobs) => void seen.push(blobs) } });
  await ended;
  expect(seen.at(-1)).toBe(2);
});

test("kills an attempt without data, and retries", async () => {
  const silent = { runs: ["sleep 60"], idleMs: 700, clock: { ...systemClock, sleep: async () => {} } };
  const { ended, reporter, times } = await start(silent);
  await ended;
  expect(await times()).toBe(2);
  expect(reporter.text()).toContain("no data for 0.7 s");
});

describe("a refusal", () => {
  test("of an expired login is reported as that, and retried while a renewal is possible", async () => {
    const ended = { token: "ended", expiresAt: Date.now() / 1000 - 60 };
    for (const words of [refuses, says("received unexpected HTTP status: 500 Internal Server Error")]) {
      const copy = await start({ runs: Array(20).fill(words), source: inAnHour(), destination: ended });
      const text = await failureText("login-lapsed", copy.ended);
      expect(text).toMatch(/The login of acme\+destination to release\.example\.com expired at .*, during the copy\./);
      expect(await copy.times()).toBeGreaterThan(2);
    }
  });

  test("of a login that was renewed meanwhile is retried with the new one", async () => {
    const source = inAnHour();
    const { ended, times } = await start({ runs: [`sleep 1; ${refuses}`], source, destination: inAnHour() });
    setTimeout(() => Object.assign(source, { token: "second" }), 300);
    await ended;
    expect(await times()).toBe(2);
  });

  test("of a valid login is about permissions, and final", async () => {
    const { ended, times } = await start({ runs: [refuses], source: inAnHour(), destination: inAnHour() });
    expect(await failureText("copy-failed", ended)).toContain("check the permissions of both robots");
    expect(await times()).toBe(1);
  });
});

test.each<[string, string, number, string]>([
  [
    "System is currently read-only. Pushes are not allowed",
    "quay-read-only",
    1,
    "administrators have ended the maintenance",
  ],
  ["Quota has been exceeded on namespace", "quota-exceeded", 1, "raise the quota"],
  ["x509: certificate signed by unknown authority", "tls-untrusted", 1, "ca-file"],
  [
    "pinging container registry a.example.com: StatusCode: 502, bad",
    "registry-unavailable",
    8,
    "its registry part is not",
  ],
  ["connection refused", "registry-unavailable", 8, ""],
  ["Source image rejected: Running image docker://x is rejected by policy.", "copy-failed", 1, "policy.json"],
  ["unknown flag: --preserve-digests", "copy-failed", 1, "older than 1.6"],
  ["the disk is made of cheese", "copy-failed", 1, "Try the same by hand: skopeo copy --all"],
])("%s: %s", async (words, code, times, advice) => {
  const copy = await start({ runs: Array(20).fill(says(words)) });
  const error = await failure(copy.ended);
  expect([error.code, await copy.times()]).toEqual([code, times]);
  expect(error.remedy.join("\n")).toContain(advice);
});
