/** Many of ours at once on one auth file, in processes that are killed at any moment. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { staleMs } from "../../src/authfile/lock.ts";
import { logout } from "../../src/login/logout.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createRecorder, entryOf } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { entriesIn, type Program, usePrograms } from "./processes.ts";

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const launch = usePrograms();
const merging = join(import.meta.dirname, "../authfile/merging.ts");

const foreign = {
  auths: { "docker.io": entryOf("somebody", "else"), "ghcr.io/org": { identitytoken: "x" } },
  credHelpers: { "gcr.io": "gcloud" },
};

const bases: string[] = [];
afterAll(() => Promise.all(bases.map((base) => rm(base, { recursive: true }))));

interface Place {
  readonly path: string;
  readonly sessions: string;
}

async function makePlace(): Promise<Place> {
  const base = await mkdtemp(join(tmpdir(), "quay-keyless-test-"));
  bases.push(base);
  const [path, sessions] = [join(base, "config/auth.json"), join(base, "sessions")];
  await Promise.all([mkdir(dirname(path)), mkdir(sessions)]);
  await writeFile(path, JSON.stringify(foreign));
  return { path, sessions };
}

/** Logs every session out, those of killed processes among them. */
async function takeBackAll({ path, sessions }: Place): Promise<void> {
  for (const folder of await readdir(sessions)) {
    await logout(join(sessions, folder), platform);
  }
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual(foreign);
  expect(await readdir(sessions)).toEqual([]);
}

/** Many merges into one file, by processes of which some are killed at any moment. @returns what they say they have done */
async function mergeAndKill(
  { path, sessions }: Place,
  { wanted, kills }: { readonly wanted: number; readonly kills: number },
): Promise<{ readonly done: readonly string[]; readonly killed: number }> {
  const programs: Program[] = [];
  const running = new Set<Program>();
  const killed = new Set<Program>();
  const merged = () => programs.reduce((sum, { lines }) => sum + lines.length, 0);

  const lane = async () => {
    while (merged() < wanted) {
      const program = launch(merging, [path, sessions, `quay.io/p${programs.length}`, "many", "25"]);
      programs.push(program);
      running.add(program);
      const end = await program.ended;
      running.delete(program);
      expect(end).toBe(killed.has(program) ? end : 0);
    }
  };
  const killer = async () => {
    while (killed.size < kills && merged() < wanted) {
      await sleep(Math.random() * 400);
      const victims = [...running].filter((program) => program.lines.length > 0 && !killed.has(program));
      const victim = victims[Math.floor(Math.random() * victims.length)];
      if (victim?.child.kill("SIGKILL")) {
        killed.add(victim);
      }
    }
  };
  await Promise.all([killer(), ...Array.from({ length: 6 }, lane)]);
  return { done: programs.flatMap(({ lines }) => lines), killed: killed.size };
}

test("1,000 merges with kills at random: keeps what was written and what is foreign, and all can be undone", async () => {
  // Two files: one continues while the other waits for the lock of a killed process.
  const places = await Promise.all([makePlace(), makePlace()]);
  const killed = await Promise.all(
    places.map(async (place) => {
      const { done, killed } = await mergeAndKill(place, { wanted: 500, kills: 10 });
      expect(done.length).toBeGreaterThanOrEqual(500);
      const entries = await entriesIn(place.path);
      expect(done.filter((scope) => entries.get(scope) !== `robot:${scope}`)).toEqual([]);
      // Each of those that were killed may have had one more under way.
      expect(entries.size - done.length - Object.keys(foreign.auths).length).toBeLessThanOrEqual(killed);
      await takeBackAll(place);
      return killed;
    }),
  );
  expect(Math.max(...killed)).toBeGreaterThan(5);
}, 180_000);

test("renewals, logins, logouts, and others that take the lock: lose nothing, and leave nothing of ours", async () => {
  const { path, sessions } = await makePlace();
  const writer = join(import.meta.dirname, "./foreign-writer.ts");
  const renewing = Array.from({ length: 4 }, (_, index) =>
    launch(merging, [path, sessions, `quay.io/r${index}`, "renewing", "12"]),
  );
  const staying = Array.from({ length: 2 }, (_, index) =>
    launch(merging, [path, sessions, `quay.io/m${index}`, "many", "12"]),
  );
  const forever = launch(merging, [path, sessions, "quay.io/f", "forever"]);
  const others = ["a.example/", "b.example/"].map((prefix) => launch(writer, [path, prefix, "15"]));
  const ends = await Promise.all([...renewing, ...staying, ...others].map(({ ended }) => ended));
  forever.child.kill("SIGKILL");
  await forever.ended;
  expect(ends).toEqual(ends.map(() => 0));

  const kept = staying.flatMap(({ lines }) => lines);
  const added = others.flatMap(({ lines }) => lines);
  expect([kept.length, added.length]).toEqual([24, 30]);
  const left = new Set((await entriesIn(path)).keys());
  left.delete("quay.io/f"); // killed before or after its restore
  expect(left).toEqual(new Set([...Object.keys(foreign.auths), ...kept, ...added]));

  for (const folder of await readdir(sessions)) {
    await logout(join(sessions, folder), platform);
  }
  expect(new Set((await entriesIn(path)).keys())).toEqual(new Set([...Object.keys(foreign.auths), ...added]));
}, 60_000);

test.concurrent("a killed holder blocks the others once, until its lock is stale", async () => {
  const { path, sessions } = await makePlace();
  const holder = launch(merging, [path, sessions, "quay.io/holder", "holding"]);
  await holder.nextLine();
  expect(holder.lines).toEqual(["holding"]);
  holder.child.kill("SIGKILL");
  expect(await holder.ended).toBe("SIGKILL");
  const killed = performance.now();
  const others = Array.from({ length: 6 }, (_, index) =>
    launch(merging, [path, sessions, `quay.io/o${index}`, "many", "5"]),
  );
  expect(await Promise.all(others.map(({ ended }) => ended))).toEqual(others.map(() => 0));
  expect(performance.now() - killed).toBeLessThan(staleMs + 5_000);
  expect((await entriesIn(path)).size).toBe(2 + 30);
  expect(existsSync(`${path}.lock`)).toBe(false);
  await takeBackAll({ path, sessions });
}, 60_000);

/**
 * What the lock sees of a container: a process id that others have too, and a different path for the shared volume.
 * @returns the words before a command that runs it in such a place, with `volume` at /mnt
 */
const container = (volume: string): string[] => {
  const script = 'mount --bind "$0" /mnt && exec "$@"';
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, volume];
};

test.skipIf(!isRoot).concurrent(
  `containers that share a volume, each as process 1, respect the lock ${needsRoot}`,
  async () => {
    const { path, sessions } = await makePlace();
    const volume = dirname(path);
    const inside = (name: string, ...how: string[]) =>
      launch(merging, ["/mnt/auth.json", sessions, `quay.io/${name}`, ...how], { within: container(volume) });
    const holder = inside("holder", "holding");
    await holder.nextLine();
    expect(holder.lines).toEqual(["holding"]);
    const others = Array.from({ length: 4 }, (_, index) => inside(`c${index}`, "many", "10"));
    await sleep(500);
    // One of them sees no process with the holder's id: that means nothing, and the lock stays.
    expect(others.flatMap(({ lines }) => lines)).toEqual([]);
    holder.child.kill("SIGKILL");
    const killed = performance.now();
    expect(await Promise.all(others.map(({ ended }) => ended))).toEqual(others.map(() => 0));
    expect(performance.now() - killed).toBeLessThan(staleMs + 5_000);
    const entries = await entriesIn(path);
    expect(others.flatMap(({ lines }) => lines).filter((scope) => entries.has(scope))).toHaveLength(40);
    expect(entries.size).toBe(2 + 40);
    expect(await readdir(volume)).toEqual(["auth.json"]);
  },
  60_000,
);

test.concurrent("never makes a hard link: not to lock, break a lock, merge or undo", async () => {
  const { path, sessions } = await makePlace();
  const preloaded = [join(import.meta.dirname, "./without-links.ts")];
  await writeFile(`${path}.lock`, randomUUID());
  await utimes(`${path}.lock`, 0, 0);
  const programs = ["many", "renewing"].map((how, index) =>
    launch(merging, [path, sessions, `quay.io/l${index}`, how, "5"], { preloaded }),
  );
  expect(await Promise.all(programs.map(({ ended }) => ended))).toEqual([0, 0]);
  expect((await entriesIn(path)).size).toBe(2 + 5);
  await takeBackAll({ path, sessions });
}, 60_000);
