/** Logins that a shell script makes. Pure. */
import type { Command, Pipeline, Script } from "./shell.ts";
import type { Part, Word } from "./shell-words.ts";
import { commandsIn, type Env, readValue, type Scope, scopeOf, type Value, wordValue } from "./values.ts";

/** Tools that take `login [--username U] [--password P | --password-stdin] REGISTRY`. */
const tools = ["docker", "podman", "skopeo", "buildah"];

export interface ShellLogin {
  readonly pipeline: Pipeline;
  readonly tool: string;
  /** undefined: the tool's own default, which is not Quay */
  readonly registry: Value | undefined;
  readonly username: Value | undefined;
  readonly password: Value | undefined;
  /** Why another login can't take its place. */
  readonly obstacles: readonly string[];
}

export function loginsIn(script: Script, env: Env): readonly ShellLogin[] {
  const scope = scopeOf(script, env);
  return script.pipelines.flatMap((pipeline) =>
    pipeline.commands.flatMap((command, index) => loginOf({ pipeline, command, index, scope }) ?? []),
  );
}

interface Place {
  readonly pipeline: Pipeline;
  readonly command: Command;
  readonly index: number;
  readonly scope: Scope;
}

function loginOf({ pipeline, command, index, scope }: Place): ShellLogin | undefined {
  const found = verbOf(command, scope);
  if (found === undefined) {
    return undefined;
  }
  const { tool, rest, obstacles } = found;
  const { options, words } = optionsOf(rest, scope);
  if (options.has("get-login") || options.has("help") || options.has("h")) {
    return undefined;
  }
  const [registry] = words;
  const before = pipeline.commands.slice(0, index);
  const given = options.get("password") ?? options.get("p");
  return {
    pipeline,
    tool,
    registry: registry && wordValue(registry.parts, scope),
    username: options.get("username") ?? options.get("u"),
    password: given ?? passwordFrom(command, before, scope),
    obstacles: [
      ...obstacles,
      ...optionObstacles(options),
      ...(words.length > 1 ? ["it has more arguments than a registry"] : []),
      ...(index < pipeline.commands.length - 1 ? ["another command reads its output"] : []),
      ...(before.some(writesFile) ? ["a command before it in the pipeline writes a file"] : []),
    ],
  };
}

const prefixes = new Set(["env", "command", "exec", "sudo", "builtin"]);

/** The tool and what follows `login`; undefined if this command is no login. */
function verbOf({ words, assignments }: Command, scope: Scope) {
  const obstacles = assignments.map(({ name }) => `the variable ${name} is set for this command alone`);
  let at = 0;
  for (; prefixes.has(words[at]?.raw ?? ""); at += 1) {
    if (words[at]?.raw === "sudo") {
      obstacles.push("sudo makes it a login of root");
      while (words[at + 1]?.raw.startsWith("-")) {
        at += 1;
      }
    }
  }
  const name = textOf(words[at], scope).replace(/^.*\//s, "");
  if (!tools.includes(name)) {
    return undefined;
  }
  for (at += 1; words[at]?.raw.startsWith("-"); at += 1) {
    const { raw } = words[at] as Word;
    obstacles.push(`it has the option ${raw.split("=")[0]}`);
    if (!raw.includes("=") && words[at + 1]?.raw !== "login") {
      at += 1;
    }
  }
  return words[at]?.raw === "login" ? { tool: name, rest: words.slice(at + 1), obstacles } : undefined;
}

function textOf(word: Word | undefined, scope: Scope): string {
  const value = word && wordValue(word.parts, scope);
  return value?.kind === "literal" ? value.text : "";
}

const flags = new Set(["password-stdin", "get-login", "verbose", "v", "help", "h", "quiet", "q", "tls-verify"]);

function optionsOf(rest: readonly Word[], scope: Scope) {
  const options = new Map<string, Value>();
  const words: Word[] = [];
  for (let at = 0; at < rest.length; at += 1) {
    const word = rest[at] as Word;
    const [first, ...others] = word.parts;
    const text = first?.kind === "text" ? first.text : "";
    const [whole, long, short, sign] = /^(?:--([a-z][a-z-]*)|-([a-zA-Z]))(=)?/.exec(text) ?? [];
    const name = long ?? short;
    if (whole === undefined || name === undefined) {
      words.push(word);
      continue;
    }
    const attached: readonly Part[] = [{ kind: "text", text: text.slice(whole.length) }, ...others];
    const isAttached = sign !== undefined || (short !== undefined && (text.length > 2 || others.length > 0));
    if (flags.has(name) || isAttached) {
      options.set(name, isAttached ? wordValue(attached, scope) : { kind: "literal", text: "true" });
    } else {
      at += 1;
      options.set(name, wordValue(rest[at]?.parts ?? [], scope));
    }
  }
  return { options, words };
}

const known = new Set(["username", "u", "password", "p", "password-stdin", "verbose", "v", "quiet", "q"]);
const reasons: Readonly<Record<string, string>> = {
  authfile: "it writes to a file of its own (--authfile): name that file in auth-file",
  "compat-auth-file": "it writes to a file of its own (--compat-auth-file): name that file in auth-file",
  "cert-dir": "it has --cert-dir: name the root certificate in ca-file",
  "tls-verify": "it turns TLS verification off: name the root certificate in ca-file",
};

const optionObstacles = (options: ReadonlyMap<string, Value>): readonly string[] =>
  [...options].flatMap(([name, value]) =>
    known.has(name) || (name === "tls-verify" && value.kind === "literal" && value.text === "true")
      ? []
      : [reasons[name] ?? `it has the option ${name.length > 1 ? "--" : "-"}${name}`],
  );

/** What goes to its standard input: a here-string, a here-document, or the last word of `echo` and `printf`. */
function passwordFrom({ redirects }: Command, before: readonly Command[], scope: Scope): Value | undefined {
  const here = redirects.find(({ operator }) => operator === "<<<")?.target;
  const echo = before.find(({ words }) => /^(?:echo|printf)$/.test(words[0]?.raw ?? ""));
  const word = here ?? echo?.words.at(-1);
  const documents = [...redirects, ...before.flatMap((each) => each.redirects)];
  const document = documents.find((each) => each.document !== undefined)?.document;
  return word
    ? wordValue(word.parts, scope)
    : document === undefined
      ? undefined
      : readValue(document.trim(), scope.env);
}

/** Whether a command writes somewhere else than to the log. */
export const writesFile = ({ redirects, words }: Command): boolean =>
  words[0]?.raw === "tee" ||
  redirects.some(
    ({ operator, target }) =>
      operator.includes(">") && operator !== ">&" && !/^\/dev\/(?:null|stdout|stderr)$/.test(target?.raw ?? ""),
  );

export const exchangePath = "/oauth2/federation/robot/token";

export interface Exchange {
  /** The host that the identity token goes to. */
  readonly registry: Value;
  /** undefined: not said in a form that is known */
  readonly robot: Value | undefined;
}

/** The first hand-made exchange of a script: a curl that gets a robot token. */
export function exchangeIn(script: Script, env: Env): Exchange | undefined {
  const scope = scopeOf(script, env);
  for (const { words } of commandsIn(script)) {
    const values = words.map((word) => ({ word, value: wordValue(word.parts, scope) }));
    const url = values.find(
      ({ word, value }) => word.raw.includes(exchangePath) || shown(value).includes(exchangePath),
    );
    if (url) {
      const user = words.findIndex(({ raw }) => raw === "-u" || raw === "--user");
      const [first] = words[user + 1]?.parts ?? [];
      const colon = first?.kind === "text" ? first.text.indexOf(":") : -1;
      const isLiteral = user !== -1 && first?.kind === "text" && colon > 0;
      const whole = user === -1 ? undefined : wordValue(first ? [first] : [], scope);
      return {
        registry: url.value.kind === "literal" ? { kind: "literal", text: hostBefore(url.value.text) } : url.value,
        robot: isLiteral ? { kind: "literal", text: first.text.slice(0, colon) } : whole,
      };
    }
  }
  return undefined;
}

/** The address that the path follows, also inside the text of another program. */
const hostBefore = (text: string): string => text.slice(0, text.indexOf(exchangePath)).replace(/^.*[\s"'(]/s, "");

const shown = (value: Value): string => (value.kind === "secret" ? "" : value.text);

const harmless =
  /^(?:set|\[|\[\[|test|echo|printf|cat|jq|true|:|exit|return|sleep|base64|tr|cut|head|tail|sed|awk|grep|umask|unset|export|local|for|case)$/;

/** The first command that is neither part of a login nor without an effect on what follows; undefined: there is none. */
export function otherCommand(script: Script, env: Env): Command | undefined {
  const scope = scopeOf(script, env);
  return commandsIn(script).find((command) => {
    const { words, assignments } = command;
    const [first] = words;
    const raw = words.map((word) => word.raw).join(" ");
    const isKnown =
      (first === undefined && assignments.length > 0) ||
      (harmless.test(first?.raw ?? "") && !/::(?:set-output|set-env|save-state|add-path)/.test(raw)) ||
      (first?.raw === "curl" && (raw.includes(exchangePath) || raw.includes("ACTIONS_ID_TOKEN_REQUEST_URL"))) ||
      verbOf(command, scope) !== undefined;
    return !isKnown || writesFile(command);
  });
}

/** Pushes and pulls of this registry that bring a user and a password of their own. */
export const withCredentials = (script: Script, registry: string): readonly Command[] =>
  script.pipelines
    .flatMap(({ commands }) => commands)
    .filter(
      ({ words }) =>
        /^(?:\S*\/)?(?:podman|skopeo|buildah)$/.test(words[0]?.raw ?? "") &&
        words.some(({ raw }) => /^--(?:src-|dest-)?(?:creds|password)(?:=|$)/.test(raw)) &&
        words.some(({ raw }) => raw.includes(`${registry}/`)),
    );
