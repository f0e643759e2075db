/** What an option is, and where it can be given. The tables beside this file hold the options. */

export const commands = [
  "login",
  "configure",
  "logout",
  "status",
  "identity",
  "promote",
  "federate",
  "audit",
  "retire-static-token",
  "migrate",
] as const;
export type Command = (typeof commands)[number];

/**
 * An input of one of the Actions, a flag of a command, a parameter of the Tekton Tasks and of the StepAction, or a variable and a key
 * of the credential helper's configuration.
 */
export type EntryPoint =
  | ("action" | "promote-action" | "federate-action")
  | Command
  | ("login-task" | "login-step" | "promote-task" | "federate-task")
  | "helper";

export const loginTasks = ["login-task", "login-step"] as const;
export const promotes = ["promote-action", "promote", "promote-task"] as const;
/** What the credential helper is told: by its variables, or by `configure` in its file. */
export const helpers = ["configure", "helper"] as const;
/** Where an identity token is exchanged, and you can choose which one. */
export const exchanges = ["action", "promote-action", "login", "identity", "promote", ...helpers] as const;
export const federates = ["federate-action", "federate", "federate-task"] as const;
/** Where Quay's management API is called. */
export const managers = [...federates, "audit", "retire-static-token"] as const;

/** The groups under which the command line's help lists options. */
export type OptionGroup =
  | ("login" | "promotion" | "trust" | "binding" | "audit" | "migration")
  | ("checks" | "management" | "identity" | "files" | "network" | "lifetime" | "output");

export interface Option {
  readonly name: string;
  /** The command line's letter for it, after one dash. */
  readonly short?: string;
  readonly group: OptionGroup;
  readonly entryPoints: readonly EntryPoint[];
  /** Absent: no default. */
  readonly default?: string;
  /** Where it has none all the same: the trust's file may say it. */
  readonly withoutDefault?: readonly EntryPoint[];
  /** Where it must be given. */
  readonly required?: readonly EntryPoint[];
  /** `list`: several values, one per line or flag. `flag`: the command line takes no value. */
  readonly takes?: "list" | "flag";
  /** The only values. `fail-on` takes several, separated by commas. */
  readonly choices?: readonly string[];
  /** Those of them that only some entry points have. */
  readonly choicesOf?: Readonly<Record<string, readonly EntryPoint[]>>;
  /** The placeholder of the value in the command line's help. */
  readonly value?: string;
  /** The commands whose plain arguments are values of it. */
  readonly argumentsOf?: readonly Command[];
  /** Name of the Tekton parameter that is an array. Without it, a list is one per line there. */
  readonly array?: string;
  /** Set by the platform, not by the user: absent from docs/options.md. */
  readonly internal?: true;
}
