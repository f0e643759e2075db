/** What looking at an issuer has shown becomes an error. Pure. */
import { ExplainedError, privateAuthority, unreachable } from "../platform/errors.ts";
import { text } from "../platform/wording.ts";
import { sameNameAdvice } from "./advice.ts";
import type { IssuerFinding } from "./issuer.ts";
import type { Identity } from "./token.ts";

/**
 * What is wrong with an issuer.
 * @param the how the sentence begins: `The`, or a cause and `the`
 */
export function explainFinding(
  finding: Exclude<IssuerFinding, { kind: "sound" }>,
  identity: Identity,
  the: string,
): ExplainedError {
  const note = "It is Quay that must reach the issuer; this look was taken from here.";
  switch (finding.kind) {
    case "unreachable":
      return new ExplainedError(
        "issuer-unreachable",
        `${the} issuer of this job's identity cannot be reached. ${finding.why}.`,
        {
          remedy: [
            note,
            `Make ${identity.issuer} reachable by https from Quay, with a certificate that Quay trusts.`,
            ...(finding.untrusted ? [text`For this look: ${privateAuthority}`] : []),
          ],
        },
      );
    case "broken":
      return new ExplainedError(
        "issuer-broken",
        `${the} issuer of this job's identity answers wrongly. ${finding.why}.`,
        {
          remedy: [note, "Mend the issuer's discovery document and keys; Quay fetches both for each login."],
        },
      );
    case "other-issuer":
      return new ExplainedError(
        "issuer-mismatch",
        `${the} issuer of this job's identity calls itself ${finding.named}, and the token ${identity.issuer}.`,
        { remedy: [note, ...sameNameAdvice(identity)] },
      );
    case "key-not-published":
      return new ExplainedError(
        "key-not-published",
        `${the} key that signed this job's identity token is not among its issuer's RSA keys.`,
        {
          remedy: [
            `The token's kid is ${identity.keyId}; ${published(finding.keys)}.`,
            "Wait until the issuer has published its new key, or get a new token: this one may be from before a key rotation.",
          ],
        },
      );
    default:
      return unreachable(finding);
  }
}

const published = (keys: readonly string[]): string =>
  keys.length === 0
    ? "no RSA key for signatures is published"
    : `published are ${keys.slice(0, 20).join(", ")}${keys.length > 20 ? `, and ${keys.length - 20} more` : ""}`;
