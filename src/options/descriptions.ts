/**
 * What each option means, to the readers of an entry point. Not in the table: only help and script/generate need it, and the other
 * bundles do not carry it.
 */
import type { EntryPoint } from "./option.ts";
import type { OptionName } from "./table.ts";

/** The groups of readers that share descriptions. */
type Readers = "actions" | "tekton" | "promotions" | "federations" | "trust" | "helpers";

/** One line: what it means, with units. Values, defaults and "several" are added where the entry point needs them. */
type Description = string | ({ readonly all: string } & Readonly<Partial<Record<EntryPoint | Readers, string>>>);

export const descriptions: Readonly<Record<OptionName, Description>> = {
  registry: {
    all: "Host of Quay, with the port if it is not 443.",
    promotions: "Registry of a source or destination that names none, with the port if it is not 443.",
    federations: "Host of Quay, with the port if it is not 443. Default: the one in the file, else quay.io.",
    migrate: "Host of Quay whose stored passwords are looked for, with the port if it is not 443.",
  },
  robot: {
    all: "Robot account, [SCOPE=]organization+name. Without a SCOPE, a single robot logs in for the whole registry, and each of several for registry/organization; beside one with @push or @pull, for the whole registry. docker's builder alone knows registry/organization/repository@push.",
    tekton:
      "Robot accounts, each [SCOPE=]organization+name. Without a SCOPE, a single robot logs in for the whole registry, and each of several for registry/organization: buildah and skopeo read that, docker does not.",
    federate: "Robot account that gets the binding and the permissions, organization+name.",
    helpers: "Robot account that the credential helper logs in for the whole registry, organization+name.",
    "retire-static-token": "Robot account whose static token is replaced, organization+name.",
  },
  identity:
    "Source of the identity token: github, file, spiffe, environment or command. auto takes the first one found.",
  audience: {
    all: "Audience of the identity token. GitHub and SPIFFE are asked for it; a token from a file, a variable or a command should have it.",
    tekton: "Audience of the identity token. The robot's federation in Quay may require it.",
    federate: "Audience that the binding requires of identity tokens. Older Quays accept any.",
  },
  "token-file":
    "File that holds the identity token. It is read again for each exchange. If not set, /var/run/secrets/tokens/quay-token is tried.",
  "token-env": "Name of the environment variable that holds the identity token. Give the name, not the token.",
  "token-command":
    "Command that prints the identity token, such as buildkite-agent oidc request-token --audience quay. It runs without a shell, anew for each exchange.",
  "spiffe-socket":
    "Address of the SPIFFE Workload API, unix:///path or tcp://ip:port. Default: the value of SPIFFE_ENDPOINT_SOCKET.",
  "spiffe-id": "Identity to use if SPIFFE issues several: its SPIFFE ID or its hint.",
  tool: "Tool to log in: skopeo, buildah, podman, docker, or none, which needs no tool: this program checks the robot token and writes the login itself. auto takes the first one installed, or none.",
  "auth-file": {
    all: "File that holds the login. Its other entries stay. Default: the file that the tool reads.",
    actions:
      "File that holds the login. Its other entries stay. Default: a private file of the job, which starts with the existing logins.",
    configure:
      "Auth file in which the credential helper is entered. Its other entries stay. Default: the file that skopeo, buildah and podman read.",
  },
  "docker-config": {
    all: "Write the login to docker's config.json too, for docker, cosign, crane, oras and helm: true, false or auto. auto means true if the tool that logs in reads it, and without a tool (none), unless auth-file names a file.",
    actions:
      "Write the login to docker's config.json too, for docker, cosign, crane, oras and helm: true, false or auto. auto means true if the tool that logs in reads it, without a tool (none) unless auth-file names a file, and on a GitHub-hosted runner, with a warning if it is not possible there.",
    configure:
      "Enter the credential helper in docker's config.json too, for docker, cosign, crane, oras and helm: true, false or auto. auto means true.",
  },
  "auth-file-mode": {
    all: "Permissions of the auth file, octal, for programs of another user. Default: 0600 for a new file; an existing file keeps its own.",
    actions:
      "Permissions of the auth file, octal, for later steps of another user. Default: 0600 for a new file; an existing file keeps its own.",
    tekton:
      'Permissions of the file with the login, octal, such as "0640" for another user of the same group (fsGroup). Default: 0600 for a new file; an existing file keeps its own.',
  },
  "ca-file": {
    all: "PEM file with root certificates to trust besides the system's, for Quay, the issuer and the tools. With session, the tools trust them until logout.",
    actions:
      "PEM file with root certificates to trust besides the system's, for Quay, the issuer and the tools. Later steps trust them until the end of the job.",
    helper: "PEM file with root certificates to trust besides the system's, for Quay and the issuer.",
    identity: "PEM file with root certificates to trust besides the system's, for the issuer.",
    trust: "PEM file with root certificates to trust besides the system's, for Quay and the issuers.",
    promotions:
      "PEM file with root certificates to trust besides the system's, for both registries, the issuer and skopeo.",
    tekton: "PEM file in the workspace ca, with root certificates to trust besides the system's.",
    "login-step": "PEM file with root certificates to trust besides the system's, such as one in a workspace.",
  },
  "token-host": {
    all: "Second host to which the registry may send logins, with the port if it is not 443: for a Quay that you reach by another name than its own.",
    tekton:
      "Second host to which the registry may send logins, with the port if it is not 443: for a Quay that you reach by another name than its own, such as the name of its Service.",
  },
  access:
    "Access that you need to a repository, organization/repository:pull,push. The login fails if Quay does not grant it. No repository is created.",
  timeout: {
    all: "Seconds for the whole login, retries included.",
    helpers: "Seconds for each exchange of the credential helper, retries included.",
    identity: "Seconds for the whole command, retries included.",
    trust: "Seconds for the whole command, retries included.",
    promotions: "Seconds for each login and each request to a registry, retries included. A copy may take longer.",
  },
  "credential-helper":
    "Enter a credential helper for the registry instead of a login: tools ask it for a robot token when they need one, however long the job runs. It takes a single robot without a scope.",
  remove: "Remove the credential helper, and restore what was there before.",
  refresh: "Renew the login in the background until the end of the job.",
  logout: "Remove the login at the end of the job. The root certificates of ca-file are removed in any case.",
  "without-identity":
    "What to do if GitHub gives no identity (pull request from a fork, Dependabot): fail, or skip to continue without a login.",
  "export-token": {
    all: "Print the robot token, and nothing else, on standard output.",
    actions: "Set the output token to the robot token, masked.",
  },
  "workflow-ref": "Set by GitHub: leave it alone. It lets error messages name the workflow that lacks the permission.",
  session: {
    all: "Folder, created by login, for what logout needs to restore everything as it was. An earlier login recorded there is removed first.",
    configure:
      "Folder, created by configure, for what logout needs to restore everything as it was. By default, the record is beside the configuration, for remove.",
  },
  watch: "Keep running, and renew the login in time and when the token file changes.",
  "on-lapse":
    "With watch: what to do when the login has expired and could not be renewed: exit (exit code 75), or retry.",
  "logout-on-exit": "With watch: remove the login at the end.",
  scope:
    "Scope of the login: host, host/organization or host/organization/repository, for docker's builder also with @push or @pull. Default: all of registry in status, the host alone in logout.",
  for: "Time for which the login must still be valid, such as 90s, 10m or 1h. Less is a failure.",
  source:
    "Image to promote, [registry/]organization/repository@sha256:… or :tag. A tag is resolved once; the digest is logged.",
  destination:
    "Repository that gets the image, [registry/]organization/repository. It may be the source's own repository, for further tags.",
  tag: {
    all: "Tag that the image gets in the destination.",
    tekton: "Tags that the image gets in the destination.",
    federate: "With github or gitlab: tag whose jobs the robot trusts.",
  },
  file: {
    all: "YAML file with a list of promotions, each with source, destination and tags. It replaces source, destination and tag.",
    tekton:
      "YAML file in the workspace release with a list of promotions, each with source, destination and tags. It replaces these three parameters.",
    trust: "YAML file with the trust of an organization: its robots, their permissions and bindings.",
    "federate-task":
      "YAML file in the workspace trust, with the trust of an organization: its robots, their permissions and bindings.",
  },
  "source-robot":
    "Robot account that reads the source, organization+name. Without it and without source-auth-file, the source must be public: it is read without a login.",
  "source-auth-file": {
    all: "File with the login for a source that no robot reads, such as one on another registry than Quay. Only its entry for the source is used, and only for the source. It replaces source-robot.",
    tekton:
      "File in the workspace source-login with the login for a source that no robot reads, such as .dockerconfigjson. It replaces source-robot.",
  },
  "destination-robot":
    "Robot account that writes to the destination, organization+name. It may be the same as source-robot.",
  "source-token-host":
    "With source-robot: second host to which the source's registry may send logins, with the port if it is not 443.",
  "destination-token-host":
    "Second host to which the destination's registry may send logins, with the port if it is not 443.",
  "move-tags": "Move a tag that points to another image. By default, such a tag is an error.",
  "create-only": "Require that each tag is new. A tag that exists is an error, even if it points to this very image.",
  "allow-expiring":
    "Promote an image even if its label quay.expires-after makes Quay delete its tags after a while. By default, such an image is an error.",
  platform: "Platform that the image must have, such as linux/amd64 or linux/arm/v7. All platforms are copied.",
  "with-signatures":
    "Copy signatures, attestations and SBOMs (cosign's tags, OCI referrers) too, before any tag is set. An image without any is an error.",
  "verify-command": {
    all: "Shell command that gets the source by digest as its last argument, such as cosign verify --key release.pub. If it fails, nothing is promoted.",
    tekton:
      "Shell command that gets the source by digest as its last argument. If it fails, nothing is promoted. It runs in the folder of the workspace release, in this image, which has no cosign.",
  },
  "dry-run": "Print the plan and change nothing.",
  parallel: "Number of images to copy at the same time, 1 to 32.",
  organization: {
    all: "Organization, or user, whose robots are looked at.",
    federate: "With export: organization, or user, whose trust is written.",
  },
  "create-robot": "Create a robot that is missing. By default, it is an error.",
  description: "With create-robot: description of the robot. Quay cannot change it later.",
  permission: "Permission of the robot, organization/repository=read, =write or =admin.",
  "create-repository": "Create a repository that is missing, as a private one. By default, it is an error.",
  prune:
    "Remove the bindings and permissions of the file's robots that are not in the file. By default, they are kept. Robots are never removed.",
  export: "Print the trust of the organization in Quay as such a file. Nothing is changed.",
  check: {
    all: "Change nothing, and exit with 3 if Quay differs.",
    actions: "Change nothing, and fail if Quay differs.",
    tekton: "Change nothing, and fail (exit code 3) if Quay differs.",
  },
  strict: "Treat warnings about risky trust as errors.",
  offline: "Do not check whether the issuers can be reached and publish keys.",
  github:
    "Repository on GitHub whose jobs the robot trusts, with environment, branch, tag or pull-request. OWNER@ID/REPO@ID is GitHub's immutable form.",
  environment: "With github: environment whose jobs the robot trusts.",
  branch: "With github or gitlab: branch whose jobs the robot trusts.",
  "pull-request": "With github: trust the jobs of pull requests.",
  "service-account": "With issuer: service account of the cluster whose pods the robot trusts.",
  gitlab: "Project on GitLab whose jobs the robot trusts, with branch or tag.",
  issuer:
    "Issuer of the identity tokens. Default: https://token.actions.githubusercontent.com with github, https://gitlab.com with gitlab.",
  subject: "With issuer: subject of the identity tokens, letter by letter. For SPIFFE, it is the SPIFFE ID.",
  since: "How far back the usage log is read: days, such as 30d.",
  "fail-on":
    "Exit with 3 if there is such a finding: static-token, no-binding, unused-binding, unused-robot, admin, wide-permission. Several may be separated by commas.",
  force: "Replace the token even if the log does not show that only keyless logins are used.",
  yes: "The same robot again, which answers the question that a terminal is asked.",
  "api-token-env": "Name of the environment variable that holds the token of Quay's API. Give the name, not the token.",
  "api-token-file": {
    all: "File that holds the token of Quay's API, or - for standard input. It replaces api-token-env.",
    "federate-action": "File that holds the token of Quay's API. It replaces api-token-env.",
    tekton: "File in the workspace api-token that holds the token of Quay's API.",
  },
  path: "File or folder of a checkout to look at. Default: the current folder.",
  action: "Address of the action of this project, owner/repository@ref. Without it, nothing of GitHub's is changed.",
  write: "Change the files that git tracks and that have no changes. By default, the changes are only shown.",
  result: "Write an output to a file too, in the form of a Tekton result. The token cannot be written.",
  output: {
    all: "Output format: text or json.",
    audit: "Output format: text, json or markdown.",
  },
  verbose: "Print more to standard error.",
  quiet: "Print only errors to standard error. Results are printed all the same.",
};

/** Where `describe` looks for an entry point's own description, in this order, before it takes `all`. */
const readersOf: Readonly<Partial<Record<EntryPoint, readonly Readers[]>>> = {
  action: ["actions"],
  "promote-action": ["promotions", "actions"],
  promote: ["promotions"],
  configure: ["helpers"],
  helper: ["helpers"],
  "login-task": ["tekton"],
  "login-step": ["tekton"],
  "promote-task": ["tekton", "promotions"],
  "federate-action": ["federations", "trust", "actions"],
  federate: ["federations", "trust"],
  audit: ["trust"],
  "retire-static-token": ["trust"],
  "federate-task": ["tekton", "federations", "trust"],
};

/** The description for readers of this entry point. */
export function describe(option: OptionName, entryPoint: EntryPoint): string {
  return descriptionFor(descriptions[option], entryPoint);
}

export function descriptionFor(description: Description, entryPoint: EntryPoint): string {
  if (typeof description === "string") {
    return description;
  }
  const found = [entryPoint, ...(readersOf[entryPoint] ?? [])].find((reader) => reader in description);
  return (found && description[found]) ?? description.all;
}
