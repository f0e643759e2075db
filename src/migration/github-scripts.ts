/** Logins in the scripts of GitHub's steps: the step becomes the Action, or gets it before it. Pure. */
import { isScalar, type Scalar } from "yaml";
import { asPattern } from "../platform/text.ts";
import { lineAt } from "./edits.ts";
import { type Change, listed, robotOf } from "./finding.ts";
import { type Job, runnerOf, type Step } from "./github.ts";
import { type Found, fromStep, inputNotes, type StepAt, secretsOf, whyNot } from "./github-found.ts";
import {
  exchangeIn,
  exchangePath,
  loginsIn,
  otherCommand,
  type ShellLogin,
  withCredentials,
  writesFile,
} from "./login-command.ts";
import { changeOf, insertStep, replaceStep, type Target } from "./rewrite.ts";
import { cut, dependence, sourceOf } from "./script-source.ts";
import { type Command, parseScript, type Script } from "./shell.ts";
import { belongs, secretsIn, type Value } from "./values.ts";
import { entriesOf, nodeAt, type Tree, textAt, textOf } from "./yaml-tree.ts";

export function scriptLogins(at: StepAt): readonly Found[] {
  const { job, step, wanted } = at;
  const { tree } = job.file;
  const node = step.entries.get("run")?.value;
  const text = textOf(node);
  if (!isScalar(node) || text === undefined || !/login|oauth2|--\S*(?:creds|password)/.test(text)) {
    return [];
  }
  const script = parseScript(text);
  const all = loginsIn(script, step.env);
  const ours = all.filter(({ registry }) => registry && belongs(registry, wanted.registry) !== "other");
  const lineOf = (position: number): number => {
    const source = sourceOf(tree, node as Scalar<string>);
    return source ? lineAt(tree.text, source(position)) : tree.lineOf(node);
  };
  const shell = shellOf(job, step);
  if (text.includes(exchangePath)) {
    return exchangeLogins(at, { script, ours, shell, line: lineOf(text.indexOf(exchangePath)) });
  }
  const isOnlyLogin =
    ours.length === 1 &&
    all.length === 1 &&
    (script.pipelines.length === 1 || otherCommand(script, step.env) === undefined);
  const found = ours.map(
    (login): Found => loginOf(at, { script, login, shell, lineOf, isOnlyLogin, count: ours.length }),
  );
  return [
    ...found,
    ...hidden(script, all, wanted.registry).map((position) => hiddenLogin(text, lineOf(position))),
    ...withCredentials(script, wanted.registry).map((command) => credentialLogin(command, text, lineOf(command.start))),
  ];
}

interface LoginAt extends InScript {
  readonly shell: string | undefined;
  readonly lineOf: (position: number) => number;
  /** How many logins to this registry the script has. */
  readonly count: number;
}

function loginOf(at: StepAt, { script, login, shell, lineOf, isOnlyLogin, count }: LoginAt): Found {
  const { wanted } = at;
  const { tree } = at.job.file;
  const { registry, username, password, tool } = login;
  const robot = robotOf(username);
  const target = targetOf(at, login);
  const why =
    (registry && whyNot(registry, robot, at)) ??
    shell ??
    login.obstacles[0] ??
    fromStep(password) ??
    (count > 1 ? "the script logs in several times" : undefined) ??
    dependence(script, login.pipeline, wanted.registry);
  const change = why === undefined ? changeFor(target, { script, login, isOnlyLogin }) : listed(why);
  const stays =
    change.kind === "rewritten" && !isOnlyLogin
      ? variablesOf(tree, at.step, script.text.slice(login.pipeline.start, login.pipeline.end))
      : [];
  return {
    what: `${tool} login`,
    line: lineOf(login.pipeline.start),
    robot,
    secrets: secretsOf([username, password]),
    change,
    isUncertain: registry?.kind !== "literal",
    notes: [
      ...inputNotes(password),
      ...stays.map((name) => `The env of the step still has ${name}: take it out if the other commands don't read it.`),
    ],
  };
}

/** The variables of the step's own env that a command reads. */
const variablesOf = (tree: Tree, { entries }: Step, command: string): readonly string[] =>
  [...entriesOf(tree, entries.get("env")?.value).keys()].filter((name) =>
    new RegExp(`\\$\\{?${asPattern(name)}\\b`).test(command),
  );

function targetOf({ job, step, wanted }: StepAt, { tool, username }: ShellLogin): Target {
  const needsDockerConfig = tool === "docker" && runnerOf(job) !== "hosted";
  return { job, step, ...wanted, robot: robotOf(username), needsDockerConfig };
}

/** Only bash and sh are read. */
function shellOf({ file: { tree }, node }: Job, step: Step): string | undefined {
  const shell =
    textOf(step.entries.get("shell")?.value) ??
    textAt(tree, node, "defaults", "run", "shell") ??
    textAt(tree, nodeAt(tree, tree.root, "defaults"), "run", "shell") ??
    "bash";
  return /^(?:bash|sh)\b/.test(shell) ? undefined : `its shell is ${shell}`;
}

interface InScript {
  readonly script: Script;
  readonly login: ShellLogin;
  readonly isOnlyLogin: boolean;
}

function changeFor(target: Target, { script, login, isOnlyLogin }: InScript): Change {
  const { job, step } = target;
  if (isOnlyLogin) {
    return changeOf(target, replaceStep(target, script.text));
  }
  const { tree } = job.file;
  const run = step.entries.get("run");
  const source =
    run?.value === run?.raw && isScalar(run?.value) ? sourceOf(tree, run.value as Scalar<string>) : undefined;
  if (!source) {
    return listed("its script is folded, quoted or an alias: take the login out by hand, and write the step before it");
  }
  const taken = cut(tree, script, login.pipeline, source);
  if ("why" in taken) {
    return listed(taken.why);
  }
  const inserted = insertStep(target);
  return changeOf(target, typeof inserted === "string" ? inserted : [...inserted, taken.edit]);
}

interface ExchangeAt {
  readonly script: Script;
  readonly ours: readonly ShellLogin[];
  readonly shell: string | undefined;
  readonly line: number;
}

/** An exchange by hand and the login with its token, in one step. */
function exchangeLogins(at: StepAt, { script, ours, shell, line }: ExchangeAt): readonly Found[] {
  const { job, step, wanted } = at;
  const exchange = exchangeIn(script, step.env);
  const registry: Value = exchange?.registry ?? { kind: "unknown", text: "in a text that another command gets" };
  if (belongs(registry, wanted.registry) === "other") {
    return [];
  }
  const [login] = ours;
  const username = [login?.username, exchange?.robot].find((each) => each && "name" in robotOf(each));
  const robot = robotOf(username ?? login?.username ?? exchange?.robot);
  const other = otherCommand(script, step.env);
  const why =
    whyNot(registry, robot, at) ??
    shell ??
    (other && beyondLogin(other)) ??
    (ours.length === 1 ? login?.obstacles[0] : "it has not exactly one login with the token that it gets") ??
    (login && dependence(script, login.pipeline, wanted.registry));
  const target: Target = {
    job,
    step,
    ...wanted,
    robot,
    needsDockerConfig: login?.tool === "docker" && runnerOf(job) !== "hosted",
  };
  return [
    {
      what: "exchange by hand",
      line,
      robot,
      isUncertain: registry.kind !== "literal",
      secrets: secretsIn(script.text),
      change: why === undefined ? changeOf(target, replaceStep(target, script.text)) : listed(why),
    },
  ];
}

const beyondLogin = (command: Command): string =>
  writesFile(command)
    ? "its script writes to a file, such as GITHUB_OUTPUT: replace what reads it too"
    : `its script does more than the exchange and the login: ${(command.words[0]?.raw ?? "a redirection").slice(0, 60)}`;

const form = /\b(?:docker|podman|skopeo|buildah)[ \t](?:\\\n|[^\n;|&])*?\blogin\b(?:\\\n|[^\n])*/g;

/** Positions of logins to this registry that are inside quotes, a here-document or another command. */
function hidden(script: Script, known: readonly ShellLogin[], registry: string): readonly number[] {
  const isKnown = (at: number) =>
    known.some(({ pipeline }) => at >= pipeline.start && at <= pipeline.end) ||
    script.silent.some(({ start, end }) => at >= start && at <= end && script.text[start] === "#") ||
    script.pipelines.some(
      ({ start, end, commands }) =>
        at >= start && at <= end && commands.length === 1 && /^(?:echo|printf)$/.test(commands[0]?.words[0]?.raw ?? ""),
    );
  return [...script.text.matchAll(form)].flatMap(({ 0: whole, index }) =>
    whole.includes(registry) && !/ --(?:get-login|help)\b/.test(whole) && !isKnown(index) ? [index] : [],
  );
}

const credentialLogin = ({ words }: Command, text: string, line: number): Found => ({
  what: words
    .slice(0, 2)
    .map(({ raw }) => raw)
    .join(" "),
  line,
  robot: { from: "the options of this command" },
  secrets: secretsIn(text),
  change: listed("this command brings its own user and password: log in by a step before it, and leave them out"),
});

const hiddenLogin = (text: string, line: number): Found => ({
  what: "login",
  line,
  robot: { from: "a command inside another one" },
  secrets: secretsIn(text),
  change: listed("it is inside quotes, a here-document or another command"),
});
