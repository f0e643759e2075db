/** The matrix, docs/reliability.md and the tests agree: every row has its test, and every test its row. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { errorCodes } from "../../src/platform/errors.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { matrix } from "./matrix.ts";
import type { Fault, Group } from "./row.ts";
import { exitCodeOf } from "./world.ts";

const project = resolve(import.meta.dirname, "../..");
const rows = matrix.flatMap(({ file, rows: each }) => each.map((row) => ({ file, row })));

/** The names of all tests, by file below test/, as vitest would run them. */
async function listTests(files: readonly string[]): Promise<Map<string, string[]>> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")));
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-matrix-"));
  try {
    const list = join(folder, "list.json");
    const vitest = join(project, "node_modules/.bin/vitest");
    // With `=`: a bare --json would take the next argument, one of our tests, as the file to write to.
    const args = [
      "list",
      "--staticParse=false",
      "--project=debian",
      `--json=${list}`,
      ...files.map((file) => join("test", file)),
    ];
    await promisify(execFile)(vitest, args, { cwd: project, env });
    const found: { name: string; file: string }[] = JSON.parse(await readFile(list, "utf8"));
    const byFile = new Map<string, string[]>();
    for (const { name, file } of found) {
      const path = relative(join(project, "test"), file);
      byFile.set(path, [...(byFile.get(path) ?? []), name]);
    }
    return byFile;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const outcomeOf = ({ outcome, lasting }: Fault): string => {
  if (outcome === "recovered") return "recovered";
  if (outcome === "undone") return "undone";
  return `\`${outcome}\`, ${exitCodeOf(outcome)}${lasting ? " (*)" : ""}`;
};

const proofOf = (file: string | undefined, { proof }: Fault): string =>
  proof ? `\`${proof[0]}\`: ${proof[1]}` : `\`faults/${file}\``;

/** The group's section of docs/reliability.md. */
function sectionOf({ title, about, file, rows: each }: Group): string {
  const lines = each.map(
    (row) => `| ${row.id} | ${row.fault} | ${outcomeOf(row)} | ${row.note ?? ""} | ${proofOf(file, row)} |`,
  );
  return [
    `### ${title}`,
    "",
    about,
    "",
    "| | fault | outcome | besides | proof, below `test/` |",
    "|---|---|---|---|---|",
  ]
    .concat(lines.map((line) => line.replaceAll("|  |", "| |")))
    .join("\n");
}

test("every row has a unique ID, and there are more than forty", () => {
  const ids = rows.map(({ row }) => row.id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(40);
});

test("every outcome is an existing code", () => {
  const codes = rows.map(({ row }) => row.outcome).filter((each) => each !== "recovered" && each !== "undone");
  expect(codes.filter((code) => !(code in errorCodes))).toEqual([]);
});

test("docs/reliability.md has exactly this matrix", async () => {
  const text = await readFile(join(project, "docs/reliability.md"), "utf8");
  for (const group of matrix) {
    const [, shown] = text.split(`\n### ${group.title}\n`);
    expect(`### ${group.title}\n${shown?.split(/^##/m)[0]}`).toBe(`${sectionOf(group)}\n\n`);
  }
  const shown = [...text.matchAll(/^\| (F\d+) \|/gm)].map(([, id]) => id);
  expect(shown).toEqual(rows.map(({ row }) => row.id));
});

// vitest lists no test that it would skip.
test.skipIf(!isRoot)(`every row has its test, and every test its row ${needsRoot}`, { timeout: 60_000 }, async () => {
  const files = [...new Set(rows.map(({ file, row }) => row.proof?.[0] ?? `faults/${file}`))];
  const tests = await listTests(files);
  const missing = rows.filter(({ file, row }) => {
    const names = tests.get(row.proof?.[0] ?? `faults/${file}`) ?? [];
    return !names.some((name) => name === row.proof?.[1] || name.endsWith(` > ${row.id}: ${row.fault}`));
  });
  expect(missing.map(({ row }) => `${row.id}: ${row.fault}`)).toEqual([]);

  const own = [...tests].filter(([file]) => file.startsWith("faults/")).flatMap(([, names]) => names);
  const known = rows.filter(({ row }) => !row.proof).map(({ row }) => row.id);
  const ids = own.map((name) => / > (F\d+): /.exec(name)?.[1]);
  expect(ids.toSorted()).toEqual(known.toSorted());
});
