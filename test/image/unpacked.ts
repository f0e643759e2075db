/** An image of build.sh, unpacked and run by the scripts of this folder. */
import { execFile, spawn } from "node:child_process";
import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { becomesRoot } from "../support/root.ts";
import { type Finished, finish } from "../support/runner.ts";

const script = (name: string) => join(import.meta.dirname, name);
const call = promisify(execFile);

export const builds = becomesRoot();
/** Milliseconds: the first time, with everything that an image is made from. */
export const buildTime = 600_000;

export interface Image {
  name: string;
  root: string;
  config: { User: string; Env: string[]; Entrypoint: string[]; Labels: Record<string, string> };
  close(): Promise<void>;
}

async function open(built: string): Promise<Image> {
  const name = built.trim();
  const [container = "", root = "", config = ""] = (await call(script("open.sh"), [name])).stdout.split("\n");
  const close = async () => void (await call(script("open.sh"), ["--close", container]));
  return { name, root, config: JSON.parse(config), close };
}

/** @param archive to write the image to as well */
export const openProjectImage = async (archive?: string): Promise<Image> =>
  open((await call(script("build.sh"), archive === undefined ? [] : [archive])).stdout);

/** Builds a Containerfile on the root of base.sh. */
export const openDerivedImage = async (containerfile: string): Promise<Image> =>
  open((await call(script("derived.sh"), [containerfile])).stdout);

/** Readable for the users that the images run as. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-image-"));
  await chmod(folder, 0o755);
  return folder;
}

/** A folder for /tmp. */
export async function makeTmp(folder: string): Promise<string> {
  const tmp = await mkdtemp(join(folder, "tmp-"));
  await chmod(tmp, 0o1777);
  return tmp;
}

export interface RunOptions {
  /** Default: one without an entry in the image, as on OpenShift. */
  uid?: number;
  /** The folder for /tmp. */
  tmp?: string;
  env?: Record<string, string>;
  /** Replaces the entry point. */
  command?: readonly string[];
  /** Its standard input; none by default. */
  input?: string;
}

export async function runInImage(
  { root, config }: Image,
  args: readonly string[],
  { uid = 1_000_680_000, tmp, env = {}, command = config.Entrypoint, input }: RunOptions & { tmp: string },
): Promise<Finished> {
  const variables = [...config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const child = spawn(script("run.sh"), [root, String(uid), tmp, ...variables, "--", ...command, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {}).end(input);
  return finish(child);
}
