/**
 * Every option once, as data. The parsing, `action.yml` and the README's table are held to it by tests.
 */
export interface Option {
  readonly name: string;
  /** Absent: no default. */
  readonly default?: string;
  readonly required?: true;
  /** Set by the platform itself, not by people: absent from the README. */
  readonly internal?: true;
  /** One line: what it means, units included. */
  readonly description: string;
}

export const options = [
  { name: "registry", default: "quay.io", description: "Host of Quay, with a port if it isn't 443." },
  {
    name: "robot",
    required: true,
    description:
      "Robot account, organization+name. Several: one per line, each [SCOPE=]organization+name; without a SCOPE, each logs in for registry/organization.",
  },
  {
    name: "identity",
    default: "auto",
    description: "Where the identity token comes from: github, file, environment; auto takes the first that is there.",
  },
  {
    name: "audience",
    default: "quay",
    description: "Audience to ask GitHub for; for a token from a file or variable, the audience to expect.",
  },
  {
    name: "token-file",
    description:
      "File that holds the identity token, read anew for each exchange. Looked for at /var/run/secrets/tokens/quay-token if not set.",
  },
  {
    name: "token-env",
    description: "Name of the environment variable that holds the identity token (its name, not the token).",
  },
  {
    name: "tool",
    default: "auto",
    description: "Tool that logs in: skopeo, buildah, podman, docker; auto takes the first one installed.",
  },
  {
    name: "auth-file",
    description:
      "File that gets the login; what else it holds stays. Default: a private file of the job that starts with the logins already there.",
  },
  {
    name: "docker-config",
    default: "auto",
    description:
      "Whether docker's config.json gets the login too, for docker, cosign, crane, oras and helm: true, false; auto means true on a GitHub-hosted runner or when docker is the tool that logs in.",
  },
  {
    name: "auth-file-mode",
    description:
      "Permissions of the auth file, octal, for later steps under another user. Default: 0600 for a new file, unchanged for one already there.",
  },
  {
    name: "ca-file",
    description:
      "PEM file with root certificates to trust besides the system's, for Quay, the issuer and the tools, until logout.",
  },
  {
    name: "access",
    description:
      "What later steps will need, one repository per line: organization/repository:pull,push. Checked against what Quay grants.",
  },
  { name: "timeout", default: "120", description: "Seconds for the whole login, retries included." },
  { name: "logout", default: "true", description: "Whether the end of the job takes the login back: true, false." },
  {
    name: "without-identity",
    default: "fail",
    description:
      "What to do where GitHub gives no identity (pull request from a fork, Dependabot): fail, or skip to go on logged out.",
  },
  {
    name: "export-token",
    default: "false",
    description: "Whether to hand out the robot token, masked, as the output token: true, false.",
  },
  {
    name: "workflow-ref",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, evaluated by the runner
    default: "${{ job.workflow_ref }}",
    internal: true,
    description: "Set by GitHub; leave it alone. It lets an error message say which workflow lacks the permission.",
  },
] as const satisfies readonly Option[];

export type OptionName = (typeof options)[number]["name"];

/** What a face hands over: the options as text; an option that isn't there, or is blank, has its default. */
export type OptionValues = Partial<Record<OptionName, string | undefined>>;

export const outputs = [
  { name: "logged-in", description: "true, or false when without-identity: skip let the job go on logged out." },
  { name: "registry", description: "Host of Quay that the login is for." },
  { name: "robot", description: "Robot account that is logged in; several: one per line." },
  { name: "expires-at", description: "When the login ends (ISO 8601, UTC); of several, the first to end." },
  { name: "auth-file", description: "File that holds the login; REGISTRY_AUTH_FILE names it for later steps." },
  { name: "issuer", description: "Issuer of the job's identity token, as Quay must have it." },
  { name: "subject", description: "Subject of the job's identity token, as Quay must have it." },
  { name: "audience", description: "Audience of the job's identity token; several: separated by a blank." },
  { name: "token", description: "The robot token, masked; only with export-token: true and a single robot." },
] as const;

export type OutputName = (typeof outputs)[number]["name"];
