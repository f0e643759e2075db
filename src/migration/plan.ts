/** The whole change of a checkout: what is found, the edits of each file, what follows from them. Pure. */

import { unifiedDiff } from "./diff.ts";
import { applyEdits, collide, type Edit, type Range } from "./edits.ts";
import { type Finding, listed } from "./finding.ts";
import { type GithubFile, readGithubFile, type World } from "./github.ts";
import { githubLogins } from "./github-logins.ts";
import { gitlabLogins, isGitlabFile } from "./gitlab.ts";
import { createMask, hide, type Mask, shownHidden } from "./mask.ts";
import { findPasswords } from "./passwords.ts";
import { type SecretUse, secretUses } from "./secrets.ts";
import { isTekton, secretHosts, tektonLogins } from "./tekton.ts";
import { parseTrees, type Tree } from "./yaml-tree.ts";

export interface Checkout {
  /** The text files of the whole checkout by path, from its root, with slashes. */
  readonly texts: ReadonlyMap<string, string>;
  /** Files that are not looked at; with their text where only its encoding is another. */
  readonly skipped: ReadonlyMap<string, string | undefined>;
  readonly isSelected: (path: string) => boolean;
  readonly remote: Remote | undefined;
  readonly defaultBranch: string | undefined;
}

export interface Remote {
  readonly host: string;
  /** OWNER/REPO or GROUP/PROJECT */
  readonly path: string;
}

export interface PlanRequest {
  readonly registry: string;
  readonly action: string;
}

export interface ChangedFile {
  readonly path: string;
  readonly text: string;
  readonly edits: readonly Edit[];
}

export interface Plan {
  readonly findings: readonly Finding[];
  readonly files: readonly ChangedFile[];
  readonly secrets: readonly SecretUse[];
  /** Files of pipelines that can't be read, and so were not looked at. */
  readonly unread: readonly string[];
  /** Files that may use the secrets, and were not looked at. */
  readonly unsearched: readonly string[];
  readonly mask: Mask;
  readonly passwords: readonly string[];
  /** By path: places of passwords, the short ones too, which `mask` leaves. */
  readonly hidden: ReadonlyMap<string, readonly Range[]>;
}

export function planMigration(checkout: Checkout, request: PlanRequest): Plan {
  const { texts, skipped, isSelected, remote, defaultBranch } = checkout;
  const read = readTrees(texts);
  const github = read.trees.flatMap((tree) => readGithubFile(tree) ?? []);
  const isGithub = remote !== undefined && /^(?:www\.|ssh\.)?github\.com$/.test(remote.host);
  const world: World = { files: github, isSelected, defaultBranch, repository: isGithub ? remote.path : undefined };
  const gitlab = {
    registry: request.registry,
    project: isGithub ? undefined : remote?.path,
    issuer: isGithub || remote === undefined || remote.host === "gitlab.com" ? undefined : `https://${remote.host}`,
    defaultBranch,
  };
  const tekton = { registry: request.registry, secrets: secretHosts(read.trees) };
  const others = read.trees.filter(({ path }) => isSelected(path));
  const found = [
    ...github.filter(({ tree }) => isSelected(tree.path)).flatMap((file) => githubLogins(file, world, request)),
    ...others.filter(({ path }) => isGitlabFile(path)).flatMap((tree) => gitlabLogins(tree, gitlab)),
    ...others.filter((tree) => isTekton(tree)).flatMap((tree) => tektonLogins(tree, tekton)),
  ];
  const { findings, files } = settled(found, texts);
  const pipelines = read.trees.filter(
    (tree) => github.some((file) => file.tree === tree) || isGitlabFile(tree.path) || isTekton(tree),
  );
  const { values, places } = findPasswords(pipelines);
  return {
    findings: findings.toSorted((one, other) =>
      one.path < other.path ? -1 : one.path > other.path ? 1 : one.line - other.line,
    ),
    files,
    secrets: secretsAfter(findings, { files, github, texts: new Map([...texts, ...known(skipped)]) }),
    unread: [...read.unread, ...[...skipped.keys()].filter(isPipelineFile)].filter(isSelected),
    unsearched: [...skipped].flatMap(([path, text]) => (text === undefined ? [path] : [])),
    mask: createMask(values),
    passwords: values,
    hidden: places,
  };
}

const isPipelineFile = (path: string): boolean =>
  /(?:^|\/)\.github\/workflows\/[^/]+\.ya?ml$|(?:^|\/)action\.ya?ml$|(?:^|\/)\.github(?:\/workflows)?$/.test(path) ||
  isGitlabFile(path);

const known = (texts: Checkout["skipped"]): readonly (readonly [string, string])[] =>
  [...texts].flatMap(([path, text]) => (text === undefined ? [] : [[path, text] as const]));

function readTrees(texts: ReadonlyMap<string, string>) {
  const trees: Tree[] = [];
  const unread: string[] = [];
  for (const [path, text] of texts) {
    const isPipeline = isPipelineFile(path);
    if (isPipeline || (/\.ya?ml$/.test(path) && /tekton\.dev\/|^kind: *Secret/m.test(text))) {
      const parsed = parseTrees(path, text);
      trees.push(...(parsed ?? []));
      if (parsed === undefined && isPipeline) {
        unread.push(path);
      }
    }
  }
  return { trees, unread };
}

/** One finding for each place, and the edits that fit together. A step that several jobs share changes only if all of them allow it. */
function settled(found: readonly Finding[], texts: ReadonlyMap<string, string>) {
  const placeOf = ({ path, line, what }: Finding) => `${path}:${line}:${what}`;
  const refusals = new Map<string, Finding["change"]>(
    found.flatMap((each) => (each.change.kind === "listed" ? [[placeOf(each), each.change] as const] : [])),
  );
  for (;;) {
    const findings = found.map((each) => ({ ...each, change: refusals.get(placeOf(each)) ?? each.change }));
    const { edits, misfits } = together(findings, texts);
    if (misfits.length === 0) {
      const files = [...edits].map(
        ([path, own]): ChangedFile => ({ path, text: texts.get(path) ?? "", edits: unique(own) }),
      );
      return { findings, files };
    }
    for (const each of misfits) {
      refusals.set(
        placeOf(each),
        listed(
          "the change of another login, or of another job with this step, touches the same lines: run migrate again after that one, or replace it by hand",
        ),
      );
    }
  }
}

/** The edits by file, and the findings whose edits don't fit to those of the findings before. */
function together(findings: readonly Finding[], texts: ReadonlyMap<string, string>) {
  const edits = new Map<string, readonly Edit[]>();
  const misfits: Finding[] = [];
  for (const each of findings) {
    const own = Map.groupBy(each.change.kind === "rewritten" ? each.change.edits : [], ({ path }) => path);
    const all = [...own].map(([path, more]) => [path, [...(edits.get(path) ?? []), ...more]] as const);
    if (all.every(([path, some]) => isSound(texts.get(path) ?? "", some))) {
      for (const [path, some] of all) {
        edits.set(path, some);
      }
    } else {
      misfits.push(each);
    }
  }
  return { edits, misfits };
}

const unique = (edits: readonly Edit[]): readonly Edit[] => [
  ...new Map(edits.map(({ start, end, text }) => [`${start} ${end} ${text}`, { start, end, text }])).values(),
];

/** Whether the edits fit together and leave a file that can be read. */
const isSound = (text: string, edits: readonly Edit[]): boolean =>
  !collide(edits) && parseTrees("", applyEdits(text, edits)) !== undefined;

interface Changed {
  readonly files: readonly ChangedFile[];
  readonly github: readonly GithubFile[];
  readonly texts: ReadonlyMap<string, string>;
}

function secretsAfter(findings: readonly Finding[], { files, github, texts }: Changed): readonly SecretUse[] {
  const names = findings.flatMap(({ secrets }) => secrets);
  const changed = new Map(files.map(({ path, text, edits }) => [path, applyEdits(text, edits)]));
  return secretUses(names, {
    files: github,
    texts: new Map([...texts].map(([path, text]) => [path, changed.get(path) ?? text])),
  });
}

/** The diff of a file, without passwords. */
export const shownDiff = ({ path, text, edits }: ChangedFile, { mask, hidden }: Plan): string =>
  mask(shownHidden(unifiedDiff(path, hide(text, hidden.get(path) ?? []), edits)));
