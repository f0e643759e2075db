/** Types that promotions and logins share for a registry (OCI distribution specification 1.1). */

export const actionNames = ["pull", "push"] as const;
export type Action = (typeof actionNames)[number];

export interface Manifest {
  readonly digest: string;
  readonly mediaType: string;
  /** The exact text: the digest is that of its bytes. */
  readonly text: string;
}
