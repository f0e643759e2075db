/** The job's identity, and whether Quay can accept it, as far as can be known without Quay. */
import { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import type { Words } from "../platform/wording.ts";
import { explainFinding } from "./explain-issuer.ts";
import { chooseIdentity, fetchFacts, type IdentityChoice } from "./index.ts";
import { examineIssuer } from "./issuer.ts";
import type { IdentityRequest } from "./source.ts";
import { asIdentity, assertUsable, audienceWarning, type TokenFacts } from "./token.ts";

export interface Inspection {
  readonly choice: IdentityChoice;
  readonly facts: TokenFacts;
  /** Why Quay can't accept it. undefined: no reason was found from here. */
  readonly problem: ExplainedError | undefined;
  readonly warning: Words | undefined;
}

/** @throws ExplainedError if there is no token to inspect */
export async function inspectIdentity(request: IdentityRequest, platform: Platform): Promise<Inspection> {
  const choice = await chooseIdentity(request, platform);
  const facts = await fetchFacts(choice, request.audience, platform);
  return {
    choice,
    facts,
    problem: await findProblem(facts, platform),
    warning: audienceWarning(facts),
  };
}

async function findProblem(facts: TokenFacts, platform: Platform): Promise<ExplainedError | undefined> {
  try {
    const identity = asIdentity(facts);
    assertUsable(identity, [], platform.clock.now());
    const finding = await examineIssuer(identity, platform);
    return finding.kind === "sound" ? undefined : explainFinding(finding, identity, "The");
  } catch (error) {
    if (error instanceof ExplainedError && error !== platform.signal.reason) {
      return error;
    }
    throw error;
  }
}
