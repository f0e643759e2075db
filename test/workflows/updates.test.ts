/** .github/renovate.json: each pinned version is one that Renovate finds. test/real/updates.test.ts runs Renovate itself. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const { customManagers, minimumReleaseAge } = JSON.parse(read(".github/renovate.json")) as {
  customManagers: { managerFilePatterns: string[]; matchStrings: string[] }[];
  minimumReleaseAge: string;
};

interface Pin {
  readonly depName?: string;
  readonly currentValue?: string;
  readonly index: number;
  readonly text: string;
}

/** What the managers find in a file. */
const pinsIn = (file: string): Pin[] =>
  customManagers
    .filter(({ managerFilePatterns }) =>
      managerFilePatterns.some((pattern) => new RegExp(pattern.slice(1, -1)).test(file)),
    )
    .flatMap(({ matchStrings }) => matchStrings)
    .flatMap((source) => [...read(file).matchAll(new RegExp(source, "g"))])
    .map(({ groups, index, 0: text }) => ({ ...groups, index, text }));

const scripts = ["script/lib.sh", ...globSync("test/cluster/*.sh", { cwd: root })];

test.each(scripts)("%s: each version is one that Renovate finds", (file) => {
  const text = read(file);
  const found = pinsIn(file).map(({ index, text: all }) => [index, index + all.length] as const);
  const unknown = [...text.matchAll(/(?<!_NET(?:=|:-|:)?)(?:[@=-]|:-)v?\d+\.\d+\.\d+\b(?!\.)/g)].filter(
    ({ index, 0: pin }) => !found.some(([begin, end]) => begin <= index && index + pin.length <= end),
  );
  // Write `# renovate: datasource=… depName=…` on the line above, as the others have it.
  expect(unknown.map(({ index }) => text.slice(text.lastIndexOf("\n", index) + 1, text.indexOf("\n", index)))).toEqual(
    [],
  );
});

describe("a tool that is built from a folder", () => {
  const tools = [...read("script/lib.sh").matchAll(/need_go_program \S+@(v?[\d.]+) \S+ (test\/\S+)/g)];

  test.each(tools.map(([, version = "", folder = ""]) => [folder, version]))(
    "%s has the version of its module",
    (folder, version) => {
      const pin = pinsIn("script/lib.sh").find(
        ({ text, currentValue }) => text.includes("need_go_program") && currentValue === version,
      );
      expect(pin?.depName).toBeDefined();
      expect(read(join(folder, "go.mod"))).toMatch(
        new RegExp(
          `\\b${pin?.depName?.replaceAll(".", "\\.")} v${version.replace(/^v/, "").replaceAll(".", "\\.")}\\b`,
        ),
      );
    },
  );

  test("its module is where Renovate looks", () => {
    expect(tools.length).toBeGreaterThan(3);
    const modules = globSync("test/**/go.mod", { cwd: root, exclude: ["**/node_modules/**"] }).map(dirname);
    const { ignorePaths } = JSON.parse(read(".github/renovate.json")) as { ignorePaths: string[] };
    const ignored = ignorePaths.map((path) => path.replace("/**", "/"));
    expect(modules.filter((folder) => ignored.some((path) => `${folder}/`.startsWith(path)))).toEqual([]);
  });
});

test("no version is taken before others have tried it", () => {
  expect(minimumReleaseAge).toBe("7 days");
});
