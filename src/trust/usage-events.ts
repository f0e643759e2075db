/** What the entries of an organization's usage log say about its robots. Pure. */
import type { LogEntry } from "../quay/management.ts";

/** `other`: deleting a tag, creating a repository by a push, and what else a robot can do in a repository. */
export type UseKind = "login" | "push" | "pull" | "other";

/** `at` in milliseconds since 1970, whole seconds; `robot` as `acme+ci`. */
export type UsageEvent =
  /** A robot token was given for an identity token. */
  | {
      readonly kind: "exchange";
      readonly at: number;
      readonly robot: string;
      readonly issuer: string;
      readonly subject: string;
    }
  /** With a robot token or with the static token: the log does not tell. */
  | {
      readonly kind: "use";
      readonly at: number;
      readonly robot: string;
      readonly use: UseKind;
      /** `acme/app`; absent for a login. */
      readonly repository?: string;
    }
  /** All bindings were replaced by these. */
  | {
      readonly kind: "bindings";
      readonly at: number;
      readonly robot: string;
      readonly bindings: readonly { readonly issuer: string; readonly subject: string }[];
    }
  /** The static token was replaced. */
  | { readonly kind: "regenerated"; readonly at: number; readonly robot: string }
  | { readonly kind: "deleted"; readonly at: number; readonly robot: string };

/** The kinds of entries of which a lost one could make a verdict wrong. */
export const kindsOf = {
  exchange: ["federated_robot_token_exchange"],
  bindings: ["create_robot_federation", "delete_robot_federation", "delete_robot"],
  token: ["regenerate_robot_token", "delete_robot"],
  push: ["push_repo"],
  pull: ["pull_repo"],
} as const;

/** @returns undefined for an entry about no robot of a name that the log holds: what users and anonymous readers do */
export function eventOf(entry: LogEntry, organization: string): UsageEvent | undefined {
  const { kind, at, metadata } = entry;
  const named = text(metadata.robot);
  // An exchange, and what administrators do to a robot, have its short name.
  const robot = named.includes("+") ? named : `${organization}+${named}`;
  switch (kind) {
    case "federated_robot_token_exchange":
      return { kind: "exchange", at, robot, issuer: text(metadata.issuer), subject: text(metadata.subject) };
    case "create_robot_federation":
      return { kind: "bindings", at, robot, bindings: bindingsIn(metadata.config) };
    // A new robot has none.
    case "create_robot":
    case "delete_robot_federation":
      return { kind: "bindings", at, robot, bindings: [] };
    case "regenerate_robot_token":
      return { kind: "regenerated", at, robot };
    case "delete_robot":
      return { kind: "deleted", at, robot };
    default:
      return useOf(entry, organization);
  }
}

/** The kinds whose metadata names who did it. That of others names to whom it was done, such as `change_repo_permission`. */
const ownUses: ReadonlyMap<string, UseKind> = new Map([
  ["login_success", "login"],
  ["push_repo", "push"],
  ["pull_repo", "pull"],
]);

/** What a robot did has no performer once the robot is deleted, and neither has what a deleted user did to a robot. */
function useOf({ kind, at, metadata, performer }: LogEntry, organization: string): UsageEvent | undefined {
  const own = ownUses.get(kind);
  const names = performer === undefined && own !== undefined ? [metadata.robot, metadata.username] : [performer];
  const robot = names.map(text).find((name) => name.includes("+"));
  if (robot === undefined || /_fail(?:ed|ure)$/.test(kind)) {
    return undefined;
  }
  const use = own ?? "other";
  if (use === "login") {
    return { kind: "use", use, at, robot };
  }
  const repository = text(metadata.repo) && `${text(metadata.namespace) || organization}/${text(metadata.repo)}`;
  return { kind: "use", use, at, robot, ...(repository && { repository }) };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

const bindingsIn = (config: unknown) =>
  (Array.isArray(config) ? config : []).map((entry) => ({
    issuer: text(Object(entry).issuer),
    subject: text(Object(entry).subject),
  }));
