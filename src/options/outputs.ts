/** What a login and a promotion hand over, and the options that say how. */
import { commands, type Option } from "./option.ts";

export const outputOptions = [
  {
    name: "result",
    group: "output",
    entryPoints: ["login", "promote"],
    takes: "list",
    value: "NAME=FILE",
  },
  {
    name: "output",
    group: "output",
    entryPoints: commands,
    default: "text",
    choices: ["text", "json", "markdown"],
    choicesOf: { markdown: ["audit"] }, // for a job's summary
    value: "FORMAT",
  },
  {
    name: "verbose",
    group: "output",
    entryPoints: commands,
    default: "false",
    takes: "flag",
  },
  {
    name: "quiet",
    short: "q",
    group: "output",
    entryPoints: commands,
    default: "false",
    takes: "flag",
  },
] as const satisfies readonly Option[];

export const outputs = [
  { name: "logged-in", description: "true, or false if without-identity: skip let the job continue without a login." },
  { name: "registry", description: "Host of Quay that the login is for." },
  { name: "robot", description: "Robot account that is logged in. Several: one per line." },
  { name: "expires-at", description: "When the login expires (ISO 8601, UTC). Several: the first to expire." },
  {
    name: "auth-file",
    description:
      "File that holds the login. REGISTRY_AUTH_FILE names it for later steps, unless only docker's builder reads it.",
  },
  { name: "issuer", description: "Issuer of the job's identity token, as you enter it in Quay." },
  { name: "subject", description: "Subject of the job's identity token, as you enter it in Quay." },
  { name: "audience", description: "Audience of the job's identity token. Several: separated by a blank." },
  { name: "token", description: "The robot token, masked; only with export-token: true and a single robot." },
] as const;

export type OutputName = (typeof outputs)[number]["name"];

export const promotionOutputs = [
  { name: "image", description: "Promoted image, destination@digest. Several: one per line." },
  { name: "repository", description: "Destination without tag and digest. Empty for several promotions." },
  { name: "digest", description: "Digest of the image. Empty for several promotions." },
  { name: "tags", description: "Tags as references, destination:tag, one per line." },
  {
    name: "changed",
    description: "true if a tag, an image or a signature is new there, false if all of it was there already.",
  },
  { name: "results", description: "All of it and more as JSON, a list with one object per promotion." },
] as const;

export type PromotionOutputName = (typeof promotionOutputs)[number]["name"];

export const federationOutputs = [
  { name: "changed", description: "true if this run has changed Quay, otherwise false." },
  {
    name: "drift",
    description: "true if Quay differs from the file, or did before this run changed it. Empty for a pull request.",
  },
  {
    name: "plan",
    description:
      "The difference as JSON: robots with their permissions and bindings, findings. For a pull request, from the file in the base branch.",
  },
] as const;

export type FederationOutputName = (typeof federationOutputs)[number]["name"];
