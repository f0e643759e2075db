/**
 * Every option once, as data. The parsing, the command line's help, `action.yml`, the Tekton params and the README's tables
 * are held to it by tests.
 */
import type { EntryPoint, Option } from "./option.ts";
import { promotes, promotionOptions } from "./promotion-table.ts";

export type { Command, EntryPoint, Option } from "./option.ts";
export { type PromotionOutputName, promotionOutputs } from "./promotion-table.ts";

const commands = ["login", "logout", "status", "identity", "promote"] as const;
const exchanges = ["action", "login", "identity", ...promotes] as const;

/** In the order in which auto looks for them; src/tools/tools.ts has a row for each. */
export const toolNames = ["skopeo", "buildah", "podman", "docker"] as const;

export const options = [
  {
    name: "registry",
    group: "login",
    entryPoints: ["action", "login", "logout", "status", ...promotes],
    default: "quay.io",
    value: "HOST",
    description: "Host of Quay, with a port if it isn't 443.",
    inPromotions: "Registry of source and destination where they name none, with a port if it isn't 443.",
  },
  {
    name: "robot",
    group: "login",
    entryPoints: ["action", "login"],
    required: true,
    takes: "list",
    value: "ROBOT",
    description:
      "Robot account, organization+name. Several: one per line, each [SCOPE=]organization+name; without a SCOPE, each logs in for registry/organization.",
  },
  {
    name: "identity",
    group: "identity",
    entryPoints: exchanges,
    default: "auto",
    value: "SOURCE",
    description:
      "Where the identity token comes from: github, file, spiffe, environment; auto takes the first that is there.",
  },
  {
    name: "audience",
    group: "identity",
    entryPoints: exchanges,
    default: "quay",
    value: "AUDIENCE",
    description: "Audience to ask GitHub and SPIFFE for; for a token from a file or variable, the audience to expect.",
  },
  {
    name: "token-file",
    group: "identity",
    entryPoints: exchanges,
    value: "FILE",
    description:
      "File that holds the identity token, read anew for each exchange. Looked for at /var/run/secrets/tokens/quay-token if not set.",
  },
  {
    name: "token-env",
    group: "identity",
    entryPoints: exchanges,
    value: "NAME",
    description: "Name of the environment variable that holds the identity token (its name, not the token).",
  },
  {
    name: "spiffe-socket",
    group: "identity",
    entryPoints: exchanges,
    value: "ADDRESS",
    description:
      "Address of the SPIFFE Workload API, unix:///path or tcp://ip:port. SPIFFE_ENDPOINT_SOCKET gives it if not set.",
  },
  {
    name: "spiffe-id",
    group: "identity",
    entryPoints: exchanges,
    value: "ID",
    description: "Which identity to take where SPIFFE issues several: its SPIFFE ID, or its hint.",
  },
  {
    name: "tool",
    group: "login",
    entryPoints: ["action", "login"],
    default: "auto",
    value: "TOOL",
    description: `Tool that logs in: ${toolNames.join(", ")}; auto takes the first one installed.`,
  },
  {
    name: "auth-file",
    group: "files",
    entryPoints: ["action", "login", "logout", "status"],
    value: "FILE",
    description:
      "File that holds the login; what else it holds stays. Default: in the Action a private file of the job that starts with the logins already there, on the command line the file that the tool reads by itself.",
  },
  {
    name: "docker-config",
    group: "files",
    entryPoints: ["action", "login"],
    default: "auto",
    value: "WHETHER",
    description:
      "Whether docker's config.json gets the login too, for docker, cosign, crane, oras and helm: true, false; auto means true when the tool that logs in reads it, and on a GitHub-hosted runner, where a warning tells if it cannot be.",
  },
  {
    name: "auth-file-mode",
    group: "files",
    entryPoints: ["action", "login"],
    value: "MODE",
    description:
      "Permissions of the auth file, octal, for later steps under another user. Default: 0600 for a new file, unchanged for one already there.",
  },
  {
    name: "ca-file",
    group: "network",
    entryPoints: exchanges,
    value: "FILE",
    description:
      "PEM file with root certificates to trust besides the system's, for Quay, the issuer and the tools; left for later steps until logout (on the command line only with session).",
    inPromotions:
      "PEM file with root certificates to trust besides the system's, for both registries, the issuer and skopeo.",
  },
  {
    name: "token-host",
    group: "network",
    entryPoints: ["action", "login"],
    value: "HOST",
    description:
      "Host where the registry may send logins besides itself, with a port if it isn't 443: for a Quay that is reached by another name than its own.",
  },
  {
    name: "access",
    group: "login",
    entryPoints: ["action", "login"],
    takes: "list",
    value: "ACCESS",
    description:
      "What later steps will need, one repository per line: organization/repository:pull,push. Checked against what Quay grants; makes no repository.",
  },
  {
    name: "timeout",
    group: "network",
    entryPoints: exchanges,
    default: "120",
    value: "SECONDS",
    description: "Seconds for the whole login, retries included.",
    inPromotions:
      "Seconds for each login and for each question to a registry, retries included; a copy may take longer.",
  },
  {
    name: "refresh",
    group: "lifetime",
    entryPoints: ["action"],
    default: "false",
    description: "Whether to keep the login alive until the end of the job, in the background: true, false.",
  },
  {
    name: "logout",
    group: "lifetime",
    entryPoints: ["action"],
    default: "true",
    description:
      "Whether the end of the job takes the login back: true, false. The roots of ca-file go with the job in any case.",
  },
  {
    name: "without-identity",
    group: "identity",
    entryPoints: ["action"],
    default: "fail",
    description:
      "What to do where GitHub gives no identity (pull request from a fork, Dependabot): fail, or skip to go on logged out.",
  },
  {
    name: "export-token",
    group: "output",
    entryPoints: ["action", "login"],
    default: "false",
    takes: "flag",
    description:
      "Whether to hand out the robot token: in the Action as the masked output token, on the command line as all that stands on standard output.",
  },
  {
    name: "workflow-ref",
    group: "identity",
    entryPoints: ["action", "promote-action"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, evaluated by the runner
    default: "${{ job.workflow_ref }}",
    internal: true,
    description: "Set by GitHub; leave it alone. It lets an error message say which workflow lacks the permission.",
  },
  {
    name: "session",
    group: "files",
    entryPoints: ["login", "logout"],
    value: "FOLDER",
    description:
      "Folder, made by login, for what logout needs to put everything back as it was. An earlier login recorded there is taken back first.",
  },
  {
    name: "watch",
    group: "lifetime",
    entryPoints: ["login"],
    default: "false",
    takes: "flag",
    description: "Stay, and keep the login alive: it is renewed in time, and when the token file changes.",
  },
  {
    name: "on-lapse",
    group: "lifetime",
    entryPoints: ["login"],
    default: "exit",
    value: "WHAT",
    description: "With watch, when the login has ended and could not be renewed: exit (with 75), or retry and go on.",
  },
  {
    name: "logout-on-exit",
    group: "lifetime",
    entryPoints: ["login"],
    default: "false",
    takes: "flag",
    description: "With watch: take the login back at the end.",
  },
  {
    name: "scope",
    group: "login",
    entryPoints: ["logout", "status"],
    takes: "list",
    value: "SCOPE",
    description:
      "What the login stands under: host, host/organization or host/organization/repository. Default: all of registry in status, the host alone in logout.",
  },
  {
    name: "for",
    group: "lifetime",
    entryPoints: ["status"],
    value: "DURATION",
    description: "How long the login must still last, as 90s, 10m or 1h: less is a failure.",
  },
  ...promotionOptions,
  {
    name: "result",
    group: "output",
    entryPoints: ["login", "promote"],
    takes: "list",
    value: "NAME=FILE",
    description: "Write an output into a file as well, as Tekton's results want it; never the token.",
  },
  {
    name: "output",
    group: "output",
    entryPoints: commands,
    default: "text",
    value: "FORMAT",
    description: "How results stand on standard output: text, json.",
  },
  {
    name: "verbose",
    group: "output",
    entryPoints: commands,
    default: "false",
    takes: "flag",
    description: "Tell more on standard error.",
  },
] as const satisfies readonly Option[];

export type OptionName = (typeof options)[number]["name"];

/** What an entry point hands over: the options as text; an option that isn't there, or is blank, has its default. */
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

/** The options of one entry point, in the table's order. */
export function optionsOf(entryPoint: EntryPoint): readonly (Option & { readonly name: OptionName })[] {
  const all: readonly (Option & { readonly name: OptionName })[] = options;
  const own = all.filter(({ entryPoints }) => entryPoints.includes(entryPoint));
  return (promotes as readonly EntryPoint[]).includes(entryPoint)
    ? own.map(({ inPromotions, ...option }) => ({ ...option, description: inPromotions ?? option.description }))
    : own;
}
