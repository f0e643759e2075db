/** Shared by the scenarios of promotions: the built command line, between two Quay stand-ins with real registries. */
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, type ExpectStatic } from "vitest";
import { type Machine, type MachineOptions, type Ran, removeMachines, type Started } from "../../support/command.ts";
import type { Made } from "../../support/images.ts";
import { differences, type Entry } from "../../support/leaks.ts";
import {
  type Asked,
  addPlace,
  type PromotionWorld,
  type PromotionWorldOptions,
  type Side,
  startPromotionWorld,
} from "../../support/promotion.ts";
import { machineWithToken } from "../cli/world.ts";

/** One world for all tests of a file; its machines are removed at the end. */
export function usePromotionWorld(options: PromotionWorldOptions = {}): () => PromotionWorld {
  let world: PromotionWorld | undefined;
  beforeAll(async () => {
    world = await startPromotionWorld(options);
  });
  afterAll(async () => {
    await Promise.all([world?.close(), removeMachines()]);
  });
  return () => {
    if (world === undefined) throw new Error("the world has not started");
    return world;
  };
}

/** A repository with the robot of this scenario. */
export interface Place {
  readonly side: Side;
  readonly repository: string;
  readonly robot: string;
  /** host/organization/repository */
  readonly path: string;
}

export interface ScenarioOptions extends MachineOptions {
  readonly from?: Side;
  readonly to?: Side;
  /** The destination is the source's repository. */
  readonly within?: boolean;
  readonly isPublic?: boolean;
}

/** A user with an identity token, and a source and a destination of this test alone. */
export interface Scenario {
  readonly machine: Machine & { readonly tokenFile: string };
  readonly from: Place;
  readonly to: Place;
  /** Identity and robots. */
  readonly base: readonly string[];
  readonly before: Map<string, Entry>;
  /** Arguments for this source, by digest, to these tags. */
  args(source: Made | string, ...tags: string[]): string[];
  /** Runs it to its end, and checks that nothing was left behind. */
  promote(args: readonly string[], how?: Parameters<Machine["run"]>[1]): Promise<Promoted>;
  start(
    args: readonly string[],
    how?: Parameters<Machine["run"]>[1],
  ): Promise<Started & { ended(): Promise<Promoted> }>;
}

export interface ReportedTag {
  readonly tag: string;
  readonly state: string;
  readonly before: string | null;
}

export interface Reported {
  readonly source: string;
  readonly destination: string;
  readonly digest: string | null;
  readonly image: string | null;
  readonly platforms: string[];
  readonly tags: ReportedTag[];
  readonly artifacts: { kind: string; digest: string; subject: string; tag: string | null; copied: boolean }[];
  readonly changed: boolean;
  readonly bytes: number;
  readonly error?: { readonly code: string; readonly message: string; readonly remedy: string[] };
}

export interface Promoted extends Ran {
  /** With `--output json`; empty without a report. */
  readonly promotions: Reported[];
}

let count = 0;

export async function newScenario(world: PromotionWorld, options: ScenarioOptions = {}): Promise<Scenario> {
  const { from: source = world.staging, within = false, isPublic = false, ...others } = options;
  const { to: destination = within ? source : world.release, ...machineOptions } = others;
  const number = ++count;
  const place = (side: Side, repository: string, robot: string): Place => ({
    ...{ side, repository, robot },
    path: `${side.host}/${repository}`,
  });
  const from = place(source, `acme/staging${number}`, `acme+build${number}`);
  const to = place(destination, within ? from.repository : `acme/app${number}`, `acme+release${number}`);
  addPlace(world, source, from.repository, { robots: { [from.robot]: "read" }, isPublic });
  addPlace(world, destination, to.repository, { robots: { [to.robot]: "write" } });
  const machine = await machineWithToken(world.peers, {
    secrets: world.secrets,
    ...machineOptions,
  });
  const before = await machine.snapshot();
  const base = [
    ...["--registry", from.side.host, "--ca-file", world.peers.caFile, "--token-file", machine.tokenFile],
    ...(isPublic ? [] : ["--source-robot", from.robot]),
    ...["--destination-robot", to.robot],
  ];

  async function start(args: readonly string[], how?: Parameters<Machine["run"]>[1]) {
    const started = await machine.start(["promote", ...args], how);
    return { ...started, ended: () => started.done.then(report) };
  }

  /** The leak harness has checked the output, and that the temporary folder is empty again. */
  async function report(ran: Ran): Promise<Promoted> {
    const left = differences(before, await machine.snapshot()).filter(
      (line) => ran.signal !== "SIGKILL" || !line.startsWith(machine.temp),
    );
    if (left.length > 0) throw new Error(`Left behind:\n${left.join("\n")}\n${ran.stderr}`);
    const { promotions = [] } = ran.stdout.startsWith("{") ? JSON.parse(ran.stdout) : {};
    return { ...ran, promotions };
  }

  return {
    machine,
    from,
    to,
    base,
    before,
    args: (made, ...tags) => [
      ...base,
      ...["--output", "json", "--destination", to.path],
      ...["--source", typeof made === "string" ? `${from.path}:${made}` : `${from.path}@${made.digest}`],
      ...tags.flatMap((tag) => ["--tag", tag]),
    ],
    start,
    promote: async (args, how) => (await start(args, how)).ended(),
  };
}

/** Requests that change a repository. */
export const writesTo = ({ side, repository }: Place): Asked[] =>
  side.asked.filter(({ method, path }) => !["GET", "HEAD"].includes(method) && path.startsWith(`/v2/${repository}/`));

/** Scopes that were requested. */
export const scopesOf = ({ side, repository }: Place): string[] =>
  side.asked.flatMap(({ query }) => query.getAll("scope")).filter((scope) => scope.includes(`:${repository}:`));

/** For a stand-in's script: requests with this method to this repository. */
export const requestOf =
  (method: string, { repository }: Pick<Place, "repository">, rest: string | RegExp = "") =>
  ({ method: given, url = "" }: IncomingMessage): boolean => {
    const prefix = `/v2/${repository}/`;
    if (given !== method || !url.startsWith(prefix)) return false;
    const path = url.slice(prefix.length);
    return typeof rest === "string" ? path.startsWith(rest) : rest.test(path);
  };

/** Expects the whole image, with its digest under each of the tags, and no other tag. */
export async function arrived(expect: ExpectStatic, { side, repository }: Place, made: Made, ...tags: string[]) {
  expect(await side.missing(repository, made)).toEqual([]);
  const digests = await Promise.all(tags.map((tag) => side.digest(repository, tag)));
  expect(digests).toEqual(tags.map(() => made.digest));
}

/** Expects success; else shows all output. */
export function succeeded<T extends Ran>(expect: ExpectStatic, ran: T): T {
  expect(ran.code, ran.stderr).toBe(0);
  return ran;
}

/** Expects that all of it failed with this code. @returns standard error */
export function refused(expect: ExpectStatic, ran: Promoted, code: string, exitCode = 1): string {
  expect([ran.stderr, ran.code]).toEqual([
    expect.stringContaining(`More: quay-keyless-login explain ${code}`),
    exitCode,
  ]);
  for (const { error } of ran.promotions) {
    expect(error).toMatchObject({ code, message: expect.any(String), remedy: expect.any(Array) });
  }
  return ran.stderr;
}

/** A longer wait than in other tests: for what comes after two logins and half a copy. */
export async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 40_000; !(await condition()); ) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export const fileOf = (machine: Machine, name: string): string => join(machine.scratch, name);
