/** kubernetes/ as a base that kustomize fetches from the repository, at a tag or a commit, as kubernetes/README.md shows. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { kubectlCommand } from "../support/cluster.ts";
import { address, version } from "../support/project.ts";
import { publish } from "../support/published.ts";
import { documentBlock } from "../support/readme.ts";

const project = resolve(import.meta.dirname, "../..");
const overlays = ["## Your own overlay", "## A Job with the credential helper"].map((heading) =>
  documentBlock("kubernetes/README.md", heading, "yaml"),
);

let folder: string;
let commit: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-remote-"));
  commit = await publish(join(folder, "published"), join(folder, "home"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What `kubectl kustomize` makes of a kustomization.yaml. @param fromTree takes the folders of the tree in place of the addresses */
async function render(kustomization: object, { fromTree = false } = {}): Promise<unknown[]> {
  const place = await mkdtemp(join(folder, "overlay-"));
  const tree = relative(place, project);
  const text = JSON.stringify(kustomization);
  const folders = text.replaceAll(/https:[^"]*\/\/(kubernetes[^?"]*)\?ref=[^"]*/g, (_, path) => join(tree, path));
  await writeFile(join(place, "kustomization.yaml"), fromTree ? folders : text);
  await writeFile(join(place, "images"), "");
  const env = { PATH: process.env.PATH, HOME: join(folder, "home"), TMPDIR: folder };
  const { stdout } = await promisify(execFile)(kubectlCommand, ["kustomize", place], { env });
  return parseAllDocuments(stdout).map((each) => each.toJS());
}

describe.each(overlays)("an overlay of the README", (text) => {
  test("takes base and components at the tag", async () => {
    const kustomization = parse(text);
    const named = [...kustomization.resources, ...(kustomization.components ?? [])];
    expect(
      named.filter(
        (each: string) => !each.startsWith(`${address()}//kubernetes/`) || !each.endsWith(`?ref=v${version}`),
      ),
    ).toEqual([]);
    const rendered = await render(kustomization);
    expect(rendered).toEqual(await render(kustomization, { fromTree: true }));
    expect(JSON.stringify(rendered)).not.toContain("registry.invalid");
  });
});

test.each(["base", "overlays/kubernetes", "overlays/spiffe", "overlays/private-ca", "overlays/credential-helper"])(
  "%s, at a commit",
  async (name) => {
    const kustomization = { resources: [`${address()}//kubernetes/${name}?ref=${commit}`] };
    const rendered = await render(kustomization);
    expect(rendered.length).toBeGreaterThan(2);
    expect(rendered).toEqual(await render(kustomization, { fromTree: true }));
  },
);
