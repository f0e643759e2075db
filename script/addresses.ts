/** The forms in which a text says who we are, and how each is brought up to date. Pure. */
import { majorOf, name, nobody, type Project } from "./project.ts";

/** What the tree says before it is rewritten. Forms that are too short to be ours by themselves need the very owner or version. */
export type Known = Pick<Project, "owner" | "version">;

interface Form {
  readonly form: RegExp;
  readonly by: string | ((found: string) => string);
  /** The only files that have this form. */
  readonly only?: RegExp;
}

const raw = String.raw;
const account = raw`[A-Za-z\d](?:-?[A-Za-z\d])*`;
/** Documentation and tests call their users so. */
const users = "acme";
const versionForm = raw`\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?(?!\.?\d)`;
const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, raw`\$&`);
const form = (source: string, by: Form["by"], only?: RegExp): Form => ({
  form: new RegExp(source, "gm"),
  by,
  ...(only && { only }),
});

/** Each looks at what is around the account, and replaces the account. */
function ownerForms(known: Known, { owner }: Project): readonly Form[] {
  const any = `(?:${[...new Set([nobody, known.owner])].map(escaped).join("|")})`;
  // Not a folder of the tree: task/quay-keyless-login/0.1
  const ours = raw`(?=/${name}(?![\w-]|/\d))`;
  return [
    // uses: SOMEBODY/quay-keyless-login/promote@v1, @COMMIT, @main
    form(raw`(?<![\w./@:-])(?!${users}/)${account}(?=/${name}(?:/[\w.-]+)*@(?!sha256:)\w)`, owner),
    // A dot may be escaped: cosign takes a regular expression for the identity.
    form(
      raw`(?<=(?:(?:github|gitlab|githubusercontent)\\*\.com(?:/repos)?[/:]|pkg:github/|\$CI_SERVER_FQDN/))(?!${users}/)${account}${ours}`,
      owner,
    ),
    form(raw`(?<![\w.-])${account}(?=\.github\.io/${name})`, owner),
    // --repo OWNER/quay-keyless-login
    form(raw`(?<![\w./-])${any}${ours}`, owner),
    form(raw`(?<=https?://[^\s/]+/(?:\S*/)?|\$\{?\w+\}?/)${any}${ours}`, owner),
    form(raw`(?<=\x60)${any}(?=\x60 is the account)`, owner),
    form(raw`(?<=^[^#\n]*\s@)${any}(?![\w-])`, owner, /(^|\/)CODEOWNERS$/),
  ];
}

/** Registries that are not ours: hosts with a reserved name (RFC 2606, 6761, 6762), a cluster's own, and where git is. */
const others = raw`(?:[^/\s]*\.)?(?:example(?:\.com|\.net|\.org)?|invalid|test|localhost|local|internal|svc|github\.com|gitlab\.com|github\.io|githubusercontent\.com)(?::\d+)?/`;

function imageForms({ image }: Project): readonly Form[] {
  const host = raw`(?!${others})[a-z\d-]+(?:\.[a-z\d-]+)+(?::\d+)?(?!/${users}/)`;
  return [
    // quay.io/SOMEBODY/quay-keyless-login, also of what is published beside it: quay-keyless-login-tasks
    form(raw`(?<![\w.:/~$-]|https?://)${host}(?:/[\w.-]+)+?/${name}(?![\w/])`, image),
    form(raw`(?<=(?:docker|oci)://)${host}(?:/[\w.-]+)+?/${name}(?![\w/])`, image),
    form(raw`(?<=https://)${host}/repository/[\w./-]+?/${name}(?!\w)`, image.replace("/", "/repository/")),
  ];
}

/** Files whose versions are history. */
const history = /(^|\/)CHANGELOG\.md$|^docs\/decisions\//;

function versionForms(known: Known, { version }: Project): readonly Form[] {
  const versions = new RegExp(`(?<=[/=@]v?)${versionForm}`, "g");
  const before = raw`${escaped(known.version)}(?![\w.-]*\d)`;
  const action = raw`(?<![\w.:-])${account}/${name}(?:/[\w.-]+)*@`;
  return [
    form(raw`(?<=${action})v\d+(?![\w.])`, majorOf(version)),
    // uses: …@v1.0.0, uses: …@COMMIT # v1.0.0, component: …/quay-login@1.0.0
    form(raw`(?<=${action}(?:\w+ # )?v?)${versionForm}`, version),
    // quay-keyless-login:1.0.0, quay-keyless-login:tekton-1.0.0, quay-keyless-login-action-1.0.0.tar.gz
    form(raw`(?<=${name}(?:-[a-z\d]+)*[:-](?:tekton-)?v?)${versionForm}`, version),
    // npm install quay-keyless-login@1.0.0
    form(raw`(?<=${name}@)${before}`, version),
    // A component of GitLab, in a group of any depth
    form(raw`(?<=\$CI_SERVER_FQDN/\S+/${name}/[\w.-]+@)${versionForm}`, version),
    // …/releases/download/v1.0.0/…, //kubernetes/base?ref=v1.0.0
    form(raw`(?:github|gitlab)\\*\.com/(?!${users}/)${account}/${name}[^\s"'\x60<>]*`, (address) =>
      address.includes("/compare/") ? address : address.replaceAll(versions, version),
    ),
    form(raw`(?<=\b(?:tekton|kubernetes)-)${versionForm}(?=\.(?:yaml|tar\.gz))`, version),
    form(raw`(?<=^ARG VERSION=)${versionForm}`, version),
    form(raw`(?<=/${name}\s+#?\s*newTag: )${versionForm}`, version),
    // --branch v1.0.0, revision: v1.0.0, and Tekton's {name: revision, value: v1.0.0}
    form(raw`(?<=\b(?:revision|ref|branch|tags?)["']?(?:[:=/ ]|,?\s+["']?value["']?:)\s*["']?v?)${before}`, version),
  ];
}

/** @returns the text with our owner, image and version in each form that is known to be ours. @param file from the root */
export function rewrite(text: string, file: string, known: Known, project: Project): string {
  return [
    ...ownerForms(known, project),
    ...imageForms(project),
    ...(history.test(file) ? [] : versionForms(known, project)),
  ]
    .filter(({ only }) => only?.test(file) ?? true)
    .reduce((result, { form: found, by }) => result.replaceAll(found, by as string), text);
}

/** Tests have releases of their own. */
const othersVersions = new RegExp(`${history.source}|^test/`);

export interface Stray {
  readonly line: number;
  readonly what: string;
}

/** An account, for the forms that come after its own, and no word of any text. */
const marker: Project = { owner: "Q0q0Q0q0", version: "\u{E001}", image: `q0.io/q0/${name}` };

/**
 * What names the owner, or our version beside our name, in a form that `rewrite` does not know: another owner would leave it as it is.
 * @param project of the tree, after it is rewritten
 */
export function straysIn(text: string, file: string, project: Project): readonly Stray[] {
  const owner = escaped(project.owner);
  // OWNER/REPO and OWNER@ID are for the reader to fill in.
  const strays = new RegExp(
    raw`\b${nobody}\b(?!/REPO\b|@)|(?<![\w./-])${owner}(?=/${name}(?![\w-]|/\d))|(?<=${name}.*|\b(?:revision|ref)\b.*)(?<![\w.-])v?${escaped(project.version)}(?![\w.-]*\d)`,
    "g",
  );
  return rewrite(text, file, project, marker)
    .split("\n")
    .flatMap((content, index) =>
      [...content.matchAll(strays)]
        .filter(([what]) => !(othersVersions.test(file) && what.endsWith(project.version)))
        .map(([what]) => ({ line: index + 1, what })),
    );
}
