/** The logins of both endpoints, against a Quay stand-in over real TLS. Whole promotions: test/e2e/promote/logins.test.ts. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Session } from "../../src/login/session.ts";
import type { Workplace } from "../../src/login/workplace.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { createPlatform } from "../../src/platform/platform.ts";
import { type Endpoints, openEndpoints } from "../../src/promotion/logins.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";
import { createRecorder, entryOf, expectNoSecret, failure, makeFolder } from "../fixtures.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { systemPath } from "../support/runner.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers();
  addRobot(peers.quay.store, "acme+reader", [{ issuer: peers.issuer.url, subject: SUBJECT }]);
});
afterAll(() => peers?.close());
const anHour = 3600;
afterEach(() => {
  peers.quay.settings.robotTokenLife = anHour;
  peers.quay.requests.length = 0;
});

const exchanges = () => peers.quay.requests.filter(({ path }) => path.startsWith("/oauth2")).length;

interface Setting {
  readonly roots?: boolean;
  readonly cancelled?: AbortSignal;
  readonly path?: string;
  /** In the home. */
  readonly files?: Readonly<Record<string, string>>;
}

/** @param values options over those of a public source */
async function start(
  values: OptionValues = {},
  { roots = true, cancelled, path = systemPath, files = {} }: Setting = {},
) {
  const folder = await makeFolder();
  const tokenFile = join(await makeFolder(), "token");
  await writeFile(tokenFile, await peers.issuer.sign({ exp: Math.floor(Date.now() / 1000) + 3600 }));
  const host = peers.registryHost;
  const request = await readPromotionRequest({
    ...{ source: `${host}/acme/staging:1.0`, destination: `${host}/acme/app`, "destination-robot": "acme+ci" },
    ...{ tag: "1.0", timeout: "20", "token-file": tokenFile, "ca-file": peers.caFile },
    ...values,
  });
  const extraRoots = await readFile(peers.caFile, "utf8");
  const sessions: Session[] = [];
  const workplace: Workplace = {
    ...{ temporaryFolder: folder, sessionFolder: undefined, willLogOut: false, keepsLogins: "privately" },
    ...{ workspace: undefined, isDisposable: false, roots: roots ? extraRoots : undefined },
    onSession: (session) => void sessions.push(session),
  };
  const reporter = createRecorder();
  const env = { PATH: path, HOME: folder, TMPDIR: folder, ...(!roots && { SSL_CERT_FILE: peers.caFile }) };
  const create = (timeoutSeconds: number | undefined) =>
    createPlatform({ env, reporter, timeoutSeconds, extraRoots, ...(cancelled && { cancelled }) });
  const platform = create(undefined);
  const context = { workplace, createPlatform: create, onProgress: () => {} };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return {
    opened: openEndpoints(request, context, platform),
    at: (name: string) => join(folder, name),
    reporter,
    sessions,
    /** Names of the files that are still in the job's folder. */
    left: async () => (await readdir(folder)).filter((name) => name.startsWith("quay-keyless")),
    end: async (endpoints?: Endpoints) => {
      await endpoints?.close();
      platform.close();
      expectNoSecret(reporter.text(), reporter.secrets);
    },
  };
}

const entriesOf = async (file: string | undefined) => JSON.parse(await readFile(file ?? "none", "utf8")).auths;

test("gives each of two robots a file, and removes both at the end", async () => {
  const { opened, left, end } = await start({ "source-robot": "acme+reader" });
  const endpoints = await opened;
  const { source, destination } = endpoints;
  expect([source.login?.robot, destination.login?.robot]).toEqual(["acme+reader", "acme+ci"]);
  expect(source.authFile).not.toBe(destination.authFile);
  for (const { authFile } of [source, destination]) {
    expect(Object.keys(await entriesOf(authFile))).toEqual([peers.registryHost]);
  }
  expect(existsSync(endpoints.certificates ?? "none")).toBe(true);
  await end(endpoints);
  expect(await left()).toEqual([]);
});

test("logs one robot of both endpoints in once, and without ca-file the tools have the system's roots", async () => {
  const { opened, left, end } = await start({ "source-robot": "acme+ci" }, { roots: false });
  const endpoints = await opened;
  expect(endpoints.source.authFile).toBe(endpoints.destination.authFile);
  expect([exchanges(), endpoints.certificates]).toEqual([1, undefined]);
  await end(endpoints);
  expect(await left()).toEqual([]);
});

test("reads a public source without a login", async () => {
  const { opened, end } = await start();
  const endpoints = await opened;
  expect([endpoints.source.login, endpoints.source.authFile]).toEqual([undefined, undefined]);
  await end(endpoints);
});

test("reads a source without a robot with its entry of source-auth-file, and removes the copy at the end", async () => {
  const file = join(await makeFolder(), "auth.json");
  const [own, others] = [entryOf("me", "my own password"), entryOf("other", "another password")];
  await writeFile(file, JSON.stringify({ auths: { [`${peers.registryHost}/acme`]: own, "ghcr.io": others } }));
  const { opened, reporter, left, end } = await start({ "source-auth-file": file });
  const endpoints = await opened;
  expect(endpoints.source.login).toBeUndefined();
  expect(await entriesOf(endpoints.source.authFile)).toEqual({ [`${peers.registryHost}/acme`]: own });
  expect(reporter.secrets).toEqual(expect.arrayContaining([own.auth, "my own password"]));
  expect(reporter.secrets).not.toContain("another password");
  await end(endpoints);
  expect(await left()).toEqual([]);
  expect(Object.keys(await entriesOf(file))).toHaveLength(2);
});

test("renews a login before it expires, in the same file", async () => {
  peers.quay.settings.robotTokenLife = 2;
  const { opened, reporter, end } = await start();
  const endpoints = await opened;
  const { login, authFile } = endpoints.destination;
  const [token, entries] = [login?.credential().token, await entriesOf(authFile)];
  await vi.waitFor(() => expect(login?.credential().token).not.toBe(token), 10_000);
  await vi.waitFor(async () => expect(await entriesOf(authFile)).not.toEqual(entries), 10_000);
  expect(login?.realm().url.pathname).toBe("/v2/auth");
  await vi.waitFor(() => expect(reporter.text()).toContain("The login was renewed"), 10_000);
  await end(endpoints);
});

test("stops renewing a login whose record was removed, with a warning", async () => {
  peers.quay.settings.robotTokenLife = 2;
  const { opened, reporter, sessions, end } = await start();
  const endpoints = await opened;
  await rm(sessions[0]?.folder ?? "none", { recursive: true });
  await vi.waitFor(() => expect(reporter.warnings.join("\n")).toContain("acme+ci is no longer renewed."), 10_000);
  await end(endpoints);
});

test("names the endpoint that can't log in, and removes the other's login", async () => {
  const { opened, left, end } = await start({ "source-robot": "acme+bare" });
  expect((await failure(opened)).message).toContain("The login to the source failed.");
  expect(await left()).toEqual([]);
  await end();
});

test("names the endpoint without an identity token, and leaves nothing", async () => {
  const { opened, left, end } = await start({ "token-file": join(await makeFolder(), "none") });
  expect((await failure(opened)).message).toContain("The login to the destination failed.");
  expect(await left()).toEqual([]);
  await end();
});

test("logs in without a tool", async () => {
  const { opened, end } = await start({}, { path: await makeFolder() });
  const endpoints = await opened;
  expect(Object.keys(await entriesOf(endpoints.destination.authFile))).toEqual([peers.registryHost]);
  await end(endpoints);
});

test("sends nothing if skopeo would read no file, and says what to write", async () => {
  const files = { ".config/containers/registries.conf": 'credential-helpers = ["pass"]' };
  const { opened, sessions, left, end, at } = await start({}, { files });
  const settings = at(".config/containers/registries.conf");
  const error = await failure(opened);
  expect([error.code, error.message]).toEqual([
    "credential-helper",
    "skopeo takes logins only from the credential helper pass, and would not read one from a file.",
  ]);
  expect(error.remedy).toEqual([
    `${settings} sets credential-helpers. Write there, for this job:`,
    'credential-helpers = ["containers-auth.json"]',
  ]);
  expect([sessions, await left(), exchanges()]).toEqual([[], [], 0]);
  await end();
});

test("passes a failure that stops everything on unchanged, and leaves nothing", async () => {
  const stop = new AbortController();
  const reason = new Error("stopped by hand");
  stop.abort(reason);
  const { opened, left, end } = await start({ "source-robot": "acme+reader" }, { cancelled: stop.signal });
  await expect(opened).rejects.toBe(reason);
  expect(await left()).toEqual([]);
  await end();
});

test("mentions the options of the endpoint whose login fails", async () => {
  const source = { source: "localhost:1/acme/staging:1.0", "source-robot": "acme+reader" };
  const { opened, end } = await start({ ...source, timeout: "1" });
  const error = await failure(opened);
  expect(error.message).toMatch(/^The login to the source failed\. /);
  expect(error.remedy[0]).toMatch(
    /^Check the option source, whose first part is the host if it has a dot \(localhost:1\), and the network/,
  );
  await end();
});
