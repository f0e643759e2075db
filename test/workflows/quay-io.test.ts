/** .github/workflows/quay-io.yml, run by act against a stand-in of quay.io, with real buildah, skopeo and podman. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { act } from "../support/act.ts";
import { uses as ours } from "../support/project.ts";
import { type Recipe, type RecipeWorld, startRecipeWorld } from "../support/recipes.ts";

vi.setConfig({ testTimeout: 120_000 });

let world: RecipeWorld;
beforeAll(async () => {
  world = await startRecipeWorld();
}, 60_000);
afterAll(() => world.close());

const podman = join(import.meta.dirname, "../support/recipes/programs/podman");

async function run(variables: Record<string, string>, recipe: Recipe = {}) {
  return world.run({
    workflow: await readFile(".github/workflows/quay-io.yml", "utf8"),
    replace: [
      ["uses: ./\n", `uses: ${ours()}\n`],
      ["for tool in podman docker", "for tool in podman"], // docker's client pulls nothing without its daemon
    ],
    programs: [podman],
    event: "workflow_dispatch",
    variables,
    ...recipe,
  });
}

describe.skipIf(act === undefined)("run by act", () => {
  test("logs in, pushes, pulls", async () => {
    const { log, uses } = await run({ QUAY_IO_ROBOT: "acme+ci", QUAY_IO_REPOSITORY: "acme/app" });
    expect(uses).toContain("acme+ci pushed acme/app:weekly");
    expect(uses).toContain("acme+ci pulled acme/app:weekly");
    expect(uses).toContain(`acme+ci pulled acme/app@${await world.digest("acme/app:weekly")}`);
    expect(log).not.toContain("This run checks nothing");
  });

  test("says what to do if it fails", async () => {
    const { log } = await run({ QUAY_IO_ROBOT: "acme+unknown", QUAY_IO_REPOSITORY: "acme/app" }, { code: 1 });
    expect(log).toContain("#robot-not-found");
    expect(log).toContain("The head of .github/workflows/quay-io.yml has the command.");
  });

  test.for([{}, { QUAY_IO_ROBOT: "acme+ci" }, { QUAY_IO_REPOSITORY: "acme/app" }])(
    "is skipped where it is not set up: %j",
    async (variables) => {
      const before = world.peers.quay.requests.length;
      const { log } = await run(variables);
      expect(log).toContain("Set the repository variables QUAY_IO_ROBOT and QUAY_IO_REPOSITORY");
      expect(world.peers.quay.requests.slice(before)).toEqual([]);
    },
  );
});
