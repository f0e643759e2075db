/**
 * Every failure of this project is an `ExplainedError`: one of a closed set of codes, what happened, what to do.
 * `docs/troubleshooting.md` has a section for each code; a test compares the two.
 */

import { explanationUrl } from "./project.ts";
import { asGiven, oneLine, withoutSecrets, withoutTokens } from "./text.ts";
import {
  type MentionableOption,
  mention,
  mentionsIn,
  plainly,
  type Syntax,
  text,
  type Variable,
  type Words,
  withText,
  written,
} from "./wording.ts";

/** What kind of failure a code is; the command line turns it into its exit code (2, 1, 3, 75). */
export type Severity = "wrong-use" | "refused" | "drift" | "temporary";

export const errorCodes = {
  "invalid-input": "wrong-use",
  "identity-not-found": "refused",
  "github-permission-missing": "refused",
  "github-reusable-workflow": "refused",
  "github-fork": "refused",
  "github-dependabot": "refused",
  "identity-endpoint-refused": "refused",
  "identity-endpoint-failed": "temporary",
  "spiffe-socket-unusable": "refused",
  "spiffe-no-identity": "refused",
  "spiffe-several-identities": "refused",
  "spiffe-refused": "refused",
  "spiffe-unavailable": "temporary",
  "spiffe-answer-unusable": "refused",
  "token-file-unusable": "refused",
  "token-variable-unusable": "refused",
  "token-command-failed": "refused",
  "token-command-unusable": "refused",
  "token-not-a-jwt": "refused",
  "token-algorithm": "refused",
  "token-incomplete": "refused",
  "token-expired": "refused",
  "token-from-the-future": "refused",
  "token-too-big": "refused",
  "issuer-cluster-internal": "refused",
  "issuer-not-https": "refused",
  "issuer-not-bound": "refused",
  "issuer-mismatch": "refused",
  "issuer-unreachable": "temporary",
  "issuer-broken": "refused",
  "key-not-published": "refused",
  "signature-refused": "refused",
  "subject-not-bound": "refused",
  "audience-refused": "refused",
  "binding-ambiguous": "refused",
  "robot-not-found": "refused",
  "robot-not-federated": "refused",
  "robots-disabled": "refused",
  "quay-refused": "refused",
  "quay-without-federation": "refused",
  "quay-answer-unusable": "refused",
  "quay-read-only": "temporary",
  "quay-unavailable": "temporary",
  "quay-unreachable": "temporary",
  "rate-limited": "temporary",
  "tls-untrusted": "refused",
  "realm-refused": "refused",
  "secret-in-result": "refused",
  "access-missing": "refused",
  "tool-not-found": "refused",
  "tool-failed": "refused",
  "login-refused": "refused",
  "credential-helper": "refused",
  "configuration-unusable": "refused",
  "helper-not-found": "refused",
  "auth-file-unusable": "refused",
  "auth-file-locked": "temporary",
  "logout-incomplete": "refused",
  "not-logged-in": "refused",
  "login-hidden": "refused",
  "login-ends-soon": "refused",
  "login-lapsed": "temporary",
  "source-not-found": "refused",
  "platform-missing": "refused",
  "image-expires": "refused",
  "tag-taken": "refused",
  "tag-immutable": "refused",
  "quota-exceeded": "refused",
  "verify-failed": "refused",
  "signatures-missing": "refused",
  "copy-failed": "refused",
  "digest-differs": "refused",
  "registry-unavailable": "temporary",
  "api-token-not-found": "refused",
  "api-token-unusable": "refused",
  "api-token-refused": "refused",
  "api-rights-missing": "refused",
  "organization-not-found": "refused",
  "repository-not-found": "refused",
  "run-refused": "refused",
  "trust-risky": "refused",
  "trust-drift": "drift",
  "trust-overwritten": "temporary",
  "usage-log-unavailable": "refused",
  "usage-log-incomplete": "refused",
  "static-token-in-use": "refused",
  "audit-finding": "drift",
  "not-in-git": "refused",
  "file-not-written": "refused",
  timeout: "temporary",
  cancelled: "temporary",
  unforeseen: "refused",
} as const satisfies Record<string, Severity>;

export type ErrorCode = keyof typeof errorCodes;

/** The binding to enter at a robot in Quay, with the identity token's own values: only these strings match. */
export interface Binding {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
}

export interface Explanation {
  /** What to do, line by line, in the imperative. An entry point leaves out a line that mentions an option it does not have. */
  readonly remedy: readonly Words[];
  /** Shown below the remedy, ready to paste. */
  readonly binding?: Binding | undefined;
  readonly cause?: unknown;
  /** Failures of other robots in the same login: one run shows everything that needs fixing. */
  readonly also?: readonly ExplainedError[];
}

export class ExplainedError extends Error {
  override readonly name = "ExplainedError";
  readonly code: ErrorCode;
  /** What happened. `message` is the same without an entry point's syntax for the options that it mentions. */
  readonly headline: Words;
  readonly remedy: readonly Words[];
  readonly binding: Binding | undefined;
  readonly also: readonly ExplainedError[];

  /** Each text becomes one printable line without tokens: most texts quote servers or input. */
  constructor(code: ErrorCode, headline: Words, { remedy, binding, cause, also = [] }: Explanation) {
    const clean = withText(headline, line);
    super(plainly(clean), cause === undefined ? undefined : { cause });
    this.code = code;
    this.headline = clean;
    this.remedy = remedy.map((words) => withText(words, line));
    this.binding = binding;
    this.also = also;
  }
}

/** 8192: a path on Linux has up to 4096 bytes, a token's claims up to 6 kB. */
const line = (text: string): string => withoutTokens(oneLine(text, 8192));

/** Takes the place of an example where two options exclude each other. */
export const oneOfTheTwo = Symbol("one of the two");

/** `invalid-input`: names the option, the value (unless it looks like a secret), what is wrong with it, and an example that works. */
export function invalidInput(
  option: MentionableOption | Variable,
  value: string,
  problem: Words,
  example: Words | typeof oneOfTheTwo,
): ExplainedError {
  const name = typeof option === "string" ? mention(option) : option.variable;
  const what = text`The option "${name}" is ${JSON.stringify(asGiven(value))}: ${withText(problem, withoutSecrets)}.`;
  return new ExplainedError("invalid-input", what, {
    remedy: [
      example === oneOfTheTwo
        ? "Set only one of the two."
        : text`Write, for example, ${withText(example, withoutSecrets)}`,
    ],
  });
}

/** The same error and those in `also`, in other words. */
export function reworded(
  { code, headline, remedy, binding, cause, also }: ExplainedError,
  words: {
    readonly headline?: (words: Words) => Words;
    readonly remedy?: (lines: readonly Words[]) => readonly Words[];
  },
): ExplainedError {
  return new ExplainedError(code, words.headline?.(headline) ?? headline, {
    remedy: words.remedy?.(remedy) ?? remedy,
    binding,
    cause,
    also: also.map((other) => reworded(other, words)),
  });
}

/** The same error, with others beside it. */
export const withOthers = (error: ExplainedError, others: readonly ExplainedError[]): ExplainedError => {
  const { code, headline, remedy, binding, cause, also } = error;
  return others.length === 0
    ? error
    : new ExplainedError(code, headline, { remedy, binding, cause, also: [...also, ...others] });
};

const fileCalls = /^(?:access|chmod|chown|lstat|mkdir|mkdtemp|open|read|realpath|rename|rm|rmdir|scandir|stat|unlink)$/;

/** The remedy for most failures of an auth file; docker's config.json has another one (destinations.ts). */
export const anotherFile = text`Or name another file: ${mention("auth-file", "/path/auth.json")}`;

/** The remedy for a certificate that is not trusted. */
export const privateAuthority = text`For a private authority, name its root certificate: ${mention("ca-file", "path/to/root.pem")}`;

/** Node's or the system's code of an error, such as ENOENT; "" where it has none. */
export function codeOf(error: unknown): string {
  const { code } = Object(error) as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}

/** Any thrown value as an error with a code. An unforeseen one of a file call at least names the file. */
export function asExplainedError(error: unknown): ExplainedError {
  if (error instanceof ExplainedError) {
    return error;
  }
  const code = codeOf(error);
  const { syscall, path } = Object(error) as Partial<NodeJS.ErrnoException>;
  if (code !== "" && path !== undefined && fileCalls.test(syscall ?? "")) {
    return new ExplainedError("auth-file-unusable", `${path} can't be used (${syscall}: ${code}).`, {
      remedy: ["Check that it exists, that this user may use it, and that the disk has room.", anotherFile],
      cause: error,
    });
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return new ExplainedError("unforeseen", `${name}: ${message}`, {
    remedy: ["This is a bug in quay-keyless-login: please report it with this line."],
    cause: error,
  });
}

/** An error in an entry point's syntax, as printed and as JSON. The cause is left out: it may contain anything. */
export interface FailureObject {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: readonly string[];
  readonly binding?: Binding;
  readonly also?: readonly FailureObject[];
}

/** How an entry point words an error. */
export interface Speaker {
  readonly syntax: Syntax;
  /** The text without the secrets that were added before. */
  hide(text: string): string;
}

/** Hides secrets here, because an error also goes into results and summaries, which are not masked later. */
export function failureObject(error: ExplainedError, speaker: Speaker): FailureObject {
  const { code, headline, remedy, binding, also } = error;
  const say = (words: Words) => speaker.hide(line(written(words, speaker.syntax)));
  return {
    code,
    message: say(headline),
    remedy: remedy.filter((words) => mentionsIn(words).every(speaker.syntax.has)).map(say),
    ...(binding && { binding }),
    ...(also.length > 0 && { also: also.map((other) => failureObject(other, speaker)) }),
  };
}

/**
 * Plain text for a log or terminal: headline, remedy, binding, and where the code is explained.
 * @param moreOn the address of the code's explanation
 */
export function formatError(failure: FailureObject, moreOn: (code: ErrorCode) => string = explanationUrl): string {
  const { code, message, remedy, binding, also = [] } = failure;
  const lines = [message, ...remedy.map((line) => `  ${line}`)];
  if (binding) {
    lines.push(...formatBinding(binding).map((line) => `    ${line}`));
  }
  lines.push(`  More: ${moreOn(code)}`);
  return [lines.join("\n"), ...also.map((other) => formatError(other, moreOn))].join("\n");
}

/** The three fields of Quay's dialog "Set robot federation", aligned. */
export function formatBinding(binding: Binding): string[] {
  return Object.entries({ issuer: binding.issuer, subject: binding.subject, audience: binding.audience }).map(
    ([name, value]) => `${name.padEnd(8)}  ${oneLine(value, 8192)}`,
  );
}

/** Makes a `switch` over a union exhaustive: adding a member without handling it no longer compiles. */
export function unreachable(value: never): never {
  throw new Error(`unhandled case ${JSON.stringify(value)}`);
}
