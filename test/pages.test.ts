/**
 * What the pages promise of themselves: each block is run by a test or marked as an illustration, and the README stays short.
 * A test takes blocks by page, heading, language and count (test/support/readme.ts): where a page gets another block, the test
 * that takes those under its heading fails until it takes that one too.
 */
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { blocksOf as verifying } from "../script/releasing/verify.ts";
import { verbs } from "../src/cli/arguments.ts";
import { optionsOf } from "../src/options/table.ts";
import { fileName } from "./support/page.ts";
import { type Block, blocksIn, blocksOf } from "./support/readme.ts";

const root = resolve(import.meta.dirname, "..");
const pages = globSync(["*.md", "{docs,federate,kubernetes,tekton}/**/*.md"], {
  cwd: root,
  exclude: (name) => name.includes("node_modules"),
});
const read = (file: string): string => readFileSync(join(root, file), "utf8");

interface Taker {
  /** The texts in quotes. */
  readonly quoted: ReadonlySet<string>;
  /** Its calls of documentBlock and blocksUnder: what page, heading and language may be there; undefined: any text in quotes. */
  readonly calls: readonly (ReadonlySet<string> | undefined)[][];
  /** Those of them that say all in one line. */
  readonly counted: readonly { page: string; heading: string; language: string; count: number }[];
  /** The pages that it walks from top to bottom, perhaps only below some headings (test/support/page.ts). */
  readonly walks: readonly { readonly page: string; readonly isWanted: (heading: string) => boolean }[];
  /** The pages whose blocks of text it compares. */
  readonly reads: ReadonlySet<string>;
}

/** What takes blocks from pages. */
const takers: Taker[] = globSync("test/**/*.ts", { cwd: root }).flatMap((file) => {
  const text = read(file);
  if (!/from "[./]+\/(?:support\/)?(?:readme|page)\.ts"/.test(text)) return [];
  const quotes = (pattern: RegExp) => new Set([...text.matchAll(pattern)].map(([, each = ""]) => each));
  const meaningOf = (argument: string) => {
    if (argument.startsWith('"')) return new Set([argument.slice(1, -1)]);
    const values = quotes(new RegExp(`^const ${argument} = "([^"]*)"`, "gm"));
    return values.size > 0 ? values : undefined;
  };
  const calls = [...text.matchAll(/\b(?:documentBlock|blocksUnder)\((?=(.*))/g)].map(([, line = ""]) =>
    [...line.matchAll(/"[^"]*"|\w+/g)].slice(0, 3).map(([argument]) => meaningOf(argument)),
  );
  const pageOf = (argument = "") => [...(meaningOf(argument) ?? [])][0] ?? "";
  const counted = [
    ...text.matchAll(/\b(?:documentBlock|blocksUnder)\((\w+|"[^"]*"), (\w+|"[^"]*"), "(\w+)"(?:, (\d+))?\)/g),
  ]
    .map(([, page, heading, language = "", count = "1"]) => ({
      page: pageOf(page),
      heading: pageOf(heading),
      language,
      count: Number(count),
    }))
    .filter(({ page, heading }) => page !== "" && heading !== "");
  const walks = [...text.matchAll(/\bwalk\((\w+|"[^"]*"), .*?(?:=> (!?)heading\.includes\("(.*?)"\))?\);/g)].map(
    ([, argument, not, part = ""]) => ({
      page: pageOf(argument),
      isWanted: (heading: string) => heading.includes(part) !== (not === "!"),
    }),
  );
  const reads = new Set([...text.matchAll(/\bshownUnder\((\w+|"[^"]*"),/g)].map(([, argument]) => pageOf(argument)));
  return [{ quoted: quotes(/"([^"\n]*)"/g), calls, counted, walks, reads }];
});

/** The commands that the verification of a release runs, and test/real/release.test.ts, which builds it again. */
const verified = new Set(verifying(read("docs/verify.md")).map(({ commands }) => commands));

/** Whether a test takes a block, by a call or on its way through the page. */
const isTaken = (page: string, block: Block): boolean =>
  (page === "docs/verify.md" && verified.has(block.text)) ||
  takers.some(({ quoted, calls, walks, reads }) => {
    const { heading, language } = block;
    if (calls.some((call) => [page, heading, language].every((each, at) => (call[at] ?? quoted).has(each))))
      return true;
    const isDone = ["sh", "console"].includes(language) || fileName(block) !== undefined;
    return (
      (isDone && walks.some((walk) => walk.page === page && walk.isWanted(heading))) ||
      (language === "text" && reads.has(page) && quoted.has(heading))
    );
  });

/** Pictures, which no test can run. */
const drawn = ["mermaid"];

describe("each block is run by a test, or marked <!-- illustration -->", () => {
  test.each(pages)("%s", (page) => {
    const left = blocksOf(page).filter(
      (block) => !block.isIllustration && !drawn.includes(block.language) && !isTaken(page, block),
    );
    expect(left.map(({ line, language, heading }) => `${page}:${line} ${language} under ${heading}`)).toEqual([]);
  });
});

test("a test takes as many blocks as the page has, also where it is skipped", () => {
  const counted = takers.flatMap((taker) => taker.counted);
  expect(counted.length).toBeGreaterThan(50);
  for (const { page, heading, language, count } of counted) {
    const there = blocksOf(page).filter(
      (block) => block.heading === heading && block.language === language && !block.isIllustration,
    );
    expect({ page, heading, language, count: there.length }).toEqual({ page, heading, language, count });
  }
});

test("the pages name each command and each flag of configure", () => {
  const commandLine = read("docs/command-line.md");
  const named = verbs.filter((verb) => verb !== "help" && verb !== "version");
  expect(named.filter((verb) => !new RegExp(`^\\|.*\`${verb}\`.* \\|`, "m").test(commandLine))).toEqual([]);
  const lists = read("docs/options.md");
  expect(named.filter((verb) => !lists.includes(`\`${verb}\``) && !lists.includes(`## ${verb}\n`))).toEqual([]);
  const section = /^## configure\n([\s\S]*?)^## /m.exec(lists)?.[1] ?? "";
  for (const { name } of optionsOf("configure")) expect(section).toContain(`| \`--${name}\` |`);
});

test("the pages name the oldest runner that the program asks for", () => {
  const [, oldest = ""] = /update the runner to ([\d.]+) or newer/.exec(read("src/platform/exit.ts")) ?? [];
  expect(oldest).not.toBe("");
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/\brunner (2\.[\d.]*\d)/g)].map(([, version]) => [page, version]),
  );
  expect(named.length).toBeGreaterThan(1);
  for (const each of named.filter(([page = ""]) => !page.includes("decisions/")))
    expect(each).toEqual([each[0], oldest]);
});

test.each([
  "~~~sh",
  "~~~",
  "```sh title=x",
  "``` sh",
  "````sh",
  "  ```{.sh}",
  "> ```sh",
  "- ```sh",
  "1. ~~~",
  "```sh\nls",
])("a block that no test would see is refused: %j", (line) => {
  expect(() => blocksIn(`# A page\n\n${line}\n`)).toThrow(/line 3: /);
});

test("a mark stands above a block", () => {
  for (const page of pages) {
    const marks = read(page).match(/^ *<!-- illustration -->$/gm) ?? [];
    expect([page, marks.length]).toEqual([page, blocksOf(page).filter(({ isIllustration }) => isIllustration).length]);
  }
});

test("the README has 200 lines at most, and says first that nothing is published, and how to see it work", () => {
  const lines = read("README.md").split("\n");
  expect(lines.length).toBeLessThanOrEqual(200);
  const first = lines.slice(0, 25).join("\n");
  for (const each of ["Nothing is published yet", "./script/demo", "./script/test"]) expect(first).toContain(each);
});

test("the README names each page of docs/", () => {
  const named = new Set([...read("README.md").matchAll(/\]\((docs\/[^)#]+)/g)].map(([, page = ""]) => page));
  const missing = pages.filter((page) => page.startsWith("docs/") && !/\/decisions\/\d/.test(page) && !named.has(page));
  expect(missing).toEqual([]);
});
