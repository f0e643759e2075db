/** docs/recipes.md and docs/recipes-jobs.md: what they show is accepted by GitHub's rules, and works. test/real/recipes.test.ts has the tools that take long to build. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { accepted } from "../migration/actionlint.ts";
import { act } from "../support/act.ts";
import { kindsIn } from "../support/leaks.ts";
import {
  actionsIn,
  bothWays,
  containerfile,
  inputsOf,
  isWorkflow,
  pages,
  runs,
  workflows,
  workflowsUnder,
} from "../support/recipe-page.ts";
import { findGo, goProgram, type RecipeWorld, startRecipeWorld } from "../support/recipes.ts";

// Go compiles its library first, if it never has for this user.
vi.setConfig({ testTimeout: 120_000 });

let world: RecipeWorld;
beforeAll(async () => {
  world = await startRecipeWorld();
}, 60_000);
afterAll(() => world.close());

describe("the page", () => {
  const refused = workflows().filter((text) => text.includes("# refused"));
  const called = workflows().filter((text) => text.includes("workflow_call"));

  test("GitHub accepts each workflow but those that the page says it refuses", async () => {
    expect([refused.length, called.length]).toEqual([2, 1]);
    const others = workflows().filter((text) => !refused.includes(text) && !called.includes(text));
    const files = others.map((text, index) => [`.github/workflows/recipe${index}.yml`, text] as const);
    await accepted({ ".github/workflows/publish.yml": called.join(""), ...Object.fromEntries(files) });
  });

  test.for(refused)("GitHub refuses the token in a place that is read before the first step (%#)", async (text) => {
    const problem = await accepted({
      ".github/workflows/publish.yml": called.join(""),
      ".github/workflows/refused.yml": text,
    }).catch((error) => String(error.stdout));
    const places = text.split("# refused").length - 1;
    expect(String(problem).match(/context "steps" is not allowed here/g)).toHaveLength(places);
  });

  test("each step gives inputs that its Action has, and those that it requires", async () => {
    const steps = workflows().flatMap(actionsIn);
    expect(steps.length).toBeGreaterThan(30);
    for (const { uses, inputs } of steps) {
      const known: Awaited<ReturnType<typeof inputsOf>> = await inputsOf(uses);
      if (known === undefined) continue;
      const required = Object.keys(known).filter((name) => known[name]?.required === true);
      expect([uses, Object.keys(inputs).filter((name) => !(name in known))]).toEqual([uses, []]);
      expect([uses, required.filter((name) => !(name in inputs))]).toEqual([uses, []]);
    }
  });

  test("each section says the permission and what is after an hour, and a test runs it", async () => {
    const text = (await Promise.all(pages.map((page) => readFile(page, "utf8")))).join("");
    const sections = text.split(/^(?=#{1,3} )/m).filter((section) => isWorkflow(section));
    expect(sections.length).toBeGreaterThanOrEqual(14);
    for (const section of sections) {
      const [heading = ""] = section.split("\n");
      const isRun = !section.includes("no test runs this one");
      expect([heading, heading in runs]).toEqual([heading, isRun]);
      expect([heading, section.includes("**Permission:**"), section.includes("**After an hour")]).toEqual([
        heading,
        isRun,
        isRun,
      ]);
    }
  });

  test("each row of the table of Actions has the inputs' names", async () => {
    const rows = actionRows(await readFile("docs/recipes.md", "utf8"));
    expect(rows.length).toBeGreaterThanOrEqual(3);
    for (const { uses, names } of rows) {
      const known = (await inputsOf(uses)) ?? {};
      expect([uses, names.filter((name) => !(name in known))]).toEqual([uses, []]);
    }
  });
});

const fromScratch = { Containerfile: "FROM scratch\nCOPY Containerfile /\n" };
const output = (name: string) => `\${{ steps.quay.outputs.${name} }}`;
const podman = join(import.meta.dirname, "../support/recipes/programs/podman");

/** The rows | `Action` | `registry` | `username` | `password` |. */
const actionRows = (text: string) =>
  [...text.matchAll(/^\| `([\w-]+\/[\w-]+@\w+)` \| `(\w+)` \| `(\w+)` \| `(\w+)` \|$/gm)].map(
    ([, uses = "", ...names]) => ({
      uses,
      names,
    }),
  );

describe.skipIf(act === undefined)("run by act", () => {
  test.for(["docker/login-action@v4", "redhat-actions/podman-login@v1"])(
    "%s logs in with the outputs",
    async (uses) => {
      const { log, image } = await world.run({
        heading: "## An Action that takes `username` and `password`",
        replace: [["docker/login-action@v4", uses]],
      });
      expect(log).toMatch(/(docker|podman) login: .*Login Succeeded/);
      expect(log).toMatch(/(docker|podman) logout: Remov(ed|ing) login credentials/);
      expect(await world.digest("acme/app:1.2.3")).toBe(image.digest);
    },
  );

  test.for(bothWays)("push-to-registry pushes with what podman finds, %s", async ([, way]) => {
    const { log, uses } = await world.run({
      heading: "## redhat-actions/push-to-registry",
      files: fromScratch,
      ...way,
    });
    expect(log).toContain("Success - Main redhat-actions/push-to-registry@v2");
    expect(uses).toContain(`acme+ci pushed acme/app:1.2.3`);
  });

  test("push-to-registry takes the outputs too", async () => {
    const { uses } = await world.run({
      heading: "## redhat-actions/push-to-registry",
      files: fromScratch,
      replace: [
        [
          "        with:\n          robot: acme+ci\n",
          "        id: quay\n        with: { robot: acme+ci, export-token: true }\n",
        ],
        [
          "          image: app\n",
          `          image: app\n          username: ${output("robot")}\n          password: ${output("token")}\n`,
        ],
        ["tags: 1.2.3", "tags: 1.2.3 1.2"],
        ["--tag app:1.2.3", "--tag app:1.2.3 --tag app:1.2"],
      ],
    });
    expect(uses).toEqual(expect.arrayContaining(["acme+ci pushed acme/app:1.2.3", "acme+ci pushed acme/app:1.2"]));
  });

  test.for(bothWays)("ko builds on a private base image, and pushes, %s", async ([, way]) => {
    await world.furnish("acme/base:1");
    const programs = ["ko", await findGo()];
    const { uses } = await world.run({ heading: "## ko", ...(await goProgram()), programs, ...way });
    expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/base:1", "acme+ci pushed acme/app:1.2.3"]));
  });

  describe("with crane in an image", () => {
    beforeAll(async () => {
      const image = await world.buildCrane();
      for (const repository of ["acme/crane", "acme/tools", "acme/database"])
        await world.furnish(`${repository}:1`, image);
    });

    test("a build gets the login as a secret, which is in no layer", async () => {
      await world.furnish("acme/data:1.2.3");
      const { uses } = await world.run({ heading: "## Secrets of a build", files: { Containerfile: containerfile() } });
      expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/data:1.2.3", "acme+ci pushed acme/app:1.2.3"]));
      const layers = (await world.content("acme/app:1.2.3")).layers.join("");
      expect(layers).toContain("data.tar");
      expect([...kindsIn(layers, world.secrets())]).toEqual([]);
    });

    test("a build gets a secret from a variable too", async () => {
      await world.furnish("acme/data:1.2.3");
      const { uses } = await world.run({
        heading: "## Secrets of a build",
        replace: [
          ["run: buildah build", 'run: CONFIG="$(cat "$REGISTRY_AUTH_FILE")" buildah build'],
          ['src="$REGISTRY_AUTH_FILE"', "env=CONFIG"],
        ],
        files: { Containerfile: containerfile() },
      });
      expect(uses).toContain("acme+ci pulled acme/data:1.2.3");
    });

    test("a program in a container pulls with the login's folder, and not without it", async () => {
      const digest = await world.furnish("acme/data:1.2.3");
      const recipe = {
        heading: "## A program in a container",
        replace: [
          ["gcr.io/go-containerregistry/crane", "quay.io/acme/crane:1"],
          ["acme/app:1.2.3", "acme/data:1.2.3"],
        ],
        programs: [podman],
      } as const;
      expect((await world.run(recipe)).log).toContain(digest);
      const mount = / --volume ".*:ro"/.exec(workflowsUnder(recipe.heading)[0] ?? "")?.[0] ?? "no mount";
      const without = await world.run({ ...recipe, replace: [...recipe.replace, [mount, ""]], code: 1 });
      expect(without.log).toContain("UNAUTHORIZED");
    });

    test("a step can start what container: and services: can't pull", async () => {
      const { log, uses } = await world.run({
        heading: "## `container:` and `services:`",
        replace: [["make test", "version"]],
        programs: [podman],
      });
      expect(log).toContain("Success - Main podman run --detach");
      expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/database:1", "acme+ci pulled acme/tools:1"]));
    });
  });

  test("the jobs of a matrix log in each, and the next job makes the index", async () => {
    const { log } = await world.run({ heading: "### Matrix jobs", files: fromScratch });
    expect(log.match(/Logged in to /g)?.length).toBeGreaterThanOrEqual(3);
    const { manifests } = (await world.content("acme/app:1.2.3")).manifest;
    expect(manifests?.map(({ platform }) => platform.architecture).toSorted()).toEqual(["amd64", "arm64"]);
  });

  test("a reusable workflow logs in by itself", async () => {
    const heading = "### A reusable workflow";
    const [, called = ""] = workflowsUnder(heading);
    const { image } = await world.run({ heading, files: { ".github/workflows/publish.yml": called } });
    expect(await world.digest("acme/app:1.2.3")).toBe(image.digest);
  });
});
