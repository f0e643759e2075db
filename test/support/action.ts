/**
 * The built Action as GitHub's runner runs it: a process of Node 24 for main and one for post, with the runner's inputs, files and
 * variables and nothing else of this machine. Every run passes through the leak harness.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { endBackgrounds, readBackground } from "./background.ts";
import { createGuard, type Login } from "./guard.ts";
import type { Job, JobOptions, Main, Step } from "./job.ts";
import { type Entry, readTreeAtRest } from "./leaks.ts";
import { isRoot } from "./root.ts";
import {
  dockerFiles,
  endPodman,
  findTool,
  finish,
  type Inputs,
  inputVariables,
  readChildren,
  removeStorage,
  runnerVariables,
  spyOnTools,
  systemPath,
} from "./runner.ts";
import { parseActionFile, parseFileCommands, show } from "./workflow-commands.ts";

export type { Job, Step } from "./job.ts";

const project = resolve(import.meta.dirname, "../..");
const node24 = join(project, "node_modules/node/bin/node");
let root: Promise<string> | undefined;
let installed: Promise<string> | undefined;
const alive = new Set<ChildProcess>();
/** Processes that renew a login; they may still run. */
const backgrounds = new Set<number>();

function rootFolder(): Promise<string> {
  root ??= mkdtemp(join(tmpdir(), "quay-keyless-job-")).then(async (folder) => {
    await chmod(folder, 0o755);
    return folder;
  });
  return root;
}

/** Stops and deletes everything that the jobs of this process have left. */
export async function removeJobs(): Promise<void> {
  for (const child of alive) child.kill("SIGKILL");
  await endBackgrounds(backgrounds);
  backgrounds.clear();
  const folder = await root;
  root = undefined;
  installed = undefined;
  if (folder === undefined) return;
  for (const job of await readdir(folder)) await endPodman(join(folder, job, "run"));
  await removeStorage(folder);
}

async function installAction(): Promise<string> {
  const folder = join(await rootFolder(), "_actions/quay-keyless-login/v1");
  await mkdir(folder, { recursive: true });
  for (const name of ["action.yml", "dist"]) await cp(join(project, name), join(folder, name), { recursive: true });
  return folder;
}

/** The folder of another Action on a runner: the one that `uses` names with `/NAME` behind the repository. */
export async function installOther(name: "promote" | "federate"): Promise<string> {
  installed ??= installAction();
  const folder = join(await installed, name);
  await mkdir(folder, { recursive: true });
  await cp(join(project, name, "action.yml"), join(folder, "action.yml"));
  return folder;
}

/** One job with one step, run at once. */
export async function runAction(options: JobOptions & { inputs?: Inputs }): Promise<Main & { job: Job }> {
  const job = await createJob(options);
  return { ...(await job.run(options.inputs)), job };
}

export async function createJob(options: JobOptions = {}): Promise<Job> {
  const { peers } = options;
  const uid = isRoot ? options.uid : undefined;
  installed ??= installAction();
  const folder = options.action ?? (await installed);
  const action = parseActionFile(await readFile(join(folder, "action.yml"), "utf8"));
  const scratch = await mkdtemp(join(await rootFolder(), "job-"));
  await chmod(scratch, 0o755);
  const at = (name: string) => join(scratch, name);
  const [home, temp, workspace] = [at("home"), at("temp"), at("workspace")];
  for (const each of ["home", "temp", "workspace", "commands", "tools", "children", "run", "storage", "data"]) {
    await mkdir(at(each), { mode: 0o755 });
    if (uid !== undefined) await chown(at(each), uid, uid);
  }
  const path = await spyOnTools(at("tools"), at("children"), options.tools);
  const storage = { driver: "vfs", graphroot: at("storage/graph"), runroot: at("storage/run") };
  const lines = Object.entries(storage).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  await writeFile(at("storage.conf"), `[storage]\n${lines.join("\n")}\n`);
  await writeFile(at("event.json"), JSON.stringify(options.event ?? { ref: "refs/heads/main" }));

  const fromPeers: Inputs = peers ? { registry: peers.registryHost, "ca-file": peers.caFile } : {};
  const exported: Record<string, string> = {};
  const added: string[] = [];
  let before: Map<string, Entry> | undefined;
  let steps = 0;

  const guard = createGuard(options, { temp, dockerFiles: (robots) => dockerFiles(environment(), robots) });

  const environment = (): Record<string, string> => {
    const env: Record<string, string | undefined> = {
      ...runnerVariables({ home, temp, workspace, path, event: at("event.json"), action: folder }),
      XDG_RUNTIME_DIR: at("run"),
      CONTAINERS_STORAGE_CONF: at("storage.conf"),
      // A tool's cache of layers is not ours: for every user but root it would be in the home.
      XDG_DATA_HOME: at("data"),
      ...(options.idToken !== false && peers?.githubEnv),
      ...options.env,
      ...exported,
    };
    return Object.fromEntries(Object.entries(env).filter((each): each is [string, string] => each[1] !== undefined));
  };

  const snapshot = async () => {
    const trees = await Promise.all([home, temp, workspace].map(readTreeAtRest));
    return new Map(trees.flatMap((tree) => [...tree]));
  };

  async function start(inputs: Inputs, main?: { step: Step; login: Login }) {
    const script = main === undefined ? "main" : "post";
    before ??= await snapshot();
    const earlier = before;
    const number = ++steps;
    const login = main?.login ?? guard.open(inputs);
    const files = Object.fromEntries(
      ["OUTPUT", "ENV", "STATE", "PATH", "STEP_SUMMARY"].map((name) => [
        `GITHUB_${name}`,
        at(`commands/${number}-${name}`),
      ]),
    );
    for (const file of Object.values(files)) {
      await writeFile(file, "");
      await chmod(file, 0o666);
    }
    const named = Object.entries(files).filter(([name]) => !options.unnamed?.some((each) => name === `GITHUB_${each}`));
    const env = {
      ...environment(),
      ...Object.fromEntries(named),
      ...Object.fromEntries((options.unwritable ?? []).map((name) => [`GITHUB_${name}`, workspace])),
      ...inputVariables(action, { ...fromPeers, ...inputs }, options.workflowRef ?? ""),
      ...Object.fromEntries(Object.entries(main?.step.state ?? {}).map(([name, value]) => [`STATE_${name}`, value])),
    };
    const started = performance.now();
    const program = action[script];
    if (program === undefined) throw new Error(`the Action has no ${script} step`);
    const child = spawn(node24, [join(folder, program)], {
      cwd: workspace,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      ...(uid !== undefined && { uid, gid: uid }),
    });
    alive.add(child);
    child.on("close", () => alive.delete(child));
    const finished = finish(child).then(async ({ stdout, stderr, code }): Promise<Step> => {
      const milliseconds = Math.round(performance.now() - started);
      const read = async (name: string) => readFile(files[`GITHUB_${name}`] ?? "", "utf8");
      const { text, masks, annotations } = show(stdout);
      const [outputText, envText, stateText, summary, pathText] = await Promise.all(
        ["OUTPUT", "ENV", "STATE", "STEP_SUMMARY", "PATH"].map(read),
      );
      const step: Step = {
        code,
        signal: child.signalCode,
        raw: { stdout, stderr },
        shown: text,
        masks,
        annotations,
        outputs: parseFileCommands(outputText ?? ""),
        state: parseFileCommands(stateText ?? ""),
        exported: parseFileCommands(envText ?? ""),
        summary: summary ?? "",
        path: (pathText ?? "").split("\n").filter(Boolean),
        children: await readChildren(at("children")),
        milliseconds,
        leaks: [],
      };
      Object.assign(exported, step.exported);
      added.unshift(...step.path);
      const background = await readBackground(step.state.session ?? main?.step.state.session);
      if (background) backgrounds.add(background.pid);
      const processes = background ? [...step.children, background] : step.children;
      const traces = {
        processes,
        stderr,
        state: stateText ?? "",
        env: envText ?? "",
        before: earlier,
        after: await snapshot(),
      };
      step.leaks = guard.check(step, login, script, traces);
      if (step.leaks.length > 0 && !options.tolerateLeaks) {
        const list = step.leaks.map(({ where, what }) => `  ${what} in ${where}`).join("\n");
        throw new Error(`Secrets leaked from ${script}:\n${list}\n--- log:\n${text}`);
      }
      return step;
    });
    return { child, finished, login };
  }

  const job: Job = {
    home,
    temp,
    workspace,
    scratch,
    exported,
    snapshot,
    async write(path, content, mode = 0o600) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content, { mode });
      await chmod(path, mode);
      return path;
    },
    background: readBackground,
    run: async (inputs) => (await job.start(inputs)).done,
    async start(inputs = {}) {
      const { child, finished, login } = await start(inputs);
      const post = async (step: Step) => (await start(inputs, { step, login })).finished;
      const done = finished.then((step): Main => ({ ...step, post: () => post(step) }));
      done.catch(() => {}); // the caller that waits for it gets the error
      return { kill: (signal) => void child.kill(signal), done };
    },
    later(command, args, env = {}) {
      const bare = Object.entries(environment()).filter(([name]) => !name.startsWith("ACTIONS_ID_TOKEN"));
      const child = spawn(findTool(command) ?? command, args, {
        cwd: workspace,
        env: { ...Object.fromEntries(bare), PATH: [...added, systemPath].join(":"), ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      return finish(child);
    },
  };
  return job;
}
