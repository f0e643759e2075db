/** .github/workflows/build-and-push.yml with docker's builder: the real buildx and buildkitd. test/e2e/build-and-push.test.ts has the rest. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Builder, startBuilder } from "../support/buildkit.ts";
import { documentBlock } from "../support/readme.ts";
import { type RecipeWorld, startRecipeWorld } from "../support/recipes.ts";

const path = ".github/workflows/build-and-push.yml";

let world: RecipeWorld;
let builder: Builder;
beforeAll(async () => {
  world = await startRecipeWorld();
  builder = await startBuilder(world.peers);
});
afterAll(() => Promise.all([builder?.close(), world?.close()]));

test.for([
  ["", undefined],
  ["linux/amd64 linux/arm64", ["amd64", "arm64"]],
] as const)("docker builds on a private base image, for the platforms %j", async ([platforms, architectures]) => {
  await world.furnish("acme/base:1");
  const { uses } = await world.run({
    workflow: documentBlock("docs/build-and-push.md", "# One workflow for many repositories", "yaml"),
    replace: [
      [`OWNER/quay-keyless-login/${path}@v1`, `./${path}`],
      ["    with:\n", `    with:\n      builder: docker\n      platforms: ${platforms}\n`],
    ],
    // Quay grants the robot's token for both.
    files: { [path]: await readFile(path, "utf8"), Dockerfile: "FROM quay.io/acme/base:1\nCOPY Dockerfile /\n" },
    programs: [
      "buildx",
      ...["docker", "sudo"].map((name) => join(import.meta.dirname, "../support/recipes/programs", name)),
    ],
    env: { BUILDER: builder.address },
  });
  expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/base:1", "acme+ci pushed acme/app:latest"]));
  const { manifests } = (await world.content("acme/app:latest")).manifest;
  expect(manifests?.map(({ platform }) => platform.architecture).toSorted()).toEqual(architectures);
});
