/** What an organization shall trust: robots, who may log in as each of them, and what each may do. */
import type { Words } from "../platform/wording.ts";
import type { Role } from "../quay/management.ts";

/** Of a binding that names none: older Quays accept every audience, newer ones demand this one unless told otherwise. */
export const defaultAudience = "quay";

/** Where it was given, for messages: an option, or `quay-trust.yaml:12`. */
export type Origin = Words;

export interface WantedBinding {
  readonly issuer: string;
  readonly subject: string;
  /** Empty: none is named. A new binding then gets the default one, and another keeps those that it has. */
  readonly audiences: readonly string[];
  readonly from: Origin;
}

export interface WantedPermission {
  /** `acme/app` */
  readonly repository: string;
  readonly role: Role;
  /** Whether a missing repository is made, a private one. */
  readonly create: boolean;
  readonly from: Origin;
}

export interface WantedRobot {
  /** `acme+ci` */
  readonly name: string;
  readonly description?: string;
  /** Whether a missing robot is made. */
  readonly create: boolean;
  /** Whether it promotes images: branches should not be bound to it. */
  readonly promotes: boolean;
  readonly bindings: readonly WantedBinding[];
  readonly permissions: readonly WantedPermission[];
  /** Lists that the file leaves out: it says nothing about them, so `prune` removes none of their entries. */
  readonly unlisted?: readonly ("bindings" | "permissions")[];
  readonly from: Origin;
}

export interface Trust {
  /** host or host:port */
  readonly registry: string;
  /** An organization's name, or a user's. */
  readonly organization: string;
  readonly robots: readonly WantedRobot[];
}
