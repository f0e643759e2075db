/** What the scenarios share: peers for a file, and unique names for each scenario, which can therefore run at once. */
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, type ExpectStatic } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, type PeersOptions, startPeers } from "../quay-stand-in/peers.ts";
import { addRepository, addRobot, type Binding } from "../quay-stand-in/quay/store.ts";
import { removeJobs } from "../support/action.ts";
import type { Job, Step } from "../support/job.ts";
import { isRoot } from "../support/root.ts";

/** Peers for all tests of a file. */
export function usePeers(options: PeersOptions = {}): () => Peers {
  let peers: Peers | undefined;
  beforeAll(async () => {
    peers = await startPeers(options);
  });
  afterAll(async () => {
    await Promise.all([peers?.close(), removeJobs()]);
  });
  return () => {
    if (peers === undefined) throw new Error("the peers have not started");
    return peers;
  };
}

/** A lock that podman leaves in the home of every user but root: a test that compares before and after makes it before. */
export async function makeHomeFor(tool: string, job: Job): Promise<void> {
  if (tool === "podman" && !isRoot) await job.write(join(job.home, ".config/cni/net.d/cni.lock"), "");
}

let count = 0;

export interface Robot {
  /** acme+sN */
  name: string;
  /** An audience that no other scenario asks for. */
  audience: string;
  /** A repository that it may write to. */
  repository: string;
}

/** A robot for one scenario, by default bound to the job's identity. */
export function newRobot({ quay, issuer }: Peers, bindings?: Binding[]): Robot {
  const number = ++count;
  const name = `acme+s${number}`;
  const repository = `acme/repo${number}`;
  addRobot(quay.store, name, bindings ?? [{ issuer: issuer.url, subject: SUBJECT }]);
  addRepository(quay.store, repository, { [name]: "write" });
  return { name, audience: `quay-${number}`, repository };
}

/** For a peer's script: the requests of one robot at Quay. */
export const of =
  ({ name }: Pick<Robot, "name">) =>
  ({ headers }: IncomingMessage): boolean =>
    Buffer.from(headers.authorization?.split(" ")[1] ?? "", "base64")
      .toString()
      .startsWith(`${name}:`);

/** For a peer's script: the requests for one audience at GitHub's endpoint. */
export const asking =
  ({ audience }: Pick<Robot, "audience">) =>
  ({ url }: IncomingMessage): boolean =>
    new URL(url ?? "", "https://localhost").searchParams.get("audience") === audience;

/** The first request that matches; of several such rules, each takes the next one. */
export function once(predicate: (request: IncomingMessage) => boolean): (request: IncomingMessage) => boolean {
  let done = false;
  return (request) => {
    if (done || !predicate(request)) return false;
    done = true;
    return true;
  };
}

export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never happened: ${what}`);
}

export type Auths = Record<string, { auth?: string } & Record<string, unknown>>;

export async function authsIn(path: string): Promise<Auths> {
  return JSON.parse(await readFile(path, "utf8")).auths;
}

/** The user of an entry. */
export const userOf = (entry: { auth?: string } | undefined): string | undefined =>
  Buffer.from(entry?.auth ?? "", "base64")
    .toString()
    .split(":")[0];

/** An entry of another user. */
export const entryOf = (user: string, password: string): { auth: string } => ({
  auth: Buffer.from(`${user}:${password}`).toString("base64"),
});

/** Digest of the only image in an OCI layout. */
export async function digestIn(folder: string): Promise<string> {
  return JSON.parse(await readFile(join(folder, "index.json"), "utf8")).manifests[0].digest;
}

/** Expects that the step failed with this code and nothing else, and set no output. @returns the error's text */
export function failure(expect: ExpectStatic, step: Step, code: string): string {
  expect(step.annotations.filter(({ level }) => level !== "warning")).toEqual([
    { level: "error", title: `quay-keyless-login: ${code}`, message: expect.any(String) },
  ]);
  expect([step.code, step.outputs, step.exported]).toEqual([1, {}, {}]);
  const message = step.annotations.find(({ level }) => level === "error")?.message ?? "";
  expect(message).toContain(`docs/troubleshooting.md#${code}`);
  expect(step.summary).toMatch(/^### Not logged in to Quay$/m);
  expect(step.summary).toContain(`#${code}`);
  return message;
}
