/** `promote`: what can't be meant is refused before a single request leaves the machine. */
import { describe, test } from "vitest";
import { makeImage } from "../../support/images.ts";
import { fileOf, newScenario, usePromotionWorld } from "./world.ts";

const world = usePromotionWorld();
const digest = makeImage("input").digest;

/** Arguments in place of source, destination and tags; HOST stands for the destination's registry. */
const cases: [string, string[], RegExp][] = [
  ["no source", ["--destination", "HOST/acme/app", "--tag", "1"], /"?source"?/],
  ["a source without digest and tag", ["--source", "HOST/acme/a", "--destination", "HOST/acme/b", "--tag=1"], /source/],
  ["a digest cut short", ["--source", "HOST/acme/a@sha256:12", "--destination", "HOST/acme/b", "--tag=1"], /sha256:12/],
  ["no tag", ["--source", `HOST/acme/a@${digest}`, "--destination", "HOST/acme/b"], /tag/],
  ["a tag twice", ["--source", "HOST/acme/a:1", "--destination", "HOST/acme/b", "--tag=1", "--tag=1"], /twice/],
  [
    "a destination with a tag",
    ["--source", "HOST/acme/a:1", "--destination", "HOST/acme/b:1", "--tag=1"],
    /destination/,
  ],
  [
    "move-tags and create-only",
    ["--source", "HOST/acme/a:1", "--destination", "HOST/acme/b", "--tag=1", "--move-tags", "--create-only"],
    /create-only|move-tags/,
  ],
  ["parallel 0", ["--source=HOST/acme/a:1", "--destination=HOST/acme/b", "--tag=1", "--parallel=0"], /parallel/],
  ["a file that is not there", ["--file", "nowhere.yaml"], /nowhere\.yaml/],
  ["file and source", ["--file", "FILE", "--source", "HOST/acme/a:1"], /file|source/],
  ["a file with an unknown key", ["--file", "FILE"], /tgas/],
  ["an unknown option", ["--source", "HOST/acme/a:1", "--overwrite"], /overwrite/],
];

describe.concurrent("promote, bad input", () => {
  test.for(cases)("%s", async ([, given, told], { expect }) => {
    const scenario = await newScenario(world());
    const { machine, to, from } = scenario;
    const entry = `- source: ${from.path}@${digest}\n  destination: ${to.path}\n  tgas: [1]\n`;
    const file = await machine.write(fileOf(machine, "release.yaml"), entry);
    const args = given.map((arg) => arg.replace("HOST", to.side.host).replace("FILE", file));
    const ran = await scenario.promote([...scenario.base, ...args]);
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(told)]);
    expect(ran.stdout).toBe("");
    for (const { side, robot } of [from, to]) {
      expect(side.quay.requests.filter(({ user }) => user === robot)).toEqual([]);
    }
    expect(ran.children).toEqual([]);
  });
});
