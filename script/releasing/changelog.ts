/** CHANGELOG.md: a section for each version, the newest first. A draft comes from the commits; people edit it. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Release } from "./project.ts";
import { git, Refusal } from "./run.ts";

const file = "CHANGELOG.md";

/** A Conventional Commit that a reader of the changelog cares about. */
interface Change {
  readonly type: string;
  readonly scope: string | undefined;
  readonly isBreaking: boolean;
  readonly text: string;
}

/** In this order. Other types (docs, test, refactor, chore, …) change nothing for a user. */
const headings: Readonly<Record<string, string>> = { feat: "Features", fix: "Fixes", perf: "Performance" };

/** @returns undefined for a commit that no reader of the changelog cares about */
export function parseCommit(message: string): Change | undefined {
  const [subject = "", ...body] = message.trim().split("\n");
  const [, type = "", scope, mark, text = ""] = /^([a-z]+)(?:\(([^)]+)\))?(!)?: (.+)$/.exec(subject) ?? [];
  const breaking = /^BREAKING[ -]CHANGE: ([\s\S]+?)(?:\n\n|$(?![\s\S]))/m.exec(body.join("\n"))?.[1];
  const isBreaking = mark !== undefined || breaking !== undefined;
  if (!isBreaking && !Object.hasOwn(headings, type)) return undefined;
  return { type, scope, isBreaking, text: breaking?.replaceAll(/\s+/g, " ").trim() ?? text };
}

/** @returns a section without its heading, from commit messages, the oldest first */
export function changesOf(messages: readonly string[]): string {
  const changes = messages.map(parseCommit).filter((change) => change !== undefined);
  const groups: [string, Change[]][] = [
    ["Breaking changes", changes.filter(({ isBreaking }) => isBreaking)],
    ...Object.entries(headings).map(([type, heading]): [string, Change[]] => [
      heading,
      changes.filter((change) => change.type === type && !change.isBreaking),
    ]),
  ];
  const texts = groups.flatMap(([heading, group]) =>
    group.length === 0 ? [] : [`### ${heading}\n\n${group.map(lineOf).sort().join("")}`],
  );
  return texts.length === 0 ? "No change that a user notices.\n" : texts.join("\n");
}

function lineOf({ scope, text }: Change): string {
  const sentence = `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}`;
  return `- ${scope === undefined ? "" : `**${scope}:** `}${sentence}\n`;
}

/** The sections with their headings' versions, the newest first. */
function sectionsOf(changelog: string): { version: string; text: string }[] {
  return changelog
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [heading = "", ...lines] = section.split("\n");
      return { version: heading.split(" ")[0] ?? "", text: `${lines.join("\n").trim()}\n` };
    });
}

/** The release's notes. @throws Refusal if the newest section is not this version's */
export function newestSection(version?: string, changelog = readFileSync(file, "utf8")): string {
  const [newest] = sectionsOf(changelog);
  if (newest === undefined) throw new Refusal(`${file} has no section. Type: script/release changelog`);
  if (version !== undefined && newest.version !== version) {
    throw new Refusal(
      `package.json says ${version}, but ${file} begins with ${newest.version}. Type: script/release changelog, and edit what it writes`,
    );
  }
  return newest.text;
}

/** Puts a section from the commits since the last version's tag above the others. */
export async function draftChangelog({ version }: Release): Promise<void> {
  const changelog = readFileSync(file, "utf8");
  if (sectionsOf(changelog).some((section) => section.version === version)) {
    throw new Refusal(`${file} has a section ${version} already. Set the next version in package.json first`);
  }
  const last = await lastTag(version);
  const range = last ? [`${last}..HEAD`] : ["HEAD"];
  const log = await git(["log", "--reverse", "--no-merges", "--format=%B%x00", ...range]);
  writeFileSync(file, insertSection(changelog, version, changesOf(log.split("\0"))));
  console.log(`${file} has a section ${version} now. Edit it: it is for people who use the program.`);
}

/** What a final version has changed is what it changes since the last final one; a prerelease goes on from the one before. */
async function lastTag(version: string): Promise<string | undefined> {
  const list = ["tag", "--merged", "HEAD", "--sort=-v:refname", "--list", "v[0-9]*.[0-9]*.[0-9]*"];
  const tags = (await git(["-c", "versionsort.suffix=-", ...list])).split("\n");
  return tags.find((tag) => tag !== "" && (version.includes("-") || !tag.includes("-")));
}

export function insertSection(changelog: string, version: string, text: string): string {
  const [before = "", ...sections] = changelog.trimEnd().split(/^(?=## )/m);
  return `${[before, `## ${version}\n\n${text}`, ...sections].map((part) => part.trimEnd()).join("\n\n")}\n`;
}
