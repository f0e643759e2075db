/** The links between this project's pages have targets: files, and headings in them. */
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const pages = globSync(["*.md", "{docs,federate,kubernetes,tekton,test}/**/*.md"], {
  cwd: root,
  exclude: (name) => name.includes("node_modules") || name.includes("checkouts"),
});

/** The text without blocks of code, where a link is none. */
const proseOf = (page: string): string =>
  readFileSync(join(root, page), "utf8").replaceAll(/^ *```[\s\S]*?^ *```/gm, "");

/** As GitHub makes an anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .replaceAll(" ", "-");

const anchorsOf = (page: string): string[] =>
  [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading));

test.each(pages)("%s", (page) => {
  const broken = [...proseOf(page).matchAll(/\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(
    ([link, file, anchor]) => {
      const target = file ? join(dirname(page), file) : page;
      if (!existsSync(join(root, target))) return [link];
      const isPage = statSync(join(root, target)).isFile();
      return anchor && !(isPage && anchorsOf(target).includes(anchor)) ? [link] : [];
    },
  );
  expect(broken).toEqual([]);
});

test.each(pages)("the pictures of %s", (page) => {
  const pictures = [...proseOf(page).matchAll(/\b(?:src|srcset)="(?![a-z]+:)([^"]*)"/g)].map(([, file = ""]) => file);
  expect(pictures.filter((file) => !existsSync(join(root, dirname(page), file)))).toEqual([]);
});
