/** docs/pictures: what script/pictures draws, byte for byte, as GitHub can show it and as each reader can read it. */
import { globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { drawAll } from "../script/draw/pictures.ts";
import { palettes } from "../script/draw/svg.ts";

const root = resolve(import.meta.dirname, "..");
const drawn = await drawAll();
const stored = globSync("docs/pictures/*.svg", { cwd: root }).toSorted();
const read = (file: string) => readFileSync(resolve(root, file), "utf8");

test("each picture is drawn by a script, light and dark", () => {
  expect([...drawn.keys()].toSorted()).toEqual(stored);
  const names = stored.map((file) => file.replace(/-(light|dark)\.svg$/, ""));
  expect(names.filter((name) => !stored.includes(`${name}-light.svg`) || !stored.includes(`${name}-dark.svg`))).toEqual(
    [],
  );
});

describe.each(stored)("%s", (file) => {
  const svg = read(file);

  test("is what script/pictures draws", () => {
    expect(svg).toBe(drawn.get(file));
  });

  test("is well-formed, and names itself", () => {
    const open: string[] = [];
    for (const [, closing, name = "", self] of svg.matchAll(/<(\/?)([a-z]+)(?:[^>"]|"[^"]*")*?(\/?)>/g)) {
      if (closing) expect(open.pop()).toBe(name);
      else if (!self) open.push(name);
    }
    expect(open).toEqual([]);
    expect(svg.replaceAll(/<\/?[a-z]+(?:[^>"]|"[^"]*")*>/g, "")).not.toMatch(/[<>]|&(?!(?:amp|lt|gt|quot);)/);
    expect(svg).toMatch(
      /^<svg [^>]*role="img" aria-labelledby="title description">\n<title id="title">.+<\/title>\n<desc id="description">.+<\/desc>/,
    );
  });

  test("needs nothing that GitHub does not show in an image: no script, no font, nothing from elsewhere", () => {
    expect(svg).not.toMatch(
      /<script|<foreignObject|<image|<use|@import|@font-face|url\(|href=|\son[a-z]+=|textLength/i,
    );
  });
});

test("stands still for readers who prefer reduced motion, with one screen", () => {
  const svg = read("docs/pictures/demo-light.svg");
  expect(svg).toContain("@media (prefers-reduced-motion:reduce){.group{animation:none}}");
  expect(svg).toMatch(/\.group\{opacity:0;[^}]*\}\.still\{opacity:1\}/);
  expect(svg.match(/<g class="group k\d+ still">/g)?.length).toBeGreaterThan(1);
});

describe.each(Object.entries(palettes))("the colours of %s", (_theme, colours) => {
  const { ground, panel, line: _line, ...inks } = colours;

  test.each(Object.entries(inks))("%s can be read on both backgrounds (WCAG 2.2, 1.4.3: 4.5 to 1)", (_name, ink) => {
    expect(Math.min(contrast(ink, ground), contrast(ink, panel))).toBeGreaterThanOrEqual(4.5);
  });
});

/** WCAG 2.2: relative luminance, contrast ratio. */
function contrast(one: string, other: string): number {
  const luminance = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5]
      .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

test("a page shows only pictures that exist, each in both themes", () => {
  const shown = globSync(["*.md", "{docs,federate,promote,kubernetes,tekton}/**/*.md"], { cwd: root }).flatMap((page) =>
    [...read(page).matchAll(/[\w./-]*pictures\/([\w-]+)-(light|dark)\.svg/g)].map(([, name = "", theme = ""]) => ({
      page,
      name,
      theme,
    })),
  );
  expect(shown.filter(({ name, theme }) => !stored.includes(`docs/pictures/${name}-${theme}.svg`))).toEqual([]);
  const themesOf = (page: string, name: string) =>
    shown.filter((each) => each.page === page && each.name === name).map(({ theme }) => theme);
  expect(shown.filter(({ page, name }) => new Set(themesOf(page, name)).size < 2)).toEqual([]);
  expect(shown.length).toBeGreaterThan(0);
});
