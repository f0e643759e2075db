/** How a login is renewed, with a clock that the test controls. */
import { rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isoTime } from "../../src/identity/token.ts";
import { type RenewalOptions, renewUntilStopped, sourceOf } from "../../src/login/renewal.ts";
import type { Session } from "../../src/login/session.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { createRecorder, failure, fakeClock, makeFolder, testIdentity } from "../fixtures.ts";

/** On a full second, as a token's expiry is. */
const start = 1_800_000_000_000;
const hour = 3_600_000;
const minute = 60_000;
const enough = new Error("this test has seen enough");

/** Milliseconds since the start, and which session was to be renewed. */
interface Call {
  readonly at: number;
  readonly session: Session;
}

interface WorldOptions extends Partial<Pick<RenewalOptions, "tokenFile" | "identityEnds" | "onLapse">> {
  /** Of a robot token, milliseconds. */
  readonly life?: number;
  /** This clock minus Quay's, milliseconds. */
  readonly ahead?: number;
  readonly random?: () => number;
  readonly files?: readonly string[];
  /** Whether there is a callback for a login that has expired, besides the reporter. */
  readonly listened?: boolean;
}

/** What one attempt does, apart from failing. */
type Attempt = (call: Call) => void | Promise<void>;

const unavailable = (message = "Quay is down.") =>
  new ExplainedError("quay-unavailable", message, { remedy: ["Wait until it is up again."] });

/** A running renewal, whose clock advances only while it sleeps. */
function createWorld(options: WorldOptions = {}) {
  const { life = hour, ahead = 0, random, files = [], tokenFile, identityEnds, onLapse = "exit" } = options;
  const { listened = true } = options;
  const clock = fakeClock(start, random);
  clock.set(start + ahead);
  const reporter = createRecorder();
  const stop = new AbortController();
  const calls: Call[] = [];
  const lapses: ExplainedError[] = [];
  const attempts: Attempt[] = [];
  let otherwise: Attempt = () => {};
  let slept = 0;
  /** At each poll; by the elapsed time. */
  const events: { readonly at: number; readonly happen: () => unknown }[] = [];

  const scopes = { "quay.io": { before: null, written: ["one", "two"] } };
  const session = (ends: number): Session => ({
    ...{ version: 1, folder: "/run/session", named: false, id: "abc", certificates: [] },
    files: files.map((path) => ({ path, before: null, mode: 0o600, folders: [], scopes, after: [] })),
    robots: [
      { robot: "acme+other", scope: "quay.io/other", expiresAt: ends / 1000 + 5, lifeSeconds: life / 1000 + 5 },
      { robot: "acme+ci", scope: "quay.io", expiresAt: ends / 1000, lifeSeconds: life / 1000 },
    ],
  });
  const first = session(start + life);

  const sleep: typeof clock.sleep = async (ms, signal) => {
    await clock.sleep(ms, signal);
    for (const due of events.filter(({ at }) => clock.elapsed() >= at)) {
      events.splice(events.indexOf(due), 1);
      await due.happen();
    }
    signal.throwIfAborted();
  };
  const renew = async (current: Session): Promise<Session> => {
    const call = { at: clock.elapsed(), session: current };
    calls.push(call);
    await (attempts.shift() ?? otherwise)(call);
    // A token's expiry is in whole seconds.
    return session(Math.floor((start + clock.elapsed() + slept + life) / 1000) * 1000);
  };

  return {
    clock,
    reporter,
    stop,
    calls,
    lapses,
    session: first,
    /** Suspends the machine: only the wall clock shows it. */
    suspend(ms: number): void {
      slept += ms;
      clock.set(clock.now() + ms);
    },
    /** What the next attempts do; those after them succeed. */
    next: (...some: Attempt[]) => void attempts.push(...some),
    always: (attempt: Attempt) => {
      otherwise = attempt;
    },
    at: (ms: number, happen: () => unknown) => void events.push({ at: ms, happen }),
    /** @returns what it ended with */
    async run(until: { readonly ms?: number; readonly calls?: number }): Promise<unknown> {
      const look = () => {
        if (
          clock.elapsed() >= (until.ms ?? Number.POSITIVE_INFINITY) ||
          calls.length >= (until.calls ?? 1e6) ||
          clock.waits.length > 100_000
        ) {
          stop.abort(enough);
        }
      };
      const ticking: typeof sleep = async (ms, signal) => {
        look();
        await sleep(ms, signal);
      };
      const upkeep = {
        renew,
        tokenFile,
        identityEnds,
        onLapse,
        ...(listened && { onLapsed: (lapse: ExplainedError) => void lapses.push(lapse) }),
      };
      const platform = { clock: { ...clock, sleep: ticking }, reporter, signal: stop.signal };
      return renewUntilStopped(first, upkeep, platform).catch((error: unknown) => error);
    },
  };
}

const fail =
  (error: Error = unavailable()): Attempt =>
  () => {
    throw error;
  };

const gaps = (times: readonly number[]): number[] => times.slice(1).map((time, index) => time - (times[index] ?? 0));

describe("in time", () => {
  test.each([
    [0, 0.8],
    [0.5, 0.75],
    [0.999_999, 0.7],
  ])("renews at four fifths of the life, or up to a tenth of it sooner: with %d at %d", async (random, share) => {
    const world = createWorld({ random: () => random });
    expect(await world.run({ calls: 3 })).toBe(enough);
    for (const gap of [world.calls[0]?.at ?? 0, ...gaps(world.calls.map(({ at }) => at))]) {
      expect(Math.abs(gap - share * hour)).toBeLessThanOrEqual(2_000);
    }
    expect(world.reporter.warnings).toEqual([]);
  });

  test("each renewal continues from the one before, and logs its expiry", async () => {
    const world = createWorld();
    await world.run({ calls: 3 });
    const [one, two, three] = world.calls.map(({ session }) => session.robots[1]?.expiresAt ?? 0);
    expect([world.calls[0]?.session, one]).toEqual([world.session, start / 1000 + 3600]);
    expect([one, two, three].toSorted()).toEqual([one, two, three]);
    expect(new Set([one, two, three]).size).toBe(3);
    expect(world.reporter.infos).toContain(
      `The login was renewed because it was about to expire; it now expires at ${isoTime(two ?? 0)}.`,
    );
  });

  test("renews a life of a few seconds", async () => {
    const world = createWorld({ life: 4_000 });
    expect(await world.run({ ms: minute })).toBe(enough);
    for (const { at, session } of world.calls) {
      expect((session.robots[1]?.expiresAt ?? 0) * 1000).toBeGreaterThan(start + at);
    }
    expect(world.calls.length).toBeGreaterThan(minute / 4_000);
    expect(world.calls.length).toBeLessThan(minute / 1_500);
  });

  test("renews a life of a second", async () => {
    const world = createWorld({ life: 1_000 });
    expect(await world.run({ ms: minute })).toBe(enough);
    expect(Math.max(...gaps(world.calls.map(({ at }) => at)))).toBeLessThan(1_000);
    expect(world.calls.length).toBeLessThan(100);
  });

  test("polls once a second in an hour", async () => {
    const world = createWorld();
    await world.run({ ms: hour });
    expect(world.calls).toHaveLength(1);
    expect(world.clock.waits.length).toBeLessThanOrEqual(3_600);
    expect(Math.max(...world.clock.waits)).toBe(1_000);
  });

  test("spreads a thousand that began together", async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647; // Lehmer's generator
      return seed / 2_147_483_647;
    };
    const times: number[] = [];
    for (let count = 0; count < 1_000; count++) {
      // Of the first 2,500 seconds only the last poll before it is due counts.
      const world = createWorld({ life: 100_000, random });
      await world.run({ calls: 1 });
      times.push(world.calls[0]?.at ?? 0);
    }
    expect(Math.min(...times)).toBeGreaterThanOrEqual(70_000);
    expect(Math.max(...times)).toBeLessThanOrEqual(81_000);
    // Ten seconds: in each about a hundred.
    for (let from = 70_000; from < 80_000; from += 1_000) {
      const share = times.filter((time) => time > from && time <= from + 1_000).length;
      expect(share).toBeGreaterThan(60);
      expect(share).toBeLessThan(140);
    }
  });
});

describe("at once if", () => {
  test("the token file has other content, though it is a link that the kubelet turns", async () => {
    const folder = await makeFolder();
    const at = (name: string) => join(folder, name);
    for (const name of ["old", "new"]) await writeFile(at(name), `${name} token`);
    await symlink("old", at("token"));
    const world = createWorld({ tokenFile: at("token") });
    world.at(5 * minute, async () => {
      await symlink("new", at("token_tmp"));
      await rename(at("token_tmp"), at("token"));
    });
    await world.run({ ms: 10 * minute });
    expect(world.calls.map(({ at: time }) => time)).toEqual([5 * minute]);
    expect(world.reporter.infos[0]).toContain("because the identity token was replaced");
  });

  test("does not renew if the token file was rewritten with the same content, or was gone for a while", async () => {
    const path = join(await makeFolder(), "token");
    await writeFile(path, "the token");
    const world = createWorld({ tokenFile: path });
    world.at(minute, () => writeFile(path, "the token"));
    world.at(2 * minute, () => rm(path));
    world.at(3 * minute, () => writeFile(path, "the token"));
    await world.run({ ms: 10 * minute });
    expect(world.calls).toEqual([]);
  });

  test("retries a token that failed like any failure, and a new token at once", async () => {
    const path = join(await makeFolder(), "token");
    await writeFile(path, "one");
    const world = createWorld({ tokenFile: path, random: () => 0.999_999 });
    world.at(minute, () => writeFile(path, "two"));
    world.next(...Array.from({ length: 6 }, () => fail()));
    // The seventh attempt would be 63 s after the first.
    world.at(minute + 40_000, () => writeFile(path, "three"));
    await world.run({ ms: 5 * minute });
    expect(world.calls).toHaveLength(7);
    expect(world.calls[0]?.at).toBe(minute);
    expect(world.calls.at(-1)?.at).toBe(minute + 40_000);
  });

  const held = '{"auths": {"quay.io": {"auth": "b3VyczpvdXJz"}}}';

  test.each<[string, (path: string) => Promise<void>]>([
    ["the file has vanished", (path) => rm(path)],
    ["it was taken out of the file", (path) => writeFile(path, '{"auths": {"ghcr.io": {"auth": "dGhlaXJz"}}}')],
    ["the file has no logins any more", (path) => writeFile(path, "{}")],
    ["the file is broken", (path) => writeFile(path, "{")],
  ])("the login is gone, from whichever file: %s", async (_, take) => {
    const folder = await makeFolder();
    const files = ["auth.json", "config.json"].map((name) => join(folder, name));
    for (const [index, path] of files.entries()) {
      for (const each of files) await writeFile(each, held);
      const world = createWorld({ files });
      world.at(7 * minute, () => take(path));
      world.next(() => writeFile(path, held));
      await world.run({ ms: 20 * minute });
      expect([index, world.calls.map(({ at }) => at)]).toEqual([index, [7 * minute]]);
      expect(world.reporter.infos[0]).toContain("because its entry was gone from the auth file");
    }
  });

  test("the renewed login is gone again", async () => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, held);
    const world = createWorld({ files: [path] });
    world.at(7 * minute, () => rm(path));
    world.next(
      () => {}, // what it wrote was deleted before the next poll
      () => writeFile(path, held),
    );
    await world.run({ ms: 20 * minute });
    expect(world.calls.map(({ at }) => at)).toEqual([7 * minute, 7 * minute + 1_000]);
  });

  test("keeps a login that replaced it until the next renewal", async () => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, held);
    const world = createWorld({ files: [path] });
    world.at(minute, () => writeFile(path, '{"auths": {"quay.io": {"auth": "dGhlaXJz"}}}'));
    await world.run({ ms: 10 * minute });
    expect(world.calls).toEqual([]);
  });

  test("retries with growing waits if the auth file can't be restored", async () => {
    const world = createWorld({ files: ["/nowhere/auth.json"], random: () => 0.999_999 });
    world.always(fail());
    await world.run({ ms: 10 * minute });
    expect(world.calls.length).toBeGreaterThan(8);
    expect(world.calls.length).toBeLessThan(20);
  });

  test("keeps these waits if others write to that file", async () => {
    const path = join(await makeFolder(), "auth.json");
    await writeFile(path, held);
    const world = createWorld({ files: [path], random: () => 0.999_999 });
    world.always(fail());
    for (let second = 60; second < 180; second++) {
      const auths = Object.fromEntries(Array.from({ length: second }, (_, index) => [`ghcr.io/${index}`, {}]));
      world.at(second * 1_000, () => writeFile(path, JSON.stringify({ auths })));
    }
    await world.run({ ms: 3 * minute });
    expect(world.calls[0]?.at).toBe(minute);
    expect(world.calls.length).toBeLessThan(10);
  });

  test.each([
    ["forward", 11_000, true],
    ["back", -11_000, true],
    ["far back", -24 * hour, true],
    ["forward by little, as it is set by the network", 9_000, false],
    ["back by little", -9_000, false],
  ])("the clock has jumped: %s", async (_, by, renewed) => {
    const world = createWorld();
    world.at(5 * minute, () => world.clock.set(world.clock.now() + by));
    expect(await world.run({ ms: 10 * minute })).toBe(enough);
    expect(world.calls.map(({ at }) => at)).toEqual(renewed ? [5 * minute] : []);
    if (renewed) {
      expect(world.reporter.infos[0]).toContain("because the clock jumped");
    }
  });

  test("the machine has slept beyond the time of the renewal, but not beyond the life", async () => {
    const world = createWorld();
    world.at(5 * minute, () => world.suspend(50 * minute));
    await world.run({ ms: 6 * minute });
    expect(world.calls.map(({ at }) => at)).toEqual([5 * minute]);
  });

  test("does not prolong the life if the clock was set back", async () => {
    const world = createWorld({ random: () => 0 });
    world.next(fail()); // at the jump
    world.at(5 * minute, () => world.clock.set(world.clock.now() - 2 * hour));
    await world.run({ ms: hour - 1_000 });
    expect(world.calls.length).toBeGreaterThanOrEqual(2);
  });

  test("notices that a login has expired if the clock was set back", async () => {
    const world = createWorld();
    world.always(fail());
    world.at(5 * minute, () => world.clock.set(world.clock.now() - 2 * hour));
    expect(await world.run({ ms: 4 * hour })).toMatchObject({ code: "login-lapsed" });
    expect(world.clock.elapsed()).toBeGreaterThanOrEqual(hour);
    expect(world.clock.elapsed()).toBeLessThanOrEqual(hour + 1_000);
  });

  test("renews once for two reasons", async () => {
    const folder = await makeFolder();
    const [token, file] = [join(folder, "token"), join(folder, "auth.json")];
    await writeFile(token, "one");
    await writeFile(file, held);
    const world = createWorld({ tokenFile: token, files: [file] });
    world.at(minute, async () => {
      await writeFile(token, "two");
      await rm(file);
      world.clock.set(world.clock.now() + 20_000);
    });
    world.next(() => writeFile(file, held));
    await world.run({ ms: 10 * minute });
    expect(world.calls.map(({ at }) => at)).toEqual([minute]);
  });
});

describe("a renewal that fails", () => {
  test("is retried, with waits that double up to a minute, within a quarter of the remaining time", async () => {
    const world = createWorld({ random: () => 0.999_999 });
    world.always(fail());
    const error = await world.run({ ms: 2 * hour });
    expect(error).toMatchObject({ code: "login-lapsed" });
    const times = world.calls.map(({ at }) => at);
    const waits = gaps(times);
    for (const [index, wait] of waits.entries()) {
      // A poll each second finds that it is due.
      const backoff = Math.min(minute, 1_000 * 2 ** index);
      const left = hour - (times[index] ?? 0);
      expect(wait).toBeLessThanOrEqual(Math.min(backoff, left / 4) + 2_000);
      expect(wait).toBeGreaterThanOrEqual(Math.min(backoff, left / 4) - 1_000);
    }
    expect(Math.max(...waits)).toBeGreaterThanOrEqual(minute - 1_000);
    // Up to the expiry: the last attempts come close to it.
    expect(hour - (times.at(-1) ?? 0)).toBeLessThan(5_000);
    expect(waits.length).toBeGreaterThan(15);
    expect(waits.length).toBeLessThan(60);
  });

  test.each([
    [0, [1_000, 1_000, 1_000]],
    [0.5, [8_000, 16_000, 30_000]],
    [0.999_999, [16_000, 32_000, 60_000]],
  ])("has random waits, at least one poll long: with %d", async (random, waits) => {
    const world = createWorld({ random: () => random });
    world.always(fail());
    await world.run({ calls: 9 });
    expect(gaps(world.calls.map(({ at }) => at)).slice(4, 7)).toEqual(waits);
  });

  test("logs the cause, the remedy, the next attempt and the login's expiry", async () => {
    const world = createWorld();
    world.next(fail());
    await world.run({ calls: 2 });
    expect(world.reporter.warnings).toEqual([
      expect.stringMatching(
        /^The login could not be renewed\. Quay is down\. Retrying in 1\.0 s; the login expires at 2027-01-15T09:00:00Z\.\n.*Wait until it is up again\.(?:.|\n)*quay-unavailable$/,
      ),
    ]);
    expect(world.reporter.infos).toEqual([expect.stringContaining("was renewed")]);
  });

  test("logs a repeated cause in one line, and another one in full", async () => {
    const world = createWorld();
    const other = new ExplainedError("quay-unreachable", "Quay is gone.", { remedy: ["Look for it."] });
    world.next(fail(), fail(), fail(other), fail(), () => {}, fail());
    await world.run({ calls: 7 });
    // After a renewal, the reader of the log may have forgotten.
    expect(world.reporter.warnings.map((warning) => warning.split("\n").length)).toEqual([3, 1, 3, 3, 3]);
    expect(world.reporter.warnings[1]).toMatch(
      /^The login could not be renewed\. Quay is down\. Retrying (?:at once|in \d+\.\d s); the login expires at .*Z\.$/,
    );
    expect(world.reporter.infos).toHaveLength(2);
  });

  test("and then succeeds starts over: the next failure waits a second again", async () => {
    const world = createWorld({ random: () => 0.999_999 });
    world.next(...Array.from({ length: 6 }, () => fail()), () => {}, fail());
    await world.run({ calls: 9 });
    const times = world.calls.map(({ at }) => at);
    expect((times[8] ?? 0) - (times[7] ?? 0)).toBeLessThanOrEqual(2_000);
    expect((times[7] ?? 0) - (times[6] ?? 0)).toBeGreaterThan(0.69 * hour);
  });

  test("continues from the real session, not from the failed one", async () => {
    const world = createWorld();
    world.next(fail(), fail());
    await world.run({ calls: 3 });
    expect(world.calls.map(({ session }) => session)).toEqual([world.session, world.session, world.session]);
  });

  test("because another process has logged out is the last", async () => {
    const world = createWorld({ onLapse: "retry" });
    world.next(fail(new ExplainedError("not-logged-in", "Another process has logged out.", { remedy: [] })));
    expect(await world.run({ ms: 2 * hour })).toMatchObject({ code: "not-logged-in" });
    expect(world.calls).toHaveLength(1);
  });

  test("because of a bug is not retried", async () => {
    const world = createWorld();
    const bug = new TypeError("undefined is not a function");
    world.next(fail(bug));
    expect(await world.run({ ms: hour })).toBe(bug);
    expect([world.calls.length, world.reporter.warnings]).toEqual([1, []]);
  });
});

describe("a login that has expired", () => {
  test("ends the renewal: the error says when, why, and what to do", async () => {
    const world = createWorld();
    world.always(fail(unavailable("Quay answered 503.")));
    const error = await failure(world.run({ ms: 2 * hour }).then((reason) => Promise.reject(reason)));
    expect(error).toMatchObject({
      code: "login-lapsed",
      message: "The login expired at 2027-01-15T09:00:00Z before it could be renewed.",
      remedy: ["The last attempt: Quay answered 503.", "Wait until it is up again."],
      cause: { code: "quay-unavailable" },
    });
    expect(world.clock.elapsed()).toBeGreaterThanOrEqual(hour);
    expect(world.clock.elapsed()).toBeLessThanOrEqual(hour + 1_000);
  });

  test("is reported once, and the attempts continue on request", async () => {
    const world = createWorld({ onLapse: "retry", random: () => 0.999_999 });
    world.always(fail());
    expect(await world.run({ ms: 3 * hour })).toBe(enough);
    expect(world.lapses.map(({ code }) => code)).toEqual(["login-lapsed"]);
    expect(world.reporter.warnings.filter((text) => text.startsWith("The login expired at"))).toHaveLength(1);
    const late = world.calls.map(({ at }) => at).filter((at) => at > hour);
    expect(late.length).toBeGreaterThan(100);
    // Each attempt is logged.
    expect(world.reporter.warnings).toHaveLength(world.calls.length + 1);
    for (const wait of gaps(late)) {
      expect(wait).toBeLessThanOrEqual(minute + 1_000);
      expect(wait).toBeGreaterThanOrEqual(minute - 2_000);
    }
  });

  test("may be renewed; it is reported again when it expires again", async () => {
    const world = createWorld({ onLapse: "retry" });
    let down = true;
    world.always(() => {
      if (down) throw unavailable();
    });
    world.at(1.5 * hour, () => {
      down = false;
    });
    world.at(2 * hour, () => {
      down = true;
    });
    expect(await world.run({ ms: 4 * hour })).toBe(enough);
    expect(world.lapses).toHaveLength(2);
    expect(world.reporter.infos.filter((text) => text.startsWith("The login was renewed"))).toHaveLength(1);
  });

  test("during its renewal is reported, though the renewal succeeds", async () => {
    const world = createWorld({ onLapse: "retry" });
    world.next(() => world.clock.advance(hour));
    expect(await world.run({ ms: 2 * hour })).toBe(enough);
    expect(world.lapses.map(({ message }) => message)).toEqual([
      "The login expired at 2027-01-15T09:00:00Z before it could be renewed.",
    ]);
    expect(world.reporter.warnings).toEqual([expect.stringContaining("The login expired at 2027-01-15T09:00:00Z")]);
    expect(world.reporter.infos[0]).toContain("The login was renewed");
  });

  test("is reported to the reporter alone without a callback", async () => {
    const world = createWorld({ onLapse: "retry", listened: false });
    world.always(fail());
    expect(await world.run({ ms: 2 * hour })).toBe(enough);
    expect(world.reporter.warnings.filter((text) => text.startsWith("The login expired at"))).toHaveLength(1);
  });

  test("while the machine slept is renewed on request", async () => {
    const world = createWorld({ onLapse: "retry" });
    world.at(5 * minute, () => world.suspend(3 * hour));
    await world.run({ ms: 10 * minute });
    expect(world.lapses).toHaveLength(1);
    expect(world.calls).toHaveLength(1);
    expect(world.calls[0]?.at).toBeLessThanOrEqual(5 * minute + 2_000);
  });
});

describe("a clock that differs from Quay's", () => {
  test.each([
    ["20 minutes behind", -20 * minute],
    ["20 minutes ahead", 20 * minute],
    ["hours behind", -3 * hour],
    ["hours ahead: by this one, Quay's new tokens have expired already", 3 * hour],
  ])("%s: leaves no gap, and renews no more often", async (_, ahead) => {
    const world = createWorld({ ahead, onLapse: "retry" });
    await world.run({ ms: 6 * hour, calls: 1_000 });
    // By Quay's clock.
    const lasted = [...world.calls.map(({ at, session }) => (session.robots[1]?.expiresAt ?? 0) * 1000 - start - at)];
    expect(Math.min(...lasted)).toBeGreaterThan(0);
    expect(world.calls.length).toBeGreaterThanOrEqual(7);
    expect(world.calls.length).toBeLessThan(40);
    expect(world.lapses).toEqual([]);
  });
});

describe("an identity that can't be fetched again", () => {
  test("and expires before the renewal: warns of the login's expiry, and sends nothing", async () => {
    const world = createWorld({ identityEnds: start / 1000 + 300 });
    const error = await world.run({ ms: 2 * hour });
    expect(world.reporter.warnings).toEqual([
      "The login expires at 2027-01-15T09:00:00Z and will not be renewed: its identity token expires at 2027-01-15T08:05:00Z and can't be fetched again.",
    ]);
    expect(world.calls).toEqual([]);
    expect(error).toMatchObject({ code: "login-lapsed", remedy: ["Log in again."] });
    expect(world.clock.elapsed()).toBeGreaterThanOrEqual(hour);
  });

  test("ends the renewal with the login, though other failures are retried", async () => {
    const world = createWorld({ identityEnds: start / 1000 + 300, onLapse: "retry", files: ["/nowhere/auth.json"] });
    world.at(minute, () => world.clock.set(world.clock.now() + 20_000));
    expect(await world.run({ ms: 2 * hour })).toMatchObject({ code: "login-lapsed" });
    expect(world.calls).toEqual([]);
  });

  test("but lasts longer renews until it expires", async () => {
    const world = createWorld({ identityEnds: (start + 1.7 * hour) / 1000 });
    expect(await world.run({ ms: 4 * hour })).toMatchObject({ code: "login-lapsed" });
    expect(world.calls).toHaveLength(2);
    expect(world.reporter.warnings).toEqual([expect.stringContaining("will not be renewed")]);
  });
});

describe("stopped", () => {
  test("ends at once while it waits", async () => {
    const world = createWorld();
    const reason = new ExplainedError("cancelled", "Received SIGTERM, stopping.", { remedy: [] });
    world.at(5 * minute, () => world.stop.abort(reason));
    expect(await world.run({ ms: hour })).toBe(reason);
    expect([world.clock.elapsed(), world.calls, world.reporter.warnings]).toEqual([5 * minute, [], []]);
  });

  test.each<[string, Error]>([
    ["a renewal that was broken off", new ExplainedError("cancelled", "broken off", { remedy: [] })],
    ["one that failed otherwise at this moment", unavailable()],
    ["one that does not know", new TypeError("socket")],
  ])("during %s, ends with the signal's reason", async (_, error) => {
    const world = createWorld();
    const reason = new ExplainedError("cancelled", "Received SIGTERM, stopping.", { remedy: [] });
    world.next(() => {
      world.stop.abort(reason);
      throw error;
    });
    expect(await world.run({ ms: 2 * hour })).toBe(reason);
    expect([world.calls.length, world.reporter.warnings]).toEqual([1, []]);
  });

  test("ends before it begins", async () => {
    const world = createWorld();
    world.stop.abort(enough);
    expect(await world.run({ ms: hour })).toBe(enough);
    expect(world.calls).toEqual([]);
  });

  test("ends between two failures", async () => {
    const world = createWorld();
    world.next(fail());
    world.always(() => expect.unreachable("no attempt after the end"));
    const reason = new Error("the end");
    world.at(0.75 * hour + 500, () => world.stop.abort(reason));
    expect(await world.run({ ms: 2 * hour })).toBe(reason);
  });
});

describe("the part of a login that decides how it is renewed", () => {
  const identity = testIdentity();

  test("watches a file", () => {
    expect(sourceOf({ source: { source: "file", path: "/run/token", why: "" }, identity })).toEqual({
      tokenFile: "/run/token",
      identityEnds: undefined,
    });
  });

  test("knows that a variable never changes", () => {
    const source = { source: "environment", variable: "QUAY_ID_TOKEN", why: "" } as const;
    expect(sourceOf({ source, identity })).toEqual({ tokenFile: undefined, identityEnds: identity.expiresAt });
  });

  test("knows that GitHub and SPIFFE give a new token each time", () => {
    expect(sourceOf({ source: { source: "github", why: "" }, identity })).toEqual({
      tokenFile: undefined,
      identityEnds: undefined,
    });
  });
});

test("logs the reasons in the verbose log", async () => {
  const world = createWorld();
  await world.run({ calls: 1 });
  expect(world.reporter.debugs).toEqual(["renewing the login because it was about to expire"]);
});
