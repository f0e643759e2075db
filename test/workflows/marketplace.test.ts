/**
 * GitHub Marketplace's rules for the Action in the root, as far as they can be checked without it:
 * https://docs.github.com/en/actions/how-tos/create-and-publish-actions/publish-in-github-marketplace
 */
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { accepted } from "../migration/actionlint.ts";
import { repository } from "../support/project.ts";

const root = resolve(import.meta.dirname, "../..");
const text = readFileSync(join(root, "action.yml"), "utf8");
const action = parse(text) as { name: string; description: string; branding: { icon: string; color: string } };

/** The Marketplace's categories, and what GitHub itself offers: names that it keeps for itself. */
const reserved =
  /^(api management|backup utilities|chat|code quality|code review|code search|community|container ci|continuous integration|dependency management|deployment|desktop tools|game ci|ide|learning|localization|mobile|mobile ci|monitoring|open source management|project management|publishing|reporting|security|support|testing|time tracking|utilities|(github )?(actions|packages|pages|copilot|codespaces|dependabot|sponsors|marketplace|issues))$/i;

test("its name can't be that of a user, an organization, a category or a feature", () => {
  const { name } = action;
  // Accounts have no blanks: `Quay keyless login` collides with none but one called quay-keyless-login.
  expect(name.split(" ").length).toBeGreaterThan(1);
  expect(name).toMatch(/^[A-Za-z][A-Za-z -]{4,60}$/);
  expect(name).not.toMatch(reserved);
  const slug = name.toLowerCase().replaceAll(" ", "-");
  const [owner = "", project] = repository.toLowerCase().split("/");
  expect(slug).not.toBe(owner);
  expect(slug).toBe(project); // the address of its page is that of the repository
});

test("its description fits into the list of search results", () => {
  expect(action.description.length).toBeLessThan(125);
  expect(action.description).not.toMatch(/\n/);
});

const caller =
  "on: push\njobs:\n  job:\n    runs-on: ubuntu-24.04\n    steps:\n      - { uses: ./, with: { robot: acme+ci } }\n";
const badge = (icon: string, color: string) =>
  accepted({
    ".github/workflows/caller.yml": caller,
    "action.yml": text
      .replace(/^ {2}icon: .*$/m, `  icon: ${icon}`)
      .replace(/^ {2}color: .*$/m, `  color: ${color}`)
      .replace(/^runs:[\s\S]*/m, "runs: { using: composite, steps: [] }\n"),
  });

test("its badge is an icon of Feather 4.28 that GitHub takes, in a colour that it has", async () => {
  await badge(action.branding.icon, action.branding.color);
  await expect(badge("coffee", "red")).rejects.toMatchObject({ stdout: expect.stringContaining("coffee") }); // an icon of Feather that GitHub leaves out
  await expect(badge("log-in", "pink")).rejects.toMatchObject({ stdout: expect.stringContaining("pink") });
});

test("it is the only one in the root, beside a README and a license", () => {
  expect(globSync(["action.{yml,yaml}", "README.md", "LICENSE"], { cwd: root }).sort()).toEqual([
    "LICENSE",
    "README.md",
    "action.yml",
  ]);
});
