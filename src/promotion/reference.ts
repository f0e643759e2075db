/** References to images: `registry/organization/repository`, with a tag or a digest. Pure. */
import type { ExplainedError } from "../platform/errors.ts";
import { withoutSecrets } from "../platform/text.ts";
import { text, type Words } from "../platform/wording.ts";
import { isHost, withoutUserinfo } from "../quay/scope.ts";

/** A repository on a registry. */
export interface Repository {
  /** host or host:port, lower case */
  readonly registry: string;
  /** organization/repository */
  readonly repository: string;
}

/** An image in a repository: by digest, or by a tag that is not resolved yet. */
export interface Reference extends Repository {
  readonly by: { readonly digest: string } | { readonly tag: string };
}

export const pathOf = ({ registry, repository }: Repository): string => `${registry}/${repository}`;

export const byDigest = (repository: Repository, digest: string): string => `${pathOf(repository)}@${digest}`;

export const byTag = (repository: Repository, tag: string): string => `${pathOf(repository)}:${tag}`;

export const formatReference = (reference: Reference): string =>
  "digest" in reference.by ? byDigest(reference, reference.by.digest) : byTag(reference, reference.by.tag);

/** Makes the error for a wrong value; `example` is a right one. */
export type Refuse = (shown: string, problem: Words, example: string) => ExplainedError;

// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests; skopeo follows it.
const component = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const tagName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

const whatATagIs = "a tag has 1 to 128 letters, digits and . _ -, the first of them neither . nor -";

/**
 * `[registry/]organization/repository` with `@sha256:…` or `:tag`. With both, the digest counts.
 * @param registry for a reference that names none
 * @throws what `refuse` makes
 */
export function parseSource(text: string, registry: string, refuse: Refuse): Reference {
  if (digestProblem(text) === undefined) {
    throw refuse(text, "it is a digest without its repository", `${registry}/acme/app@${text}`);
  }
  const { name, tag, digest } = split(text, refuse);
  const repository = parseName(name, registry, (problem, better) => {
    const isDigest = digest !== undefined && digestProblem(digest) === undefined;
    const end = isDigest ? `@${digest}` : `:${exampleTag(tag)}`;
    return refuse(shownOf(text), problem, better + end);
  });
  if (tag !== undefined) {
    checkTag(tag, (problem) => refuse(shownOf(text), problem, byTag(repository, "1.0")));
  }
  if (digest !== undefined) {
    const found = digestProblem(digest);
    if (found) {
      const [problem, better] = found;
      throw refuse(shownOf(text), problem, better ? byDigest(repository, better) : byTag(repository, "1.0"));
    }
    return { ...repository, by: { digest } };
  }
  if (tag === undefined) {
    throw refuse(shownOf(text), "it has neither a digest nor a tag", byTag(repository, "1.0"));
  }
  return { ...repository, by: { tag } };
}

/**
 * `[registry/]organization/repository`
 * @param tags where to write tags, such as `the option tag`
 * @throws what `refuse` makes
 */
export function parseDestination(given: string, registry: string, tags: Words, refuse: Refuse): Repository {
  const { name, tag, digest } = split(given, refuse);
  const repository = parseName(name, registry, (problem, better) => refuse(shownOf(given), problem, better));
  if (digest !== undefined) {
    throw refuse(shownOf(given), "it has a digest, which comes from the source", pathOf(repository));
  }
  if (tag !== undefined) {
    throw refuse(shownOf(given), text`it has a tag; tags go into ${tags}`, pathOf(repository));
  }
  return repository;
}

/** @throws what `refuse` makes */
export function parseTags(texts: readonly string[], refuse: Refuse): readonly string[] {
  for (const [index, text] of texts.entries()) {
    const last = text.slice(text.lastIndexOf(":") + 1);
    const example = exampleTag(last);
    if (/[\s,;]/.test(text)) {
      throw refuse(shownOf(text), "a tag has no blank, comma or semicolon; give several one by one", "1.0");
    }
    if (/[/:@]/.test(text)) {
      throw refuse(shownOf(text), "write the tag alone, without the repository", example);
    }
    checkTag(text, (problem) => refuse(shownOf(text), problem, example));
    if (texts.indexOf(text) < index) {
      throw refuse(text, "it is given twice", example);
    }
  }
  return texts;
}

/** An example that is safe to print: a tag that may be a secret is not. */
const exampleTag = (tag = ""): string => (tagName.test(tag) && withoutSecrets(tag) === tag ? tag : "1.0");

function checkTag(tag: string, fail: (problem: string) => ExplainedError): void {
  if (!tagName.test(tag)) {
    throw fail(tag === "" ? "it ends with a colon, without a tag" : whatATagIs);
  }
}

interface Parts {
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

/** The parts between the separators, unchecked. */
function split(text: string, refuse: Refuse): Parts {
  const fail = (problem: string, example = "quay.io/acme/app") => refuse(shownOf(text), problem, example);
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  if (scheme !== undefined) {
    // A user and password in it are the next error.
    const rest = text.slice(scheme.length);
    const better = shownOf(rest) === rest && !/\s/.test(rest) ? rest : undefined;
    throw fail(`a reference has no scheme: leave ${scheme} out`, better);
  }
  if (/\s|\p{C}/u.test(text)) {
    throw fail("a reference has no blanks");
  }
  const at = text.lastIndexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const beginning = at < 0 ? text : text.slice(0, at);
  if (beginning.includes("@") || digest?.includes("/") || (digest !== undefined && !beginning.includes("/"))) {
    throw fail("a reference has no user or password: the robots log in");
  }
  const colon = beginning.indexOf(":", beginning.lastIndexOf("/") + 1);
  return colon < 0
    ? { name: beginning, tag: undefined, digest }
    : { name: beginning.slice(0, colon), tag: beginning.slice(colon + 1), digest };
}

/** docker's rule: a host has a dot or a port, or is localhost; everything else is an organization. */
const looksLikeHost = (first: string): boolean => /[.:[]/.test(first) || first.toLowerCase() === "localhost";

function parseName(
  text: string,
  registry: string,
  fail: (problem: string, better: string) => ExplainedError,
): Repository {
  const [first = "", ...others] = text.split("/");
  const hasHost = others.length > 0 && looksLikeHost(first);
  const host = hasHost ? first.toLowerCase() : registry;
  const components = hasHost ? others : [first, ...others];
  const repository = components.join("/");
  const example = `${isHost(host) ? host : registry}/acme/app`;
  if (!isHost(host)) {
    throw fail("its registry is not a host with an optional port", example);
  }
  if (components.length < 2) {
    const isOfDocker = /^(?:index\.)?docker\.io$/.test(host) && component.test(repository);
    const better = isOfDocker ? `docker.io/library/${repository}` : example;
    if (!hasHost || isOfDocker) {
      throw fail("it needs organization/repository", better);
    }
    const isOrganization = component.test(host) && component.test(repository);
    throw fail(
      `${host} is read as the registry, because it has a dot or a port, and organization/repository is missing after it${isOrganization ? ` (if it is an organization: ${registry}/${host}/${repository})` : ""}`,
      better,
    );
  }
  const lower = repository.toLowerCase();
  const isRight = lower.split("/").every((part) => component.test(part)) && `${host}/${lower}`.length <= 255;
  if (!isRight) {
    throw fail(
      "organization and repository are lower-case letters and digits with single . _ - between them, 255 characters at most",
      example,
    );
  }
  if (repository !== lower) {
    throw fail("repository names are lower case", `${host}/${lower}`);
  }
  return { registry: host, repository };
}

/** @returns the problem, and the digest that was meant, if it is clear */
function digestProblem(text: string): readonly [problem: string, better?: string] | undefined {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) {
    return undefined;
  }
  if (/^[0-9a-f]{64}$/i.test(text)) {
    return ["the digest lacks its algorithm, sha256:", `sha256:${text.toLowerCase()}`];
  }
  const [, algorithm = "", hex = ""] = /^([^:]*):(.*)$/s.exec(text) ?? [];
  if (algorithm === "") {
    return ["after @ comes a digest, sha256: and 64 hex digits; a tag follows a colon"];
  }
  if (algorithm.toLowerCase() !== "sha256") {
    return ["its digest is not a sha256, the only kind that registries use for images"];
  }
  if (!/^[0-9a-f]*$/i.test(hex)) {
    return ["its digest has characters that are not hex digits"];
  }
  if (hex.length !== 64) {
    return [`its digest has ${hex.length} hex digits, and sha256 has 64`];
  }
  return ["a digest is lower case", text.toLowerCase()];
}

/** The text without a user and password before the host. A digest at its end stays. */
export function shownOf(text: string): string {
  const at = text.lastIndexOf("@");
  const beginning = text.slice(0, Math.max(at, 0)).replace(/^[a-z][a-z0-9+.-]*:\/\//i, "");
  const isDigest = /^(?:sha[0-9]+(?::[^/]*)?|[0-9a-f]{7,})$/i.test(text.slice(at + 1)) && beginning.includes("/");
  return isDigest ? withoutUserinfo(text.slice(0, at)) + text.slice(at) : withoutUserinfo(text);
}
