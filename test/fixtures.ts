/** What the tests of our own side share: a reporter that remembers, a clock that a test owns, platforms, fake tools, entries. */
import { execFile, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { expect, onTestFinished } from "vitest";
import { workflowSyntax } from "../src/github/syntax.ts";
import { asIdentity, type Identity, type Provenance, readToken } from "../src/identity/token.ts";
import type { Clock } from "../src/platform/clock.ts";
import { systemClock } from "../src/platform/clock.ts";
import type { Environment } from "../src/platform/environment.ts";
import {
  type ErrorCode,
  ExplainedError,
  type FailureObject,
  failureObject,
  formatError,
} from "../src/platform/errors.ts";
import { createHttp } from "../src/platform/http.ts";
import type { Platform } from "../src/platform/platform.ts";
import { explanationUrl } from "../src/platform/project.ts";
import type { Reporter } from "../src/platform/reporter.ts";
import { type Words, written } from "../src/platform/wording.ts";

export interface Recorder extends Reporter {
  readonly infos: string[];
  readonly warnings: string[];
  readonly debugs: string[];
  readonly secrets: string[];
  /** Everything said so far. */
  text(): string;
}

/** As a workflow writes them, whatever Action has them. */
export const everyOption = { ...workflowSyntax("action"), has: () => true };

export const inWorkflow = (words: Words): string => written(words, everyOption);

export const failureOf = (error: ExplainedError): FailureObject =>
  failureObject(error, { syntax: everyOption, hide: (text) => text });

/** An error as a workflow's author reads it, and what a debugger would show of it. */
export interface Refused extends FailureObject {
  readonly also: readonly Refused[];
  readonly stack: string | undefined;
  readonly cause: unknown;
}

const refused = (error: ExplainedError): Refused => ({
  ...failureOf(error),
  also: error.also.map(refused),
  stack: error.stack,
  cause: error.cause,
});

export function createRecorder(): Recorder {
  const [infos, warnings, debugs, secrets]: string[][] = [[], [], [], []] as const;
  return {
    infos,
    warnings,
    debugs,
    secrets,
    info: (message) => void infos.push(inWorkflow(message)),
    warning: (message) => void warnings.push(inWorkflow(message)),
    debug: (message) => void debugs.push(inWorkflow(message)),
    secret: (value) => void secrets.push(value),
    holdsSecret: (text) => secrets.some((secret) => text.includes(secret)),
    moreOn: explanationUrl,
    hide: (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, "***"), text),
    syntax: everyOption,
    text: () => [...infos, ...warnings, ...debugs].join("\n"),
  };
}

export interface FakeClock extends Clock {
  /** What was slept, milliseconds each. */
  readonly waits: number[];
  advance(ms: number): void;
  /** Sets the clock that people set, and no other. */
  set(ms: number): void;
}

/** Sleeping takes no time but moves the clock. */
export function fakeClock(start = Date.now(), random = () => 0.5): FakeClock {
  const waits: number[] = [];
  let time = start;
  let shift = 0;
  return {
    waits,
    random,
    now: () => time + shift,
    elapsed: () => time - start,
    set: (ms) => {
      shift = ms - time;
    },
    advance: (ms) => {
      time += ms;
    },
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      waits.push(ms);
      time += ms;
    },
  };
}

export type TestPlatform = Platform & { readonly reporter: Recorder };

export interface TestPlatformOptions {
  readonly env?: Environment;
  readonly roots?: string | undefined;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** From now, by the platform's clock. Default: two minutes, as the option has it. */
  readonly timeoutMs?: number;
}

/** A platform for one test; nothing that it told its reporter may hold a secret that it had told as well. */
export function testPlatform(options: TestPlatformOptions = {}): TestPlatform {
  const { env = {}, roots, clock = systemClock, signal = new AbortController().signal, timeoutMs = 120_000 } = options;
  const reporter = createRecorder();
  const http = createHttp({ env, extraRoots: roots, signal, debug: reporter.debug });
  onTestFinished(() => {
    http.close();
    expectNoSecret(reporter.text(), reporter.secrets);
  });
  return { env, clock, http, reporter, signal, deadline: clock.now() + timeoutMs };
}

export function expectNoSecret(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) {
    expect(text.includes(secret), `a secret of ${secret.length} characters in: ${text.slice(0, 200)}`).toBe(false);
  }
}

/** Gives this process a pipe from a shell's command as standard input, for one test. */
export function withStandardInput(command: string): Readable {
  const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "ignore"] });
  const own = Object.getOwnPropertyDescriptor(process, "stdin") as PropertyDescriptor;
  Object.defineProperty(process, "stdin", { value: child.stdout, configurable: true });
  onTestFinished(() => {
    Object.defineProperty(process, "stdin", own);
    child.kill();
  });
  return child.stdout;
}

/** A folder for one test. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The ExplainedError that `work` ends with; whatever else it does fails the test. */
export async function thrown(work: Promise<unknown> | (() => unknown)): Promise<ExplainedError> {
  const error = await (typeof work === "function" ? (async () => work())() : work).then(
    (value) => expect.unreachable(`no error but ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ExplainedError)) {
    throw error;
  }
  return error;
}

/** The same, in words. */
export const failure = async (work: Promise<unknown> | (() => unknown)): Promise<Refused> =>
  refused(await thrown(work));

/** The same, with its code checked. @returns the whole text as a person sees it */
export async function failureText(code: ErrorCode, work: Promise<unknown> | (() => unknown)): Promise<string> {
  const error = await failure(work);
  expect(`${error.code}: ${error.message}`).toMatch(new RegExp(`^${code}: `));
  return formatError(error);
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token that nobody has signed: for what only decodes. */
export function unsignedJwt(claims: unknown, header: unknown = { alg: "RS256", kid: "rsa1", typ: "JWT" }): string {
  return `${part(header)}.${part(claims)}.c2lnbmF0dXJl`;
}

export const now = Math.floor(Date.now() / 1000);

export const issuer = "https://token.actions.githubusercontent.com";
export const subject = "repo:acme/app:environment:production";

/** Claims of a job's token, valid for five minutes. */
export const claims = { iss: issuer, sub: subject, aud: "quay", iat: now, exp: now + 300 };

/** What Quay could accept of a token, as a source gives it. */
export const readIdentity = (
  token: string,
  origin = "a test",
  source: Provenance["source"] = "github",
  wantedAudience = "quay",
): Identity => asIdentity(readToken(token, { origin, source, wantedAudience }));

/** The password of a robot, as Quay gives it for one hour: a JWT. */
export const robotToken = (expiresAt: number | undefined, more: object = {}): string =>
  unsignedJwt({ iss: "quay", sub: "acme+ci", exp: expiresAt, ...more });

/** An entry of an auth file. */
export const entryOf = (user: string, password: string): { auth: string } => ({
  auth: Buffer.from(`${user}:${password}`).toString("base64"),
});

export function testIdentity(change: Partial<Identity> = {}): Identity {
  return {
    token: unsignedJwt(claims),
    issuer,
    subject,
    audience: ["quay"],
    algorithm: "RS256",
    keyId: "rsa1",
    issuedAt: claims.iat,
    expiresAt: claims.exp,
    origin: "GitHub's token endpoint",
    source: "github",
    wantedAudience: "quay",
    ...change,
  };
}

/** Puts a shell script on a PATH of its own. @returns the folder, for PATH */
export async function fakeTool(folder: string, name: string, script: string): Promise<string> {
  const bin = join(folder, "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, name), 0o755);
  return bin;
}

/**
 * Runs a function as the user nobody (where this one may become another), in a process of its own.
 * @param modules of src; `src` has all that they export
 * @param work goes there as text: it knows nothing but what it is given
 * @returns the message of the error that ended it
 */
export async function asNobody<Source>(
  modules: readonly string[],
  work: (src: Source, ...args: string[]) => Promise<unknown>,
  ...args: string[]
): Promise<string> {
  const paths = modules.map((name) => JSON.stringify(join(import.meta.dirname, "../src", name)));
  const program = `
    const src = Object.assign({}, ...await Promise.all([${paths.map((path) => `import(${path})`)}]));
    if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
    try { await (${work})(src, ...process.argv.slice(1)); } catch (error) { console.log(error.message); }`;
  const run = promisify(execFile);
  return (await run(process.execPath, ["--input-type=module", "--eval", program, ...args])).stdout;
}
