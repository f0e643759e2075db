/** What a row of the fault matrix is. */
import type { ErrorCode } from "../../src/platform/errors.ts";

export type FaultId = `F${number}`;

export interface Fault {
  readonly id: FaultId;
  readonly fault: string;
  /** `undone`: the post step or logout removes afterwards what had been done. */
  readonly outcome: "recovered" | "undone" | ErrorCode;
  /** What else is promised. */
  readonly note?: string;
  /** It is retried until the timeout, which may come in the middle of an attempt: then the code is `timeout`. */
  readonly lasting?: boolean;
  /** A test in another folder: its file below test/, and its name after those of its groups, as vitest shows it. */
  readonly proof?: readonly [file: string, name: string];
}

export interface Group {
  readonly title: string;
  readonly about: string;
  /** The file with the tests of the rows without another proof. */
  readonly file?: string;
  readonly rows: readonly Fault[];
}

export const lasting = "retried until the timeout";

export const row = (id: FaultId, fault: string, outcome: Fault["outcome"], note?: string): Fault => ({
  id,
  fault,
  outcome,
  ...(note && { note }),
  ...(note === lasting && { lasting: true }),
});

export const atOnce = "within two seconds";
export const byLogout = "by `logout --session`";
export const byPost = "by the post step";

export const elsewhere = (fault: Fault, file: string, name: string): Fault => ({ ...fault, proof: [file, name] });
