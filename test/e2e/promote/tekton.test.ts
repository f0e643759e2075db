/** The step of the Task quay-promote, started as Tekton does: its arguments, folder and results, with the real program. */
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

/** The parts of a pod: the token, the workspace `ca`, the folder of the results. */
async function newPod() {
  const scenario = await newScenario(world());
  await scenario.from.side.push(scenario.from.repository, made);
  const at = (name: string) => join(scenario.machine.scratch, name);
  for (const each of ["results", "ca"]) await mkdir(at(each));
  await writeFile(at("ca/ca.crt"), await readFile(world().peers.caFile));
  // Tekton makes a file for each result.
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
  /** The token is where the machine of these tests has it. */
  const argsOf = (given: Given): string[] =>
    stepOf(task, { ...given, workspaces: { ca: at("ca"), ...given.workspaces }, results: at("results") }).args.map(
      (arg) => (arg.startsWith("--token-file=") ? `--token-file=${scenario.machine.tokenFile}` : arg),
    );
  return { scenario, single, result, run: (given: Given) => runStep(scenario, argsOf(given)) };
}

const runStep = ({ promote }: Scenario, args: readonly string[]) => promote(args.slice(1));

describe.concurrent("the Task's step", () => {
  test("promotes to several tags, and writes the results for Tekton Chains", async ({ expect }) => {
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

  test("promotes several images from the workspace release, and writes only IMAGES", async ({ expect }) => {
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
    // JSON is YAML. It is beside the step's folder, which must not change.
    await scenario.machine.write(join(scenario.machine.scratch, "release.yaml"), JSON.stringify(entries));
    const file = "../release.yaml";
    succeeded(expect, await run({ params: { ...params, file } }));
    expect((await result("IMAGES")).split("\n")).toEqual([made, other].map(({ digest }) => `${to.path}@${digest}`));
    expect([await result("IMAGE_URL"), await result("IMAGE_DIGEST")]).toEqual(["", ""]);
  });

  test("writes nothing in a dry run, and fails the Task on a taken tag", async ({ expect }) => {
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

  test("treats a tag that looks like an option as a tag", async ({ expect }) => {
    const { single, run } = await newPod();
    const ran = await run({ params: { ...single, tags: ["--dry-run"] } });
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining("tag")]);
  });
});
