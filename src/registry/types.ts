/** What a promotion and a login ask a registry about (OCI distribution specification 1.1). */

export const actionNames = ["pull", "push"] as const;
export type Action = (typeof actionNames)[number];

export interface Manifest {
  readonly digest: string;
  readonly mediaType: string;
  /** The exact text: its bytes are what the digest is of. */
  readonly text: string;
}
