/** A unified diff from edits, as `git apply` reads it. Pure. */
import type { Edit } from "./edits.ts";
import { applyEdits } from "./edits.ts";

/** Lines of the old text, and what stands in their place in the new one. */
interface Change {
  readonly first: number;
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** Lines that are shown before and after each change. */
const context = 3;

/** The diff of a file; "" if nothing changes. @param path from the checkout's root, with slashes */
export function unifiedDiff(path: string, old: string, edits: readonly Edit[]): string {
  const lines = linesOf(old);
  const hunks = hunksOf(changesOf(lines, edits));
  if (hunks.length === 0) {
    return "";
  }
  const [a, b] = [nameOf(`a/${path}`), nameOf(`b/${path}`)];
  let shift = 0;
  const body = hunks.map((hunk) => {
    const { text, grown } = hunkText(hunk, lines, shift);
    shift += grown;
    return text;
  });
  return `diff --git ${a} ${b}\n--- ${tabbed(a)}\n+++ ${tabbed(b)}\n${body.join("")}`;
}

/** Each with its line break; the last one may have none. */
const linesOf = (text: string): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

function changesOf(lines: readonly string[], edits: readonly Edit[]): readonly Change[] {
  const starts: number[] = [];
  let at = 0;
  for (const line of lines) {
    starts.push(at);
    at += line.length;
  }
  const lineOf = (position: number) =>
    Math.max(
      0,
      starts.findLastIndex((start) => start <= position),
    );
  const groups: { first: number; last: number; edits: Edit[] }[] = [];
  for (const edit of edits.toSorted((one, other) => one.start - other.start)) {
    // An edit of whole lines ends where the next one begins, and leaves that alone.
    const isWhole = starts.includes(edit.start) && /^$|\n$/.test(edit.text);
    const first = lineOf(edit.start);
    const last = isWhole ? (edit.end > edit.start ? lineOf(edit.end - 1) : first - 1) : lineOf(edit.end);
    const group = groups.at(-1);
    if (group && first <= group.last + 1) {
      group.last = Math.max(group.last, last);
      group.edits.push(edit);
    } else {
      groups.push({ first, last, edits: [edit] });
    }
  }
  return groups.flatMap(({ first, last, edits: own }) => {
    const base = lines.slice(0, first).join("").length;
    const part = lines.slice(first, last + 1);
    const moved = own.map((edit) => ({ ...edit, start: edit.start - base, end: edit.end - base }));
    return trimmed({ first, removed: part, added: linesOf(applyEdits(part.join(""), moved)) });
  });
}

/** Without the lines that are the same at both ends. */
function trimmed({ first, removed, added }: Change): readonly Change[] {
  const most = Math.min(removed.length, added.length);
  let before = 0;
  while (before < most && removed[before] === added[before]) {
    before += 1;
  }
  let after = 0;
  while (after < most - before && removed.at(-1 - after) === added.at(-1 - after)) {
    after += 1;
  }
  const change = {
    first: first + before,
    removed: removed.slice(before, removed.length - after),
    added: added.slice(before, added.length - after),
  };
  return change.removed.length + change.added.length > 0 ? [change] : [];
}

/** Changes whose context touches are one hunk. */
function hunksOf(changes: readonly Change[]): readonly (readonly Change[])[] {
  const hunks: Change[][] = [];
  for (const change of changes) {
    const hunk = hunks.at(-1);
    const before = hunk?.at(-1);
    if (hunk && before && change.first - (before.first + before.removed.length) <= 2 * context) {
      hunk.push(change);
    } else {
      hunks.push([change]);
    }
  }
  return hunks;
}

function hunkText(hunk: readonly Change[], lines: readonly string[], shift: number) {
  const begin = Math.max(0, (hunk[0]?.first ?? 0) - context);
  const body: string[] = [];
  let at = begin;
  let grown = 0;
  for (const { first, removed, added } of hunk) {
    body.push(...marked(" ", lines.slice(at, first)), ...marked("-", removed), ...marked("+", added));
    at = first + removed.length;
    grown += added.length - removed.length;
  }
  const end = Math.min(lines.length, at + context);
  body.push(...marked(" ", lines.slice(at, end)));
  const [count, newCount] = [end - begin, end - begin + grown];
  // An empty side names the line before it.
  const [from, to] = [begin + (count === 0 ? 0 : 1), begin + shift + (newCount === 0 ? 0 : 1)];
  return { text: `@@ -${from},${count} +${to},${newCount} @@\n${body.join("")}`, grown };
}

const marked = (mark: string, lines: readonly string[]): readonly string[] =>
  lines.map((line) => `${mark}${line}${line.endsWith("\n") ? "" : "\n\\ No newline at end of file\n"}`);

/** As git quotes names (quote.c): in quotes where a character needs it, other bytes than ASCII in octal. */
function nameOf(path: string): string {
  if (/^[ !#-[\]-~]*$/.test(path)) {
    return path;
  }
  const bytes = [...Buffer.from(path, "utf8")].map((byte) =>
    byte === 0x22 || byte === 0x5c
      ? `\\${String.fromCharCode(byte)}`
      : byte < 0x20 || byte > 0x7e
        ? `\\${byte.toString(8).padStart(3, "0")}`
        : String.fromCharCode(byte),
  );
  return `"${bytes.join("")}"`;
}

/** A name with a blank ends at a tab. */
const tabbed = (name: string): string => (name.includes(" ") && !name.startsWith('"') ? `${name}\t` : name);
