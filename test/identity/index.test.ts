import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  chooseIdentity,
  fetchFacts,
  fetchIdentity,
  type IdentityChoice,
  openIdentity,
} from "../../src/identity/index.ts";
import { conventionalTokenFile, parseIdentityRequest } from "../../src/identity/source.ts";
import { usualSockets } from "../../src/identity/spiffe/endpoint.ts";
import { readOptions } from "../../src/options/reader.ts";
import type { Environment } from "../../src/platform/environment.ts";
import { failure, makeFolder, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { startWorkloadApi } from "../support/workload-api.ts";

// A file at the real path would be seen by every other test on this machine.
vi.mock(import("../../src/identity/source.ts"), async (original) => ({
  ...(await original()),
  conventionalTokenFile: join(tmpdir(), `quay-keyless-test-token-${process.pid}`) as never,
}));

vi.mock(import("../../src/identity/spiffe/endpoint.ts"), async (original) => ({
  ...(await original()),
  usualSockets: [1, 2].map((number) => join(tmpdir(), `quay-keyless-test-${process.pid}-${number}.sock`)),
}));

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());

const endpoint = { ACTIONS_ID_TOKEN_REQUEST_URL: "https://x/", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t" };
const choose = (options: object, env: Environment) =>
  chooseIdentity(parseIdentityRequest(readOptions(options)), testPlatform({ env }));

async function withConventionalFile(text = "x"): Promise<void> {
  await writeFile(conventionalTokenFile, text);
  onTestFinished(() => rm(conventionalTokenFile, { force: true }));
}

const socketOf = (path: string) => ({ endpoint: { kind: "unix" as const, path }, address: `unix://${path}` });

const address = "unix:///run/agent.sock";
const socket = socketOf("/run/agent.sock");
const withSocket = { SPIFFE_ENDPOINT_SOCKET: address };

/** The usual socket with this index. */
async function withUsualSocket(number: number): Promise<string> {
  const path = usualSockets[number] ?? "";
  await writeFile(path, "");
  onTestFinished(() => rm(path));
  return path;
}

describe("auto takes the first source that exists", () => {
  test("takes an explicit file, variable or socket first", async () => {
    await withConventionalFile();
    const env = { ...endpoint, SPIFFE_ENDPOINT_SOCKET: "unix:///other.sock" };
    expect(await choose({ "token-file": "/t" }, env)).toMatchObject({ source: "file", path: "/t" });
    expect(await choose({ "token-env": "T" }, env)).toMatchObject({ source: "environment", variable: "T" });
    expect(await choose({ "spiffe-socket": address, "spiffe-id": "ci" }, env)).toEqual({
      source: "spiffe",
      ...socket,
      id: "ci",
      why: `the SPIFFE Workload API at ${address}`,
    });
  });

  test("takes GitHub's endpoint, then the variable's socket, then the conventional file", async () => {
    await withConventionalFile();
    await withUsualSocket(0);
    expect(await choose({}, { ...endpoint, ...withSocket })).toMatchObject({ source: "github" });
    expect(await choose({ "spiffe-id": "ci" }, withSocket)).toEqual({
      source: "spiffe",
      ...socket,
      id: "ci",
      why: `the SPIFFE Workload API at ${address}, which SPIFFE_ENDPOINT_SOCKET names`,
    });
    expect(await choose({}, { SPIFFE_ENDPOINT_SOCKET: "" })).toMatchObject({ source: "file" });
    expect(await choose({}, { GITHUB_ACTIONS: "true" })).toEqual({
      source: "file",
      path: conventionalTokenFile,
      why: `the file ${conventionalTokenFile}, which exists`,
    });
  });

  describe("QUAY_ID_TOKEN", () => {
    test("comes after GitHub and SPIFFE, and before the conventional file", async () => {
      await withConventionalFile();
      const env = { QUAY_ID_TOKEN: "x" };
      expect(await choose({}, { ...endpoint, ...env })).toMatchObject({ source: "github" });
      expect(await choose({}, { ...withSocket, ...env })).toMatchObject({ source: "spiffe" });
      expect(await choose({}, { GITHUB_ACTIONS: "true", ...env })).toEqual({
        source: "environment",
        variable: "QUAY_ID_TOKEN",
        why: "the variable QUAY_ID_TOKEN, which is set",
      });
    });

    test.each([
      ["", "token-variable-unusable", "is empty"],
      [" ", "token-variable-unusable", "is empty"],
      ["not-a-jwt", "token-not-a-jwt", "from the variable QUAY_ID_TOKEN is not a JWT"],
    ])("%j is an error: no other source takes its place", async (value, code, message) => {
      await withConventionalFile();
      const platform = testPlatform({ env: { QUAY_ID_TOKEN: value } });
      const choice = await chooseIdentity(parseIdentityRequest(readOptions({})), platform);
      const error = await failure(fetchFacts(choice, "quay", platform));
      expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
      if (code === "token-variable-unusable") {
        expect(error.remedy.at(-1)).toContain("unset it, or name the source by identity: file");
      }
    });
  });

  test("explains on GitHub why there is none", async () => {
    expect((await failure(choose({}, { GITHUB_ACTIONS: "true" }))).code).toBe("github-permission-missing");
  });

  test.each(["", " "])("explains on GitHub why there is none, where QUAY_ID_TOKEN is %j", async (QUAY_ID_TOKEN) => {
    await withConventionalFile();
    const error = await failure(choose({}, { GITHUB_ACTIONS: "true", QUAY_ID_TOKEN }));
    expect(error.code).toBe("github-permission-missing");
  });

  test("names elsewhere what was looked for", async () => {
    const error = await failure(choose({}, {}));
    expect(error.code).toBe("identity-not-found");
    expect(error.remedy.join("\n")).toMatch(
      /ACTIONS_ID_TOKEN_REQUEST_URL.*SPIFFE_ENDPOINT_SOCKET.*test-token[\s\S]*spiffe-socket[\s\S]*token-env/,
    );
  });

  test("suggests a socket at a usual path, without using it", async () => {
    const path = await withUsualSocket(1);
    const error = await failure(choose({}, {}));
    expect(error.code).toBe("identity-not-found");
    expect(error.remedy.at(-1)).toBe(`There is a SPIFFE socket at ${path}. To use it: spiffe-socket: unix://${path}`);
    const first = await withUsualSocket(0);
    expect((await failure(choose({}, {}))).remedy.at(-1)).toContain(`unix://${first}`);
  });

  test("rejects an invalid address in the variable, and tries no other source", async () => {
    await withConventionalFile();
    const error = await failure(choose({}, { SPIFFE_ENDPOINT_SOCKET: "/run/agent.sock" }));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(
      'The option "SPIFFE_ENDPOINT_SOCKET" is "/run/agent.sock": it is a path, not an address.',
    );
    expect(error.remedy).toEqual([`Write, for example, SPIFFE_ENDPOINT_SOCKET=${address}`]);
  });
});

describe("asks no metadata service of a cloud by itself", () => {
  const clouds = {
    "Google Cloud": { GCE_METADATA_HOST: "127.0.0.1:9", K_SERVICE: "s", GOOGLE_CLOUD_PROJECT: "p" },
    AWS: {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1:9/",
      AWS_EXECUTION_ENV: "AWS_ECS_FARGATE",
      AWS_WEB_IDENTITY_TOKEN_FILE: "/etc/hostname",
    },
    Azure: { IDENTITY_ENDPOINT: "http://127.0.0.1:9/", IDENTITY_HEADER: "s", MSI_ENDPOINT: "http://127.0.0.1:9/" },
    "Azure DevOps": { SYSTEM_OIDCREQUESTURI: "http://127.0.0.1:9/", SYSTEM_ACCESSTOKEN: "s", TF_BUILD: "True" },
    Fly: { FLY_MACHINE_ID: "148e", FLY_APP_NAME: "app" },
  };
  test.each(Object.entries(clouds))("%s", async (_, env) => {
    const platform = testPlatform({ env: { PATH: "/usr/bin:/bin", ...env } });
    const asked: unknown[] = [];
    const http = { ...platform.http, open: (...request: unknown[]) => asked.push(request) as never };
    const choosing = chooseIdentity(parseIdentityRequest(readOptions({})), { ...platform, http });
    expect((await failure(choosing)).code).toBe("identity-not-found");
    expect(asked).toEqual([]);
  });
});

describe("where nothing is found, the platform's own way is named:", () => {
  const hint = async (env: Environment) => (await failure(choose({ audience: "registry" }, env))).remedy[1];
  test.each<[Environment, string]>([
    [{ GITLAB_CI: "true" }, "GitLab: add to the job id_tokens: {QUAY_ID_TOKEN: {aud: registry}}"],
    [
      { BUILDKITE: "true" },
      "Buildkite: token-command: buildkite-agent oidc request-token --audience registry --subject-claim pipeline_id",
    ],
    [{ CIRCLECI: "true" }, `CircleCI: token-command: circleci run oidc get --claims '{"aud":"registry"}'`],
    [
      { BITBUCKET_BUILD_NUMBER: "7" },
      "Bitbucket: the subject of its tokens names the step, so no binding matches twice",
    ],
    [{ SYSTEM_OIDCREQUESTURI: "https://x" }, "Azure DevOps: the job asks for its token at SYSTEM_OIDCREQUESTURI"],
    [{ SEMAPHORE: "true" }, "Semaphore: token-env: SEMAPHORE_OIDC_TOKEN"],
    [
      { TFC_RUN_ID: "run-1" },
      "HCP Terraform: set TFC_WORKLOAD_IDENTITY_AUDIENCE in the workspace, then token-env: TFC",
    ],
    [{ SPACELIFT_OIDC_TOKEN: "x" }, "Spacelift: token-env: SPACELIFT_OIDC_TOKEN"],
    [{ JENKINS_URL: "https://x" }, "Jenkins: bind the credential"],
    [{ FLY_MACHINE_ID: "1" }, "Fly: the machine asks for its token at the socket /.fly/api"],
    [
      { AWS_EXECUTION_ENV: "AWS_ECS_EC2" },
      "AWS: token-command: aws sts get-web-identity-token --audience registry --signing",
    ],
  ])("%j", async (env, expected) => {
    expect(await hint(env)).toContain(expected);
  });
});

describe("an explicit source", () => {
  test("is used, with the reason for the log", async () => {
    expect(await choose({ identity: "github" }, endpoint)).toMatchObject({
      source: "github",
      why: expect.stringContaining("endpoint"),
    });
    expect(await choose({ identity: "file" }, endpoint)).toMatchObject({
      source: "file",
      path: "/var/run/secrets/tokens/quay-token",
    });
    expect(await choose({ identity: "environment", "token-env": "T" }, {})).toMatchObject({ why: "the variable T" });
    expect(
      await choose({ "token-command": "vault read -field=token identity/oidc/token/quay" }, endpoint),
    ).toMatchObject({
      source: "command",
      why: "the command vault read",
    });
  });

  test("is never replaced by another", async () => {
    await withConventionalFile();
    expect((await failure(choose({ identity: "github" }, withSocket))).code).toBe("github-permission-missing");
    expect((await failure(choose({ identity: "spiffe" }, endpoint))).code).toBe("identity-not-found");
    expect(await choose({ identity: "file", "token-file": "/none" }, endpoint)).toMatchObject({ path: "/none" });
  });
});

describe("explicit SPIFFE without an address", () => {
  test("uses the variable's", async () => {
    const env = { ...endpoint, ...withSocket };
    expect(await choose({ identity: "spiffe" }, env)).toEqual({
      source: "spiffe",
      ...socket,
      id: undefined,
      why: `the SPIFFE Workload API at ${address}`,
    });
    expect(
      (await failure(choose({ identity: "spiffe" }, { SPIFFE_ENDPOINT_SOCKET: "tcp://agent" }))).message,
    ).toContain("SPIFFE_ENDPOINT_SOCKET");
  });

  test("names the existing socket, or the usual path, if the variable is not set", async () => {
    const bare = await failure(choose({ identity: "spiffe" }, {}));
    expect(bare.code).toBe("identity-not-found");
    expect(bare.message).toContain("SPIFFE_ENDPOINT_SOCKET is not set");
    expect(bare.remedy).toEqual([`Set the address: spiffe-socket: unix://${usualSockets[0]}`]);
    const path = await withUsualSocket(1);
    expect((await failure(choose({ identity: "spiffe" }, {}))).remedy).toEqual([
      `Set the address: spiffe-socket: unix://${path}`,
    ]);
  });
});

describe("connections opened beforehand", () => {
  test("only GitHub's endpoint has one", () => {
    const platform = testPlatform({ env: peers.githubEnv, roots: peers.authority.ca });
    const opened = openIdentity({ source: "github", why: "" }, "quay", platform);
    expect(opened).toBeDefined();
    opened?.abandon();
    expect(openIdentity({ source: "file", path: "/t", why: "" }, "quay", platform)).toBeUndefined();
    expect(openIdentity({ source: "spiffe", ...socketOf("/s"), id: undefined, why: "" }, "quay", platform)).toBe(
      undefined,
    );
  });
});

describe("fetching", () => {
  const fetched = async (choice: IdentityChoice, env: Environment) => {
    const platform = testPlatform({ env, roots: peers.authority.ca });
    const identity = await fetchIdentity(choice, "quay", platform);
    // Masked before it is used.
    expect(platform.reporter.secrets.at(-1)).toBe(identity.token);
    return identity;
  };

  test("from GitHub: issued for this login", async () => {
    const identity = await fetched({ source: "github", why: "" }, peers.githubEnv);
    expect(identity).toMatchObject({
      token: peers.github.issued.at(-1),
      issuer: peers.issuer.url,
      audience: ["quay"],
      origin: "GitHub's token endpoint",
      source: "github",
    });
  });

  test("from a file and a variable: perhaps old", async () => {
    const token = await peers.issuer.sign({ aud: ["a", "b"] });
    const path = join(await makeFolder(), "token");
    await writeFile(path, token);
    const common = { token, audience: ["a", "b"] };
    expect(await fetched({ source: "file", path, why: "" }, {})).toMatchObject({
      ...common,
      origin: `the file ${path}`,
    });
    expect(await fetched({ source: "environment", variable: "T", why: "" }, { T: token })).toMatchObject({
      ...common,
      origin: "the variable T",
    });
  });

  test("from the SPIFFE Workload API: perhaps half of its life old", async () => {
    const path = join(await makeFolder(), "agent.sock");
    const token = await peers.issuer.sign();
    const api = await startWorkloadApi(path, {
      svids: [
        { id: "spiffe://example.org/other", token: "o" },
        { id: "spiffe://example.org/ci", token },
      ],
    });
    onTestFinished(() => api.close());
    const choice = { source: "spiffe", ...socketOf(path), id: "spiffe://example.org/ci", why: "" } as const;
    expect(await fetched(choice, {})).toMatchObject({
      token,
      issuer: peers.issuer.url,
      origin: `the SPIFFE Workload API at unix://${path}`,
      source: "spiffe",
    });
    expect(api.calls).toEqual([expect.objectContaining({ audience: ["quay"], id: "spiffe://example.org/ci" })]);
  });

  test("returns the claims even if Quay could not accept the token", async () => {
    const token = await peers.issuer.sign({ iss: undefined }, { alg: "ES256" });
    const platform = testPlatform({ env: { T: token } });
    const facts = await fetchFacts({ source: "environment", variable: "T", why: "" }, "quay", platform);
    expect(facts).toMatchObject({ token, issuer: undefined, algorithm: "ES256", origin: "the variable T" });
    expect(platform.reporter.secrets).toEqual([token]);
  });

  test("masks a token that can't be used, too", async () => {
    const token = await peers.issuer.sign({}, { alg: "ES256" });
    const platform = testPlatform({ env: { T: token } });
    const error = await failure(fetchIdentity({ source: "environment", variable: "T", why: "" }, "quay", platform));
    expect(error.code).toBe("token-algorithm");
    expect(platform.reporter.secrets).toEqual([token]);
  });
});
