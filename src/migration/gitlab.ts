/** Logins in the scripts of GitLab's jobs. They are listed: the image of such a job lacks this program. Pure. */
import { isMap, isScalar, isSeq, type Node } from "yaml";
import { defaultOf } from "../options/reader.ts";
import { mention } from "../platform/wording.ts";
import { lineAt } from "./edits.ts";
import { type Finding, federated, listed, nameOfRobot, robotOf } from "./finding.ts";
import { type Exchange, exchangeIn, exchangePath, loginsIn } from "./login-command.ts";
import { sourceOf } from "./script-source.ts";
import { parseScript } from "./shell.ts";
import { belongs, type Env, nameOf, type Value } from "./values.ts";
import { entriesOf, nodeAt, type Tree, textAt, textOf, textOrEmpty } from "./yaml-tree.ts";

export const isGitlabFile = (path: string): boolean =>
  /(?:^|\/)(?:[\w.-]*\.)?gitlab-ci\.ya?ml$/.test(path) || /(?:^|\/)\.gitlab(?:-ci)?\/.*\.ya?ml$/.test(path);

export interface Gitlab {
  readonly registry: string;
  /** GROUP/PROJECT of the remote; undefined: not known */
  readonly project: string | undefined;
  /** GitLab's own address, if it is not https://gitlab.com */
  readonly issuer: string | undefined;
  readonly defaultBranch: string | undefined;
}

const scripts = ["before_script", "script", "after_script"] as const;

export function gitlabLogins(tree: Tree, gitlab: Gitlab): readonly Finding[] {
  const top = entriesOf(tree, tree.root);
  const common = variablesOf(tree, top.get("variables")?.value);
  const jobs = [...top].filter(([name, { value }]) => isMap(value) && name !== "variables");
  const places: (readonly [string, Node | undefined])[] = [
    ["", tree.root],
    ...jobs.map(([name, { value }]) => [name, value] as const),
  ];
  return places.flatMap(([name, node]) => {
    const env: Env = new Map([...common, ...variablesOf(tree, nodeAt(tree, node, "variables"))]);
    const found = scripts.flatMap((key) => leavesOf(tree, nodeAt(tree, node, key)));
    return found.flatMap((leaf) => leafLogins(leaf, { tree, env, gitlab, name, node }));
  });
}

function variablesOf(tree: Tree, node: Node | undefined): readonly (readonly [string, string])[] {
  return [...entriesOf(tree, node)].flatMap(([name, { value }]) => {
    const text = textOf(value) ?? textAt(tree, value, "value");
    return text === undefined ? [] : [[name, text] as const];
  });
}

/** A script is text, a list of texts, or a list with lists that anchors have put there. */
const leavesOf = (tree: Tree, node: Node | undefined, depth = 0): readonly Node[] =>
  isSeq(node) && depth < 5
    ? node.items.flatMap((item) => leavesOf(tree, tree.resolve(item), depth + 1))
    : isScalar(node)
      ? [node]
      : [];

interface In {
  readonly tree: Tree;
  readonly env: Env;
  readonly gitlab: Gitlab;
  readonly name: string;
  readonly node: Node | undefined;
}

function leafLogins(leaf: Node, at: In): readonly Finding[] {
  const text = textOrEmpty(leaf);
  const { tree, env, gitlab } = at;
  const script = parseScript(text);
  const source = isScalar(leaf) && typeof leaf.value === "string" ? sourceOf(tree, leaf as never) : undefined;
  const lineOf = (position: number) => (source ? lineAt(tree.text, source(position)) : tree.lineOf(leaf));
  const exchange: Exchange | undefined = text.includes(exchangePath) ? exchangeIn(script, env) : undefined;
  if (exchange && belongs(exchange.registry, gitlab.registry) !== "other") {
    return [
      finding(at, {
        what: "exchange by hand",
        line: lineOf(text.indexOf(exchangePath)),
        registry: exchange.registry,
        username: exchange.robot,
      }),
    ];
  }
  return loginsIn(script, env).flatMap(({ tool, registry, username, password, pipeline }) => {
    // GitLab's own registry, and whatever else the file says.
    const isOther =
      registry === undefined || belongs(registry, gitlab.registry) === "other" || nameOf(registry).startsWith("$CI_");
    const what = `${tool} login`;
    return isOther ? [] : [finding(at, { what, line: lineOf(pipeline.start), registry, username, password })];
  });
}

interface Login {
  readonly what: string;
  readonly line: number;
  readonly registry: Value;
  readonly username: Value | undefined;
  readonly password?: Value | undefined;
}

function finding({ tree, gitlab, name }: In, { what, line, registry, username, password }: Login): Finding {
  const robot = robotOf(username);
  const shown = nameOfRobot(robot);
  const login =
    gitlab.registry === defaultOf("registry")
      ? `: quay-keyless-login login --robot ${shown} --token-env QUAY_ID_TOKEN`
      : `: quay-keyless-login login --registry ${gitlab.registry} --robot ${shown} --token-env QUAY_ID_TOKEN`;
  const known =
    belongs(registry, gitlab.registry) === "unknown"
      ? `Whether it logs in to ${gitlab.registry} can't be seen here, since its registry is ${nameOf(registry)}. `
      : "";
  return {
    path: tree.path,
    line,
    place: name,
    what,
    robot,
    secrets: [username, password].flatMap((value) =>
      value?.kind === "unknown" ? [...value.text.matchAll(/\$\{?([A-Za-z_]\w*)/g)].map(([, found = ""]) => found) : [],
    ),
    notes: [],
    change: listed(
      `${known}the job's image must hold quay-keyless-login: then write id_tokens: {QUAY_ID_TOKEN: {aud: quay}} in the job, and in its place${login}`,
    ),
    federate:
      known !== ""
        ? []
        : [
            [
              ...federated(gitlab.registry, robot),
              mention("gitlab", gitlab.project ?? "GROUP/PROJECT"),
              mention("branch", gitlab.defaultBranch ?? "BRANCH"),
              ...(gitlab.issuer === undefined ? [] : [mention("issuer", gitlab.issuer)]),
            ],
          ],
  };
}
