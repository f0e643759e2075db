/** The short forms of a binding, to issuer and subject and back. The command line and the file share them. Pure. */
import type { ExplainedError } from "../platform/errors.ts";
import { joined, text, type Words } from "../platform/wording.ts";
import {
  problemOfEnvironment,
  problemOfGithub,
  problemOfGitlab,
  problemOfIssuer,
  problemOfRef,
  problemOfServiceAccount,
} from "./form-values.ts";

/** Keys that say who is trusted. Each is the name of an option and of a key in the file. */
export const formKeys = [
  "github",
  "service-account",
  "gitlab",
  "subject",
  "environment",
  "branch",
  "tag",
  "pull-request",
  "issuer",
] as const;
export type FormKey = (typeof formKeys)[number];

/** A binding in a short form, as text. `pull-request` is "true" or absent. */
export type Form = { readonly [Key in FormKey]?: string | undefined };

export interface IssuerAndSubject {
  readonly issuer: string;
  readonly subject: string;
}

/** How the place that a form comes from words its errors. */
export interface FormWriter {
  /** An error about a key that the form has. */
  wrong(key: FormKey, problem: Words, example: Form): ExplainedError;
  /** A key's name in a sentence. */
  name(key: FormKey): Words;
}

/** The keys of which a form has exactly one. */
const heads = ["github", "service-account", "gitlab", "subject"] as const;
type Head = (typeof heads)[number];

/** The part of a repository that is trusted. A form has one of them, or none where the head has none. */
const parts = ["environment", "branch", "tag", "pull-request"] as const;
type PartKey = (typeof parts)[number];

const partsOf: Readonly<Record<Head, readonly PartKey[]>> = {
  github: parts,
  gitlab: ["branch", "tag"],
  "service-account": [],
  subject: [],
};

const githubIssuer = "https://token.actions.githubusercontent.com";
const gitlabIssuer = "https://gitlab.com";

/** github.com and its enterprises, GHE.com, GitHub Enterprise Server; Forgejo has GitHub's subjects, too. */
const githubIssuers =
  /^https:\/\/(?:token\.actions\.githubusercontent\.com(?:\/[^/\s]+)?|token\.actions\.[a-z0-9-]+\.ghe\.com|[^/\s]+(?:\/[^\s]*)?\/(?:_services\/token|api\/actions))$/;

/** A good form of each kind, for errors. */
const examples = {
  github: { github: "acme/app", environment: "release" },
  gitlab: { gitlab: "group/project", branch: "main" },
  "service-account": { "service-account": "team/deployer", issuer: "https://oidc.example.com/cluster" },
  subject: { issuer: "https://spire.example.com", subject: "spiffe://example.com/ci" },
} as const satisfies Record<Head, Form>;

const samples = { environment: "release", branch: "main", tag: "v1.0", "pull-request": "true" } as const;

/**
 * Issuer and subject of a form that has at least one key. Quay's own demands are checked, and whether names can exist; the lint
 * checks the rest.
 * @throws ExplainedError as `writer` makes it
 */
export function bindingOfForm(form: Form, writer: FormWriter): IssuerAndSubject {
  // First, because other errors repeat good values in their examples.
  checkValues(form, writer);
  const head = headOf(form, writer);
  const part = partOf(form, head, writer);
  return { issuer: issuerOf(form, head, writer), subject: subjectOf(form, head, part) };
}

function headOf(form: Form, { wrong, name }: FormWriter): Head {
  const [head, other] = heads.filter((key) => form[key] !== undefined);
  if (head === undefined) {
    const part = parts.find((key) => form[key] !== undefined);
    throw part === undefined
      ? wrong("issuer", text`it needs ${name("subject")}, letter by letter`, {
          ...examples.subject,
          issuer: form.issuer,
        })
      : wrong(part, text`it needs ${either(fitting(part).map(name))}`, exampleWith(part, form));
  }
  if (other !== undefined) {
    throw wrong(other, text`it can't be combined with ${name(head)}: both say who is trusted`, examples[other]);
  }
  return head;
}

/** `a, b or c` */
const either = (words: readonly Words[]): Words =>
  words.length < 2 ? joined(words, "") : text`${joined(words.slice(0, -1), ", ")} or ${words.at(-1) ?? ""}`;

function partOf(form: Form, head: Head, { wrong, name }: FormWriter): PartKey | undefined {
  const [part, other] = parts.filter((key) => form[key] !== undefined);
  const possible = partsOf[head];
  const strange = parts.find((key) => form[key] !== undefined && !possible.includes(key));
  if (strange) {
    throw wrong(
      strange,
      text`it goes with ${either(fitting(strange).map(name))}, not with ${name(head)}`,
      head === "gitlab" ? { ...examples.gitlab, gitlab: form.gitlab } : exampleWith(strange, form),
    );
  }
  if (part && other) {
    const why =
      part === "environment"
        ? text`GitHub's subject then names the environment alone, and its settings say which branches and tags may use it`
        : text`a subject names one of them`;
    throw wrong(other, text`it can't be combined with ${name(part)}: ${why}`, {
      [head]: form[head],
      [part]: form[part],
    });
  }
  if (!part && possible.length > 0) {
    throw wrong(head, text`it needs ${either(possible.map(name))}`, { ...examples[head], [head]: form[head] });
  }
  return part;
}

const fitting = (part: PartKey): readonly Head[] => heads.filter((head) => partsOf[head].includes(part));

const exampleWith = (part: PartKey, form: Form): Form => ({ github: examples.github.github, [part]: form[part] });

function checkValues(form: Form, { wrong }: FormWriter): void {
  const checks: readonly (readonly [FormKey, (value: string) => string | undefined, sample: string])[] = [
    ["github", problemOfGithub, form.github?.includes("@") ? "acme@1/app@2" : "acme/app"],
    ["gitlab", problemOfGitlab, "group/project"],
    ["service-account", problemOfServiceAccount, "team/deployer"],
    ["environment", problemOfEnvironment, samples.environment],
    ["branch", (value) => problemOfRef(value, "branch"), samples.branch],
    ["tag", (value) => problemOfRef(value, "tag"), samples.tag],
    ["issuer", problemOfIssuer, examples[form["service-account"] === undefined ? "subject" : "service-account"].issuer],
  ];
  for (const [key, problemOf, sample] of checks) {
    const value = form[key];
    const problem = value === undefined ? undefined : problemOf(value);
    if (value !== undefined && problem !== undefined) {
      throw wrong(key, problem, { [key]: mended(key, value, problemOf) ?? sample });
    }
  }
}

/** What was probably meant, if that is a good value: an address with its scheme or a path without, a ref's short name. */
function mended(key: FormKey, value: string, problemOf: (value: string) => string | undefined): string | undefined {
  if (key === "issuer") {
    return /^[\w.-]+(?::[0-9]+)?(?:\/\S*)?$/.test(value) ? `https://${value}` : undefined;
  }
  const short = value
    .trim()
    .replace(/^(?:[a-z][a-z0-9+.-]*:\/\/[^/]*|git@[^:]*:)/i, "")
    .replace(/^(?:ref:)?refs\/(?:heads|tags)\//, "")
    .replace(/^(?:system:serviceaccount:|repo:)/, "")
    .replace(/^\/+|\/+$|\.git$/g, "");
  const candidate = key === "service-account" ? short.replace(":", "/") : short;
  return candidate !== "" && problemOf(candidate) === undefined ? candidate : undefined;
}

function issuerOf(form: Form, head: Head, { wrong, name }: FormWriter): string {
  const { issuer } = form;
  switch (head) {
    case "github":
      if (issuer !== undefined && !githubIssuers.test(issuer)) {
        throw wrong(
          "issuer",
          text`with ${name("github")} it is the address of a GitHub Enterprise; others go with ${name("subject")}`,
          { issuer: "https://github.example.com/_services/token" },
        );
      }
      return issuer ?? githubIssuer;
    case "gitlab":
      return issuer ?? gitlabIssuer;
    default:
      if (issuer === undefined) {
        const what = head === "subject" ? "the address of the tokens' issuer" : "the cluster's";
        throw wrong(head, text`it needs ${name("issuer")}, ${what}`, { ...examples[head], [head]: form[head] });
      }
      return issuer;
  }
}

function subjectOf(form: Form, head: Head, part: PartKey | undefined): string {
  switch (head) {
    case "github":
      return `repo:${form.github}:${part ? contextOf(part, String(form[part])) : ""}`;
    case "gitlab":
      return `project_path:${form.gitlab}:ref_type:${part}:ref:${part && form[part]}`;
    case "service-account":
      return `system:serviceaccount:${form["service-account"]?.replace("/", ":")}`;
    default:
      return String(form.subject);
  }
}

/** The end of GitHub's subject (docs.github.com, "OpenID Connect reference"): a colon within a value becomes %3A. */
const contextOf = (part: PartKey, value: string): string =>
  ({
    environment: `environment:${value.replaceAll(":", "%3A")}`,
    branch: `ref:refs/heads/${value}`,
    tag: `ref:refs/tags/${value}`,
    "pull-request": "pull_request",
  })[part];

const shapes: readonly (readonly [RegExp, (...groups: readonly string[]) => Form])[] = [
  [
    /^repo:([^:]+):environment:(.+)$/s,
    (github, environment = "") => ({ github, environment: environment.replaceAll("%3A", ":") }),
  ],
  [/^repo:([^:]+):ref:refs\/heads\/(.+)$/s, (github, branch) => ({ github, branch })],
  [/^repo:([^:]+):ref:refs\/tags\/(.+)$/s, (github, tag) => ({ github, tag })],
  [/^repo:([^:]+):pull_request$/, (github) => ({ github, "pull-request": "true" })],
  [/^project_path:([^:]+):ref_type:branch:ref:(.+)$/s, (gitlab, branch) => ({ gitlab, branch })],
  [/^project_path:([^:]+):ref_type:tag:ref:(.+)$/s, (gitlab, tag) => ({ gitlab, tag })],
  [/^system:serviceaccount:([^:]+):([^:]+)$/, (space, name) => ({ "service-account": `${space}/${name}` })],
];

/** The short form of a binding, if one gives exactly this binding again; otherwise issuer and subject. */
export function formOf({ issuer, subject }: IssuerAndSubject): Form {
  for (const [shape, read] of shapes) {
    const found = shape.exec(subject);
    const form = found && read(...found.slice(1));
    for (const candidate of form ? [form, { ...form, issuer }] : []) {
      if (isFormOf(candidate, { issuer, subject })) {
        return candidate;
      }
    }
  }
  return { issuer, subject };
}

const notThisForm = new Error("the form can't be this binding's");

function isFormOf(form: Form, wanted: IssuerAndSubject): boolean {
  const writer = { wrong: () => notThisForm as ExplainedError, name: (key: FormKey) => key };
  try {
    const binding = bindingOfForm(form, writer);
    return binding.issuer === wanted.issuer && binding.subject === wanted.subject;
  } catch (error) {
    if (error !== notThisForm) {
      throw error;
    }
    return false;
  }
}

/**
 * How to get GitHub's ids, for a binding that has only names. GitHub's subjects of repositories that were made, renamed or
 * transferred since 2026-07-15 hold ids, those of GitHub Enterprise Server do not.
 * @returns undefined for any other binding
 */
export function idsNote({ issuer, subject }: IssuerAndSubject): Words | undefined {
  const [, repository] = /^repo:([^:@/]+\/[^:@/]+):/.exec(subject) ?? [];
  if (repository === undefined || !/^https:\/\/token\.actions\./.test(issuer) || problemOfGithub(repository)) {
    return undefined;
  }
  const withIds = `${repository.replace("/", "@OWNER_ID/")}@ID`;
  return text`If ${repository} was made, renamed or transferred since 2026-07-15, its subjects hold GitHub's ids: ${withIds}. This prints both: gh api repos/${repository} --jq '"\\(.owner.id) \\(.id)"'`;
}
