/** The workflows and forms of .github, beside what actionlint, zizmor and schemas check (script/check). */
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { repository, version } from "../support/project.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const workflows = globSync(".github/workflows/*.yml", { cwd: root });

interface Job {
  "timeout-minutes"?: unknown;
  permissions?: unknown;
  uses?: string;
}

describe.each(workflows)("%s", (file) => {
  const text = read(file);
  const { jobs, permissions } = parse(text) as { jobs: Record<string, Job>; permissions: unknown };

  test("has no permission but those of each job", () => {
    expect(permissions).toEqual({});
    for (const [name, job] of Object.entries(jobs)) expect([name, job.permissions]).toEqual([name, expect.any(Object)]);
  });

  test("ends", () => {
    const endless = Object.entries(jobs).filter(([, job]) => !job.uses && job["timeout-minutes"] === undefined);
    expect(endless.map(([name]) => name)).toEqual([]);
  });

  test("uses Actions of others by their commit, with the version beside it", () => {
    const uses = [...text.matchAll(/^ *-? *uses: (.*)$/gm)].map(([, value = ""]) => value);
    const known = /^(\.\/\S*|[\w-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/;
    const own = `${repository}@v${version} # zizmor: ignore[unpinned-uses]`; // a commit can't name itself
    expect(uses.filter((each) => !known.test(each) && each !== own)).toEqual([]);
  });

  test("keeps the credentials of the checkout out of the workspace", () => {
    const checkouts = text.split("actions/checkout@").slice(1);
    expect(checkouts.filter((rest) => !/^\S+ # \S+\n +with:\n +persist-credentials: false\n/.test(rest))).toEqual([]);
  });
});

test("an Action has one version in all workflows", () => {
  const pins = workflows.flatMap((file) => [...read(file).matchAll(/uses: ([\w-]+\/[\w-]+)[\w/-]*@([0-9a-f]{40})/g)]);
  const versions = new Map<string, Set<string>>();
  for (const [, name = "", commit = ""] of pins) versions.set(name, (versions.get(name) ?? new Set()).add(commit));
  expect([...versions].filter(([, commits]) => commits.size > 1)).toEqual([]);
});

test("the form of a bug asks for what an answer needs, and warns of what is never to be pasted", () => {
  const { body } = parse(read(".github/ISSUE_TEMPLATE/bug.yml")) as {
    body: { id?: string; attributes: { value?: string; description?: string }; validations?: { required: boolean } }[];
  };
  expect(body[0]?.attributes.value).toMatch(/Never paste a token/);
  const required = body.filter(({ validations }) => validations?.required).map(({ id }) => id);
  expect(required).toEqual(["code", "version", "platform", "quay", "tools", "what", "log"]);
  expect(body.find(({ id }) => id === "log")?.attributes.description).toContain("`--verbose`");
});

test("each link of the forms to a page of the project has one", () => {
  const { contact_links: links } = parse(read(".github/ISSUE_TEMPLATE/config.yml")) as {
    contact_links: { url: string }[];
  };
  const pages = links.flatMap(({ url }) => /\/blob\/main\/(.*)$/.exec(url)?.[1] ?? []);
  expect(pages.length).toBeGreaterThan(0);
  for (const page of pages) expect(read(page)).toMatch(/^# /);
});
