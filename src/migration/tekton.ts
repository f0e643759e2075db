/** Tasks, Pipelines and runs of Tekton that mount a stored login. They are listed: which robot it is for stands in the Secret. Pure. */
import { isMap, type Node } from "yaml";
import { type Mention, mention } from "../platform/wording.ts";
import { type Finding, federated, listed, robotOf } from "./finding.ts";
import { exchangePath, loginsIn } from "./login-command.ts";
import { parseScript } from "./shell.ts";
import { belongs, nameOf } from "./values.ts";
import { entriesOf, itemsOf, nodeAt, type Tree, textAt, textOf, textOrEmpty } from "./yaml-tree.ts";

const kinds = /^(?:Task|ClusterTask|Pipeline|TaskRun|PipelineRun|StepAction)$/;

/** A Secret of the checkout, and the registries that it says it is for. */
export type SecretHosts = ReadonlyMap<string, readonly string[]>;

/** Secrets of Tekton (annotations tekton.dev/docker-N) and logins of kubernetes.io/dockerconfigjson. Their content is not shown. */
export function secretHosts(trees: readonly Tree[]): SecretHosts {
  const found = new Map<string, readonly string[]>();
  for (const tree of trees) {
    const name = textAt(tree, tree.root, "metadata", "name");
    if (textAt(tree, tree.root, "kind") === "Secret" && name !== undefined) {
      const annotations = [...entriesOf(tree, nodeAt(tree, tree.root, "metadata", "annotations"))]
        .filter(([key]) => /^tekton\.dev\/docker-/.test(key))
        .map(([, { value }]) => textOrEmpty(value));
      found.set(name, [...annotations, ...hostsOf(tree)]);
    }
  }
  return found;
}

function hostsOf(tree: Tree): readonly string[] {
  const plain = textAt(tree, tree.root, "stringData", ".dockerconfigjson");
  const encoded = textOrEmpty(nodeAt(tree, tree.root, "data", ".dockerconfigjson"));
  const text = plain ?? Buffer.from(encoded.replaceAll(/\s/g, ""), "base64").toString("utf8");
  try {
    return Object.keys((JSON.parse(text) as { auths?: object }).auths ?? {});
  } catch {
    return [];
  }
}

export interface Tekton {
  readonly registry: string;
  readonly secrets: SecretHosts;
}

/** All of a document; a TriggerTemplate holds whole runs. */
export function tektonLogins(tree: Tree, tekton: Tekton): readonly Finding[] {
  return resourcesIn(tree, tree.root).flatMap((resource) => {
    const at = contextOf(tree, resource, tekton);
    return specsIn(tree, nodeAt(tree, resource, "spec")).flatMap((spec) => [
      ...itemsOf(tree, nodeAt(tree, spec, "volumes")).flatMap((volume) => volumeLogin(at, spec, volume)),
      ...itemsOf(tree, nodeAt(tree, spec, "workspaces")).flatMap((workspace) => workspaceLogin(at, workspace)),
      ...[...itemsOf(tree, nodeAt(tree, spec, "steps")), spec].flatMap((step) => scriptLogins(at, step)),
    ]);
  });
}

export const isTekton = (tree: Tree, node: Node | undefined = tree.root): boolean =>
  /^(?:triggers\.)?tekton\.dev\//.test(textOrEmpty(nodeAt(tree, node, "apiVersion")));

function resourcesIn(tree: Tree, node: Node | undefined): readonly Node[] {
  if (node === undefined || !isTekton(tree, node)) {
    return [];
  }
  const kind = textOrEmpty(nodeAt(tree, node, "kind"));
  return kinds.test(kind)
    ? [node]
    : itemsOf(tree, nodeAt(tree, node, "spec", "resourcetemplates")).flatMap((each) => resourcesIn(tree, each));
}

/** A spec, and those that it embeds. */
function specsIn(tree: Tree, spec: Node | undefined, depth = 0): readonly Node[] {
  if (!isMap(spec) || depth > 4) {
    return [];
  }
  const tasks = ["tasks", "finally"].flatMap((key) => itemsOf(tree, nodeAt(tree, spec, key)));
  const inner = [
    nodeAt(tree, spec, "pipelineSpec"),
    nodeAt(tree, spec, "taskSpec"),
    ...tasks.map((task) => nodeAt(tree, task, "taskSpec")),
  ];
  return [spec, ...inner.flatMap((each) => specsIn(tree, each, depth + 1))];
}

interface Context {
  readonly tree: Tree;
  readonly tekton: Tekton;
  /** `Task build` */
  readonly place: string;
  /** The options of `federate` that say who the robot trusts. */
  readonly account: readonly Mention[];
  /** Whether the resource names an image of this registry. */
  readonly mentions: boolean;
}

function contextOf(tree: Tree, resource: Node, tekton: Tekton): Context {
  const text = tree.text.slice(resource.range?.[0], resource.range?.[1]);
  const name =
    textAt(tree, resource, "metadata", "name") ?? textOrEmpty(nodeAt(tree, resource, "metadata", "generateName"));
  const account =
    textAt(tree, resource, "spec", "taskRunTemplate", "serviceAccountName") ??
    textAt(tree, resource, "spec", "serviceAccountName");
  const who = `${textAt(tree, resource, "metadata", "namespace") ?? "NAMESPACE"}/${account ?? "SERVICE-ACCOUNT"}`;
  return {
    tree,
    tekton,
    place: `${textAt(tree, resource, "kind")} ${name}`,
    account: [mention("service-account", who), mention("issuer", "https://ISSUER")],
    mentions: text.includes(`${tekton.registry}/`),
  };
}

const looksLikeLogin = /docker|registr|quay|auth|cred|pull|push/i;

/** Whether the Secret is for this registry: the checkout's own manifest says it, or the images that the resource names. */
function isFor({ tekton, mentions }: Context, secret: string): "yes" | "no" | "unknown" {
  const hosts = tekton.secrets.get(secret) ?? [];
  if (hosts.length > 0) {
    return hosts.some((text) => ["ours", "part"].includes(belongs({ kind: "literal", text }, tekton.registry)))
      ? "yes"
      : "no";
  }
  return mentions ? "yes" : "unknown";
}

function login(
  at: Context,
  node: Node,
  what: string,
  secret: { readonly name: string; readonly todo: string },
): readonly Finding[] {
  const answer = isFor(at, secret.name);
  if (answer === "no") {
    return [];
  }
  const robot = { from: `the Secret ${secret.name}` };
  const doubt =
    answer === "yes" ? "" : `no file of this checkout says whether the Secret is for ${at.tekton.registry}; if it is, `;
  return [
    {
      path: at.tree.path,
      line: at.tree.lineOf(node),
      place: at.place,
      what,
      robot,
      secrets: [secret.name],
      notes: [],
      change: listed(`${doubt}${secret.todo}`),
      federate: answer === "yes" ? [[...federated(at.tekton.registry, robot), ...at.account]] : [],
    },
  ];
}

/** A volume with the login, at a place where tools look for it, or named by a variable. */
function volumeLogin(at: Context, spec: Node, volume: Node): readonly Finding[] {
  const { tree } = at;
  const secret = textAt(tree, volume, "secret", "secretName");
  const name = textOrEmpty(nodeAt(tree, volume, "name"));
  if (secret === undefined) {
    return [];
  }
  const steps = [...itemsOf(tree, nodeAt(tree, spec, "steps")), ...itemsOf(tree, nodeAt(tree, spec, "stepTemplate"))];
  const mounts = steps
    .flatMap((step) => itemsOf(tree, nodeAt(tree, step, "volumeMounts")))
    .filter((mount) => textAt(tree, mount, "name") === name)
    .map((mount) => textOrEmpty(nodeAt(tree, mount, "mountPath")));
  const named = steps
    .flatMap((step) => itemsOf(tree, nodeAt(tree, step, "env")))
    .filter((entry) => /^(?:DOCKER_CONFIG|REGISTRY_AUTH_FILE)$/.test(textOrEmpty(nodeAt(tree, entry, "name"))))
    .map((entry) => textOrEmpty(nodeAt(tree, entry, "value")));
  const keys = itemsOf(tree, nodeAt(tree, volume, "secret", "items")).map((item) =>
    textOrEmpty(nodeAt(tree, item, "key")),
  );
  const isLogin =
    mounts.some(
      (path) => /\.docker|containers|auth/.test(path) || named.some((value) => path !== "" && value.startsWith(path)),
    ) ||
    keys.some((key) => /^(?:\.dockerconfigjson|\.dockercfg|config\.json|auth\.json)$/.test(key)) ||
    looksLikeLogin.test(`${name} ${secret}`);
  if (!isLogin) {
    return [];
  }
  const file = `${mounts[0] ?? "PATH"}/config.json`;
  const todo = `make the volume ${name} an emptyDir (medium: Memory), add a volume quay-token with a projected service account token (audience quay), and put the StepAction quay-keyless-login first, with its param auth-file set to ${file}`;
  return login(at, volume, `volume ${name}`, { name: secret, todo });
}

/** A run binds the Secret to a workspace of its Pipeline or Task. */
function workspaceLogin(at: Context, workspace: Node): readonly Finding[] {
  const { tree } = at;
  const secret = textAt(tree, workspace, "secret", "secretName");
  const name = textOrEmpty(nodeAt(tree, workspace, "name"));
  if (secret === undefined || !looksLikeLogin.test(`${name} ${secret}`)) {
    return [];
  }
  const todo = `run the Task quay-keyless-login before the Tasks that use the workspace ${name}, quay-keyless-logout in finally, and bind ${name} to a volume that they share (volumeClaimTemplate), not to the Secret`;
  return login(at, workspace, `workspace ${name}`, { name: secret, todo });
}

/** Logins in a step's script. */
function scriptLogins(at: Context, step: Node): readonly Finding[] {
  const { tree, tekton } = at;
  const node = nodeAt(tree, step, "script");
  const text = textOf(node);
  if (node === undefined || text === undefined) {
    return [];
  }
  const { env, secrets } = variablesOf(tree, step);
  const line = tree.lineOf(node);
  const todo = "put the StepAction quay-keyless-login before this step, and take the login out of the script";
  const found = (login: Pick<Finding, "line" | "what" | "robot" | "secrets">, doubt: string): Finding => ({
    ...login,
    path: tree.path,
    place: at.place,
    notes: [],
    change: listed(doubt + todo),
    federate: doubt === "" ? [[...federated(tekton.registry, login.robot), ...at.account]] : [],
  });
  if (text.includes(exchangePath) && text.includes(tekton.registry)) {
    return [found({ line, what: "exchange by hand", robot: { from: "the script" }, secrets: [] }, "")];
  }
  return loginsIn(parseScript(text), env).flatMap(({ tool, registry, username, password, pipeline }) => {
    const whose = registry && belongs(registry, tekton.registry);
    if (registry === undefined || whose === "other") {
      return [];
    }
    const doubt =
      whose === "unknown"
        ? `its registry is ${nameOf(registry)}, which can't be seen here; if it is ${tekton.registry}, `
        : "";
    const [, name = ""] = /^\$\{?(\w+)/.exec(password?.kind === "unknown" ? password.text : "") ?? [];
    const offset = text.slice(0, pipeline.start).split("\n").length;
    const secret = secrets.get(name);
    return [
      found(
        {
          line: line + offset,
          what: `${tool} login`,
          robot: robotOf(username),
          secrets: secret === undefined ? [] : [secret],
        },
        doubt,
      ),
    ];
  });
}

/** The variables of a step: their values, and the Secrets that others come from. */
function variablesOf(tree: Tree, step: Node) {
  const env = new Map<string, string>();
  const secrets = new Map<string, string>();
  for (const entry of itemsOf(tree, nodeAt(tree, step, "env"))) {
    const name = textOrEmpty(nodeAt(tree, entry, "name"));
    const value = textAt(tree, entry, "value");
    const secret = textAt(tree, entry, "valueFrom", "secretKeyRef", "name");
    if (value !== undefined) {
      env.set(name, value);
    }
    if (secret !== undefined) {
      secrets.set(name, secret);
    }
  }
  return { env, secrets };
}
