/** The recipes whose tools take minutes to build, or are large. test/e2e/recipes.test.ts has the others, and the page's rules. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeFolder } from "../fixtures.ts";
import { findBuilt } from "../quay-stand-in/built.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { type Builder, startBuilder } from "../support/buildkit.ts";
import { kindsIn } from "../support/leaks.ts";
import { blocksUnder } from "../support/readme.ts";
import { bothWays, containerfile } from "../support/recipe-page.ts";
import { findGo, goProgram, type Recipe, type RecipeWorld, startRecipeWorld } from "../support/recipes.ts";

let world: RecipeWorld;
beforeAll(async () => {
  world = await startRecipeWorld();
  await world.furnish("acme/base:1");
});
afterAll(() => world.close());

test("oras and helm log in with the outputs, and out again", async () => {
  const { log, uses } = await world.run({
    heading: "## oras and helm, with `--password-stdin`",
    // oras takes localhost for a registry without TLS.
    replace: [
      ["oras login", "oras login --plain-http=false"],
      ["oras push", "oras push --plain-http=false"],
    ],
    files: { "notes.txt": "some notes\n" },
    programs: ["oras", "helm"],
  });
  expect(log.match(/Login Succeeded/gi)).toHaveLength(2);
  expect(uses).toContain("acme+ci pushed acme/app:notes");
});

describe("helm pushes a chart that is not there yet", () => {
  const heading = "## Helm: a chart that is not there yet";
  const [beforehand = "", creator = ""] = blocksUnder("docs/recipes.md", heading, "sh", 2);
  const recipe = {
    heading,
    files: { "app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 0.1.0\n" },
    programs: ["helm"],
  } as const;

  test.for([
    ["not with Write for another repository", "", 1],
    ["with Write for a repository that federate has made", beforehand, 0],
    ["as a member of a team with the role Creator", creator, 0],
    ["as a member of that team, with the credential helper", creator, 0, { helper: true }],
  ] as const)("%s", async ([, commands, code, way]) => {
    const { quay, issuer } = world.peers;
    quay.store.repositories.delete("acme/charts/app");
    quay.store.organizations.get("acme")?.teams.delete("creators");
    addRobot(quay.store, "acme+charts", [{ issuer: issuer.url, subject: SUBJECT }]);
    await world.bash(commands);
    const { log, uses } = await world.run({ ...recipe, ...way, code });
    if (code === 0) expect(uses).toContain("acme+charts pushed acme/charts/app:1.2.3");
    else expect(log).toMatch(/unauthorized/i);
  });
});

describe("docker's builder", () => {
  let builder: Builder;
  beforeAll(async () => {
    builder = await startBuilder(world.peers);
    await world.furnish("acme/crane:1", await world.buildCrane());
    await world.furnish("acme/data:1.2.3");
  });
  afterAll(() => builder.close());
  const programs = [join(import.meta.dirname, "../support/recipes/programs/docker"), "buildx"];

  test.for([
    ["from a file", []],
    [
      "from a variable",
      [
        ["run: docker", 'run: CONFIG="$(cat "$REGISTRY_AUTH_FILE")" docker'],
        ['src="$REGISTRY_AUTH_FILE"', "env=CONFIG"],
        ["--push", "--push --no-cache"],
      ],
    ],
  ] as const)("takes the login as a secret of the build, which is in no layer, %s", async ([, replace]) => {
    const { uses } = await world.run({
      ...{ heading: "## Secrets of a build", index: 1, replace, programs },
      files: { Dockerfile: containerfile() },
      env: { BUILDER: builder.address },
    });
    expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/data:1.2.3", "acme+ci pushed acme/app:1.2.3"]));
    const layers = (await world.content("acme/app:1.2.3")).layers.join("");
    expect(layers).toContain("data.tar");
    expect([...kindsIn(layers, world.secrets())]).toEqual([]);
  });

  test.for(bothWays)("pushes for GoReleaser, %s", async ([, way]) => {
    const { uses } = await release(2, way, {
      programs,
      env: { BUILDER: builder.address },
      files: { Dockerfile: "FROM quay.io/acme/base:1\nARG TARGETPLATFORM\nCOPY $TARGETPLATFORM/app /\n" },
      replace: [
        ["      - uses: goreleaser/", "      - uses: docker/setup-buildx-action@v3\n      - uses: goreleaser/"],
      ],
    });
    expect(uses).toContain("acme+ci pushed acme/app:1.2.3");
  });
});

/** Runs the page's release with the n-th YAML file of its section as GoReleaser's configuration. */
async function release(
  index: number,
  way: Partial<Recipe>,
  { programs = [], files, env, ...rest }: Partial<Recipe> = {},
) {
  const program = await goProgram();
  return world.run({
    heading: "## GoReleaser",
    tag: "v1.2.3",
    ...way,
    ...rest,
    files: {
      ...program.files,
      ...files,
      // Neither GitHub's API nor Docker Hub, for its scanner, is here.
      ".goreleaser.yaml": `${blocksUnder("docs/recipes.md", "## GoReleaser", "yaml", 3)[index]}${index === 2 ? "    sbom: false\n" : ""}release:\n  disable: true\n`,
    },
    programs: ["goreleaser", await findGo(), ...programs],
    env: { ...program.env, ...env },
  });
}

test.for(bothWays)("GoReleaser builds on a private base image with ko, and pushes, %s", async ([, way]) => {
  const { uses } = await release(0, way);
  expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/base:1", "acme+ci pushed acme/app:1.2.3"]));
});

test.for(bothWays)("Jib builds on a private base image, and pushes, %s", async ([, way]) => {
  const repository = join(dirname(findBuilt("jib", "ready") ?? "/jib is missing"), "repository");
  const folder = await makeFolder();
  const [roots, store] = [join(folder, "roots.pem"), join(folder, "roots.p12")];
  await writeFile(roots, world.peers.authority.ca);
  await promisify(execFile)("keytool", [
    ...["-importcert", "-noprompt", "-alias", "quay", "-file", roots],
    ...["-keystore", store, "-storepass", "changeit"],
  ]);
  const sources = join(import.meta.dirname, "../support/recipes/jib");
  const { uses } = await world.run({
    heading: "## Jib",
    ...way,
    replace: [["-Dimage=", "-Djib.from.image=quay.io/acme/base:1 -Dimage="]],
    files: {
      "pom.xml": await readFile(join(sources, "pom.xml"), "utf8"),
      "src/main/java/Main.java": await readFile(join(sources, "Main.java"), "utf8"),
      ".mvn/maven.config": `-Dmaven.repo.local=${repository}\n-Djib.disableUpdateChecks=true\n`,
    },
    // Java takes its home from the system's list of users, not from HOME.
    env: (home) => ({
      MAVEN_OPTS: `-Duser.home=${home} -Djavax.net.ssl.trustStore=${store} -Djavax.net.ssl.trustStorePassword=changeit`,
    }),
  });
  expect(uses).toEqual(expect.arrayContaining(["acme+ci pulled acme/base:1", "acme+ci pushed acme/app:1.2.3"]));
});

test("Renovate finds the newer tag of a private image", async () => {
  const { quay, issuer } = world.peers;
  addRobot(quay.store, "acme+renovate", [{ issuer: issuer.url, subject: SUBJECT }]);
  for (const tag of ["1.0.0", "1.1.0"]) await world.furnish(`acme/updated:${tag}`);
  quay.store.repositories.get("acme/updated")?.permissions.set("acme+renovate", "read");
  const { log } = await world.run({
    heading: "## Renovate",
    event: "workflow_dispatch",
    files: { Dockerfile: "FROM quay.io/acme/updated:1.0.0\n", "renovate.json": "{}\n" },
    programs: ["renovate"],
  });
  expect(log).toMatch(/"newVersion": "1\.1\.0"/);
});
