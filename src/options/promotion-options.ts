/** The options that only promotions have. */
import { type Option, promotes } from "./option.ts";

export const promotionOptions = [
  {
    name: "source",
    group: "promotion",
    entryPoints: promotes,
    value: "IMAGE",
    description:
      "Image to promote, [registry/]organization/repository@sha256:… or :tag. A tag is resolved once; the digest is logged.",
  },
  {
    name: "destination",
    group: "promotion",
    entryPoints: promotes,
    value: "REPOSITORY",
    description:
      "Repository that gets the image, [registry/]organization/repository. It may be the source's own repository, for further tags.",
  },
  {
    name: "tag",
    group: "promotion",
    entryPoints: promotes,
    takes: "list",
    value: "TAG",
    array: "tags",
    description: "Tag that the image gets in the destination.",
    descriptionFor: { tekton: "Tags that the image gets in the destination." },
  },
  {
    name: "file",
    group: "promotion",
    entryPoints: promotes,
    value: "FILE",
    description:
      "YAML file with a list of promotions, each with source, destination and tags. It replaces source, destination and tag.",
    descriptionFor: {
      tekton:
        "YAML file in the workspace release with a list of promotions, each with source, destination and tags. It replaces these three parameters.",
    },
  },
  {
    name: "source-robot",
    group: "login",
    entryPoints: promotes,
    value: "ROBOT",
    description:
      "Robot account that reads the source, organization+name. Without it and without source-auth-file, the source must be public: it is read without a login.",
  },
  {
    name: "source-auth-file",
    group: "login",
    entryPoints: promotes,
    value: "FILE",
    description:
      "File with the login for a source that no robot reads, such as one on another registry than Quay. Only its entry for the source is used, and only for the source. It replaces source-robot.",
    descriptionFor: {
      tekton:
        "File in the workspace source-login with the login for a source that no robot reads, such as .dockerconfigjson. It replaces source-robot.",
    },
  },
  {
    name: "destination-robot",
    group: "login",
    entryPoints: promotes,
    required: true,
    value: "ROBOT",
    description: "Robot account that writes to the destination, organization+name. It may be the same as source-robot.",
  },
  {
    name: "source-token-host",
    group: "network",
    entryPoints: promotes,
    value: "HOST",
    description:
      "With source-robot: second host to which the source's registry may send logins, with the port if it is not 443.",
  },
  {
    name: "destination-token-host",
    group: "network",
    entryPoints: promotes,
    value: "HOST",
    description: "Second host to which the destination's registry may send logins, with the port if it is not 443.",
  },
  {
    name: "move-tags",
    group: "checks",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description: "Move a tag that points to another image. By default, such a tag is an error.",
  },
  {
    name: "create-only",
    group: "checks",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description: "Require that each tag is new. A tag that exists is an error, even if it points to this very image.",
  },
  {
    name: "allow-expiring",
    group: "checks",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description:
      "Promote an image even if its label quay.expires-after makes Quay delete its tags after a while. By default, such an image is an error.",
  },
  {
    name: "platform",
    group: "checks",
    entryPoints: promotes,
    takes: "list",
    value: "PLATFORM",
    description: "Platform that the image must have, such as linux/amd64 or linux/arm/v7. All platforms are copied.",
  },
  {
    name: "with-signatures",
    group: "promotion",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description:
      "Copy signatures, attestations and SBOMs (cosign's tags, OCI referrers) too, before any tag is set. An image without any is an error.",
  },
  {
    name: "verify-command",
    group: "checks",
    entryPoints: promotes,
    value: "COMMAND",
    description:
      "Shell command that gets the source by digest as its last argument, such as cosign verify --key release.pub. If it fails, nothing is promoted.",
    descriptionFor: {
      tekton:
        "Shell command that gets the source by digest as its last argument. If it fails, nothing is promoted. It runs in the folder of the workspace release, in this image, which has no cosign.",
    },
  },
  {
    name: "dry-run",
    group: "promotion",
    entryPoints: promotes,
    default: "false",
    takes: "flag",
    description: "Print the plan and change nothing.",
  },
  {
    name: "parallel",
    group: "promotion",
    entryPoints: promotes,
    default: "4",
    value: "NUMBER",
    description: "Number of images to copy at the same time, 1 to 32.",
  },
] as const satisfies readonly Option[];
