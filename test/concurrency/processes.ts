/** Programs that work on one auth file at once. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

export interface Program {
  readonly child: ChildProcess;
  /** Whole lines of standard output so far. */
  readonly lines: readonly string[];
  /** Resolves once there is one more line, or the program has ended. */
  nextLine(): Promise<void>;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

interface How {
  /** The words before a command that runs it in some other place. */
  readonly within?: readonly string[];
  /** Modules that run before the program. */
  readonly preloaded?: readonly string[];
}

/** Kills what a test leaves behind, and caches compiled code, since starting is most of what these programs do. */
export function usePrograms(): (file: string, args: readonly string[], how?: How) => Program {
  const running = new Set<ChildProcess>();
  let compiled: string;
  beforeAll(async () => {
    compiled = await mkdtemp(join(tmpdir(), "quay-keyless-test-"));
  });
  afterAll(async () => {
    for (const child of running) {
      child.kill("SIGKILL");
    }
    await rm(compiled, { recursive: true });
  });
  return (file, args, { within = [], preloaded = [] } = {}) => {
    const [program = "", ...words] = [
      ...within,
      process.execPath,
      ...preloaded.flatMap((module) => ["--import", module]),
      file,
      ...args,
    ];
    const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
    const child = spawn(program, words, { env, stdio: ["ignore", "pipe", "inherit"] });
    running.add(child);
    return watch(child, () => running.delete(child));
  };
}

function watch(child: ChildProcess, onEnd: () => void): Program {
  const lines: string[] = [];
  let rest = "";
  const waiting: (() => void)[] = [];
  const wake = () => {
    for (const resolve of waiting.splice(0)) {
      resolve();
    }
  };
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    wake();
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on("error", reject).on("close", (code, signal) => {
      onEnd();
      resolve(signal ?? code);
      wake();
    });
  });
  return { child, lines, ended, nextLine: () => new Promise((resolve) => waiting.push(resolve)) };
}

/** The entries of an auth file: by scope, their `auth` decoded. */
export async function entriesIn(path: string): Promise<Map<string, string>> {
  const { auths = {} } = JSON.parse(await readFile(path, "utf8"));
  const decoded = Object.entries<{ auth?: string }>(auths).map(([scope, { auth = "" }]): [string, string] => [
    scope,
    Buffer.from(auth, "base64").toString(),
  ]);
  return new Map(decoded);
}
