/**
 * The leak harness: every secret of a run, in plain, base64 (at all three offsets), base64url and URL form, looked for in
 * everything that a step leaves behind or shows. It is applied to every run of the Action in the tests (action.ts).
 */
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Peers } from "../quay-stand-in/peers.ts";

/**
 * `robot`: a robot token. `registry`: the registry's bearer. `static`: a robot's static token. `api`: a token of Quay's management API.
 * `foreign`: what others keep in auth files. `proxy`: its password.
 */
export type Kind = "identity" | "robot" | "registry" | "request" | "static" | "api" | "foreign" | "proxy";

export interface Secret {
  kind: Kind;
  value: string;
}

export interface Leak {
  where: string;
  what: string;
}

/** Shorter values would match everywhere. */
const shortest = 8;

const forms = new Map<string, readonly string[]>();

/** Every form of a secret. A JWT's payload and its signature count alone, too. */
function formsOf(value: string): readonly string[] {
  let known = forms.get(value);
  if (known === undefined) {
    const jwt = /^[\w-]+\.([\w-]+)\.([\w-]+)$/.exec(value);
    const parts = [value, ...(jwt ? jwt.slice(1) : [])].filter((part) => part.length >= shortest);
    known = [...new Set(parts.flatMap((part) => [part, encodeURIComponent(part), ...encodings(part)]))];
    forms.set(value, known);
  }
  return known;
}

/** The letters that a value determines, at any position in a longer encoded text. */
function encodings(value: string): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]);
    const from = Math.ceil((offset * 8) / 6);
    const to = Math.floor((bytes.length * 8) / 6);
    const letters = bytes.toString("base64").slice(from, to);
    const urlLetters = bytes.toString("base64url").slice(from, to);
    return [letters, urlLetters, encodeURIComponent(letters)];
  });
}

/** The kinds of secrets in a text. */
export function kindsIn(text: string, secrets: readonly Secret[]): Set<Kind> {
  return new Set(secrets.filter(({ value }) => formsOf(value).some((form) => text.includes(form))).map((s) => s.kind));
}

/** The secrets that the peers have given, from a certain moment on. */
export interface Watch {
  robot: string[];
  registry: string[];
}

const watched = new WeakMap<Peers, Watch>();

/** Has the stand-in's tokens recorded. */
export function watch(peers: Peers): Watch {
  let record = watched.get(peers);
  if (record === undefined) {
    const { tokens } = peers.quay;
    const seen: Watch = { robot: [], registry: [] };
    const { robotToken, bearerToken } = tokens;
    tokens.robotToken = async (...args) => {
      const token = await robotToken(...args);
      seen.robot.push(token);
      return token;
    };
    tokens.bearerToken = async (...args) => {
      const token = await bearerToken(...args);
      seen.registry.push(token);
      return token;
    };
    watched.set(peers, seen);
    record = seen;
  }
  return record;
}

/** Secrets with a known form: JWTs, and the values of `auth` in an auth file. */
export function secretsIn(text: string): Secret[] {
  const tokens = text.match(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g) ?? [];
  const entries = [...text.matchAll(/"(?:auth|identitytoken|password)":\s*"([^"]+)"/g)].flatMap(([, entry = ""]) => [
    entry,
    Buffer.from(entry, "base64").toString().split(":").slice(1).join(":"),
  ]);
  return [
    ...tokens.map((value): Secret => ({ kind: "identity", value })),
    ...entries.map((value): Secret => ({ kind: "foreign", value })),
  ].filter(({ value }) => value.length >= shortest);
}

export interface Entry {
  path: string;
  kind: "file" | "folder" | "link" | "other";
  mode: number;
  /** Bytes as latin1, which loses nothing; a link's target. */
  content: string;
}

/** Everything below a folder, itself included, by path. */
export async function readTree(folder: string): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  const add = async (path: string, link: boolean): Promise<void> => {
    if (link) {
      found.set(path, { path, kind: "link", mode: 0, content: await readlink(path) });
      return;
    }
    const info = await stat(path);
    const mode = info.mode & 0o7777;
    if (info.isDirectory()) {
      found.set(path, { path, kind: "folder", mode, content: "" });
      for (const each of await readdir(path, { withFileTypes: true })) {
        await add(join(path, each.name), each.isSymbolicLink());
      }
    } else if (info.isFile()) {
      found.set(path, { path, kind: "file", mode, content: (await readFile(path)).toString("latin1") });
    } else {
      found.set(path, { path, kind: "other", mode, content: "" });
    }
  };
  await add(folder, false);
  return found;
}

/** The same, while a running process may remove files. */
export async function readTreeAtRest(folder: string): Promise<Map<string, Entry>> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readTree(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The differences of two snapshots, one per line; files that were rewritten with the same bytes don't count. */
export function differences(before: Map<string, Entry>, after: Map<string, Entry>): string[] {
  const lines: string[] = [];
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(path), after.get(path)];
    if (old === undefined) lines.push(`${path} is new`);
    else if (now === undefined) lines.push(`${path} is gone`);
    else if (old.kind !== now.kind || old.content !== now.content) lines.push(`${path} has other content`);
    else if (old.mode !== now.mode) lines.push(`${path} has mode ${now.mode.toString(8)}, not ${old.mode.toString(8)}`);
  }
  return lines.toSorted();
}

/** Everything of a step that could hold a secret. */
export interface Traces {
  /** As shown, masks applied. */
  log: string;
  stderr: string;
  outputs: Record<string, string>;
  state: string;
  env: string;
  summary: string;
  children: readonly { argv: readonly string[]; env: string }[];
  /** HOME, the workspace and RUNNER_TEMP, before anything ran and now. */
  before: Map<string, Entry>;
  after: Map<string, Entry>;
}

export interface Allowed {
  /** `export-token: true` */
  tokenOutput: boolean;
  /** What a file may hold now. Files that existed before may hold what they held. */
  files: (path: string) => ReadonlySet<Kind>;
  /** Permissions of a file that holds a secret. */
  mode: (path: string) => number;
}

export function findLeaks(traces: Traces, secrets: readonly Secret[], allowed: Allowed): Leak[] {
  const leaks: Leak[] = [];
  const look = (where: string, text: string, ...except: Kind[]) => {
    for (const kind of kindsIn(text, secrets)) {
      if (!except.includes(kind)) leaks.push({ where, what: kind });
    }
  };
  look("log", traces.log);
  look("stderr", traces.stderr);
  look("state", traces.state);
  look("env", traces.env);
  look("summary", traces.summary);
  for (const [name, value] of Object.entries(traces.outputs)) {
    look(`output ${name}`, value, ...(name === "token" && allowed.tokenOutput ? (["robot"] as const) : []));
  }
  for (const { argv, env } of traces.children) {
    look(`argv of ${argv[0]}`, argv.join("\0"));
    // The tools need a proxy's password too, and get it only from here.
    look(`environment of ${argv[0]}`, env, "proxy");
  }
  for (const entry of traces.after.values()) {
    if (entry.kind === "file" || entry.kind === "link") {
      leaks.push(...leaksOfFile(entry, traces, secrets, allowed));
    }
  }
  return leaks;
}

/** Credentials in an auth file that are robot tokens and were not masked, alone or in the file's form. */
export function unmasked(authFile: string, robotTokens: readonly string[], masks: readonly string[]): Leak[] {
  const entries = [...authFile.matchAll(/"auth":\s*"([^"]+)"/g)].map(([, entry = ""]) => entry);
  return entries.flatMap((entry) => {
    const password = Buffer.from(entry, "base64").toString().split(":").slice(1).join(":");
    if (!robotTokens.includes(password)) return [];
    return [entry, password]
      .filter((value) => !masks.includes(value))
      .map(() => ({ where: "masks", what: "a robot token that was not masked" }));
  });
}

function leaksOfFile(
  { path, kind, content, mode }: Entry,
  traces: Traces,
  secrets: readonly Secret[],
  allowed: Allowed,
) {
  const kinds = kindsIn(content, secrets);
  const given = traces.before.get(path);
  const before = given === undefined ? new Set<Kind>() : kindsIn(given.content, secrets);
  const leaks: Leak[] = [];
  for (const each of kinds) {
    if (!before.has(each) && !allowed.files(path).has(each)) leaks.push({ where: path, what: each });
  }
  if (kind === "file" && kinds.size > 0 && given?.content !== content) {
    const wanted = allowed.mode(path);
    if ((mode & ~wanted) !== 0)
      leaks.push({ where: path, what: `mode ${mode.toString(8)}, not ${wanted.toString(8)}` });
    const folder = dirname(path);
    const folderMode = traces.after.get(folder)?.mode ?? 0;
    if (!traces.before.has(folder) && folderMode !== 0o700 && folderMode !== 0o711) {
      leaks.push({ where: folder, what: `mode ${folderMode.toString(8)} of a folder with secrets` });
    }
  }
  return leaks;
}
