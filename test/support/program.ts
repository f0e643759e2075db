/** Other programs that run beside the tests: started, awaited, and stopped however this process ends. */
import { spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { get } from "node:https";
import { createServer } from "node:net";
import { listen } from "../quay-stand-in/listen.ts";

export interface Program {
  /** The file that holds what it prints. */
  log: string;
  stop(): Promise<void>;
}

export async function launch(
  program: string,
  args: string[],
  log: string,
  env: Record<string, string> = {},
): Promise<Program> {
  const file = await open(log, "a");
  // The shell runs until our end of its standard input closes: however this process ends, the program stops.
  const child = spawn(
    "sh",
    ["-c", '"$@" </dev/null & cat >/dev/null; kill $! 2>/dev/null; wait', "program", program, ...args],
    {
      stdio: ["pipe", file.fd, file.fd],
      detached: true,
      env: { ...process.env, ...env },
    },
  );
  await file.close();
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = () => {
    child.stdin?.end();
    return ended;
  };
  return { log, stop };
}

/** Retries until it succeeds. @throws with the program's log after `seconds` */
export async function until(
  attempt: () => Promise<unknown>,
  program: Program,
  name: string,
  seconds = 30,
): Promise<void> {
  for (const end = Date.now() + seconds * 1000; ; ) {
    try {
      await attempt();
      return;
    } catch (cause) {
      if (Date.now() > end) {
        throw new Error(`${name} is not ready:\n${await readFile(program.log, "utf8")}`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

export function fetchOk(url: string, ca: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { ca, agent: false }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${url}: ${response.statusCode}`));
    });
    request.on("error", reject);
  });
}

/** Taken one after the other while all are held: they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, () => listen(createServer())));
  await Promise.all(held.map(({ close }) => close()));
  return held.map(({ port }) => port);
}
