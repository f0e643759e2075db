/** Whole logins that fail: nothing is sent if it can be known before, and nothing stays. */
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { logout } from "../../src/login/logout.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { formatError } from "../../src/platform/errors.ts";
import { failure } from "../fixtures.ts";
import { hang } from "../quay-stand-in/scripted.ts";
import { host, type Job, peers, startJob } from "./job.ts";

describe("sends nothing if it can be known before", () => {
  const untouched = async (job: Job, options: OptionValues) => {
    const error = await failure(job.run(options));
    expect([...peers.github.requests, ...peers.quay.requests]).toEqual([]);
    expect(await readdir(job.temporary)).toEqual([]);
    return error;
  };

  test("the tool that was named is not there", async () => {
    const job = await startJob({ env: { PATH: "" } });
    expect((await untouched(job, { tool: "skopeo" })).code).toBe("tool-not-found");
  });

  test("an auth file in the workspace", async () => {
    const job = await startJob();
    for (const path of [job.workspace, join(job.workspace, "a/auth.json"), join(job.home, "../work/auth.json")]) {
      expect((await untouched(job, { "auth-file": path })).message).toBe(
        `The option "auth-file" is "${path}": it is in the workspace, whose files end up in images and artifacts.`,
      );
    }
    const beside = `${job.workspace}-2/auth.json`;
    expect((await job.run({ "auth-file": beside })).authFile).toBe(beside);
    await job.logout();
  });

  test("accepts any folder without a workspace", async () => {
    const job = await startJob();
    const path = join(job.workspace, "auth.json");
    await job.run({ "auth-file": path }, { workspace: undefined });
    await job.logout();
    expect(existsSync(path)).toBe(false);
  });

  test("an auth file that can't be used, or whose helper would hide the login", async () => {
    const job = await startJob();
    const path = join(job.home, "auth.json");
    expect((await untouched(job, { "auth-file": job.home })).code).toBe("auth-file-unusable");
    await writeFile(path, "");
    expect((await untouched(job, { "auth-file": path })).code).toBe("auth-file-unusable");
    await writeFile(path, JSON.stringify({ credHelpers: { [host()]: "x" } }));
    expect((await untouched(job, { "auth-file": path })).code).toBe("credential-helper");
  });

  test("no identity", async () => {
    const job = await startJob({ env: { ACTIONS_ID_TOKEN_REQUEST_URL: undefined } });
    expect((await untouched(job, { identity: "github" })).code).toBe("github-permission-missing");
  });
});

describe("does not send an identity token that Quay could never accept", () => {
  test.each([
    ["issuer-cluster-internal", { iss: "https://kubernetes.default.svc.cluster.local" }],
    ["token-expired", { exp: Math.floor(Date.now() / 1000) - 60 }],
    ["token-too-big", { groups: "g".repeat(7_000) }],
  ])("%s", async (code, claims) => {
    const token = await peers.issuer.sign(claims);
    const job = await startJob({ env: { T: token } });
    const error = await failure(job.run({ "token-env": "T" }));
    expect(error.code).toBe(code);
    expect(formatError(error)).not.toContain(token);
    expect(peers.quay.requests.filter(({ path, scheme }) => path !== "/v2/" || scheme)).toEqual([]);
    await job.logout();
    expect(await readdir(job.home)).toEqual([]);
  });
});

test("leaves no tool, no file and no session after a timeout", async () => {
  const controller = new AbortController();
  const job = await startJob({ signal: controller.signal });
  peers.quay.exchangeScript.always(hang());
  const running = job.run({ robot: `acme+ci1\n${host()}/acme/b=acme+ci2`, "auth-file": join(job.home, "auth.json") });
  await expect.poll(() => peers.quay.requests.filter(({ scheme }) => scheme).length).toBe(2);
  controller.abort(new Error("over"));
  await expect(running).rejects.toThrow("over");
  const local = { ...job.platform, signal: new AbortController().signal };
  for (const folder of job.sessions) {
    expect((await readdir(folder)).filter((name) => name.startsWith("tool-"))).toEqual([]);
    await logout(folder, local);
  }
  expect(await readdir(job.temporary)).toEqual([]);
  expect(await readdir(job.home)).toEqual([]);
});
