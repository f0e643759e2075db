/** `promote`: bad input is rejected before any request. All of it: test/promotion/request.test.ts. */
import { describe, test } from "vitest";
import { makeImage } from "../../support/images.ts";
import { fileOf, newScenario, usePromotionWorld } from "./world.ts";

const world = usePromotionWorld();
const digest = makeImage("input").digest;

/** Arguments in place of source, destination and tags. HOST is replaced by the destination's registry. */
const cases: [string, string[], RegExp][] = [
  ["no tag", ["--source", `HOST/acme/a@${digest}`, "--destination", "HOST/acme/b"], /tag/],
  ["a missing file", ["--file", "nowhere.yaml"], /nowhere\.yaml/],
  ["a file with an unknown key", ["--file", "FILE"], /tgas/],
  ["an unknown option", ["--source", "HOST/acme/a:1", "--overwrite"], /overwrite/],
];

describe.concurrent("promote, bad input", () => {
  test.for(cases)("%s", async ([, given, message], { expect }) => {
    const scenario = await newScenario(world());
    const { machine, to, from } = scenario;
    const entry = `- source: ${from.path}@${digest}\n  destination: ${to.path}\n  tgas: [1]\n`;
    const file = await machine.write(fileOf(machine, "release.yaml"), entry);
    const args = given.map((arg) => arg.replace("HOST", to.side.host).replace("FILE", file));
    const ran = await scenario.promote([...scenario.base, ...args]);
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(ran.stdout).toBe("");
    for (const { side, robot } of [from, to]) {
      expect(side.quay.requests.filter(({ user }) => user === robot)).toEqual([]);
    }
    expect(ran.children).toEqual([]);
  });
});
