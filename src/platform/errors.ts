/**
 * Every failure of this project is a `ExplainedError`: one of a closed set of codes, what happened, what to do.
 * `docs/troubleshooting.md` has a section for each code; a test holds the two together.
 */

import { explanationUrl } from "./project.ts";
import { asGiven, oneLine, withoutSecrets, withoutTokens } from "./text.ts";

/** What kind of failure a code is; the command line turns it into its exit code (2, 1, 75). */
export type Severity = "wrong-use" | "refused" | "temporary";

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
  timeout: "temporary",
  cancelled: "temporary",
  unforeseen: "refused",
} as const satisfies Record<string, Severity>;

export type ErrorCode = keyof typeof errorCodes;

/** The trust to enter at a robot in Quay, as the identity token really is: only these strings will match. */
export interface Binding {
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
}

export interface LoginErrorOptions {
  /** What to do, line by line, in the imperative. */
  readonly remedy: readonly string[];
  /** Shown below the remedy, ready to paste. */
  readonly binding?: Binding | undefined;
  readonly cause?: unknown;
}

export class ExplainedError extends Error {
  override readonly name = "ExplainedError";
  readonly code: ErrorCode;
  readonly remedy: readonly string[];
  readonly binding: Binding | undefined;
  /** Failures of other robots in the same login, so that one run shows everything that is to be mended. */
  also: readonly ExplainedError[] = [];

  /** Each text becomes one printable line, without tokens in it: what others have said or given is in most of them. */
  constructor(code: ErrorCode, message: string, options: LoginErrorOptions) {
    super(line(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy.map(line);
    this.binding = options.binding;
  }
}

/** A path of Linux has 4096 bytes, a token's claims together 6 kB. */
const line = (text: string): string => withoutTokens(oneLine(text, 8192));

/** In place of an example, where two options exclude each other. */
export const oneOfTheTwo = Symbol("one of the two");

/** `invalid-input`: names the option, the value (unless it looks like a secret), what is wrong with it, and an example that works. */
export function invalidInput(
  option: string,
  value: string,
  problem: string,
  example: string | typeof oneOfTheTwo,
): ExplainedError {
  const what = `The option "${option}" is ${JSON.stringify(asGiven(value))}: ${withoutSecrets(problem)}.`;
  return new ExplainedError("invalid-input", what, {
    remedy: [example === oneOfTheTwo ? "Give one of the two." : `Write, for example, ${withoutSecrets(example)}`],
  });
}

/** The same error and those in `also`, in other words. */
export function reworded(
  { code, message, remedy, binding, cause, also }: ExplainedError,
  words: {
    readonly message?: (text: string) => string;
    readonly remedy?: (lines: readonly string[]) => readonly string[];
  },
): ExplainedError {
  const told = new ExplainedError(code, words.message?.(message) ?? message, {
    remedy: words.remedy?.(remedy) ?? remedy,
    binding,
    cause,
  });
  told.also = also.map((other) => reworded(other, words));
  return told;
}

const fileCalls = /^(?:access|chmod|chown|lstat|mkdir|mkdtemp|open|read|realpath|rename|rm|rmdir|scandir|stat|unlink)$/;

/** What helps against most of what is wrong with an auth file; docker's has another way (destinations.ts). */
export const anotherFile = "Or name another file: auth-file: /path/auth.json";

/** What helps where a certificate is not trusted. */
export const privateAuthority = "A private authority: give its root certificate, ca-file: path/to/root.pem";

/** Node's or the system's code of an error, such as ENOENT; "" where it has none. */
export function codeOf(error: unknown): string {
  const { code } = Object(error) as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}

/** What this program did not foresee, as an error like any other; a file that could not be used is at least named. */
export function asExplainedError(error: unknown): ExplainedError {
  if (error instanceof ExplainedError) {
    return error;
  }
  const code = codeOf(error);
  const { syscall, path } = Object(error) as Partial<NodeJS.ErrnoException>;
  if (code !== "" && path !== undefined && fileCalls.test(syscall ?? "")) {
    return new ExplainedError("auth-file-unusable", `${path} can't be used (${syscall}: ${code}).`, {
      remedy: ["Let it be there, be this user's, and have room; or name a file elsewhere: auth-file: /path/auth.json"],
      cause: error,
    });
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return new ExplainedError("unforeseen", `${name}: ${message}`, {
    remedy: ["This is a mistake in quay-keyless-login: please report it with this line."],
    cause: error,
  });
}

/**
 * The error as plain text for a log or terminal: headline, remedy, binding, where it is explained. Never holds a secret.
 * @param moreOn where the code is explained
 */
export function formatError(error: ExplainedError, moreOn: (code: ErrorCode) => string = explanationUrl): string {
  const lines = [error.message, ...error.remedy.map((line) => `  ${line}`)];
  if (error.binding) {
    lines.push(...formatBinding(error.binding).map((line) => `    ${line}`));
  }
  lines.push(`  More: ${moreOn(error.code)}`);
  return [lines.join("\n"), ...error.also.map((other) => formatError(other, moreOn))].join("\n");
}

/** The error for a program that reads JSON. Never its cause, which may hold anything. */
export interface FailureObject {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: readonly string[];
  readonly binding?: Binding;
  readonly also?: readonly FailureObject[];
}

export function failureObject({ code, message, remedy, binding, also }: ExplainedError): FailureObject {
  return {
    code,
    message,
    remedy,
    ...(binding && { binding }),
    ...(also.length > 0 && { also: also.map(failureObject) }),
  };
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
