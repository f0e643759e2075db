/** Remedies for a token, by its source. Pure. */

import { mention, text, type Words } from "../platform/wording.ts";
import type { IdentitySource } from "./source.ts";

type Source = Exclude<IdentitySource["source"], "auto">;

export const freshTokenAdvice: Readonly<Record<Source, string>> = {
  github: "Run the job again.",
  file: "Provide a fresh token: the kubelet renews a projected one; any other writer of the file must write it again.",
  environment:
    "A variable is never renewed. Get a new token right before the login: Keycloak's expires after five minutes by default, GitLab's with the timeout of its job.",
  command:
    "The command runs anew for each login. If its tool keeps tokens, have it fetch a new one: its help says how.",
  spiffe: "The log of this node's SPIRE agent says why it gives an old one.",
};

/** A sentence for a token without the audience. */
export const audienceAdvice = (source: Source, audience: string): Words => {
  const option = text`the option ${mention("audience")}`;
  const orItsOwn = text`or set ${option} to the token's audience if the binding in Quay has the same`;
  switch (source) {
    case "github":
    case "spiffe":
      return text`Set ${option} to the audience of the binding in Quay.`;
    case "file":
      return text`Have the token issued for ${audience} (in a pod: audience: ${audience} of its serviceAccountToken), ${orItsOwn}.`;
    case "command":
      return text`Have the command ask for ${audience} (buildkite-agent, aws: --audience; gcloud: --audiences), ${orItsOwn}.`;
    case "environment":
      return text`Have the token issued for ${audience} (GitLab: aud: ${audience} in id_tokens; Keycloak: a mapper of the type Audience at the client), ${orItsOwn}.`;
  }
};

/** For an issuer whose discovery document names another issuer than the token. */
export const sameNameAdvice = ({ source }: { readonly source: Source }): readonly string[] => [
  "Make both name the same address, and enter exactly that at the robot. Quay before 3.18 also compares a trailing slash.",
  `If the issuer's address has changed, this token may be older than that. ${freshTokenAdvice[source]}`,
];
