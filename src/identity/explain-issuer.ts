/** Turns the finding about an issuer into an error. Pure. */
import { ExplainedError, unreachable } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";
import { sameNameAdvice } from "./advice.ts";
import type { IssuerFinding } from "./issuer.ts";
import type { Identity } from "./token.ts";

/**
 * Explains what is wrong with an issuer.
 * @param the the beginning of the sentence: `The`, or a cause and `the`
 */
export function explainFinding(
  finding: Exclude<IssuerFinding, { kind: "sound" }>,
  identity: Identity,
  the: string,
): ExplainedError {
  const note = "Quay itself must reach the issuer; this check ran from here.";
  switch (finding.kind) {
    case "unreachable":
      return new ExplainedError(
        "issuer-unreachable",
        `${the} issuer of this job's identity cannot be reached. ${finding.why}.`,
        {
          remedy: [
            note,
            `Make ${identity.issuer} reachable by https from Quay, with a certificate that Quay trusts.`,
            ...(finding.untrusted ? [text`For this check: ${mention("ca-file", "path/to/root.pem")}`] : []),
          ],
        },
      );
    case "broken":
      return new ExplainedError(
        "issuer-broken",
        `${the} issuer of this job's identity gives an invalid answer. ${finding.why}.`,
        {
          remedy: [note, "Fix the issuer's discovery document and keys; Quay fetches both for each login."],
        },
      );
    case "other-issuer":
      return new ExplainedError(
        "issuer-mismatch",
        `${the} issuer of this job's identity calls itself ${finding.named}, but the token names ${identity.issuer}.`,
        { remedy: [note, ...sameNameAdvice(identity)] },
      );
    case "key-not-published":
      return new ExplainedError(
        "key-not-published",
        `${the} key that signed this job's identity token is not among its issuer's RSA keys.`,
        {
          remedy: [
            `The token's kid is ${identity.keyId}; the issuer publishes ${published(finding.keys)}.`,
            "Wait until the issuer has published its new key, or get a new token: this one may be older than a key rotation.",
          ],
        },
      );
    default:
      return unreachable(finding);
  }
}

const published = (keys: readonly string[]): string =>
  keys.length === 0
    ? "no RSA key for signatures"
    : `${keys.slice(0, 20).join(", ")}${keys.length > 20 ? `, and ${keys.length - 20} more` : ""}`;
