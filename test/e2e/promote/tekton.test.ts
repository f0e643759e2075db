/** The step of the Task quay-promote, started as Tekton would: its arguments and folder, its results, with the real program. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { makeImage, makeTwoPlatforms } from "../../support/images.ts";
import { type Resource, resources } from "../../tekton/resources.ts";
import { type Given, stepOf } from "../../tekton/step.ts";
import { arrived, newScenario, refused, type Scenario, succeeded, usePromotionWorld, writesTo } from "./world.ts";

const [, task] = resources("tekton/task/quay-promote*/*/*.yaml") as [Resource, Resource];
const world = usePromotionWorld();
const made = makeTwoPlatforms("tekton made");

/** A place where everything of a pod is: the token, the workspace `ca`, the folder of the results. */
async function newPod() {
  const scenario = await newScenario(world());
  await scenario.from.side.push(scenario.from.repository, made);
  const at = (name: string) => join(scenario.machine.scratch, name);
  for (const each of ["results", "ca"]) await mkdir(at(each));
  await writeFile(at("ca/ca.crt"), await readFile(world().peers.caFile));
  // Whatever the Task does not make, Tekton does: a file for each result.
  for (const { name } of task.spec.results ?? []) await writeFile(at(`results/${name}`), "");
  const result = (name: string) => readFile(at(`results/${name}`), "utf8");
  const { from, to } = scenario;
  const single = {
    registry: from.side.host,
    source: `${from.repository}@${made.digest}`,
    destination: to.path,
    "source-robot": from.robot,
    "destination-robot": to.robot,
    "ca-file": "ca.crt",
  };
  /** The token lies where the machine of these tests has it. */
  const argsOf = (given: Given): string[] =>
    stepOf(task, { ...given, workspaces: { ca: at("ca"), ...given.workspaces }, results: at("results") }).args.map(
      (arg) => (arg.startsWith("--token-file=") ? `--token-file=${scenario.machine.tokenFile}` : arg),
    );
  return { scenario, single, result, run: (given: Given) => runStep(scenario, argsOf(given)) };
}

const runStep = ({ promote }: Scenario, args: readonly string[]) => promote(args.slice(1));

describe.concurrent("the Task's step", () => {
  test("promotes to several tags, and gives Tekton Chains what it reads", async ({ expect }) => {
    const { scenario, single, result, run } = await newPod();
    const { to } = scenario;
    succeeded(
      expect,
      await run({ params: { ...single, tags: ["1.2.3", "stable"], platform: "linux/amd64\nlinux/arm64" } }),
    );
    await arrived(expect, to, made, "1.2.3", "stable");
    expect(await Promise.all(["IMAGE_URL", "IMAGE_DIGEST", "IMAGES"].map(result))).toEqual([
      to.path,
      made.digest,
      `${to.path}@${made.digest}`,
    ]);
  });

  test("several images from the workspace release: IMAGES alone, one per line", async ({ expect }) => {
    const { scenario, single, result, run } = await newPod();
    const { from, to } = scenario;
    const other = makeImage("tekton other");
    await from.side.push(from.repository, other);
    const { source: _, destination: __, ...params } = single;
    const entries = [made, other].map(({ digest }, index) => ({
      source: `${from.path}@${digest}`,
      destination: to.path,
      tags: [`1.${index}`],
    }));
    // JSON is YAML. Beside the step's folder, in which nothing may change.
    await scenario.machine.write(join(scenario.machine.scratch, "release.yaml"), JSON.stringify(entries));
    const file = "../release.yaml";
    succeeded(expect, await run({ params: { ...params, file } }));
    expect((await result("IMAGES")).split("\n")).toEqual([made, other].map(({ digest }) => `${to.path}@${digest}`));
    expect([await result("IMAGE_URL"), await result("IMAGE_DIGEST")]).toEqual(["", ""]);
  });

  test("a dry run writes nothing anywhere, and a tag that is taken fails the Task", async ({ expect }) => {
    const { scenario, single, result, run } = await newPod();
    const { to } = scenario;
    succeeded(expect, await run({ params: { ...single, tags: ["1.2.3"], "dry-run": "true" } }));
    expect(writesTo(to)).toEqual([]);
    const other = makeImage("tekton another");
    await to.side.push(to.repository, other, ["taken"]);
    refused(expect, await run({ params: { ...single, tags: ["1.2.3", "taken"] } }), "tag-taken");
    expect(await to.side.tags(to.repository)).toEqual(["taken"]);
    expect(await result("IMAGES")).toBe("");
    succeeded(expect, await run({ params: { ...single, tags: ["1.2.3", "taken"], "move-tags": "true" } }));
    await arrived(expect, to, made, "1.2.3", "taken");
  });

  test("a tag that looks like an option changes no option", async ({ expect }) => {
    const { single, run } = await newPod();
    const ran = await run({ params: { ...single, tags: ["--dry-run"] } });
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining("tag")]);
  });
});
