/** `id-token: write`, added where a job gets it from. Pure. */
import { isMap, type Node, type YAMLMap } from "yaml";
import { type Edit, endOfLine, lineBreakOf, startOfLine } from "./edits.ts";
import { type GithubFile, isCalled, isOnlyCalled, type Job, placeOf, usersOf, type World } from "./github.ts";
import { type Entry, endOf, entriesOf, isBlock, startOf, textOf, textOrEmpty } from "./yaml-tree.ts";

export interface FileEdit extends Edit {
  readonly path: string;
}

export type Permit =
  | { readonly kind: "given"; readonly edits: readonly FileEdit[]; readonly notes: readonly string[] }
  | { readonly kind: "refused"; readonly why: string };

const given = (edits: readonly FileEdit[] = [], notes: readonly string[] = []): Permit => ({
  kind: "given",
  edits,
  notes,
});
const refused = (why: string): Permit => ({ kind: "refused", why });

/** What it takes for a job to ask GitHub for an identity token. Its callers are asked too: a called job gets no more than they grant. */
export function permit(job: Job, world: World, seen: ReadonlySet<Job> = new Set()): Permit {
  const { file } = job;
  if (seen.has(job)) {
    return given();
  }
  const block = file.kind === "action" ? undefined : blockOf(job);
  if (block === undefined && !isOnlyCalled(file)) {
    return refused(
      `${placeOf(job)} has no permissions block, nor has the workflow, and adding one would remove its defaults: write one that names all that the job needs, with id-token: write and mostly contents: read`,
    );
  }
  const own = block ? grant(job, block) : given();
  if (own.kind === "refused" || !isCalled(file)) {
    return own;
  }
  return callersPermit(job, world, { own: own.edits, seen });
}

function callersPermit(
  job: Job,
  world: World,
  { own, seen }: { readonly own: readonly FileEdit[]; readonly seen: ReadonlySet<Job> },
): Permit {
  const { file } = job;
  const callers = usersOf(world, file);
  const isAction = file.kind === "action";
  if (callers.length === 0 && !isAction && blockOf(job) === undefined) {
    return refused(
      "no workflow of this checkout calls this one, and it has no permissions block: its callers must grant id-token: write",
    );
  }
  const edits = [...own];
  const notes = [
    `${isAction ? "Each job that uses this action" : "Each job that calls this workflow"} from another repository needs id-token: write too.`,
  ];
  for (const caller of callers) {
    const permitted = permit(caller, world, new Set([...seen, job]));
    if (permitted.kind === "refused") {
      return refused(`it is called from there: ${permitted.why}`);
    }
    if (permitted.edits.some(({ path }) => !world.isSelected(path))) {
      return refused(`${placeOf(caller)} calls it, needs id-token: write, and is not among the given paths`);
    }
    edits.push(...permitted.edits);
    notes.push(...permitted.notes);
  }
  return given(edits, [...new Set(notes)]);
}

const blockOf = ({ entries, file }: Job): { readonly entry: Entry; readonly ofJob: boolean } | undefined => {
  const [own, common] = [entries.get("permissions"), file.entries.get("permissions")];
  return own ? { entry: own, ofJob: true } : common ? { entry: common, ofJob: false } : undefined;
};

function grant(job: Job, { entry, ofJob }: { readonly entry: Entry; readonly ofJob: boolean }): Permit {
  const { tree, jobs } = job.file;
  const { raw, value } = entry;
  if (textOf(value) === "write-all") {
    return given();
  }
  const line = tree.lineOf(entry.key);
  if (!isMap(value)) {
    return refused(
      `permissions: ${textOrEmpty(value)} (line ${line}) leaves out id-token: name each permission that the job needs`,
    );
  }
  const current = entriesOf(tree, value).get("id-token");
  if (textOf(current?.value) === "write") {
    return given();
  }
  const isOneJob = jobs.length === 1;
  if (!ofJob && !isOneJob) {
    return ownBlock(job, value);
  }
  if (value !== raw || tree.isShared(value)) {
    return refused(`the permissions (line ${line}) have an anchor that other places use: add id-token: write by hand`);
  }
  return given([{ path: tree.path, ...addition(job.file, value, current) }]);
}

/** The line is added behind the last one, or the value of id-token is changed. */
function addition({ tree: { text } }: GithubFile, value: YAMLMap, current: Entry | undefined): Edit {
  const line = "id-token: write";
  if (current?.value) {
    return { start: startOf(current.key), end: endOf(text, current.value), text: line };
  }
  const last = value.items.at(-1);
  const lastNode = (last?.value ?? last?.key) as Node | undefined;
  if (!lastNode) {
    return { start: startOf(value), end: endOf(text, value), text: `{ ${line} }` };
  }
  const end = endOf(text, lastNode);
  if (!isBlock(value)) {
    return { start: end, end, text: `, ${line}` };
  }
  const indent = indentOf(text, startOf(value));
  const at = endOfLine(text, end);
  return { start: at, end: at, text: `${lineBreakOf(text)}${indent}${line}` };
}

/** A block of the job's own: the workflow's permissions, and id-token. The workflow's other jobs keep what they have. */
function ownBlock({ file: { tree }, entries, node }: Job, common: Node): Permit {
  const before = entries.get("runs-on") ?? entries.get("uses");
  if (!before || !isBlock(node) || tree.isShared(node)) {
    return refused(
      "the job is written in braces or has an anchor: add a permissions block with id-token: write by hand",
    );
  }
  const { text } = tree;
  const start = startOf(before.key);
  const indent = indentOf(text, start);
  const lines = [...entriesOf(tree, common)]
    .filter(([name]) => name !== "id-token")
    .map(([name, { value }]) => `${name}: ${textOrEmpty(value)}`);
  const added = ["permissions:", ...[...lines, "id-token: write"].map((line) => `${indent}  ${line}`), indent];
  return given([{ path: tree.path, start, end: start, text: added.join(lineBreakOf(text)) }]);
}

/** The blanks before a position in its line; those of a list's item are as wide as its dash. */
export const indentOf = (text: string, at: number): string =>
  text.slice(startOfLine(text, at), at).replaceAll(/\S/g, " ");
