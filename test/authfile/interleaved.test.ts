/**
 * Sessions that log in, renew and log out in one auth file in any order, while others write to it: random, but the
 * same in each run.
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { readEntry } from "../../src/authfile/entry.ts";
import type { AuthContent, AuthEntry } from "../../src/authfile/read.ts";
import { restoreEntries } from "../../src/authfile/restore.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createRecorder, entryOf, makeFolder, now, robotToken } from "../fixtures.ts";

interface Member {
  readonly id: string;
  readonly scopes: readonly string[];
  /** The host whose logins a helper of its own has, instead of these scopes. */
  readonly helped?: string;
  record?: FileRecord;
}

const scopes = ["quay.io", "quay.io/acme"];
const hosts = ["helped.example", "helped.example:8443"];
const foreign = "another tool logs in to ghcr.io";
const person = JSON.stringify(entryOf("person", "a-password"));
const starts = [
  undefined,
  "{}\n",
  `{ "auths":{"quay.io":${person}}, "x":1 }\n`,
  `{"auths":{"quay.io":${person},"ghcr.io":${person}}}`,
  `{"auths":{"quay.io":${person}}, "credHelpers": {"ecr.example": "ecr-login"}, "credsStore": "x"}`,
];

/** Mulberry32: the same numbers from the same seed. */
function randomFrom(seed: number) {
  let state = seed;
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** @param steps collects what is done */
async function live(path: string, seed: number, start: string | undefined, steps: string[]) {
  const random = randomFrom(seed);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
  const read = async (): Promise<AuthContent> => JSON.parse(await readFile(path, "utf8").catch(() => "{}"));
  const auths = async (): Promise<Record<string, AuthEntry>> => (await read()).auths ?? {};
  const { auths: wanted = {}, credHelpers: wantedHelpers = {} } = JSON.parse(start ?? "{}");
  let number = 0;
  const merge = async (member: Member) => {
    const helpers = member.helped && { [member.helped]: `quay-keyless-${member.id}` };
    const entries = Object.fromEntries(
      member.scopes.map((scope) => [
        scope,
        entryOf(
          "acme+ci",
          robotToken(now + 600, { number: member.record === undefined && random(3) === 0 ? number : number++ }),
        ),
      ]),
    );
    const change = {
      path,
      entries,
      mode: undefined,
      id: member.id,
      renews: member.record,
      ...(helpers && { helpers }),
    };
    await mergeEntries(change, platform, async (record) => {
      member.record = record;
    });
  };
  const leave = async (member: Member) => {
    steps.push(`${member.id} leaves`);
    members.splice(members.indexOf(member), 1);
    await restoreEntries(member.record as FileRecord, member.id, platform);
  };
  const members: Member[] = [];
  for (let left = 4 + random(8); left > 0; left--) {
    const deed = pick(["come", "come", "leave", "renew", "write"]);
    if (deed === "come") {
      const helped = pick([undefined, ...hosts.filter((host) => !members.some((each) => each.helped === host))]);
      const member = {
        id: random(2 ** 32)
          .toString(16)
          .padStart(12, "0"),
        scopes: helped === undefined ? pick([["quay.io"], ["quay.io/acme"], scopes]) : [],
        ...(helped !== undefined && { helped }),
      };
      steps.push(`${member.id} comes for ${member.helped ?? member.scopes.join(", ")}`);
      members.push(member);
      await merge(member);
    } else if (deed === "leave" && members.length > 0) {
      await leave(pick(members));
    } else if (deed === "renew" && members.length > 0) {
      const member = pick(members);
      steps.push(`${member.id} renews`);
      await merge(member);
    } else if (deed === "write" && random(3) === 0) {
      steps.push(foreign);
      wanted["ghcr.io"] = entryOf("another", `password-${number++}`);
      await mkdir(dirname(path), { recursive: true });
      const content = JSON.parse(await readFile(path, "utf8").catch(() => "{}"));
      await writeFile(path, JSON.stringify({ ...content, auths: { ...content.auths, "ghcr.io": wanted["ghcr.io"] } }));
    }
    expect((await auths())["ghcr.io"]).toEqual(wanted["ghcr.io"]);
    const entered = members.flatMap(({ id, helped }) => (helped ? [[helped, `quay-keyless-${id}`]] : []));
    expect((await read()).credHelpers ?? {}).toEqual({ ...wantedHelpers, ...Object.fromEntries(entered) });
  }
  while (members.length > 0) {
    await leave(pick(members));
  }
  const left = await auths();
  expect(Object.values(left).filter((entry) => readEntry(entry)?.robot === "acme+ci")).toEqual([]);
  expect(left).toEqual(wanted);
  // A renewed session remembers the content from before it, not the bytes.
  if (!steps.includes(foreign) && !steps.some((step) => step.endsWith("renews"))) {
    expect(await readFile(path, "utf8").catch(() => undefined)).toBe(start);
  }
  expect((await readdir(dirname(path)).catch(() => [])).filter((name) => name !== "auth.json")).toEqual([]);
}

test.each(starts)(
  "where there was %j: keeps everything of the others and nothing of ours",
  { timeout: 60_000 },
  async (start) => {
    for (let seed = 0; seed < 120; seed++) {
      const path = join(await makeFolder(), "a/auth.json");
      if (start !== undefined) {
        await mkdir(dirname(path));
        await writeFile(path, start);
      }
      const steps = [`seed ${seed}`];
      await live(path, seed, start, steps).catch((error) => {
        error.message = `${steps.join("; ")}: ${error.message}`;
        throw error;
      });
    }
  },
);
