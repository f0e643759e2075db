/** The bindings of a robot: what is there, what is wanted, and what to write. Pure. */
import { type Binding, isSameBinding } from "../quay/binding.ts";
import { defaultAudience, type WantedBinding } from "./trust.ts";

/** What happens to an entry. `kept`: it is there and nothing is said about it. */
export type Change = "added" | "changed" | "removed" | "unchanged" | "kept";

export interface PlannedBinding {
  readonly change: Change;
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  /** The audiences that are there, if they change. */
  readonly before?: readonly string[];
}

export interface BindingRules {
  /** Whether bindings that are not wanted are removed, and audiences beyond those that are named. */
  readonly prune: boolean;
  /** Whether this Quay keeps audiences. Older ones drop them, which is no difference. */
  readonly keepsAudiences: boolean | undefined;
}

/**
 * @returns `next`: the whole list to write, in Quay's order with new ones at its end. Entries of others are the very objects that were
 *   read, with all their keys.
 */
export function mergeBindings(
  found: readonly Binding[],
  wanted: readonly WantedBinding[],
  { prune, keepsAudiences }: BindingRules,
): { readonly next: readonly Binding[]; readonly planned: readonly PlannedBinding[] } {
  const next: Binding[] = [];
  const planned: PlannedBinding[] = [];
  for (const binding of found) {
    const { issuer, subject } = binding;
    const want = wanted.find((candidate) => isSameBinding(candidate, binding));
    const before = audiencesOf(binding);
    const audiences = want && keepsAudiences ? mergeAudiences(before, want, prune) : before;
    const isChanged = !isSameSet(before, audiences);
    const change = want ? (isChanged ? "changed" : "unchanged") : prune ? "removed" : "kept";
    planned.push({ change, issuer, subject, audiences, ...(isChanged && { before }) });
    if (change !== "removed") {
      next.push(isChanged ? { ...binding, audiences } : binding);
    }
  }
  for (const want of wanted.filter((candidate) => !found.some((binding) => isSameBinding(candidate, binding)))) {
    const { issuer, subject } = want;
    const audiences = mergeAudiences([], want, false);
    planned.push({ change: "added", issuer, subject, audiences });
    next.push({ issuer, subject, audiences });
  }
  return { next, planned };
}

/** Whether there is something to write. */
export const differs = (planned: readonly { readonly change: Change }[]): boolean =>
  planned.some(({ change }) => change !== "unchanged" && change !== "kept");

/** What others entered stays, unless the audiences are named and `prune` removes the others. */
function mergeAudiences(before: readonly string[], { audiences }: WantedBinding, prune: boolean): readonly string[] {
  const isNamed = audiences.length > 0;
  const wanted = isNamed ? audiences : [defaultAudience];
  return isNamed && prune ? wanted : [...new Set([...before, ...wanted])];
}

/** Newer Quays give a binding without audiences the default one. */
function audiencesOf({ audiences }: Binding): readonly string[] {
  return Array.isArray(audiences) && audiences.length > 0 ? audiences.map(String) : [defaultAudience];
}

const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.every((each) => b.includes(each)) && b.every((each) => a.includes(each));
