/** The workflows of README.md, docs/github-actions.md and docs/long-builds.md, run by act with the real tools. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeFolder } from "../fixtures.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { act } from "../support/act.ts";
import { uses as ours } from "../support/project.ts";
import { documentBlock } from "../support/readme.ts";
import { type RecipeWorld, startRecipeWorld } from "../support/recipes.ts";

const page = "docs/github-actions.md";
const Containerfile = "FROM scratch\nCOPY Containerfile /\n";

let world: RecipeWorld;
beforeAll(async () => {
  world = await startRecipeWorld();
  const { quay, issuer } = world.peers;
  addRobot(quay.store, "acme+release", [{ issuer: issuer.url, subject: SUBJECT }]);
  addRepository(quay.store, "acme/release", { "acme+release": "write" });
});
afterAll(() => world.close());

/** A workflow with these steps. */
const job = (steps: string): string => `on: push
permissions:
  contents: read
  id-token: write
jobs:
  publish:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
${steps.replaceAll(/^(?=.)/gm, "      ")}`;

/** A workflow whose step has these inputs, and then pushes the image that the checkout has. */
const withInputs = (inputs: string, to: string): string =>
  job(`- uses: ${ours()}\n${inputs.replaceAll(/^(?=.)/gm, "  ")}- run: skopeo copy oci:image docker://quay.io/${to}\n`);

describe.skipIf(act === undefined)("run by act", { timeout: 120_000 }, () => {
  test("the workflow of the README's first screen builds and pushes", async () => {
    const workflow = documentBlock("README.md", "# quay-keyless-login", "yaml");
    expect(workflow.trim().split("\n")).toHaveLength(10);
    const { log, uses } = await world.run({ workflow, files: { Containerfile } });
    expect(log).toContain("Logged out of");
    expect(uses).toEqual(["acme+ci pushed acme/app:1.2.3"]);
  });

  test.for([
    ["main", ["acme+ci pushed acme/app:latest"]],
    ["another branch", []],
  ] as const)("a push to %s", async ([branch, uses]) => {
    const written = documentBlock(page, "## Branches that may push", "yaml");
    const workflow = branch === "main" ? written : written.replaceAll("refs/heads/main", "refs/heads/other");
    expect((await world.run({ workflow, files: { Containerfile } })).uses).toEqual(uses);
  });

  test.for([
    ["with an identity", ["acme+ci pushed acme/app:latest"]],
    ["of a fork, without an identity", []],
  ] as const)("a pull request %s", async ([name, uses]) => {
    const steps = documentBlock(page, "## Pull requests from forks", "yaml").replaceAll(/^ {2}/gm, "");
    const workflow = job(steps.replace("make image", "test -d image"));
    const payload = { pull_request: { head: { repo: { full_name: "someone/app", fork: true } } } };
    const isFork = name.startsWith("of a fork");
    const { log, ...run } = await world.run({
      workflow: isFork ? workflow.replace("on: push", "on: pull_request") : workflow,
      ...(isFork && { identity: false, event: "pull_request", payload }),
    });
    expect(run.uses).toEqual(uses);
    expect(log).toContain("test -d image");
  });

  test.for([
    ["## Two robots", "acme/release/app:1", "acme+release"],
    ["## Check the permission first", "acme/app:1", "acme+ci"],
    ["## A private certificate authority", "acme/app:2", "acme+ci"],
  ] as const)("%s", async ([heading, to, robot]) => {
    const { quay, authority, githubAuthority } = world.peers;
    addRepository(quay.store, "acme/release/app", { "acme+release": "write" });
    const inputs = documentBlock(page, heading, "yaml").replace("quay.example.com", "quay.io");
    const roots = join(await makeFolder(), "roots.pem");
    await writeFile(roots, githubAuthority.ca);
    const { uses } = await world.run({
      workflow: withInputs(inputs, to),
      files: { ".github/quay-root.pem": authority.ca },
      // The machine trusts GitHub alone.
      ...(inputs.includes("ca-file") && { env: { SSL_CERT_FILE: "", NODE_EXTRA_CA_CERTS: roots } }),
    });
    expect(uses).toEqual([`${robot} pushed ${to}`]);
  });

  test("two robots for docker's builder", async () => {
    const inputs = documentBlock(page, "## Two robots for docker's builder", "yaml");
    const { log } = await world.run({
      workflow: job(`- uses: ${ours()}\n${inputs.replaceAll(/^(?=.)/gm, "  ")}`),
    });
    expect(log).toContain("acme/app@push");
  });

  test("a login in the background", async () => {
    const inputs = documentBlock("docs/long-builds.md", "## In the background, on GitHub", "yaml");
    const { log, uses } = await world.run({ workflow: withInputs(inputs, "acme/app:3") });
    expect(log).toContain("Logged out of");
    expect(uses).toEqual(["acme+ci pushed acme/app:3"]);
  });
});
