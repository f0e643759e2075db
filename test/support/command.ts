/**
 * The built command line (built.ts) as a user runs it: found on PATH, with its own home, temporary folder and runtime folder
 * and nothing else of this machine. Every run passes through the leak harness. Nothing is masked here: neither standard
 * output nor standard error may hold a secret, and only the auth file may hold the robot token.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { helperName, oneFile } from "./built.ts";
import { isDraftOf, knownSecrets, realPath } from "./guard.ts";
import type { JobOptions } from "./job.ts";
import { differences, type Entry, findLeaks, type Kind, type Leak, readTreeAtRest, watch } from "./leaks.ts";
import { isRoot } from "./root.ts";
import {
  type Child,
  dockerFiles,
  endPodman,
  type Finished,
  findTool,
  finish,
  readBy,
  readChildren,
  removeStorage,
  spyOnTools,
  systemPath,
  type ToolName,
} from "./runner.ts";

export interface MachineOptions
  extends Pick<JobOptions, "peers" | "env" | "tools" | "secrets" | "tolerateLeaks" | "uid"> {
  /** Puts docker-credential-quay-keyless on PATH too. */
  helper?: boolean;
  /** A folder with an index.js for Node; default: the program under test (built.ts), without the project's sources and packages. */
  command?: string;
}

/** A user on a machine. */
export interface Machine {
  readonly home: string;
  /** TMPDIR: empty again after every run. */
  readonly temp: string;
  /** XDG_RUNTIME_DIR */
  readonly runtime: string;
  /** Where commands run; otherwise empty. */
  readonly work: string;
  /** Where no test looks for leaks. */
  readonly scratch: string;
  /** PATH of its commands. */
  readonly path: string;
  /** The file that skopeo, buildah and podman read by default. */
  readonly usualFile: string;
  /** Writes a file, its folders too; the machine's user owns it. */
  write(path: string, content: string, mode?: number): Promise<string>;
  /** Home, runtime, temporary and working folder as they are now. */
  snapshot(): Promise<Map<string, Entry>>;
  run(args: readonly string[], how?: How): Promise<Ran>;
  start(args: readonly string[], how?: How): Promise<Started>;
  /** Another command of the same user, or of another one, without the variables of earlier commands. */
  other(
    command: string,
    args: readonly string[],
    how?: { env?: Record<string, string>; uid?: number },
  ): Promise<Finished>;
}

export interface How {
  env?: Record<string, string>;
  /** On a terminal: all output is then in stdout. */
  terminal?: boolean;
  /** Its standard input; none by default. */
  input?: string | Buffer;
  /** Default: the command line itself. */
  program?: "docker-credential-quay-keyless";
}

/** A running command. */
export interface Started {
  /** By performance.now(). */
  readonly began: number;
  readonly pid: number;
  /** What it has printed so far. */
  readonly shown: { readonly stdout: string; readonly stderr: string };
  kill(signal: NodeJS.Signals): void;
  readonly done: Promise<Ran>;
}

export interface Ran extends Finished {
  signal: NodeJS.Signals | null;
  children: Child[];
  milliseconds: number;
  leaks: Leak[];
}

const project = resolve(import.meta.dirname, "../..");
let root: Promise<string> | undefined;
const alive = new Set<ChildProcess>();

async function makeRoot(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-cli-"));
  await chmod(folder, 0o755);
  for (const each of oneFile ? [] : ["cli", "helper"])
    await cp(join(project, "dist", each), join(folder, each), { recursive: true });
  return folder;
}

/** Stops and deletes everything that the machines of this process have left. */
export async function removeMachines(): Promise<void> {
  for (const child of alive) child.kill("SIGKILL");
  const folder = await root;
  root = undefined;
  if (folder === undefined) return;
  for (const machine of await readdir(folder)) await endPodman(join(folder, machine, "run"));
  await removeStorage(folder);
}

export async function createMachine(options: MachineOptions = {}): Promise<Machine> {
  const { peers } = options;
  const uid = isRoot ? options.uid : undefined;
  root ??= makeRoot();
  const folder = await root;
  const scratch = await mkdtemp(join(folder, "machine-"));
  await chmod(scratch, 0o755);
  const at = (name: string) => join(scratch, name);
  const own = async (path: string) => uid !== undefined && (await chown(path, uid, uid));
  for (const each of ["home", "temp", "work", "run", "children", "tools", "storage", "data"]) {
    await mkdir(at(each), { mode: 0o755 });
    await own(at(each));
  }
  const [home, temp, work, runtime] = [at("home"), at("temp"), at("work"), at("run")];
  const path = await spyOnTools(at("tools"), at("children"), options.tools);
  const program = join(at("tools"), "quay-keyless-login");
  const command = options.command && join(options.command, "index.js");
  await symlink(command ?? oneFile ?? join(folder, "cli/index.js"), program);
  const helper = join(options.helper ? at("tools") : scratch, helperName);
  await symlink(oneFile ?? join(folder, "helper/index.js"), helper);
  // The one file needs none.
  if (command || !oneFile) await symlink(join(project, "node_modules/node/bin/node"), join(at("tools"), "node"));
  const storage = { driver: "vfs", graphroot: at("storage/graph"), runroot: at("storage/run") };
  const lines = Object.entries(storage).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  await writeFile(at("storage.conf"), `[storage]\n${lines.join("\n")}\n`);
  const seen = peers && watch(peers);

  const environment = (more: Record<string, string> = {}): Record<string, string> => {
    const env: Record<string, string | undefined> = {
      HOME: home,
      LANG: "C.UTF-8",
      PATH: path,
      TMPDIR: temp,
      XDG_RUNTIME_DIR: runtime,
      CONTAINERS_STORAGE_CONF: at("storage.conf"),
      // A tool's cache of layers is not ours: for every user but root it would be in the home.
      XDG_DATA_HOME: at("data"),
      ...options.env,
      ...more,
    };
    return Object.fromEntries(Object.entries(env).filter((each): each is [string, string] => each[1] !== undefined));
  };

  const snapshot = async () => {
    const trees = await Promise.all([home, temp, work, runtime].map(readTreeAtRest));
    return new Map(trees.flatMap((tree) => [...tree]));
  };

  /** Files that a login with these arguments may write the robot token to, with the mode that they may have. */
  function authFiles(args: readonly string[], env: Record<string, string>): Map<string, number | undefined> {
    const named = optionOf(args, "auth-file");
    const mode = optionOf(args, "auth-file-mode");
    // Without a tool, every tool is to find the login.
    const isForAll = optionOf(args, "tool") === "none" || options.tools?.length === 0;
    const [docker = "", ...builder] = dockerFiles(env, args);
    const usual = env.REGISTRY_AUTH_FILE ?? (env.DOCKER_CONFIG ? docker : join(runtime, "containers/auth.json"));
    const file = realPath(
      resolve(work, named || (readBy[optionOf(args, "tool") as ToolName] === "docker" ? docker : usual)),
    );
    return new Map([
      ...(optionOf(args, "docker-config") === "true" || isForAll ? [[docker, undefined] as const] : []),
      ...builder.map((path) => [path, undefined] as const),
      [file, mode ? Number.parseInt(mode, 8) : undefined],
    ]);
  }

  function check(ran: Finished, children: Child[], args: readonly string[], how: How, traces: Traces): Leak[] {
    const { before, robotsBefore } = traces;
    // One that renews a login keeps it if it ends for another reason.
    const loggedIn = args[0] === "login" && (ran.code === 0 || ran.stdout !== "");
    const files = loggedIn ? authFiles(args, environment(how.env)) : new Map<string, undefined>();
    const session = optionOf(args, "session");
    const record = session && join(resolve(work, session), "session.json");
    const answered = how.program !== undefined && args.at(-1) === "get" && ran.code === 0;
    const exported = answered || (loggedIn && args.includes("--export-token"));
    const tokenFile = resolve(work, optionOf(args, "token-file") ?? how.env?.QUAY_KEYLESS_TOKEN_FILE ?? "token");
    // The kubelet keeps earlier tokens beside the one that the link leads to.
    const isToken = (file: string) =>
      basename(file) === basename(tokenFile) && file.startsWith(`${dirname(tokenFile)}/`);
    // A kill may leave what was to replace a file with others' logins: as private as that, and gone with the next logout or removal.
    const replacedBy = (file: string) =>
      ran.code === null
        ? [...before.keys()].find((path) => /\/(?:auth|config)\.json$/.test(path) && isDraftOf(path, file))
        : undefined;
    const kindsOf = (file: string): Kind[] => {
      if (isToken(file)) return ["identity"];
      if (how.program && (isCache(file) || (ran.code === null && isDraftOfCache(file)))) return ["robot"];
      if (files.has(file)) return ["robot", "foreign"];
      return file === record || replacedBy(file) !== undefined ? ["foreign"] : [];
    };
    const shown = { ...traces, stderr: ran.stderr, children, state: "", env: "", summary: "" };
    return findLeaks(
      { ...shown, log: exported ? "" : ran.stdout, outputs: exported ? { token: ran.stdout } : {} },
      // What the helper has cached earlier is no other program's.
      knownSecrets(
        { ...options, env: { ...options.env, ...how.env } },
        how.program ? 0 : robotsBefore,
        how.program ? new Map([...before].filter(([file]) => !isCache(file) && !isDraftOfCache(file))) : before,
      ),
      {
        tokenOutput: exported,
        files: (file) => new Set(kindsOf(file)),
        mode: (file) =>
          files.get(file) ?? before.get(replacedBy(file) ?? file)?.mode ?? (isToken(file) ? 0o644 : 0o600),
      },
    );
  }

  async function start(args: readonly string[], how: How = {}) {
    const before = await snapshot();
    const robotsBefore = seen?.robot.length ?? 0;
    const started = performance.now();
    const called = [how.program ? helper : program, ...args];
    const [command = "", ...rest] = how.terminal ? onTerminal(called) : called;
    const child = spawn(command, rest, {
      cwd: work,
      env: environment(how.env),
      stdio: [how.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(uid !== undefined && { uid, gid: uid }),
    });
    child.stdin?.on("error", () => {}).end(how.input);
    alive.add(child);
    child.on("close", () => alive.delete(child));
    const shown = { stdout: "", stderr: "" };
    const finished = finish(child);
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream]?.on("data", (text: string) => {
        shown[stream] += text;
      });
    }
    const done = finished.then(async (ran): Promise<Ran> => {
      const milliseconds = Math.round(performance.now() - started);
      const after = await snapshot();
      const children = await readChildren(at("children"));
      const leaks = check(ran, children, args, how, { before, after, robotsBefore });
      const output = `--- ${how.program ?? "quay-keyless-login"} ${args.join(" ")}\n${ran.stdout}\n--- standard error:\n${ran.stderr}`;
      if (leaks.length > 0 && !options.tolerateLeaks) {
        throw new Error(`Leaked:\n${leaks.map(({ where, what }) => `  ${what} in ${where}`).join("\n")}\n${output}`);
      }
      const session = optionOf(args, "session");
      const mayStay = (line: string) => Boolean(session) && line.startsWith(resolve(work, session ?? ""));
      const left = differences(below(temp, before), below(temp, after)).filter((line) => !mayStay(line));
      if (left.length > 0 && child.signalCode !== "SIGKILL") {
        throw new Error(`Left in the temporary folder:\n${left.join("\n")}\n${output}`);
      }
      return { ...ran, signal: child.signalCode, children, milliseconds, leaks };
    });
    done.catch(() => {}); // the caller that waits for it gets the error
    return {
      began: started,
      pid: child.pid ?? 0,
      shown,
      kill: (signal: NodeJS.Signals) => void child.kill(signal),
      done,
    };
  }

  return {
    home,
    temp,
    work,
    runtime,
    scratch,
    path,
    usualFile: join(runtime, "containers/auth.json"),
    snapshot,
    async write(file, content, mode = 0o600) {
      const first = await mkdir(dirname(file), { recursive: true });
      for (let each = dirname(file); first && each.startsWith(first); each = dirname(each)) await own(each);
      await writeFile(file, content, { mode });
      await chmod(file, mode);
      await own(file);
      return file;
    },
    run: async (args, how) => (await start(args, how)).done,
    start,
    other(command, args, { env = {}, uid: user = uid } = {}) {
      const child = spawn(findTool(command) ?? command, args, {
        cwd: work,
        env: { ...environment(), PATH: systemPath, ...env },
        stdio: ["ignore", "pipe", "pipe"],
        ...(user !== undefined && { uid: user, gid: uid ?? user }),
      });
      return finish(child);
    },
  };
}

const isCache = (file: string): boolean => basename(file) === "cache.json";
const isDraftOfCache = (file: string): boolean => /^\.cache\.json\..*\.tmp$/.test(basename(file));

interface Traces {
  before: Map<string, Entry>;
  after: Map<string, Entry>;
  robotsBefore: number;
}

/** `--name value` or `--name=value` */
function optionOf(args: readonly string[], name: string): string | undefined {
  const index = args.findIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  const { [index]: arg, [index + 1]: next } = args;
  return arg?.includes("=") ? arg.slice(arg.indexOf("=") + 1) : arg && next;
}

const below = (folder: string, tree: Map<string, Entry>): Map<string, Entry> =>
  new Map([...tree].filter(([path]) => path.startsWith(`${folder}/`)));

/** util-linux's script gives a command a terminal, and returns its exit code. */
function onTerminal(command: readonly string[]): string[] {
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return ["/usr/bin/script", "--quiet", "--return", "--command", quoted, "/dev/null"];
}
