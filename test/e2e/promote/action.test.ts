/** The Action that promotes, as GitHub's runner runs it: outputs, summary, annotations, and the post step. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, type ExpectStatic, test } from "vitest";
import { createJob, installOther, removeJobs } from "../../support/action.ts";
import { type Made, makeImage } from "../../support/images.ts";
import type { Job } from "../../support/job.ts";
import { differences } from "../../support/leaks.ts";
import { addPlace } from "../../support/promotion.ts";
import { usePromotionWorld } from "./world.ts";

const world = usePromotionWorld();
let action = "";

beforeAll(async () => {
  action = await installOther("promote");
});
afterAll(removeJobs);

let count = 0;

interface Scene {
  readonly job: Job;
  readonly image: Made;
  readonly from: string;
  readonly to: string;
  readonly repository: string;
  readonly inputs: Record<string, string>;
}

async function newScene(options: { tolerateLeaks?: boolean } = {}): Promise<Scene> {
  const { peers, staging, release, secrets } = world();
  const number = ++count;
  const [source, repository] = [`acme/built${number}`, `acme/released${number}`];
  const [reader, writer] = [`acme+reads${number}`, `acme+writes${number}`];
  addPlace(world(), staging, source, { robots: { [reader]: "read" } });
  addPlace(world(), release, repository, { robots: { [writer]: "write" } });
  const image = makeImage(`of the action ${number}`);
  await staging.push(source, image, ["nightly"]);
  const [from, to] = [`${staging.host}/${source}`, `${release.host}/${repository}`];
  return {
    job: await createJob({ peers, secrets, action, ...options }),
    ...{ image, from, to, repository },
    inputs: { "source-robot": reader, "destination-robot": writer },
  };
}

const single = ({ inputs, from, to }: Scene, ...tags: string[]) => ({
  ...inputs,
  ...{ source: `${from}:nightly`, destination: to, tag: tags.join("\n") },
});

const titles = (step: { annotations: { title: string }[] }) => step.annotations.map(({ title }) => title);

describe.concurrent("the Action", () => {
  test("promotes, reports it in outputs and summary, and leaves nothing, twice", async ({ expect }) => {
    const scene = await newScene();
    const { job, image, to, repository } = scene;
    const before = await job.snapshot();
    for (const changed of ["true", "false"]) {
      const main = await job.run(single(scene, "1.4.2", "latest"));
      expect(main).toMatchObject({ code: 0, annotations: [], exported: {} });
      expect(main.outputs).toMatchObject({
        image: `${to}@${image.digest}`,
        repository: to,
        digest: image.digest,
        tags: `${to}:1.4.2\n${to}:latest`,
        changed,
      });
      const state = changed === "true" ? "new" : "there";
      expect(JSON.parse(main.outputs.results ?? "")).toMatchObject([
        { tags: [{ state }, { state }], changed: changed === "true" },
      ]);
      expect(textOf(main.summary)).toContain(`| ${to}@${image.digest} | ${scene.from}:nightly | 1.4.2 `);
      expect(main.shown).toMatch(/nightly is sha256:[0-9a-f]{64}/);
      expect(differences(before, await job.snapshot())).toEqual([]);
      expect(main.state.session?.split("\n")).toHaveLength(2);
      const post = await main.post();
      expect(post).toMatchObject({ code: 0, annotations: [] });
      expect(post.shown).toContain("There is no login to remove any more.");
    }
    for (const tag of ["1.4.2", "latest"]) expect(await world().release.digest(repository, tag)).toBe(image.digest);
  });

  test("reports the others beside a failure, and fails the step", async ({ expect }) => {
    const scene = await newScene();
    const { job, from, to, image, inputs } = scene;
    const file = await job.write(
      join(job.scratch, "release.yaml"),
      [`${from}:nightly`, `${from}:gone`]
        .map((source, at) => `- {source: "${source}", destination: "${to}", tags: [v${at}]}\n`)
        .join(""),
    );
    const main = await job.run({ ...inputs, file });
    expect(main.code).toBe(1);
    expect(titles(main)).toEqual(["quay-keyless-login: source-not-found"]);
    expect(main.annotations[0]?.message).toContain(`:v1: ${from}:gone does not exist.`);
    expect(main.outputs).toMatchObject({
      image: `${to}@${image.digest}`,
      digest: "",
      tags: `${to}:v0`,
      changed: "true",
    });
    expect(JSON.parse(main.outputs.results ?? "")).toMatchObject([{}, { error: { code: "source-not-found" } }]);
    expect(textOf(main.summary)).toMatch(
      /1 promoted, 1 failed\.[\s\S]*failed: source-not-found[\s\S]*<pre>.*gone does not exist\./,
    );
    expect((await main.post()).code).toBe(0);
  });

  test("writes only the summary in a dry run", async ({ expect }) => {
    const scene = await newScene();
    const main = await scene.job.run({ ...single(scene, "1.4.2"), "dry-run": "true" });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.outputs).toMatchObject({ image: "", digest: "", tags: "", changed: "false" });
    expect(textOf(main.summary)).toMatch(/Plan, nothing was changed: 1 to promote\.[\s\S]*1\.4\.2 would be new/);
    expect(await world().release.digest(scene.repository, "1.4.2")).toBeUndefined();
  });

  test("rejects bad input before any request, and names inputs as a workflow writes them", async ({ expect }) => {
    const scene = await newScene();
    const main = await scene.job.run({ ...single(scene, "1.4.2", "1.4.2") });
    expect(main).toMatchObject({ code: 1, outputs: {}, state: {} });
    expect(titles(main)).toEqual(["quay-keyless-login: invalid-input"]);
    expect(main.summary).toMatch(/^### Nothing is promoted\n\n<pre>The option "tag" is "1\.4\.2"/);
    expect((await main.post()).shown).toContain("There is no login to remove.");
  });

  test("mentions no option of a login to a job without an identity", async ({ expect }) => {
    const scene = await newScene();
    const job = await createJob({ peers: world().peers, action, idToken: false });
    const main = await job.run(single(scene, "1.4.2"));
    expect(main.code).toBe(1);
    expect(titles(main)).toEqual(["quay-keyless-login: github-permission-missing"]);
    expect(main.shown + main.summary).not.toMatch(/without-identity|auth-file/);
  });

  test("reports what was done in a cancelled job", async ({ expect }) => {
    const scene = await newScene();
    const { image, repository } = scene;
    const ended = await interrupted(scene, "SIGINT");
    expect(ended.code).toBe(1);
    expect(titles(ended)).toEqual(["quay-keyless-login: cancelled"]);
    expect(ended.annotations[0]?.message).toContain("Run the same again");
    expect(ended.outputs).toMatchObject({ image: "", changed: "false" });
    expect(textOf(ended.summary)).toContain("1.4.2 not done");
    expect(await world().release.digest(repository, "1.4.2")).toBeUndefined();
    expect((await ended.post()).code).toBe(0);
    await finishes(expect, scene);
    expect(await world().release.digest(repository, "1.4.2")).toBe(image.digest);
  });

  test("removes both logins in post after a kill", async ({ expect }) => {
    const scene = await newScene({ tolerateLeaks: true });
    const before = await scene.job.snapshot();
    const ended = await interrupted(scene, "SIGKILL");
    expect(ended.signal).toBe("SIGKILL");
    expect(differences(before, await scene.job.snapshot())).not.toEqual([]);
    const post = await ended.post();
    expect(post).toMatchObject({ code: 0, annotations: [] });
    expect(post.shown.match(/Logged out of /g)).toHaveLength(2);
    expect(differences(before, await scene.job.snapshot())).toEqual([]);
    await finishes(expect, scene);
  });
});

async function interrupted(scene: Scene, signal: "SIGINT" | "SIGKILL") {
  const { release } = world();
  const running = await scene.job.start(single(scene, "1.4.2"));
  const stop = release.onAsked(({ method, path }) => {
    if (method === "POST" && path.startsWith(`/v2/${scene.repository}/blobs/`)) {
      stop(); // a second signal would kill it
      running.kill(signal);
    }
  });
  const ended = await running.done;
  return ended;
}

async function finishes(expect: ExpectStatic, scene: Scene): Promise<void> {
  const again = await scene.job.run(single(scene, "1.4.2"));
  expect(again).toMatchObject({ code: 0, annotations: [], outputs: { changed: "true" } });
}

/** As a reader sees it. */
const textOf = (summary: string): string =>
  summary.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
