/** The real crane, oras and helm push and pull with the login that the Action leaves in docker's configuration. */
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { entryOf, newRobot, usePeers } from "../e2e/world.ts";
import { findBuilt } from "../quay-stand-in/built.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createJob } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import type { Job } from "../support/job.ts";

const peers = usePeers();

/** Runs a command that must succeed, as a later step. @returns its output */
async function works(expect: ExpectStatic, job: Job, tool: string, ...args: string[]): Promise<string> {
  const program = findBuilt(tool);
  if (program === undefined) throw new Error(`${tool} is missing: script/test --real builds it`);
  const env = { SSL_CERT_DIR: peers().certDir, HELM_CACHE_HOME: job.scratch, HELM_CONFIG_HOME: job.scratch };
  const { code, stdout, stderr } = await job.later(program, args, env);
  expect([tool, code, stderr]).toEqual([tool, 0, expect.anything()]);
  return `${stdout}${stderr}`;
}

/** A job on a hosted runner, logged in with the robot, by a tool or without one. */
async function loggedIn(expect: ExpectStatic, robot: string, tool: string): Promise<Job> {
  const job = await createJob({ peers: peers() });
  const main = await job.run({ robot, tool });
  expect([main.code, main.shown]).toEqual([0, expect.anything()]);
  return job;
}

describe.concurrent.for(["auto", "none"])("with the login of the Action, tool: %s,", (tool) => {
  test("crane copies an image", async ({ expect }) => {
    const { name, repository } = newRobot(peers());
    const job = await loggedIn(expect, name, tool);
    const path = `${peers().registryHost}/${repository}`;
    const { digest } = await writeImage(join(job.scratch, "image"));
    await works(expect, job, "crane", "push", join(job.scratch, "image"), `${path}:1`);
    await works(expect, job, "crane", "copy", `${path}:1`, `${path}:2`);
    expect((await works(expect, job, "crane", "digest", `${path}:2`)).trim()).toBe(digest);
  });

  test("crane prefers a login in DOCKER_AUTH_CONFIG, as the warning says; without the variable it uses ours", async ({
    expect,
  }) => {
    const { name, repository } = newRobot(peers());
    const { registryHost } = peers();
    const auths = { [registryHost]: entryOf("older", "an-older-password") };
    const job = await createJob({ peers: peers(), env: { DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) } });
    const main = await job.run({ robot: name, tool });
    const hidden = expect.stringContaining(
      `DOCKER_AUTH_CONFIG has a login for ${registryHost}: docker, crane and cosign`,
    );
    expect([main.code, main.annotations.map(({ message }) => message)]).toEqual([0, [hidden]]);
    const { reference } = await writeImage(join(job.scratch, "image"));
    const path = `${registryHost}/${repository}:1`;
    expect(await job.later("skopeo", ["copy", reference, `docker://${path}`])).toMatchObject({ code: 0 });
    const crane = (env: Record<string, string>) =>
      job.later(findBuilt("crane") ?? "", ["digest", path], { SSL_CERT_DIR: peers().certDir, ...env });
    expect((await crane({})).stderr).toContain("UNAUTHORIZED");
    expect(await crane({ DOCKER_AUTH_CONFIG: "" })).toMatchObject({ code: 0 });
  });

  test("oras pushes a file, and pulls it", async ({ expect }) => {
    const { name, repository } = newRobot(peers());
    const job = await loggedIn(expect, name, tool);
    const path = `${peers().registryHost}/${repository}:1`;
    const file = await job.write(join(job.scratch, "notes.txt"), "some notes");
    // By default it uses localhost without TLS.
    const tls = "--plain-http=false";
    await works(expect, job, "oras", "push", tls, "--disable-path-validation", path, `${file}:text/plain`);
    expect(await works(expect, job, "oras", "manifest", "fetch", tls, path)).toContain('"mediaType":"text/plain"');
  });

  test.for([
    ["into an existing repository", true],
    ["as the first of its repository, which the robot may create", false],
  ] as const)("helm pushes a chart, %s", async ([, isThere], { expect }) => {
    const { quay, issuer, registryHost } = peers();
    const organization = isThere ? "charts" : "fresh";
    const robot = `${organization}+release`;
    addOrganization(quay.store, organization, ["admin", ...(isThere ? [] : [robot])]);
    addRobot(quay.store, robot, [{ issuer: issuer.url, subject: SUBJECT }]);
    if (isThere) addRepository(quay.store, `${organization}/chart`, { [robot]: "write" });
    const job = await loggedIn(expect, robot, tool);
    const chart = join(job.scratch, "chart");
    await job.write(join(chart, "Chart.yaml"), "apiVersion: v2\nname: chart\nversion: 0.1.0\n");
    await works(expect, job, "helm", "package", chart, "--destination", job.scratch);
    const place = `oci://${registryHost}/${organization}`;
    const root = ["--ca-file", peers().caFile];
    await works(expect, job, "helm", "push", join(job.scratch, "chart-0.1.0.tgz"), place, ...root);
    const shown = await works(expect, job, "helm", "show", "chart", `${place}/chart`, "--version", "0.1.0", ...root);
    expect(shown).toContain("name: chart");
  });
});
