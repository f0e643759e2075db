/** What an option is; src/options.ts has them all. */
export type Command = "login" | "logout" | "status" | "identity" | "promote";

/** Where an option can be given: as an input of one of the GitHub Actions, as a flag of a command. */
export type EntryPoint = "action" | "promote-action" | Command;

/** What an option is about: the command line's help lists options under these. */
export type OptionGroup = "login" | "promotion" | "checks" | "identity" | "files" | "network" | "lifetime" | "output";

export interface Option {
  readonly name: string;
  readonly group: OptionGroup;
  readonly entryPoints: readonly EntryPoint[];
  /** Absent: no default. */
  readonly default?: string;
  readonly required?: true;
  /** On the command line: `list` may be given several times, `flag` takes no value. */
  readonly takes?: "list" | "flag";
  /** What the value is, in the command line's help. */
  readonly value?: string;
  /** Set by the platform itself, not by people: absent from the README. */
  readonly internal?: true;
  /** One line: what it means, units included. */
  readonly description: string;
  /** The same for promotions, where it means something else there. */
  readonly inPromotions?: string;
}
