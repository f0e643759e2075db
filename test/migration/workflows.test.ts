/** Workflows as people write them: each before and after, also with Windows line ends and without a last line end. */
import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { unifiedDiff } from "../../src/migration/diff.ts";
import { makeFolder } from "../fixtures.ts";
import { accepted } from "./actionlint.ts";
import { changed, planFor } from "./planning.ts";

const folder = join(import.meta.dirname, "workflows");
const names = globSync("*.yml", { cwd: folder })
  .filter((name) => !name.endsWith(".after.yml"))
  .toSorted();

const forms: Record<string, (text: string) => string> = {
  "as they are": (text) => text,
  "with Windows line ends": (text) => text.replaceAll("\n", "\r\n"),
  "without a last line end": (text) => text.replace(/\n$/, ""),
  "with a byte order mark": (text) => `\ufeff${text}`,
};

const run = promisify(execFile);

/** What `git apply` makes of the files with this diff. */
async function applied(files: Record<string, string>, diff: string): Promise<Record<string, string>> {
  const root = await makeFolder();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  await writeFile(join(root, "change.diff"), diff);
  await run("git", ["init", "--quiet"], { cwd: root });
  await run("git", ["-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "change.diff"], { cwd: root });
  const texts = Object.keys(files).map(async (path) => [path, await readFile(join(root, path), "utf8")] as const);
  return Object.fromEntries(await Promise.all(texts));
}

describe.each(names)("%s", (name) => {
  const before = readFileSync(join(folder, name), "utf8");
  const after = readFileSync(join(folder, name.replace(/\.yml$/, ".after.yml")), "utf8");
  const path = `.github/workflows/${basename(name)}`;

  test.each(Object.entries(forms))("%s: keeps all but the login, and git applies the diff", async (_, form) => {
    const files = { [path]: form(before) };
    const plan = planFor(files);
    expect(changed(plan)).toEqual({ [path]: form(after) });
    const diff = plan.files.map(({ text, edits }) => unifiedDiff(path, text, edits)).join("");
    expect(await applied(files, diff)).toEqual({ [path]: form(after) });
  });

  test("a second run finds nothing to rewrite", () => {
    expect(planFor({ [path]: after }).files).toEqual([]);
  });

  test("actionlint accepts the result", () => accepted({ [path]: after }));
});

describe("a diff", () => {
  test.each([
    ["a file with a blank in its name", ".github/workflows/my build.yml"],
    ["a file with an umlaut and a quote in its name", '.github/workflows/Gr\u00fc\u00dfe "x".yml'],
  ])("of %s is what git applies", async (_, path) => {
    const before = readFileSync(join(folder, "matrix.yml"), "utf8");
    const plan = planFor({ [path]: before });
    const diff = plan.files.map(({ text, edits }) => unifiedDiff(path, text, edits)).join("");
    expect(await applied({ [path]: before }, diff)).toEqual(changed(plan));
  });

  test("of random edits is what git applies", async () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    const files: Record<string, string> = {};
    const results: Record<string, string> = {};
    let diff = "";
    for (let index = 0; index < 60; index += 1) {
      const text = Array.from(
        { length: random(40) },
        (_, line) => `line ${line}${random(3) === 0 ? "\r\n" : "\n"}`,
      ).join("");
      const old = random(2) === 0 ? text : text.trimEnd();
      const edits: { start: number; end: number; text: string }[] = [];
      for (let at = random(40); at < old.length; at += 1 + random(120)) {
        const end = Math.min(old.length, at + random(30));
        edits.push({ start: at, end, text: ["", "new", "new\n", "a\nb\n"][random(4)] ?? "" });
        at = end;
      }
      const path = `file-${index}.yml`;
      files[path] = old;
      let shift = 0;
      results[path] = edits.reduce((now, edit) => {
        const next = now.slice(0, edit.start + shift) + edit.text + now.slice(edit.end + shift);
        shift += edit.text.length - (edit.end - edit.start);
        return next;
      }, old);
      diff += unifiedDiff(path, old, edits);
    }
    expect(await applied(files, diff)).toEqual(results);
  });
});
