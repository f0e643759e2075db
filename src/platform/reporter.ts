/**
 * How the core reports. Each entry point (GitHub Action, command line) has its own reporter: what masks a secret in a GitHub log
 * would publish it in a container's.
 */
import { type ErrorCode, ExplainedError, type Speaker } from "./errors.ts";
import type { Words } from "./wording.ts";

export interface Reporter extends Speaker {
  /** Prints one line, whatever text from outside is in the message. */
  info(message: Words): void;
  warning(message: Words): void;
  /** Printed only where details were asked for. Never called with a secret. */
  debug(message: Words): void;
  /** Where this entry point's reader finds the page of an error. */
  moreOn(code: ErrorCode): string;
  /**
   * Masks `value` in everything that is printed from now on. Call it before a secret is used for anything else. A value
   * shorter than `shortestSecret` is not masked.
   */
  secret(value: string): void;
  /** Whether `text` contains a value that was given to `secret`: no child may have it in its environment then. */
  holdsSecret(text: string): boolean;
}

/**
 * Characters. Masking shorter values would damage unrelated words; a shorter secret from a server is therefore refused.
 */
export const shortestSecret = 16;

/** For an entry point that masks secrets itself. */
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
    // The longest first, because it may contain another.
    hide: (text) =>
      [...secrets]
        .sort((a, b) => b.length - a.length)
        .reduce((hidden, secret) => hidden.replaceAll(secret, "***"), text),
  };
}

/**
 * Results are never rewritten: a later step would sign or deploy something else.
 * @param results by name
 * @throws ExplainedError `secret-in-result`
 */
export function assertNoSecret(results: Readonly<Record<string, string>>, { hide }: Pick<Reporter, "hide">): void {
  for (const [name, value] of Object.entries(results)) {
    if (hide(value) !== value) {
      throw new ExplainedError(
        "secret-in-result",
        `The result ${name} would contain a secret, so no result is written.`,
        {
          remedy: ["Check where its value comes from: no option, claim or image should contain a token."],
        },
      );
    }
  }
}
