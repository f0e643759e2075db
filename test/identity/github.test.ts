import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { hasGitHubEndpoint } from "../../src/identity/choice.ts";
import { fetchGitHubToken, missingGitHubEndpoint } from "../../src/identity/github.ts";
import type { Environment } from "../../src/platform/environment.ts";
import { type ErrorCode, formatError } from "../../src/platform/errors.ts";
import { failure, failureOf, failureText, fakeClock, makeFolder, testPlatform } from "../fixtures.ts";
import { type Github, startGithub } from "../quay-stand-in/github.ts";
import { type IssuerServer, startIssuer } from "../quay-stand-in/issuer.ts";
import { answer, cut, hang, huge, notJson, redirect, reset, type Scripted } from "../quay-stand-in/scripted.ts";
import { type Authority, createAuthority, trustAsMachine } from "../quay-stand-in/tls.ts";

let authority: Authority;
/** The root of GitHub's endpoint: the machine trusts it, ca-file does not contain it. */
let githubAuthority: Authority;
let issuer: IssuerServer;
let github: Github;
beforeAll(async () => {
  authority = await createAuthority();
  issuer = await startIssuer(authority);
  githubAuthority = await createAuthority();
  trustAsMachine(githubAuthority);
  github = await startGithub(githubAuthority, issuer);
});
afterAll(async () => {
  await Promise.all([github.close(), issuer.close()]);
  await Promise.all([authority.close(), githubAuthority.close()]);
});
afterEach(() => {
  github.script.clear();
  github.requests.length = 0;
});

function local(env: Environment = github.env, signal = new AbortController().signal) {
  const clock = fakeClock();
  return { ...testPlatform({ env, roots: authority.ca, clock, signal }), waits: clock.waits };
}

test("requests a token for the audience; keeps the address's own query", async () => {
  const platform = local();
  const token = await fetchGitHubToken("https://quay.example.com?a=b&c", platform);
  expect(token).toBe(github.issued.at(-1));
  // The endpoint refuses a request without api-version=2.0.
  expect(github.requests).toEqual([{ audience: "https://quay.example.com?a=b&c", authorized: true }]);
  expect(platform.reporter.secrets).toEqual([github.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN]);
});

test("accepts an address without a query, and one with an audience", async () => {
  const url = new URL(github.env.ACTIONS_ID_TOKEN_REQUEST_URL);
  url.searchParams.set("audience", "other");
  await fetchGitHubToken("quay", local({ ...github.env, ACTIONS_ID_TOKEN_REQUEST_URL: url.href }));
  url.search = "";
  const bare = { ...github.env, ACTIONS_ID_TOKEN_REQUEST_URL: url.href };
  const error = await failure(fetchGitHubToken("quay", local(bare)));
  expect(error.code).toBe("identity-endpoint-refused"); // api-version is missing
  expect(github.requests.map(({ audience }) => audience)).toEqual(["quay", "quay"]);
});

describe("Forgejo", () => {
  const forgejo = { GITHUB_ACTIONS: "true", GITEA_ACTIONS: "true", FORGEJO_ACTIONS: "true", GITHUB_JOB: "build" };
  const speaksOf = (text: string) => [...text.matchAll(/GitHub|Forgejo|Gitea|githubstatus/g)].map(([name]) => name);

  test("gives its token at its own form of address", async () => {
    const instance = await startGithub(githubAuthority, issuer, { isForgejo: true });
    onTestFinished(instance.close);
    expect(await fetchGitHubToken("quay", local({ ...forgejo, ...instance.env }))).toBe(instance.issued.at(-1));
    expect(instance.requests).toEqual([{ audience: "quay", authorized: true }]);
  });

  test.each<[string, Scripted, ErrorCode, string]>([
    ["refuses", answer(403, {}), "identity-endpoint-refused", "enable-openid-connect: true"],
    ["fails", answer(500, ""), "identity-endpoint-failed", "check that Forgejo is up"],
  ])("is named where its endpoint %s", async (_, fault, code, remedy) => {
    github.script.always(fault);
    const error = await failure(fetchGitHubToken("quay", local({ ...github.env, ...forgejo })));
    expect(error.code).toBe(code);
    expect(error.remedy.join("\n")).toContain(remedy);
    expect(new Set(speaksOf(formatError(error, () => "")))).toEqual(new Set(["Forgejo"]));
  });

  test("a job without permission gets the key of Forgejo's workflows", async () => {
    const error = failureOf(await missingGitHubEndpoint("acme/app/w.yml@r", testPlatform({ env: forgejo })));
    expect(error.code).toBe("github-permission-missing");
    expect(error.message).toBe("The job build has no permission to request an identity token from Forgejo.");
    expect(error.remedy.at(-1)).toBe("  enable-openid-connect: true");
  });

  test("Gitea has no tokens, and no setting would help", async () => {
    const env = { GITHUB_ACTIONS: "true", GITEA_ACTIONS: "true" };
    const error = failureOf(await missingGitHubEndpoint(undefined, testPlatform({ env })));
    expect([error.code, error.message]).toEqual(["identity-not-found", "Gitea has no identity tokens for its jobs."]);
  });
});

describe("retries temporary faults", () => {
  test.each<[string, Scripted]>([
    ["429", answer(429, "")],
    ["500", answer(500, "")],
    ["502", answer(502, "")],
    ["503", answer(503, "")],
    ["504", answer(504, "")],
    ["a reset", reset()],
    ["half an answer", cut()],
    ["a page", notJson()],
    ["an empty object", answer(200, {})],
    ["an empty token", answer(200, { value: "" })],
    ["a number", answer(200, { value: 5 })],
    ["null", answer(200, "null")],
  ])("%s, twice", async (_, fault) => {
    github.script.next(fault, fault);
    const platform = local();
    expect(await fetchGitHubToken("quay", platform)).toBe(github.issued.at(-1));
    expect(platform.waits).toHaveLength(2);
  });

  test("waits as long as Retry-After asks for", async () => {
    github.script.next(answer(503, "", { "retry-after": "21" }));
    const platform = local();
    await fetchGitHubToken("quay", platform);
    expect(platform.waits).toEqual([21_000]);
  });
});

describe("permanent faults", () => {
  test.each<[string, Scripted, RegExp, number]>([
    ["a page", notJson(), /gave no identity token: its answer holds no token\./, 3],
    ["half an answer", cut(), /the answer broke off/, 3],
    ["10 MB", huge(), /larger than 65536 bytes/, 1],
  ])("%s", async (_, fault, expected, times) => {
    github.script.always(fault);
    expect(await failureText("identity-endpoint-failed", fetchGitHubToken("quay", local()))).toMatch(expected);
    expect(github.requests).toHaveLength(times);
  });

  test("503 until the timeout", async () => {
    github.script.always(answer(503, ""));
    const platform = local();
    const text = await failureText("identity-endpoint-failed", fetchGitHubToken("quay", platform));
    expect(text).toContain("it answered 503");
    expect(github.requests.length).toBeGreaterThan(10);
    expect(platform.reporter.infos.at(-1)).toContain("GitHub's token endpoint");
  });

  test.each<[string, Scripted]>([
    ["400", answer(400, { message: "no" })],
    ["401", answer(401, "")],
    ["403", answer(403, "")],
    ["404", answer(404, "")],
    ["a redirect, which is not followed", redirect("https://localhost:1/")],
  ])("%s is a refusal", async (_, fault) => {
    github.script.next(fault);
    const platform = local();
    const text = await failureText("identity-endpoint-refused", fetchGitHubToken("quay", platform));
    expect(text).toContain("id-token: write");
    expect(platform.waits).toEqual([]);
  });

  test("reports a wrong request token as a refusal", async () => {
    const env = { ...github.env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "a-wrong-request-token" };
    expect(await failureText("identity-endpoint-refused", fetchGitHubToken("quay", local(env)))).toContain("401");
  });

  test("rejects a request token that is too short to mask", async () => {
    const platform = local({ ...github.env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "fifteen letters" });
    const asked = github.requests.length;
    const text = await failureText("identity-endpoint-failed", fetchGitHubToken("quay", platform));
    expect(text).toContain("ACTIONS_ID_TOKEN_REQUEST_TOKEN has fewer than 16 characters");
    expect([platform.reporter.secrets, github.requests.length]).toEqual([[], asked]);
  });

  test("quotes the endpoint's reason, on one line", async () => {
    github.script.next(answer(403, { message: "no such\n::error::audience\u202e" }));
    const text = await failureText("identity-endpoint-refused", fetchGitHubToken("quay", local()));
    expect(text).toContain('it answered 403: "no such ::error::audience\ufffd".');
  });

  test("rejects an invalid or empty address", async () => {
    for (const url of ["no address", undefined]) {
      const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url };
      const text = await failureText("identity-endpoint-failed", fetchGitHubToken("quay", local(env)));
      expect(text).toContain("ACTIONS_ID_TOKEN_REQUEST_URL is not an address");
    }
  });

  test("stops at the timeout", async () => {
    github.script.next(hang());
    const controller = new AbortController();
    const running = fetchGitHubToken("quay", local(github.env, controller.signal));
    await expect.poll(() => github.requests.length).toBe(1);
    controller.abort(new Error("over"));
    await expect(running).rejects.toThrow("over");
  });
});

test.each<[Environment, boolean]>([
  [{}, false],
  [{ ACTIONS_ID_TOKEN_REQUEST_URL: "https://x" }, false],
  [{ ACTIONS_ID_TOKEN_REQUEST_TOKEN: "x" }, false],
  [{ ACTIONS_ID_TOKEN_REQUEST_URL: "https://x", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "" }, false],
  [{ ACTIONS_ID_TOKEN_REQUEST_URL: "https://x", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "x" }, true],
])("both variables are needed: %j", (env, expected) => {
  expect(hasGitHubEndpoint(env)).toBe(expected);
});

describe("why the variables are missing", () => {
  const fork = { pull_request: { head: { repo: { full_name: "stranger/app" } } } };
  const own = { pull_request: { head: { repo: { full_name: "acme/app" } } } };
  const deleted = { pull_request: { head: { repo: null } } };
  const here = "acme/app/.github/workflows/release.yml@refs/heads/main";
  const shared = "acme/shared/.github/workflows/push.yml@v1";

  test.each<[string, ErrorCode, Environment, event?: unknown, workflowRef?: string]>([
    ["Dependabot", "github-permission-missing", { GITHUB_ACTOR: "dependabot[bot]" }, own],
    ["Dependabot in a fork", "github-fork", { GITHUB_ACTOR: "dependabot[bot]" }, fork],
    ["a fork", "github-fork", {}, fork],
    ["a deleted fork", "github-fork", {}, deleted],
    ["a review of a fork's", "github-fork", { GITHUB_EVENT_NAME: "pull_request_review" }, fork],
    ["a fork, in a reusable workflow", "github-fork", {}, fork, shared],
    ["pull_request_target", "github-permission-missing", { GITHUB_EVENT_NAME: "pull_request_target" }, fork],
    ["a pull request of our own", "github-permission-missing", {}, own],
    ["a pull request without its event", "github-permission-missing", { GITHUB_EVENT_PATH: "/nothing" }],
    ["an event other than a pull request", "github-permission-missing", {}, { issue: {} }],
    ["an empty event", "github-permission-missing", {}, null],
    ["a push", "github-permission-missing", { GITHUB_EVENT_NAME: "push", GITHUB_EVENT_PATH: undefined }],
    ["a push without a name", "github-permission-missing", { GITHUB_EVENT_NAME: undefined }],
    ["a reusable workflow", "github-reusable-workflow", { GITHUB_EVENT_NAME: "push" }, {}, shared],
    ["a workflow of our own", "github-permission-missing", { GITHUB_EVENT_NAME: "push" }, {}, here],
    [
      "a reusable workflow on a runner that doesn't name the caller",
      "github-permission-missing",
      { GITHUB_EVENT_NAME: "push", GITHUB_WORKFLOW_REF: undefined },
      {},
      shared,
    ],
  ])("%s: %s", async (_, code, change, event, workflowRef) => {
    const folder = await makeFolder();
    const path = join(folder, "event.json");
    await writeFile(path, JSON.stringify(event) ?? "");
    const env = {
      GITHUB_WORKSPACE: folder, // without the workflow
      GITHUB_EVENT_NAME: "pull_request",
      GITHUB_EVENT_PATH: path,
      GITHUB_REPOSITORY: "acme/app",
      GITHUB_ACTOR: "somebody",
      GITHUB_WORKFLOW_REF: here,
      GITHUB_JOB: "push",
      ...change,
    };
    const error = failureOf(await missingGitHubEndpoint(workflowRef, testPlatform({ env })));
    expect(error.code).toBe(code);
    const remedy = error.remedy.join("\n");
    if (code === "github-fork" || code === "github-dependabot") {
      expect(remedy).toContain("without-identity: skip");
    } else {
      expect(remedy).toMatch(/permissions:\n +contents: read\n +id-token: write/);
    }
    if (code === "github-reusable-workflow") {
      expect(error.message).toContain(shared);
      expect(remedy).toContain(here);
    }
    if (code === "github-permission-missing") {
      expect(error.message).toContain("The job push has no permission");
    }
  });

  test.each<[string, ErrorCode, string]>([
    ["at the top", "github-dependabot", "permissions:\n  contents: read\n  id-token: write\n"],
    [
      "in a job, in one line",
      "github-dependabot",
      'jobs:\n  push:\n    permissions: {contents: read, "id-token": "write"}\n',
    ],
    ["with all others", "github-dependabot", "permissions: write-all\n"],
    ["nowhere", "github-permission-missing", "permissions:\n  contents: read\n"],
    ["in a comment", "github-permission-missing", "permissions: # not id-token: write\n  contents: read\n"],
    ["with another level", "github-permission-missing", "permissions:\n  id-token: none\n"],
  ])("Dependabot's runs have their workflow's permissions: %s", async (_, code, workflow) => {
    const folder = await makeFolder();
    await mkdir(join(folder, ".github/workflows"), { recursive: true });
    await writeFile(join(folder, ".github/workflows/release.yml"), workflow);
    for (const event of ["pull_request", "pull_request_target", "push", undefined]) {
      const env = {
        GITHUB_ACTOR: "dependabot[bot]",
        GITHUB_EVENT_NAME: event,
        GITHUB_WORKSPACE: folder,
        GITHUB_WORKFLOW_REF: here,
      };
      const error = failureOf(await missingGitHubEndpoint(undefined, testPlatform({ env })));
      expect([error.code, `${error.message} ${error.remedy.join(" ")}`]).toEqual([
        code,
        expect.stringContaining("id-token: write"),
      ]);
      expect(error.remedy.join("\n").includes("without-identity: skip")).toBe(code === "github-dependabot");
    }
  });

  test("accepts an unknown job name", async () => {
    const error = failureOf(await missingGitHubEndpoint(undefined, testPlatform()));
    expect(error.code).toBe("github-permission-missing");
  });
});
