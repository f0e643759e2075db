/** What to do about a token depends on where it comes from. Pure. */

import { mention, text, type Words } from "../platform/wording.ts";
import type { IdentitySource } from "./source.ts";

type Source = Exclude<IdentitySource["source"], "auto">;

export const freshTokenAdvice: Readonly<Record<Source, string>> = {
  github: "Run the job again.",
  file: "Provide a fresh token: the kubelet renews a projected one by itself; whatever else writes the file has to do so again.",
  environment:
    "A variable is never renewed. Get a new token right before the login: Keycloak's lasts five minutes by default, GitLab's as long as its job may run.",
  spiffe: "See in the log of this node's SPIRE agent why it gives an old one.",
};

/** A sentence, for a token that lacks the audience. */
export const audienceAdvice = (source: Source, audience: string): Words => {
  const option = text`the option ${mention("audience")}`;
  const orItsOwn = text`or set ${option} to the token's own if the binding in Quay says so`;
  switch (source) {
    case "github":
    case "spiffe":
      return text`Set ${option} to what the binding in Quay says.`;
    case "file":
      return text`Have the token made for ${audience} (in a pod: audience: ${audience} of its serviceAccountToken), ${orItsOwn}.`;
    case "environment":
      return text`Have the token made for ${audience} (GitLab: aud: ${audience} in id_tokens; Keycloak: a mapper of the type Audience at the client), ${orItsOwn}.`;
  }
};

/** For an issuer that calls itself by another name than the token does. */
export const sameNameAdvice = ({ source }: { readonly source: Source }): readonly string[] => [
  "Have both name the same address, and enter exactly that at the robot. A Quay before 3.18 also minds a slash at the end.",
  `Where the issuer's address has changed, this token may be from before. ${freshTokenAdvice[source]}`,
];
