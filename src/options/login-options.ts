/** The options of a login; promotions share those about registry, identity and network. */
import { exchanges, loginTasks, type Option, promotes } from "./option.ts";

/** In the order in which auto looks for them; src/tools/tools.ts has a row for each. */
export const toolNames = ["skopeo", "buildah", "podman", "docker"] as const;

export const loginOptions = [
  {
    name: "registry",
    group: "login",
    entryPoints: ["action", "login", "logout", "status", ...loginTasks, ...promotes],
    default: "quay.io",
    value: "HOST",
    description: "Host of Quay, with the port if it is not 443.",
    descriptionFor: {
      promotions: "Registry of a source or destination that names none, with the port if it is not 443.",
    },
  },
  {
    name: "robot",
    group: "login",
    entryPoints: ["action", "login", ...loginTasks],
    required: true,
    takes: "list",
    value: "ROBOT",
    array: "robots",
    description:
      "Robot account, [SCOPE=]organization+name. Without a SCOPE, a single robot logs in for the whole registry, and each of several for registry/organization.",
    descriptionFor: {
      tekton:
        "Robot accounts, each [SCOPE=]organization+name. Without a SCOPE, a single robot logs in for the whole registry, and each of several for registry/organization: buildah and skopeo read that, docker does not.",
    },
  },
  {
    name: "identity",
    group: "identity",
    entryPoints: exchanges,
    default: "auto",
    value: "SOURCE",
    description: "Source of the identity token: github, file, spiffe or environment. auto takes the first one found.",
  },
  {
    name: "audience",
    group: "identity",
    entryPoints: [...exchanges, ...loginTasks, "promote-task"],
    default: "quay",
    value: "AUDIENCE",
    description:
      "Audience of the identity token. GitHub and SPIFFE are asked for it; a token from a file or variable should have it.",
    descriptionFor: {
      tekton: "Audience of the identity token. The robot's federation in Quay may require it.",
    },
  },
  {
    name: "token-file",
    group: "identity",
    entryPoints: exchanges,
    value: "FILE",
    description:
      "File that holds the identity token. It is read again for each exchange. If not set, /var/run/secrets/tokens/quay-token is tried.",
  },
  {
    name: "token-env",
    group: "identity",
    entryPoints: exchanges,
    value: "NAME",
    description: "Name of the environment variable that holds the identity token. Give the name, not the token.",
  },
  {
    name: "spiffe-socket",
    group: "identity",
    entryPoints: exchanges,
    value: "ADDRESS",
    description:
      "Address of the SPIFFE Workload API, unix:///path or tcp://ip:port. Default: the value of SPIFFE_ENDPOINT_SOCKET.",
  },
  {
    name: "spiffe-id",
    group: "identity",
    entryPoints: exchanges,
    value: "ID",
    description: "Identity to use if SPIFFE issues several: its SPIFFE ID or its hint.",
  },
  {
    name: "tool",
    group: "login",
    entryPoints: ["action", "login"],
    default: "auto",
    value: "TOOL",
    description: `Tool to log in: ${toolNames.join(", ")}. auto takes the first one installed.`,
  },
  {
    name: "auth-file",
    group: "files",
    entryPoints: ["action", "login", "logout", "status"],
    value: "FILE",
    description: "File that holds the login. Its other entries stay. Default: the file that the tool reads.",
    descriptionFor: {
      actions:
        "File that holds the login. Its other entries stay. Default: a private file of the job, which starts with the existing logins.",
    },
  },
  {
    name: "docker-config",
    group: "files",
    entryPoints: ["action", "login"],
    default: "auto",
    value: "WHETHER",
    description:
      "Write the login to docker's config.json too, for docker, cosign, crane, oras and helm: true, false or auto. auto means true if the tool that logs in reads it.",
    descriptionFor: {
      actions:
        "Write the login to docker's config.json too, for docker, cosign, crane, oras and helm: true, false or auto. auto means true if the tool that logs in reads it, and on a GitHub-hosted runner, with a warning if it is not possible there.",
    },
  },
  {
    name: "auth-file-mode",
    group: "files",
    entryPoints: ["action", "login", ...loginTasks],
    value: "MODE",
    description:
      "Permissions of the auth file, octal, for programs of another user. Default: 0600 for a new file; an existing file keeps its own.",
    descriptionFor: {
      actions:
        "Permissions of the auth file, octal, for later steps of another user. Default: 0600 for a new file; an existing file keeps its own.",
      tekton:
        'Permissions of the file with the login, octal, such as "0640" for another user of the same group (fsGroup). Default: 0600 for a new file; an existing file keeps its own.',
    },
  },
  {
    name: "ca-file",
    group: "network",
    entryPoints: [...exchanges, ...loginTasks, "promote-task"],
    value: "FILE",
    description:
      "PEM file with root certificates to trust besides the system's, for Quay, the issuer and the tools. With session, the tools trust them until logout.",
    descriptionFor: {
      actions:
        "PEM file with root certificates to trust besides the system's, for Quay, the issuer and the tools. Later steps trust them until the end of the job.",
      identity: "PEM file with root certificates to trust besides the system's, for the issuer.",
      promotions:
        "PEM file with root certificates to trust besides the system's, for both registries, the issuer and skopeo.",
      tekton: "PEM file in the workspace ca, with root certificates to trust besides the system's.",
      "login-step": "PEM file with root certificates to trust besides the system's, such as one in a workspace.",
    },
  },
  {
    name: "token-host",
    group: "network",
    entryPoints: ["action", "login", ...loginTasks],
    value: "HOST",
    description:
      "Second host to which the registry may send logins, with the port if it is not 443: for a Quay that you reach by another name than its own.",
    descriptionFor: {
      tekton:
        "Second host to which the registry may send logins, with the port if it is not 443: for a Quay that you reach by another name than its own, such as the name of its Service.",
    },
  },
  {
    name: "access",
    group: "login",
    entryPoints: ["action", "login", ...loginTasks],
    takes: "list",
    value: "ACCESS",
    description:
      "Access that you need to a repository, organization/repository:pull,push. The login fails if Quay does not grant it. No repository is created.",
  },
  {
    name: "timeout",
    group: "network",
    entryPoints: [...exchanges, ...loginTasks, "promote-task"],
    default: "120",
    value: "SECONDS",
    description: "Seconds for the whole login, retries included.",
    descriptionFor: {
      identity: "Seconds for the whole command, retries included.",
      promotions: "Seconds for each login and each request to a registry, retries included. A copy may take longer.",
    },
  },
  {
    name: "refresh",
    group: "lifetime",
    entryPoints: ["action"],
    default: "false",
    description: "Renew the login in the background until the end of the job.",
  },
  {
    name: "logout",
    group: "lifetime",
    entryPoints: ["action"],
    default: "true",
    description: "Remove the login at the end of the job. The root certificates of ca-file are removed in any case.",
  },
  {
    name: "without-identity",
    group: "identity",
    entryPoints: ["action"],
    default: "fail",
    description:
      "What to do if GitHub gives no identity (pull request from a fork, Dependabot): fail, or skip to continue without a login.",
  },
  {
    name: "export-token",
    group: "output",
    entryPoints: ["action", "login"],
    default: "false",
    takes: "flag",
    description: "Print the robot token, and nothing else, on standard output.",
    descriptionFor: {
      actions: "Set the output token to the robot token, masked.",
    },
  },
  {
    name: "workflow-ref",
    group: "identity",
    entryPoints: ["action", "promote-action"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, evaluated by the runner
    default: "${{ job.workflow_ref }}",
    internal: true,
    description: "Set by GitHub: leave it alone. It lets error messages name the workflow that lacks the permission.",
  },
  {
    name: "session",
    group: "files",
    entryPoints: ["login", "logout"],
    value: "FOLDER",
    description:
      "Folder, created by login, for what logout needs to restore everything as it was. An earlier login recorded there is removed first.",
  },
  {
    name: "watch",
    group: "lifetime",
    entryPoints: ["login"],
    default: "false",
    takes: "flag",
    description: "Keep running, and renew the login in time and when the token file changes.",
  },
  {
    name: "on-lapse",
    group: "lifetime",
    entryPoints: ["login"],
    default: "exit",
    value: "WHAT",
    description:
      "With watch: what to do when the login has expired and could not be renewed: exit (exit code 75), or retry.",
  },
  {
    name: "logout-on-exit",
    group: "lifetime",
    entryPoints: ["login"],
    default: "false",
    takes: "flag",
    description: "With watch: remove the login at the end.",
  },
  {
    name: "scope",
    group: "login",
    entryPoints: ["logout", "status"],
    takes: "list",
    value: "SCOPE",
    description:
      "Scope of the login: host, host/organization or host/organization/repository. Default: all of registry in status, the host alone in logout.",
  },
  {
    name: "for",
    group: "lifetime",
    entryPoints: ["status"],
    value: "DURATION",
    description: "Time for which the login must still be valid, such as 90s, 10m or 1h. Less is a failure.",
  },
] as const satisfies readonly Option[];
