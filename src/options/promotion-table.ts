/** The options that only promotions have, and their outputs: a part of the tables in src/options.ts. */
import type { Option } from "./option.ts";

/** Where promotions are asked for. */
export const promotes = ["promote-action", "promote"] as const;

export const promotionOptions = [
  {
    name: "source",
    group: "promotion",
    entryPoints: promotes,
    value: "IMAGE",
    description:
      "Image to promote, [registry/]organization/repository@sha256:… (or :tag, which is resolved once and said aloud).",
  },
  {
    name: "destination",
    group: "promotion",
    entryPoints: promotes,
    value: "REPOSITORY",
    description:
      "Where it goes, [registry/]organization/repository; may be the source's own repository, for further tags.",
  },
  {
    name: "tag",
    group: "promotion",
    entryPoints: promotes,
    takes: "list",
    value: "TAG",
    description: "Tag that the image gets there; several: one per line.",
  },
  {
    name: "file",
    group: "promotion",
    entryPoints: promotes,
    value: "FILE",
    description:
      "YAML file with a list of promotions, each with source, destination and tags; instead of these three options.",
  },
  {
    name: "source-robot",
    group: "login",
    entryPoints: promotes,
    value: "ROBOT",
    description:
      "Robot account that reads the source, organization+name. Neither this nor source-auth-file: the source is public, and read without a login.",
  },
  {
    name: "source-auth-file",
    group: "login",
    entryPoints: promotes,
    value: "FILE",
    description:
      "File with the login for a source that no robot reads, as on another registry than Quay: its entry for the source alone is used, and for nothing else. Instead of source-robot.",
  },
  {
    name: "destination-robot",
    group: "login",
    entryPoints: promotes,
    required: true,
    value: "ROBOT",
    description: "Robot account that writes to the destination, organization+name; may be the same.",
  },
  {
    name: "source-token-host",
    group: "network",
    entryPoints: promotes,
    value: "HOST",
    description:
      "With source-robot: host where the source's registry may send logins besides itself, with a port if it isn't 443.",
  },
  {
    name: "destination-token-host",
    group: "network",
    entryPoints: promotes,
    value: "HOST",
    description: "Host where the destination's registry may send logins besides itself, with a port if it isn't 443.",
  },
  {
    name: "move-tags",
    group: "checks",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description: "Whether a tag that points to another image is moved; else that is an error.",
  },
  {
    name: "create-only",
    group: "checks",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description: "Whether each tag must be new: one that exists is an error, even where it points to this very image.",
  },
  {
    name: "allow-expiring",
    group: "checks",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description:
      "Whether an image is promoted whose label quay.expires-after has Quay delete its tags after a while; else that is an error.",
  },
  {
    name: "platform",
    group: "checks",
    entryPoints: promotes,
    takes: "list",
    value: "PLATFORM",
    description:
      "Platform that the image must be there for, as linux/amd64 or linux/arm/v7; several: one per line. All are copied.",
  },
  {
    name: "with-signatures",
    group: "promotion",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description:
      "Whether signatures, attestations and SBOMs (cosign's tags, OCI referrers) go along, before any tag does; having none is an error.",
  },
  {
    name: "verify-command",
    group: "checks",
    entryPoints: promotes,
    value: "COMMAND",
    description:
      "Shell command that gets the source by digest as its last argument, as in cosign verify --key release.pub; if it fails, nothing is promoted.",
  },
  {
    name: "dry-run",
    group: "promotion",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description: "Whether to print the plan and change nothing.",
  },
  {
    name: "parallel",
    group: "promotion",
    entryPoints: promotes,
    default: "4",
    value: "NUMBER",
    description: "How many images are copied at the same time, 1 to 32.",
  },
] as const satisfies readonly Option[];

export const promotionOutputs = [
  { name: "image", description: "What was promoted, destination@digest; several: one per line." },
  { name: "repository", description: "Destination without tag and digest; empty for several promotions." },
  { name: "digest", description: "Digest of the image; empty for several promotions." },
  { name: "tags", description: "Tags as references, destination:tag, one per line." },
  {
    name: "changed",
    description: "true where a tag, an image or a signature is new there; false where all was there already.",
  },
  { name: "results", description: "All of it and more as JSON, a list with one object per promotion." },
] as const;

export type PromotionOutputName = (typeof promotionOutputs)[number]["name"];
