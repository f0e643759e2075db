/** What the values of a binding's short forms can be. Each check gives the problem, as words that can follow the value, or undefined. */
import { unprintable } from "../platform/text.ts";

const blank = "it has blanks";
const wildcard = "it has a wildcard; Quay compares subjects letter by letter, and has none";
const address = "it is an address";
const hidden = "it has characters that can't be printed";

/** GitHub's logins; those of Enterprise Managed Users end in _SHORTCODE. */
const owner = "[A-Za-z0-9][A-Za-z0-9_-]{0,99}";
const repository = "(?!\\.{1,2}(?:$|@))[A-Za-z0-9._-]{1,100}";
const id = "@[1-9][0-9]{0,18}";
const byName = new RegExp(`^${owner}/${repository}$`);
const byId = new RegExp(`^${owner}${id}/${repository}${id}$`);

export function problemOfGithub(value: string): string | undefined {
  const general = problemOfPath(value, "OWNER/REPO");
  if (general !== undefined) {
    return general;
  }
  if (byName.test(value) || byId.test(value)) {
    return value.endsWith(".git") ? "a repository's name has no .git at its end" : undefined;
  }
  return value.includes("@")
    ? "both the owner and the repository have GitHub's numeric id, or neither has it"
    : "it is not OWNER/REPO of GitHub";
}

/** GitLab's paths, of any depth: docs.gitlab.com/user/reserved_names. */
const gitlabPath = /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*\/)+[A-Za-z0-9_.][A-Za-z0-9_.-]*$/;

export const problemOfGitlab = (value: string): string | undefined =>
  problemOfPath(value, "GROUP/PROJECT") ??
  (gitlabPath.test(value) && !/\.(?:git|atom)(?:\/|$)/.test(value)
    ? undefined
    : "it is not GROUP/PROJECT or GROUP/SUBGROUP/PROJECT of GitLab");

/** Names of namespaces are labels, those of service accounts are DNS names (Kubernetes, "Object Names and IDs"). */
const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const serviceAccount = new RegExp(`^${label}/(?=.{1,253}$)${label}(?:\\.${label})*$`);

export const problemOfServiceAccount = (value: string): string | undefined =>
  problemOfPath(value, "NAMESPACE/NAME") ??
  (serviceAccount.test(value) ? undefined : "it is not NAMESPACE/NAME of a service account");

function problemOfPath(value: string, form: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:\/\/|^git@/i.test(value)) {
    return `${address}, not ${form}`;
  }
  if (/\s/.test(value)) {
    return blank;
  }
  if (/[*?]/.test(value)) {
    return wildcard;
  }
  return value.startsWith("/") ? "it begins with a slash" : undefined;
}

/** Names of environments may hold blanks inside, slashes and colons. They have at most 255 characters (docs.github.com). */
export function problemOfEnvironment(value: string): string | undefined {
  if (value.trim() !== value) {
    return "it has blanks at an end";
  }
  if (value.includes("*")) {
    return wildcard;
  }
  if (value.search(unprintable) >= 0 || /[\n\t]/.test(value)) {
    return hidden;
  }
  if (/^(?:ref|environment):|^refs\//.test(value)) {
    return "it is a part of a subject, not an environment's name";
  }
  return [...value].length > 255 ? "it has more than 255 characters" : undefined;
}

/** git check-ref-format, for what follows refs/heads/ or refs/tags/. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: git forbids them
const noRef = /[\u0000-\u0020\u007f~^:\\[]|\.\.|@\{|\/\/|(?:^|\/)\.|^\/|[/.]$|\.lock(?:\/|$)|^@$/;

export function problemOfRef(value: string, kind: "branch" | "tag"): string | undefined {
  if (/^(?:ref:)?refs\//.test(value)) {
    return kind === "branch"
      ? "it is a ref; a branch has its name alone, without refs/heads/"
      : "it is a ref; a tag has its name alone, without refs/tags/";
  }
  if (/\s/.test(value)) {
    return blank;
  }
  if (/[*?]/.test(value)) {
    return wildcard;
  }
  if (value.search(unprintable) >= 0) {
    return hidden;
  }
  return noRef.test(value) ? `git allows no ${kind} of that name` : undefined;
}

/** What Quay itself demands of an issuer; the rest is the lint's. */
export function problemOfIssuer(value: string): string | undefined {
  if (!/^\s*https?:\/\//.test(value)) {
    return "it is not an address that begins with https://";
  }
  return /^\s*https?:\/\/[^/?#]*@/.test(value) ? "it has a user or password" : undefined;
}
