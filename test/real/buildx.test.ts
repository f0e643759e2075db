/** The real buildx and its builder take the logins of a repository and an action. No docker is needed for that. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, type ExpectStatic, test } from "vitest";
import { newRobot, usePeers } from "../e2e/world.ts";
import { findBuilt } from "../quay-stand-in/built.ts";
import { addRepository } from "../quay-stand-in/quay/store.ts";
import { createJob } from "../support/action.ts";
import { type Builder, startBuilder } from "../support/buildkit.ts";
import { writeImage } from "../support/image.ts";
import type { Job } from "../support/job.ts";

const peers = usePeers();

let started: Builder | undefined;
beforeAll(async () => {
  started = await startBuilder(peers());
});
afterAll(() => started?.close());
function builder(): Builder {
  if (started === undefined) throw new Error("buildkitd has not started");
  return started;
}

/** A later step of the job that runs buildx. */
async function buildx(job: Job, ...args: string[]) {
  const program = findBuilt("buildx");
  if (program === undefined) throw new Error("buildx is missing: script/test --real builds it");
  return job.later(program, args, { SSL_CERT_DIR: peers().certDir });
}

const imagetools = (job: Job, command: string, ...args: string[]) =>
  buildx(job, "imagetools", command, "--builder", "with-tls", ...args);

/**
 * A builder as `buildx create` records it, which needs a daemon for that. Without one, buildx talks to localhost without TLS.
 */
const builderFor = (host: string) => ({
  Name: "with-tls",
  Driver: "docker-container",
  Nodes: [
    {
      Name: "with-tls0",
      Endpoint: "unix:///var/run/docker.sock",
      Files: { "buildkitd.toml": Buffer.from(`[registry."${host}"]\nhttp = false\n`).toString("base64") },
    },
  ],
});

/** Two robots: one that may read a repository, and one that may write to it, or to another one. */
async function prepared(expect: ExpectStatic) {
  const { quay, registryHost: host } = peers();
  const [writer, reader] = [newRobot(peers()), newRobot(peers())];
  const { repository } = writer;
  addRepository(quay.store, repository, { [writer.name]: "write", [reader.name]: "read" });
  const path = `${host}/${repository}`;
  const job = await createJob({ peers: peers() });
  await job.write(join(job.home, ".docker/buildx/instances/with-tls"), JSON.stringify(builderFor(host)));
  const { reference } = await writeImage(join(job.scratch, "image"));
  const pushing = await createJob({ peers: peers() });
  expect(await pushing.run({ robot: writer.name })).toMatchObject({ code: 0 });
  expect(await pushing.later("skopeo", ["copy", reference, `docker://${path}:1`])).toMatchObject({ code: 0 });
  return { job, host, path, writer: writer.name, reader: reader.name };
}

describe.concurrent("buildx build", () => {
  /** A repository with a base image, another one to push to, and a robot for each. */
  async function twoRepositories(expect: ExpectStatic) {
    const base = await prepared(expect);
    const { quay } = peers();
    const writer = newRobot(peers());
    addRepository(quay.store, writer.repository, { [writer.name]: "write" });
    const { job, host } = base;
    const remote = ["create", "--name", "remote", "--driver", "remote", builder().address];
    expect(await buildx(job, ...remote)).toMatchObject({ code: 0 });
    const context = join(job.scratch, "context");
    await job.write(join(context, "Dockerfile"), `FROM ${base.path}:1\nCOPY Dockerfile /Dockerfile\n`);
    const path = `${host}/${writer.repository}`;
    const build = () =>
      buildx(job, "build", "--builder", "remote", "--push", "--provenance=false", "--tag", `${path}:1`, context);
    return { job, base: base.path, reader: base.reader, path, writer: writer.name, build };
  }

  test("pulls the base image with one robot and pushes with another", async ({ expect }) => {
    const { job, base, reader, path, writer, build } = await twoRepositories(expect);
    const robot = `${base}=${reader}\n${path}@push=${writer}`;
    const main = await job.run({ robot });
    expect([main.code, main.shown]).toEqual([0, expect.anything()]);
    const ran = await build();
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("pushing manifest")]);
    expect(await main.post()).toMatchObject({ code: 0 });
    expect((await build()).code).not.toBe(0);
  });

  test("pushes with the host's robot for pushes", async ({ expect }) => {
    const { job, base, reader, writer, build } = await twoRepositories(expect);
    const host = peers().registryHost;
    expect(await job.run({ robot: `${host}=${reader}\n${host}@pull,push=${writer}`, tool: "docker" })).toMatchObject({
      code: 0,
    });
    const ran = await build();
    expect([base, ran.code, ran.stderr]).toEqual([base, 0, expect.stringContaining("pushing manifest")]);
  });

  test("is refused with the robots the other way round", async ({ expect }) => {
    const { job, base, reader, path, writer, build } = await twoRepositories(expect);
    expect(await job.run({ robot: `${base}=${writer}\n${path}@push=${reader}` })).toMatchObject({ code: 0 });
    expect((await build()).code).not.toBe(0);
  });
});

describe.concurrent("buildx imagetools", () => {
  test("reads an image with the robot of the repository, until the post step", async ({ expect }) => {
    const { job, path, reader, writer } = await prepared(expect);
    expect((await imagetools(job, "inspect", `${path}:1`)).code).not.toBe(0);
    const main = await job.run({ robot: `${path}=${reader}\n${path}@push=${writer}` });
    expect([main.code, main.shown]).toEqual([0, expect.anything()]);
    expect(await imagetools(job, "inspect", `${path}:1`)).toMatchObject({ code: 0 });
    expect(await main.post()).toMatchObject({ code: 0 });
    expect((await imagetools(job, "inspect", `${path}:1`)).code).not.toBe(0);
  });

  test("creates an image with the robot of the repository, which may write", async ({ expect }) => {
    const { job, host, path, reader, writer } = await prepared(expect);
    expect(await job.run({ robot: `${host}=${reader}\n${path}=${writer}` })).toMatchObject({ code: 0 });
    expect(await imagetools(job, "create", "--tag", `${path}:2`, `${path}:1`)).toMatchObject({ code: 0 });
    expect(await imagetools(job, "inspect", `${path}:2`)).toMatchObject({ code: 0 });
  });

  test("is refused a push with a robot that only reads", async ({ expect }) => {
    const { job, path, reader } = await prepared(expect);
    expect(await job.run({ robot: `${path}@pull=${reader}` })).toMatchObject({ code: 0 });
    expect(await imagetools(job, "inspect", `${path}:1`)).toMatchObject({ code: 0 });
    const refused = await imagetools(job, "create", "--tag", `${path}:2`, `${path}:1`);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("401 Unauthorized")]);
  });
});
