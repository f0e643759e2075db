/**
 * .github/workflows/build-and-push.yml, called as docs/build-and-push.md shows it, run by act with real buildah and skopeo. cosign is a
 * stand-in: signing without a key needs Sigstore's servers. test/real/build-and-push.test.ts builds with docker's builder.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { accepted } from "../migration/actionlint.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { act } from "../support/act.ts";
import { blocksOf, blocksUnder, documentBlock } from "../support/readme.ts";
import { isWorkflow } from "../support/recipe-page.ts";
import { type Recipe, type RecipeWorld, startRecipeWorld } from "../support/recipes.ts";

vi.setConfig({ testTimeout: 120_000 });

const document = "docs/build-and-push.md";
const path = ".github/workflows/build-and-push.yml";
const workflow = await readFile(path, "utf8");
const title = "# One workflow for many repositories";
const remote = `OWNER/quay-keyless-login/${path}@v1`;

let world: RecipeWorld;
beforeAll(async () => {
  world = await startRecipeWorld();
}, 60_000);
afterAll(() => world.close());

const cosign = join(import.meta.dirname, "../support/recipes/programs/cosign");
const installQemu = join(import.meta.dirname, "../support/recipes/programs/sudo");

/** Calls the workflow with inputs besides those of the page. Those of `replace` are the page's own lines. */
function call({ inputs = {}, ...recipe }: Partial<Recipe> & { inputs?: Record<string, string> }) {
  const more = Object.entries(inputs).map(([name, value]) => `      ${name}: ${JSON.stringify(value)}\n`);
  return world.run({
    workflow: documentBlock(document, title, "yaml"),
    ...recipe,
    replace: [[remote, `./${path}`], ["    with:\n", `    with:\n${more.join("")}`], ...(recipe.replace ?? [])],
    files: {
      Containerfile: "FROM scratch\nARG NAME=none\nLABEL name=$NAME\nCOPY Containerfile /\n",
      [path]: `${workflow}\n      - if: always()\n        run: echo "images left:" $(buildah images --all --quiet | wc -l)\n`,
      ...recipe.files,
    },
    programs: [cosign, installQemu],
  });
}

/** In place of the page's tags. */
const tags = (value: string) =>
  [[`      tags: |\n        \${{ github.sha }}\n        latest\n`, `      tags: ${JSON.stringify(value)}\n`]] as const;

describe("the page", () => {
  test("shows callers that GitHub accepts", async () => {
    const callers = blocksOf(document)
      .map(({ text }) => text)
      .filter(isWorkflow);
    expect(callers.length).toBe(2);
    const local = callers.map((text, index) => [`.github/workflows/${index}.yml`, text.replace(remote, `./${path}`)]);
    await accepted({ [path]: workflow, ...Object.fromEntries(local) });
  });

  test("lists all inputs with their defaults, and all outputs", async () => {
    const { inputs, outputs } = parse(workflow).on.workflow_call as {
      inputs: Record<string, { default?: unknown }>;
      outputs: object;
    };
    const text = await readFile(document, "utf8");
    const rows = [...text.matchAll(/^\| `([\w-]+)` \| (?:`([^|]*)`)? ?\|/gm)].map(([, name, value = ""]) => [
      name,
      value,
    ]);
    const expected = Object.entries(inputs).map(([name, input]) => [name, String(input.default ?? "")]);
    expect(rows).toEqual(expected);
    for (const name of Object.keys(outputs)) expect(text).toMatch(new RegExp(`outputs are[^#]*\`${name}\``));
  });

  test("binds the caller's branch with a command that works", async () => {
    const [command = "", release = ""] = blocksUnder(document, "## What to bind", "sh", 2);
    await world.bash(command.replace("acme+ci", "acme+bound"));
    expect(world.peers.quay.store.robots.get("acme+bound")?.bindings).toMatchObject([{ subject: SUBJECT }]);
    await world.bash(release.replace("acme+ci", "acme+released"));
    const [binding] = world.peers.quay.store.robots.get("acme+released")?.bindings ?? [];
    expect(binding?.subject).toBe("repo:acme/app:environment:release");
  });
});

test("no input and no other expression is part of a script", () => {
  const { jobs } = parse(workflow) as { jobs: Record<string, { steps: { run?: string }[] }> };
  const scripts = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));
  expect(scripts.length).toBeGreaterThan(3);
  expect(scripts.filter((script) => script.includes("${{"))).toEqual([]);
});

describe.skipIf(act === undefined)("run by act", () => {
  const pushes = (uses: readonly string[]) => uses.filter((use) => use.startsWith("acme+ci pushed "));

  test("builds, pushes each tag with one digest, and tells the caller", async () => {
    const { log, uses } = await call({});
    const digest = await world.digest("acme/app:latest");
    expect(pushes(uses)).toHaveLength(2);
    expect(log).toContain(`Deploy ${world.peers.registryHost}/acme/app@${digest}`);
    expect(log).toContain(`Removed the credential helper for ${world.peers.registryHost}`);
  });

  test("builds another file of another folder with arguments, and signs", async () => {
    const { log } = await call({
      inputs: {
        context: "images/app",
        containerfile: "images/app/Release.Containerfile",
        "build-args": "NAME=a b;$(id)\nOTHER=1",
      },
      replace: [...tags("1.2.3"), ["      robot:", "      sign: true\n      robot:"]],
      files: {
        "images/app/Release.Containerfile": "FROM scratch\nARG NAME\nLABEL name=$NAME\nCOPY Release.Containerfile /\n",
      },
    });
    const digest = await world.digest("acme/app:1.2.3");
    expect(log).toContain(`cosign sign --yes ${world.peers.registryHost}/acme/app@${digest}`);
    expect(await world.digest(`acme/app:${digest.replace(":", "-")}.sig`)).toMatch(/^sha256:/);
    expect(await labels("acme/app:1.2.3")).toMatchObject({ name: "a b;$(id)" });
  });

  test("builds for several platforms, which only a GitHub-hosted runner has to emulate", async () => {
    const { log } = await call({ inputs: { platforms: "linux/amd64, linux/arm64" }, replace: tags("several") });
    const { manifests } = (await world.content("acme/app:several")).manifest;
    expect(manifests?.map(({ platform }) => platform.architecture).toSorted()).toEqual(["amd64", "arm64"]);
    expect(log).toContain("sudo apt-get install --quiet --yes qemu-user-static");
    expect(log).toContain("images left: 0");
    const native = await call({ inputs: { platforms: "linux/amd64" }, replace: tags("native") });
    expect(native.log).not.toContain("sudo");
    expect((await world.content("acme/app:native")).manifest.layers).toHaveLength(1);
    expect(native.log).toContain("images left: 0");
  });

  test("builds a pull request without an identity, and pushes nothing", async () => {
    const { log, uses } = await call({ event: "pull_request", identity: false, inputs: { sign: "true" } });
    expect(log).toContain(
      "The event pull_request is none of push schedule workflow_dispatch release: the image is built and not pushed.",
    );
    expect(log).toMatch(/set-output:: digest=sha256:/);
    expect(log).not.toMatch(/Deploy|cosign sign|Main Log in to Quay/);
    expect(pushes(uses)).toEqual([]);
  });

  describe("with images of pull requests", () => {
    const preview = {
      workflow: documentBlock(document, "## Images of pull requests", "yaml"),
      event: "pull_request",
      payload: { number: 7 },
    } as const;
    const asCi = [["acme+previews", "acme+ci"]] as const;

    test("pushes that of the repository's own branch", async () => {
      await world.furnish("acme/previews:old");
      world.peers.quay.store.repositories.get("acme/previews")?.permissions.set("acme+ci", "write");
      const { uses } = await call({ ...preview, replace: asCi });
      expect(pushes(uses)).toEqual(["acme+ci pushed acme/previews:pr-7"]);
    });

    test("builds that of a fork, which has no identity", async () => {
      const payload = { number: 8, pull_request: { head: { repo: { full_name: "other/app", fork: true } } } };
      const { log, uses } = await call({ ...preview, payload, replace: asCi, identity: false });
      expect(log).toMatch(/set-output:: digest=sha256:/);
      expect(pushes(uses)).toEqual([]);
    });
  });

  test("builds nothing if the robot may not push, or if a push has no identity", async () => {
    await world.furnish("acme/other:1");
    const refused = await call({ replace: [["image: acme/app", "image: acme/other"]], code: 1 });
    expect(refused.log).toContain("#access-missing");
    const without = await call({ identity: false, code: 1 });
    expect(without.log).toContain("#github-permission-missing");
    for (const { log } of [refused, without]) expect(log).not.toContain("STEP 1");
  });

  test.for([
    ["image", "image: acme/app", "quay.io/acme/app", "is organization/repository"],
    ["image", "image: acme/app", "acme/app:1", "is organization/repository"],
    ["image", "image: acme/app", "app", "is organization/repository"],
    ["robot", "robot: acme+ci", "acme_ci", "such as acme+ci"],
    ["tags", undefined, " ", "at least one tag"],
    ["tags", undefined, "feature/x", "A tag has letters"],
    ["registry", "    with:", "https://quay.io/", "It is a host"],
    ["builder", "    with:", "kaniko", "buildah or docker"],
    ["context", "    with:", "missing", "There is no such folder"],
    ["context", "    with:", ".github", "neither a Containerfile nor a Dockerfile"],
    ["context", "    with:", ".\n", "is one line"],
    ["context", "    with:", "--help", "does not begin with -"],
    ["containerfile", "    with:", "missing", "There is no such file"],
    ["containerfile", "    with:", "a\npush=true", "is one line"],
    ["ca-file", "    with:", "missing.pem", "such as ca.pem"],
    ["registry", "    with:", "-quay.io", "It is a host"],
    ["robot", "robot: acme+ci", "acme+-ci", "such as acme+ci"],
    ["image", "image: acme/app", "docker.io/acme/app", "is organization/repository"],
    ["platforms", "    with:", "arm64", "such as linux/arm64"],
    ["build-args", "    with:", "A=1\n--secret id=x", "Each line is NAME=value"],
    ["push-events", "    with:", "main!", "names of events"],
    ["image", "image: acme/app", "a/b%0A::add-path::/tmp\n::warning::$(id)`id`", "is organization/repository"],
  ] as const)("refuses %s: %j, %j", async ([name, line, value, rule]) => {
    const quoted = `${name}: ${JSON.stringify(value)}`;
    const replace = line === undefined ? tags(value) : line.endsWith(":") ? [] : ([[line, quoted]] as const);
    const inputs: Record<string, string> = line?.endsWith(":") ? { [name]: value } : {};
    const before = world.peers.quay.requests.length;
    const { log } = await call({ replace, inputs, code: 1 });
    const [problem = ""] = log.split("\n").filter((text) => text.includes(`The input ${name} is "`));
    expect(problem).toContain(rule);
    expect(log).not.toMatch(/uid=|Main Log in to Quay|Main Build/);
    expect(world.peers.quay.requests.slice(before)).toEqual([]);
  });
});

/** The labels of an image. */
async function labels(reference: string): Promise<Record<string, string>> {
  return (await world.inspect(reference)).Labels ?? {};
}
