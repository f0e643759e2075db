/** Bad input: each a clear error, before anything is changed and before anybody is asked. */
import { createServer } from "node:https";
import { afterAll, beforeAll, describe, test } from "vitest";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";
import { createJob, removeJobs } from "../support/action.ts";
import { differences } from "../support/leaks.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { cases } from "./input-cases.ts";
import { failure } from "./world.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority();
});
afterAll(async () => {
  await Promise.all([authority.close(), removeJobs()]);
});

/** Stands for Quay and for GitHub's endpoint. A connection may be made ahead, but nobody may be asked anything. */
async function startTripwire() {
  const requests: string[] = [];
  const server = createServer(await authority.issue(), ({ url = "" }, response) => {
    requests.push(url);
    response.writeHead(404).end();
  });
  const { port, close } = await listen(server);
  return { host: `localhost:${port}`, requests, close };
}

describe.concurrent("bad input", () => {
  test.for(Object.entries(cases))("%s", async ([name, each], { expect, skip }) => {
    skip(name.endsWith(needsRoot) && !isRoot);
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
    // So post has nothing to do.
    expect(main.state.session).toBeUndefined();
    await close();
  });
});

const literally = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
