/** Artifact Hub's rules, for what is in git, and for the branch from which it lists the Tasks. */
import { appendFile, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { image } from "../support/project.ts";
import { copyTree, type Tree } from "../support/tree.ts";
import { hubProblems } from "./hub.ts";
import { type Resource, resources } from "./resources.ts";

const pattern = "tekton/{task,stepaction}/*/*/*.yaml";
const published = `${image.toLowerCase()}@sha256:${"0123".repeat(16)}`;

test.each(resources(pattern).map((resource) => ({ name: `${resource.kind} ${resource.metadata.name}`, resource })))(
  "$name lacks nothing but an image, which git can't have",
  ({ resource }) => {
    const withoutImage = resource.kind === "Task" ? ["$(params.image) is no image: the parameter needs a default"] : [];
    expect(hubProblems(resource)).toEqual(withoutImage);
  },
);

describe("the branch catalog", () => {
  let tree: Tree;
  beforeAll(async () => {
    tree = await copyTree(await mkdtemp(join(tmpdir(), "quay-keyless-catalog-")));
    tree.git("init", "--quiet", "--bare", "remote.git");
  });
  afterAll(() => tree.remove());

  test("has each Task and the StepAction as Artifact Hub lists them, and all else as it is in git", async () => {
    const before = tree.git("status", "--porcelain");
    const ran = await tree.run("script/catalog", "--image", published, "--push", "remote.git");
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    const commit = ran.stdout.trim();
    expect(tree.git("--git-dir=remote.git", "rev-parse", "catalog^{commit}").trim()).toBe(commit);
    expect(tree.git("rev-parse", `${commit}^`)).toBe(tree.git("rev-parse", "HEAD"));
    const files = tree.git("diff", "--name-only", "HEAD", commit).trim().split("\n");
    expect(files).toEqual(
      resources(pattern)
        .map(({ file }) => file)
        .sort(),
    );
    for (const file of files) {
      const listed = { ...parse(tree.git("show", `${commit}:${file}`)), file } as Resource;
      expect([file, hubProblems(listed)]).toEqual([file, []]);
      expect(listed.spec.params).toContainEqual(expect.objectContaining({ name: "image", default: published }));
    }
    // Nothing of it is in the working tree, and the same image gives the same commit.
    expect(tree.git("status", "--porcelain")).toBe(before);
    const again = async () => (await tree.run("script/catalog", "--image", published)).stdout.trim();
    expect(await again()).toBe(commit);
    // A change that is not committed is not in it either.
    const [changed = ""] = files;
    await appendFile(join(tree.folder, changed), "# mine\n");
    expect(await again()).toBe(commit);
    tree.git("restore", changed);
  });

  test("needs an image with its digest", async () => {
    const { code, stderr } = await tree.run("script/catalog", "--image", "quay.io/some/app:1");
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('--image is "quay.io/some/app:1". It has to have its digest'),
    ]);
  });
});

describe("a problem", () => {
  const [task] = resources("tekton/task/quay-promote/*/*.yaml") as [Resource];
  const stamped = { ...task, spec: { ...task.spec, params: [{ name: "image", default: published }] } };
  const labelled = (version: string): Resource => {
    const labels = { "app.kubernetes.io/version": version };
    return { ...stamped, metadata: { ...task.metadata, labels } };
  };
  const annotated = (key: string, text: string): Resource => {
    const annotations = { ...task.metadata.annotations, [`artifacthub.io/${key}`]: text };
    return { ...stamped, metadata: { ...task.metadata, annotations } };
  };
  test.each<[string, Resource, string]>([
    ["another name", { ...stamped, metadata: { ...task.metadata, name: "promote" } }, "have to be called promote"],
    ["a version that is not the folder's", labelled("0.2"), "the version 0.2 is not the folder's"],
    ["a version that is none", labelled("latest"), "the version latest is not"],
    ["no description", { ...stamped, spec: { ...stamped.spec, description: " " } }, "it has no description"],
    ["an unknown category", annotated("category", "Security"), '"Security" is no category'],
    ["no license", annotated("license", ""), "no license"],
    ["an unknown kind of change", annotated("changes", "- kind: new\n  description: x"), '"new" is no kind of change'],
    ["a change without words", annotated("changes", "- kind: added"), "a change has no description"],
    ["a link without an address", annotated("links", "- name: support"), "the link support needs"],
    ["no link for support", annotated("links", "- name: x\n  url: https://example.com"), "no link called support"],
    ["no image", task, "$(params.image) is no image"],
  ])("is %s", (_, resource, says) => {
    expect(hubProblems(resource)).toEqual([expect.stringContaining(says)]);
  });
});
