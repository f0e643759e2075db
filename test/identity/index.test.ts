import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { chooseIdentity, fetchIdentity, type IdentityChoice } from "../../src/identity/index.ts";
import type { Environment } from "../../src/platform/environment.ts";
import { conventionalTokenFile, parseRequest } from "../../src/request.ts";
import { failure, makeFolder, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../support/peers.ts";

// The real place is the machine's: a file there would be seen by everything that runs beside this test.
vi.mock(import("../../src/request.ts"), async (original) => ({
  ...(await original()),
  conventionalTokenFile: join(tmpdir(), `quay-keyless-test-token-${process.pid}`) as never,
}));

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());

const endpoint = { ACTIONS_ID_TOKEN_REQUEST_URL: "https://x/", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t" };
const choose = (options: object, env: Environment) =>
  chooseIdentity(parseRequest({ robot: "acme+ci", ...options }), testPlatform({ env }));

async function withConventionalFile(text = "x"): Promise<void> {
  await writeFile(conventionalTokenFile, text);
  onTestFinished(() => rm(conventionalTokenFile, { force: true }));
}

describe("auto takes the first that is there", () => {
  test("an explicit file or variable, whatever else there is", async () => {
    await withConventionalFile();
    expect(await choose({ "token-file": "/t" }, endpoint)).toMatchObject({ source: "file", path: "/t" });
    expect(await choose({ "token-env": "T" }, endpoint)).toMatchObject({ source: "environment", variable: "T" });
  });

  test("GitHub's endpoint, then the file at its conventional place", async () => {
    await withConventionalFile();
    expect(await choose({}, endpoint)).toMatchObject({ source: "github" });
    expect(await choose({}, { GITHUB_ACTIONS: "true" })).toEqual({
      source: "file",
      path: conventionalTokenFile,
      why: `the file ${conventionalTokenFile}, which is there`,
    });
  });

  test("on GitHub, the reason why there is none", async () => {
    expect((await failure(choose({}, { GITHUB_ACTIONS: "true" }))).code).toBe("github-permission-missing");
  });

  test("elsewhere, what was looked for", async () => {
    const error = await failure(choose({}, {}));
    expect(error.code).toBe("identity-not-found");
    expect(error.remedy.join("\n")).toMatch(/ACTIONS_ID_TOKEN_REQUEST_URL[\s\S]*token-env/);
  });
});

describe("a source that is asked for", () => {
  test("is taken, with its reason for the log", async () => {
    expect(await choose({ identity: "github" }, endpoint)).toMatchObject({
      source: "github",
      why: expect.stringContaining("endpoint"),
    });
    expect(await choose({ identity: "file" }, endpoint)).toMatchObject({
      source: "file",
      path: "/var/run/secrets/tokens/quay-token",
    });
    expect(await choose({ identity: "environment", "token-env": "T" }, {})).toMatchObject({ why: "the variable T" });
  });

  test("is not replaced by another", async () => {
    await withConventionalFile();
    expect((await failure(choose({ identity: "github" }, {}))).code).toBe("github-permission-missing");
  });
});

describe("fetching", () => {
  const fetched = async (choice: IdentityChoice, env: Environment) => {
    const platform = testPlatform({ env, roots: peers.authority.ca });
    const identity = await fetchIdentity(choice, "quay", platform);
    // Hidden before anything else is done with it.
    expect(platform.reporter.secrets.at(-1)).toBe(identity.token);
    return identity;
  };

  test("from GitHub: minted for this login", async () => {
    const identity = await fetched({ source: "github", why: "" }, peers.githubEnv);
    expect(identity).toMatchObject({
      token: peers.github.issued.at(-1),
      issuer: peers.issuer.url,
      audience: ["quay"],
      origin: "GitHub's token endpoint",
      fresh: true,
    });
  });

  test("from a file and a variable: perhaps old", async () => {
    const token = await peers.issuer.sign({ aud: ["a", "b"] });
    const path = join(await makeFolder(), "token");
    await writeFile(path, token);
    const common = { token, audience: ["a", "b"], fresh: false };
    expect(await fetched({ source: "file", path, why: "" }, {})).toMatchObject({
      ...common,
      origin: `the file ${path}`,
    });
    expect(await fetched({ source: "environment", variable: "T", why: "" }, { T: token })).toMatchObject({
      ...common,
      origin: "the variable T",
    });
  });

  test("one that can't be used is hidden all the same", async () => {
    const token = await peers.issuer.sign({}, { alg: "ES256" });
    const platform = testPlatform({ env: { T: token } });
    const error = await failure(fetchIdentity({ source: "environment", variable: "T", why: "" }, "quay", platform));
    expect(error.code).toBe("token-algorithm");
    expect(platform.reporter.secrets).toEqual([token]);
  });
});
