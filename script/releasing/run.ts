/** Other programs, and the one kind of error that a release ends with. */
import { spawn } from "node:child_process";

/** The release can't go on; the message says what is true and what to type. */
export class Refusal extends Error {}

export interface How {
  readonly cwd?: string;
  /** Besides this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/**
 * Runs a program to its end.
 * @returns its standard output
 * @throws Refusal with everything that it has printed, if it fails
 */
export async function run(program: string, args: readonly string[], how: How = {}): Promise<string> {
  const { code, stdout, output } = await attempt(program, args, how);
  if (code !== 0) throw new Refusal(`failed: ${[program, ...args].join(" ")}\n${output.trimEnd()}`);
  return stdout;
}

/** As `run`, but a failure is an answer too. */
export function attempt(
  program: string,
  args: readonly string[],
  { cwd, env = {}, input }: How = {},
): Promise<{ code: number | null; stdout: string; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env } });
    const stdout: Buffer[] = [];
    const output: Buffer[] = [];
    child.stdout.on("data", (data: Buffer) => {
      stdout.push(data);
      output.push(data);
    });
    child.stderr.on("data", (data: Buffer) => {
      output.push(data);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout: Buffer.concat(stdout).toString(), output: Buffer.concat(output).toString() });
    });
    child.stdin.on("error", () => {}).end(input);
  });
}

export const git = (args: readonly string[], how?: How): Promise<string> =>
  run("git", args, how).then((text) => text.trimEnd());
