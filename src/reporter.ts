/**
 * How the core speaks. Each face (GitHub Action, command line) brings its own: what hides a secret in a GitHub log
 * would publish it in a container's.
 */
export interface Reporter {
  info(message: string): void;
  warning(message: string): void;
  /** For whoever asked for details. Never given a secret. */
  debug(message: string): void;
  /** Hides `value` from everything that is printed from now on. Called before a secret is used for anything else. */
  secret(value: string): void;
  /** Whether something in `text` was given to `secret`: then no child may have it in its environment. */
  holdsSecret(text: string): boolean;
}

/** For a face that hides secrets by itself. */
export interface Secrets {
  readonly add: (value: string) => void;
  readonly hide: (text: string) => string;
  readonly holds: (text: string) => boolean;
}

export function createSecrets(): Secrets {
  const secrets = new Set<string>();
  return {
    add: (value) => void (value && secrets.add(value)),
    holds: (text) => [...secrets].some((secret) => text.includes(secret)),
    // The longest first, since it may hold another.
    hide: (text) =>
      [...secrets]
        .sort((a, b) => b.length - a.length)
        .reduce((hidden, secret) => hidden.replaceAll(secret, "***"), text),
  };
}
