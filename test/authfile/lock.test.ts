import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import {
  chown,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { staleMs, withLock } from "../../src/authfile/lock.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { failure, fakeClock, makeFolder } from "../fixtures.ts";
import { isRoot, needsRoot } from "../support/root.ts";

// Real files; one test gets between two steps.
vi.mock("node:fs/promises", { spy: true });

const platform = { clock: systemClock, signal: new AbortController().signal };

const makePath = async () => join(await makeFolder(), "auth.json");

/** A lock whose holder was killed so long ago. */
async function abandonedLock(path: string, ageMs: number, suffix = ".lock"): Promise<void> {
  await writeFile(`${path}${suffix}`, randomUUID());
  const then = new Date(Date.now() - ageMs);
  await utimes(`${path}${suffix}`, then, then);
}

test("exists while the work runs, for the user alone, and is removed afterwards", async () => {
  const path = await makePath();
  const result = await withLock(path, platform, async (lock) => {
    expect((await stat(`${path}.lock`)).mode & 0o777).toBe(0o600);
    expect(await lock.isHeld()).toBe(true);
    return "done";
  });
  expect(result).toBe("done");
  expect(existsSync(`${path}.lock`)).toBe(false);
});

test("is removed if the work fails", async () => {
  const path = await makePath();
  await expect(withLock(path, platform, () => Promise.reject(new Error("work")))).rejects.toThrow("work");
  expect(existsSync(`${path}.lock`)).toBe(false);
});

test("admits one at a time", async () => {
  const path = await makePath();
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, () =>
      withLock(path, platform, async () => {
        most = Math.max(most, ++inside);
        await sleep(2);
        inside--;
      }),
    ),
  );
  expect(most).toBe(1);
});

test("breaks one that was abandoned a while ago; of several that find it, one holds it at a time", async () => {
  const path = await makePath();
  await abandonedLock(path, staleMs + 100);
  let inside = 0;
  let most = 0;
  const before = performance.now();
  const held = await Promise.all(
    Array.from({ length: 20 }, () =>
      withLock(path, platform, async (lock) => {
        most = Math.max(most, ++inside);
        await sleep(2);
        const isHeld = await lock.isHeld();
        inside--;
        return isHeld;
      }),
    ),
  );
  expect(held).toEqual(held.map(() => true));
  expect(most).toBe(1);
  expect(performance.now() - before).toBeLessThan(staleMs);
  expect(await readdir(join(path, ".."))).toEqual([]);
});

test("breaks one with a time in the future, since a clock was set back, after as many seconds", async () => {
  const path = await makePath();
  await abandonedLock(path, -3_600_000);
  const before = performance.now();
  await withLock(path, platform, async () => {});
  const took = performance.now() - before;
  expect(took).toBeGreaterThan(staleMs - 100);
  expect(took).toBeLessThan(staleMs + 2_000);
});

test("breaks one with a time in the future without an extra round", async () => {
  const path = await makePath();
  const clock = fakeClock(Date.now(), () => 0.25);
  await abandonedLock(path, -3_600_000);
  await withLock(path, { ...platform, clock }, async () => {});
  // It polls every ten milliseconds, and after a second every fifty; the lock is made in the round after the one that breaks it.
  expect(clock.elapsed()).toBe(staleMs + 50);
});

test("does not wait for one that is just old enough by its date", async () => {
  const path = await makePath();
  const clock = fakeClock(1_800_000_000_000);
  await writeFile(`${path}.lock`, randomUUID());
  const then = (clock.now() - staleMs) / 1000;
  await utimes(`${path}.lock`, then, then);
  await withLock(path, { ...platform, clock }, async () => {});
  expect(clock.waits.length).toBeLessThanOrEqual(1); // it is made in the next round
});

test("retries after some milliseconds, each waiting process after others", async () => {
  for (const [random, wait] of [
    [0, 5],
    [0.5, 15],
    [0.95, 24],
  ] as const) {
    const path = await makePath();
    const clock = fakeClock(Date.now(), () => random);
    await abandonedLock(path, 0);
    await withLock(path, { ...platform, clock }, async () => {});
    expect(clock.waits[0]).toBeCloseTo(wait);
  }
});

test("does not break one that others take again and again, with times in the future", async () => {
  const path = await makePath();
  const clock = fakeClock();
  const busy = {
    ...clock,
    sleep: async (ms: number, signal: AbortSignal) => {
      await clock.sleep(ms * 100, signal);
      await writeFile(`${path}.lock`, `holder ${clock.waits.length}`);
      await utimes(
        `${path}.lock`,
        clock.now() / 1000 + 3600 + clock.waits.length,
        clock.now() / 1000 + 3600 + clock.waits.length,
      );
    },
  };
  await abandonedLock(path, -3_600_000);
  expect((await failure(withLock(path, { ...platform, clock: busy }, async () => {}))).code).toBe("auth-file-locked");
});

test("waits for one that was just abandoned, only until it is stale", async () => {
  const path = await makePath();
  await abandonedLock(path, staleMs - 300);
  const before = performance.now();
  await withLock(path, platform, async () => {});
  const took = performance.now() - before;
  expect(took).toBeGreaterThan(200);
  expect(took).toBeLessThan(2_000);
});

describe("of several that find it stale", () => {
  /** Does `meanwhile` just before the lock for breaking is made. */
  const beforeBreaking = async (meanwhile: () => Promise<void>) => {
    const actual = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
    vi.mocked(open)
      .mockImplementationOnce(actual.open)
      .mockImplementationOnce(async (...args) => {
        expect(args[0]).toMatch(/\.lock\.break$/);
        await meanwhile();
        return actual.open(...args);
      });
  };
  const fails = async (path: string) => {
    const controller = new AbortController();
    const waiting = withLock(path, { clock: systemClock, signal: controller.signal }, async () => {});
    setTimeout(() => controller.abort(new Error("over")), 100);
    await expect(waiting).rejects.toThrow("over");
  };

  test("the slower ones keep the lock of the faster one", async () => {
    const path = await makePath();
    await abandonedLock(path, staleMs + 100);
    await beforeBreaking(async () => {
      await rm(`${path}.lock`);
      await writeFile(`${path}.lock`, "the faster one");
    });
    await fails(path);
    expect(await readFile(`${path}.lock`, "utf8")).toBe("the faster one");
    expect(await readdir(join(path, ".."))).toEqual(["auth.json.lock"]);
  });

  test("one breaks it, the others wait", async () => {
    const path = await makePath();
    await abandonedLock(path, staleMs + 100);
    await writeFile(`${path}.lock.break`, "the one that breaks it");
    await fails(path);
    expect((await readdir(join(path, ".."))).sort()).toEqual(["auth.json.lock", "auth.json.lock.break"]);
  });

  test("one that was killed on the way blocks no other", async () => {
    const path = await makePath();
    await abandonedLock(path, staleMs + 100);
    await abandonedLock(path, staleMs + 100, ".lock.break");
    await withLock(path, platform, async () => {});
    expect(await readdir(join(path, ".."))).toEqual([]);
  });
});

test("a holder that lost it keeps the new holder's lock", async () => {
  const path = await makePath();
  await withLock(path, platform, async (lock) => {
    await writeFile(`${path}.lock`, "the new holder");
    expect(await lock.isHeld()).toBe(false);
  });
  expect(await readFile(`${path}.lock`, "utf8")).toBe("the new holder");
});

test("fails for one that is renewed again and again, with an error that names it", async () => {
  const path = await makePath();
  const clock = fakeClock();
  const busy = {
    ...clock,
    sleep: async (ms: number, signal: AbortSignal) => {
      await clock.sleep(ms * 100, signal);
      const now = new Date(clock.now());
      await utimes(`${path}.lock`, now, now);
    },
  };
  await writeFile(`${path}.lock`, "a busy holder");
  const error = await failure(withLock(path, { ...platform, clock: busy }, async () => {}));
  expect(error.code).toBe("auth-file-locked");
  expect(error.message).toContain(`has held the lock ${path}.lock for more than 30 s`);
  expect(error.remedy).toEqual([`If no other login is running, delete ${path}.lock.`]);
  expect(await readFile(`${path}.lock`, "utf8")).toBe("a busy holder");
});

test("is renewed while the work runs, with no other change of it", async () => {
  const path = await makePath();
  let others = 0;
  await withLock(path, platform, async (lock) => {
    const first = await lstat(`${path}.lock`);
    const content = await readFile(`${path}.lock`, "utf8");
    const waiting = withLock(path, platform, async () => void others++);
    await sleep(staleMs + 1_500);
    const later = await lstat(`${path}.lock`);
    expect(later.mtimeMs - first.mtimeMs).toBeGreaterThan(staleMs - 500);
    expect(later.ino).toBe(first.ino);
    expect(await readFile(`${path}.lock`, "utf8")).toBe(content);
    expect([others, await lock.isHeld()]).toEqual([0, true]);
    void waiting.catch(() => {});
  });
  await vi.waitFor(() => expect(others).toBe(1));
}, 20_000);

test("of another holder is never renewed", async () => {
  const path = await makePath();
  await withLock(path, platform, async () => {
    await writeFile(`${path}.lock`, "the new holder");
    await utimes(`${path}.lock`, 1_000, 1_000);
    await sleep(1_300);
    expect((await lstat(`${path}.lock`)).mtimeMs).toBe(1_000_000);
    expect(await readFile(`${path}.lock`, "utf8")).toBe("the new holder");
  });
});

test("is waited for as long as the caller says", async () => {
  const path = await makePath();
  await writeFile(`${path}.lock`, "a busy holder");
  const clock = fakeClock();
  const waiting = withLock(path, { ...platform, clock }, async () => {}, { waitMs: 700 });
  expect((await failure(waiting)).message).toContain("for more than 0.7 s");
  expect(clock.elapsed()).toBeLessThan(750);
});

test("is not taken if the wait has another end", async () => {
  const path = await makePath();
  await writeFile(`${path}.lock`, "a busy holder");
  const answers = [undefined, undefined, "found"];
  const instead = () => answers.shift();
  const change = () => expect.unreachable("it is not held");
  expect(await withLock<string>(path, platform, change, { waitMs: 1_000, instead })).toBe("found");
  expect(await readdir(join(path, ".."))).toEqual(["auth.json.lock"]);
});

test("stops waiting at the timeout", async () => {
  const path = await makePath();
  await writeFile(`${path}.lock`, "somebody");
  const controller = new AbortController();
  const waiting = withLock(path, { clock: systemClock, signal: controller.signal }, async () => {});
  controller.abort(new Error("over"));
  await expect(waiting).rejects.toThrow("over");
});

test("does not leave one that a full disk can't hold", async () => {
  const path = await makePath();
  const actual = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
  vi.mocked(open).mockImplementationOnce(async (...args) => {
    const file = await actual.open(...args);
    vi.spyOn(file, "writeFile").mockRejectedValueOnce(new Error("ENOSPC"));
    return file;
  });
  await expect(withLock(path, platform, async () => {})).rejects.toThrow("ENOSPC");
  expect(await readdir(join(path, ".."))).toEqual([]);
});

describe("a lock that is removed while others read it", () => {
  test("is taken at the next attempt", async () => {
    const path = await makePath();
    const actual = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
    await writeFile(`${path}.lock`, "one that is done now");
    vi.mocked(lstat).mockImplementationOnce(async (...args) => {
      await rm(`${path}.lock`);
      return actual.lstat(...args);
    });
    const clock = fakeClock();
    expect(await withLock(path, { ...platform, clock }, async (lock) => lock.isHeld())).toBe(true);
    expect(clock.waits).toHaveLength(1);
    expect(await readdir(join(path, ".."))).toEqual([]);
  });

  test("is left to the faster one", async () => {
    const path = await makePath();
    const actual = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
    await writeFile(`${path}.lock`, "one that is done now");
    for (const faster of ["the first", "the second"]) {
      vi.mocked(lstat).mockImplementationOnce(async (...args) => {
        await rm(`${path}.lock`);
        try {
          return await actual.lstat(...args);
        } finally {
          await writeFile(`${path}.lock`, faster);
        }
      });
    }
    const clock = fakeClock();
    const controller = new AbortController();
    const busy = {
      ...clock,
      sleep: async (ms: number, signal: AbortSignal) => {
        await clock.sleep(ms, signal);
        if (clock.waits.length === 2) {
          controller.abort(new Error("over"));
        }
      },
    };
    const waiting = withLock(path, { clock: busy, signal: controller.signal }, async () => {});
    await expect(waiting).rejects.toThrow("over");
    expect(await readFile(`${path}.lock`, "utf8")).toBe("the second");
  });

  test("and can't be read for another reason, as on a shared volume: reports that reason", async () => {
    const path = await makePath();
    await writeFile(`${path}.lock`, "somebody");
    vi.mocked(lstat).mockRejectedValueOnce(Object.assign(new Error("ESTALE"), { code: "ESTALE" }));
    await expect(withLock(path, platform, async () => {})).rejects.toThrow("ESTALE");
  });
});

describe("another file at the lock's path", () => {
  const old = async (path: string) => utimes(path, 0, 0);
  test.each<[string, (path: string) => Promise<unknown>]>([
    ["another program's lock", (path) => writeFile(path, "pid 4711\n")],
    ["another program's lock with a number like ours", (path) => writeFile(path, `${randomUUID()}\n`)],
    ["an older kind of number", (path) => writeFile(path, "6ba7b810-9dad-11d1-80b4-00c04fd430c8")],
    ["a folder", (path) => mkdir(path)],
    ["a folder with files", (path) => mkdir(join(path, "files"), { recursive: true })],
    [
      "a link to a lock of ours",
      async (path) => {
        await writeFile(`${path}.target`, randomUUID());
        await symlink(`${path}.target`, path);
        await lutimes(path, 0, 0);
      },
    ],
    [
      "a link to nothing",
      async (path) => {
        await symlink("/nowhere/at/all", path);
        await lutimes(path, 0, 0);
      },
    ],
    ["a pipe", async (path) => void execFileSync("mkfifo", [path])],
  ])("keeps %s, and the error says what to type", async (_, put) => {
    for (const suffix of [".lock", ".lock.break"]) {
      const path = await makePath();
      await put(`${path}${suffix}`);
      await old(`${path}${suffix}`).catch(() => {});
      if (suffix === ".lock.break") await abandonedLock(path, staleMs + 100);
      const before = await lstat(`${path}${suffix}`);
      const error = await failure(withLock(path, platform, () => expect.unreachable("it is not held")));
      expect(error.code).toBe("auth-file-locked");
      expect(error.message).toBe(`${path}${suffix} is in the way: it is not a lock of this program.`);
      expect(error.remedy[0]).toContain(`mv ${path}${suffix} ${path}${suffix}.old`);
      expect((await lstat(`${path}${suffix}`)).ino).toBe(before.ino);
    }
  });

  test("waits for one that is held right now", async () => {
    const path = await makePath();
    await writeFile(`${path}.lock`, "another program's");
    setTimeout(() => void rm(`${path}.lock`), 100);
    expect(await withLock(path, platform, (lock) => lock.isHeld())).toBe(true);
  });

  test("breaks an empty one of this user: a killed login left it", async () => {
    const path = await makePath();
    await writeFile(`${path}.lock`, "");
    await old(`${path}.lock`);
    expect(await withLock(path, platform, (lock) => lock.isHeld())).toBe(true);
  });

  test.skipIf(!isRoot)(`keeps an empty one of another user ${needsRoot}`, async () => {
    const path = await makePath();
    await writeFile(`${path}.lock`, "");
    await chown(`${path}.lock`, 1000, 1000);
    await old(`${path}.lock`);
    expect((await failure(withLock(path, platform, async () => {}))).code).toBe("auth-file-locked");
  });
});

test("accepts that another process deletes the lock first", async () => {
  const actual = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
  const path = await makePath();
  const deleted: string[] = [];
  onTestFinished(() => void vi.mocked(rm).mockImplementation(actual.rm));
  vi.mocked(rm).mockImplementation(async (...args) => {
    deleted.push(String(args[0]));
    await actual.rm(args[0]);
    return actual.rm(...args);
  });
  await abandonedLock(path, staleMs + 100);
  await abandonedLock(path, staleMs + 100, ".lock.break");
  await withLock(path, platform, async () => {});
  // The abandoned second lock, the abandoned lock, our own second lock, our own lock.
  expect(deleted).toEqual([`${path}.lock.break`, `${path}.lock`, `${path}.lock.break`, `${path}.lock`]);
  expect(await readdir(join(path, ".."))).toEqual([]);
});

test("passes the file system's error on", async () => {
  const path = await makePath();
  await rm(join(path, ".."), { recursive: true });
  await expect(withLock(path, platform, async () => {})).rejects.toThrow("ENOENT");
  await mkdir(`${path}.lock`, { recursive: true });
  await utimes(`${path}.lock`, 0, 0);
  await expect(withLock(path, platform, async () => {})).rejects.toMatchObject({ code: "auth-file-locked" });
  await rm(join(path, ".."), { recursive: true });
  await writeFile(join(path, ".."), "a file");
  await expect(withLock(path, platform, async () => {})).rejects.toThrow("ENOTDIR");
});
