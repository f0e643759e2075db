/** Bad input: a clear error, before anything is changed or requested. The bad values: test/login/request.test.ts and others. */
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";
import { createJob, removeJobs } from "../support/action.ts";
import type { Job, JobOptions } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import type { Inputs } from "../support/runner.ts";
import { failure } from "./world.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority();
});
afterAll(async () => {
  await Promise.all([authority.close(), removeJobs()]);
});

/** Takes the place of Quay and of GitHub's endpoint. A connection may be opened early, but no request may come. */
async function startTripwire() {
  const requests: string[] = [];
  const server = createServer(await authority.issue(), ({ url = "" }, response) => {
    requests.push(url);
    response.writeHead(404).end();
  });
  const { port, close } = await listen(server);
  return { host: `localhost:${port}`, requests, close };
}

interface Case {
  inputs: Inputs | ((job: Job, host: string) => Inputs | Promise<Inputs>);
  code?: string;
  /** What the message must name: the option, the value, what to do. */
  says: readonly (string | RegExp)[];
  options?: JobOptions;
}

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl";

const cases: Record<string, Case> = {
  "no robot": { inputs: { robot: "" }, says: ["Missing required option robot.", "robot: acme+ci"] },
  "registry with userinfo and a scheme": {
    inputs: { registry: "https://me:a-secret-password@quay.io" },
    options: { secrets: [{ kind: "foreign", value: "a-secret-password" }] },
    says: ['"https://…@quay.io"', "without a scheme"],
  },
  "the token itself in token-env": {
    inputs: { "token-env": token },
    options: { secrets: [{ kind: "identity", value: token }] },
    says: ['"token-env" is "…"', "name of a variable, not the token"],
  },
  "a tool that is not installed": {
    inputs: { tool: "buildah" },
    options: { tools: [] },
    code: "tool-not-found",
    says: ["buildah", "PATH", "apt-get install", "tool: none"],
  },
  "ca-file that isn't there": {
    inputs: { "ca-file": "/nowhere/ca.pem" },
    says: ['"ca-file" is "/nowhere/ca.pem"', "does not exist"],
  },
  "auth file that is not JSON": {
    inputs: async ({ temp }) => {
      await writeFile(join(temp, "bad-file"), "{}}", { mode: 0o600 });
      return { "auth-file": join(temp, "bad-file") };
    },
    code: "auth-file-unusable",
    says: ["bad-file is not JSON", "Fix or delete it", "{}"],
  },
  "auth file in the workspace, by a relative path": {
    inputs: { "auth-file": "auth.json" },
    says: ['"auth-file" is "auth.json"', "images and artifacts", /auth-file: \$\{\{ runner\.temp \}\}\/auth\.json/],
  },
  "docker's credsStore hides the login": {
    inputs: async (job) => {
      await job.write(join(job.home, ".docker/config.json"), '{"credsStore": "desktop", "auths": {}}');
      return { "docker-config": "true" };
    },
    code: "credential-helper",
    says: [".docker/config.json sets credsStore", "docker-config: false"],
  },
};

describe.concurrent("bad input", () => {
  test.for(Object.entries(cases))("%s", async ([, each], { expect }) => {
    const { inputs, code = "invalid-input", says, options } = each;
    const { host, requests, close } = await startTripwire();
    const { env, ...rest } = options ?? {};
    const identity = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `https://${host}/token?x=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "the-request-token-of-this-job",
    };
    const job = await createJob({
      env: { ...identity, ...env },
      ...rest,
      secrets: [{ kind: "request", value: "the-request-token-of-this-job" }, ...(options?.secrets ?? [])],
    });
    const given = typeof inputs === "function" ? await inputs(job, host) : inputs;
    const before = await job.snapshot();
    const main = await job.run({
      registry: host,
      robot: "acme+ci",
      "ca-file": authority.caFile,
      timeout: "5",
      ...given,
    });

    const message = failure(expect, main, code);
    for (const text of says) {
      expect(message).toMatch(typeof text === "string" ? new RegExp(literally(text)) : text);
    }
    expect(main.children).toEqual([]);
    expect(requests).toEqual([]);
    expect(differences(before, await job.snapshot())).toEqual([]);
    // Therefore post has nothing to do.
    expect(main.state.session).toBeUndefined();
    await close();
  });
});

const literally = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
