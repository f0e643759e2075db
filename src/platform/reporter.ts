/**
 * How the core speaks. Each entry point (GitHub Action, command line) brings its own: what hides a secret in a GitHub log
 * would publish it in a container's.
 */
import { type ErrorCode, ExplainedError, type Speaker } from "./errors.ts";
import type { Words } from "./wording.ts";

export interface Reporter extends Speaker {
  /** Makes one line of it, whatever others' words are in it. */
  info(message: Words): void;
  warning(message: Words): void;
  /** For whoever asked for details. Never given a secret. */
  debug(message: Words): void;
  /** Where this entry point's reader finds the page of an error. */
  moreOn(code: ErrorCode): string;
  /**
   * Hides `value` from everything that is printed from now on. Called before a secret is used for anything else. What is
   * shorter than `shortestSecret` is not hidden.
   */
  secret(value: string): void;
  /** Whether something in `text` was given to `secret`: then no child may have it in its environment. */
  holdsSecret(text: string): boolean;
}

/**
 * Characters. To hide less would make holes in words that have nothing to do with it; of what a server gives as a secret, less
 * is refused.
 */
export const shortestSecret = 16;

/** For an entry point that hides secrets by itself. */
export interface Secrets {
  readonly add: (value: string) => void;
  readonly hide: (text: string) => string;
  readonly holds: (text: string) => boolean;
}

export function createSecrets(): Secrets {
  const secrets = new Set<string>();
  return {
    add: (value) => void (value.length >= shortestSecret && secrets.add(value)),
    holds: (text) => [...secrets].some((secret) => text.includes(secret)),
    // The longest first, since it may hold another.
    hide: (text) =>
      [...secrets]
        .sort((a, b) => b.length - a.length)
        .reduce((hidden, secret) => hidden.replaceAll(secret, "***"), text),
  };
}

/**
 * Results are never rewritten: whoever signs or deploys by them would do so by something else.
 * @param results by name
 * @throws ExplainedError `secret-in-result`
 */
export function assertNoSecret(results: Readonly<Record<string, string>>, { hide }: Pick<Reporter, "hide">): void {
  for (const [name, value] of Object.entries(results)) {
    if (hide(value) !== value) {
      throw new ExplainedError("secret-in-result", `A result would hold a secret (${name}), so none is handed out.`, {
        remedy: ["Look at where its value comes from: no option, claim or image should hold a token."],
      });
    }
  }
}
