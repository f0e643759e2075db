/** Logins that are renewed again and again, in files that others write to as well; then logout restores the earlier content. */
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type AuthEntry, readAuthFile } from "../../src/authfile/read.ts";
import { openJournal } from "../../src/login/journal.ts";
import { logout } from "../../src/login/logout.ts";
import { openSession, readSession } from "../../src/login/session.ts";
import { storeLogins } from "../../src/login/store.ts";
import { systemClock } from "../../src/platform/clock.ts";
import type { ExplainedError } from "../../src/platform/errors.ts";
import { createRecorder, entryOf, makeFolder, testPlatform } from "../fixtures.ts";

const local = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };
const theirs = { auth: "dGhlaXJzOnRoZWlycw==" };
/** The n-th robot token's. */
const entry = (number: number): AuthEntry => entryOf("acme+ci", `token ${number}`);
const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));
const textOf = async (path: string) => readFile(path, "utf8").catch(() => undefined);

/** Renews one login: does what `login` does with the files each time, and continues from the current record. */
async function keeper(...paths: string[]) {
  const platform = testPlatform();
  let session = await openSession(await makeFolder());
  return {
    session: () => session,
    /** @param killedAt the file at which a kill comes: its change is recorded, and not made */
    async store(number: number, killedAt = "", scopes = ["quay.io"], mode?: number): Promise<void> {
      const [authFile, docker] = await Promise.all(paths.map((path) => readAuthFile(path)));
      const workplace = { temporaryFolder: "", sessionFolder: undefined, onSession: () => {}, job: undefined };
      const journal = await openJournal(workplace, (await readSession(session.folder)) ?? session);
      const entries = Object.fromEntries(scopes.map((scope) => [scope, entry(number)]));
      await storeLogins(
        { entries },
        {
          authFile,
          isDockers: false,
          mode,
          docker: docker ? [{ scope: "quay.io", file: docker }] : [],
          explainDocker: (error: ExplainedError) => error,
          start: undefined,
        },
        {
          get session() {
            return journal.session;
          },
          async recordFile(record) {
            await journal.recordFile(record);
            if (record.path === killedAt) throw new Error("killed");
          },
        },
        platform,
      );
      session = journal.session;
    },
    logout: () => logout(session.folder, local),
  };
}

async function makeFile(text: string): Promise<string> {
  const path = join(await makeFolder(), "auth.json");
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

/** Written by hand: no tool would format it so. */
const odd = (auths: object) => `{ "auths":\n${JSON.stringify(auths)},  "z": 1 }\n\n`;
const change = async (path: string, work: (auths: Record<string, unknown>) => void) => {
  const content = await read(path);
  content.auths ??= {};
  work(content.auths);
  await writeFile(path, JSON.stringify(content));
};

describe("after any number of renewals, logout restores what was there before the first", () => {
  describe.each([1, 2, 4, 5, 9])("%d", (count) => {
    const renewed = async (path: string) => {
      const { store, logout: end } = await keeper(path);
      for (let number = 0; number <= count; number++) {
        await store(number);
        expect((await read(path)).auths["quay.io"]).toEqual(entry(number));
      }
      return end;
    };

    test.each([
      ["nothing of ours", odd({ "ghcr.io": theirs })],
      ["another login there", odd({ "quay.io": theirs, "ghcr.io": theirs })],
      ["no logins", " {}\n"],
    ])("byte for byte: %s", async (_, text) => {
      const path = await makeFile(text);
      await chmod(path, 0o640);
      await (await renewed(path))();
      expect(await readFile(path, "utf8")).toBe(text);
      expect((await stat(path)).mode & 0o777).toBe(0o640);
      expect(await readdir(dirname(path))).toEqual(["auth.json"]);
    });

    test("no file, and no folder", async () => {
      const base = await makeFolder();
      const end = await renewed(join(base, "a/b/auth.json"));
      await end();
      expect(await readdir(base)).toEqual([]);
    });

    test("by a link to the folder, without a file before", async () => {
      const base = await makeFolder();
      await mkdir(join(base, "real"));
      await symlink("real", join(base, "link"));
      const end = await renewed(join(base, "link/auth.json"));
      await end();
      expect(await readdir(join(base, "real"))).toEqual([]);
    });
  });

  test("of two files", async () => {
    const [one, two] = [await makeFile(odd({ "quay.io": theirs })), await makeFile(odd({}))];
    const { store, logout: end } = await keeper(one, two);
    for (const number of [0, 1, 2]) await store(number);
    expect([(await read(one)).auths["quay.io"], (await read(two)).auths["quay.io"]]).toEqual([entry(2), entry(2)]);
    await end();
    expect([await textOf(one), await textOf(two)]).toEqual([odd({ "quay.io": theirs }), odd({})]);
  });

  test("restores the file's own permissions after requested ones", async () => {
    const path = await makeFile(odd({ "quay.io": theirs }));
    const { store, logout: end } = await keeper(path);
    for (const number of [0, 1, 2]) await store(number, "", ["quay.io"], 0o644);
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    await end();
    expect([await textOf(path), (await stat(path)).mode & 0o777]).toEqual([odd({ "quay.io": theirs }), 0o600]);
  });

  test("keeps the record's size", async () => {
    const path = await makeFile(odd({ "quay.io": theirs }));
    const { store, session } = await keeper(path);
    const sizes: number[] = [];
    for (let number = 0; number < 20; number++) {
      await store(number);
      sizes.push(JSON.stringify(session()).length);
    }
    expect(sizes.slice(4)).toEqual(sizes.slice(4).map(() => sizes.at(-1)));
  });
});

describe("what others do between two renewals", () => {
  test("is kept: new logins, other fields, and changed ones", async () => {
    const path = await makeFile(odd({ "quay.io": theirs, "ghcr.io": theirs }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    await change(path, (auths) => {
      auths["docker.io"] = theirs;
    });
    await store(1);
    await change(path, (auths) => {
      delete auths["ghcr.io"];
    });
    await store(2);
    await store(3);
    await end();
    expect(await read(path)).toEqual({ auths: { "quay.io": theirs, "docker.io": theirs }, z: 1 });
  });

  test("keeps a file that was ours at first", async () => {
    const path = join(await makeFolder(), "auth.json");
    const { store, logout: end } = await keeper(path);
    await store(0);
    await change(path, (auths) => {
      auths["docker.io"] = theirs;
    });
    await store(1);
    await end();
    expect(await read(path)).toEqual({ auths: { "docker.io": theirs } });
  });

  test("is kept if it is a login for our host, at each renewal", async () => {
    const path = await makeFile(odd({ "quay.io": entryOf("old", "an old one") }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    await change(path, (auths) => {
      auths["quay.io"] = theirs;
    });
    await store(1);
    await store(2);
    expect((await read(path)).auths).toEqual({ "quay.io": theirs });
    await end();
    expect((await read(path)).auths).toEqual({ "quay.io": theirs });
  });

  test("and after the last one: theirs is kept, ours is not restored", async () => {
    const path = await makeFile(odd({ "quay.io": entryOf("old", "an old one") }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    await store(1);
    await change(path, (auths) => {
      auths["quay.io"] = theirs;
    });
    const left = await textOf(path);
    await end();
    expect(await textOf(path)).toBe(left);
  });

  test("they log out: the renewed login stays until logout, and nothing after it", async () => {
    const path = await makeFile(odd({ "quay.io": theirs }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    await change(path, (auths) => {
      delete auths["quay.io"];
    });
    await store(1);
    expect((await read(path)).auths["quay.io"]).toEqual(entry(1));
    await end();
    expect((await read(path)).auths).toEqual({});
  });

  test("they delete the file and its folder: both are made again, and removed again", async () => {
    const base = await makeFolder();
    const path = join(base, "a/auth.json");
    await mkdir(dirname(path));
    await writeFile(path, odd({ "quay.io": theirs }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    await rm(dirname(path), { recursive: true });
    await store(1);
    expect((await read(path)).auths).toEqual({ "quay.io": entry(1) });
    await store(2);
    await end();
    expect(await readdir(base)).toEqual([]);
  });

  test("they restore an older copy of the file: our entry in it is removed", async () => {
    const path = await makeFile(odd({ "ghcr.io": theirs }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    const copy = await readFile(path);
    for (const number of [1, 2, 3]) await store(number);
    await writeFile(path, copy);
    await end();
    expect((await read(path)).auths).toEqual({ "ghcr.io": theirs });
  });
});

describe("killed between the record and the change", () => {
  test.each([0, 1, 2, 5])("at the renewal after %d others: logout removes what is there", async (others) => {
    const text = odd({ "quay.io": theirs });
    const path = await makeFile(text);
    const { store, session, logout: end } = await keeper(path);
    for (let number = 0; number <= others; number++) await store(number);
    const held = await textOf(path);
    await expect(store(others + 1, path)).rejects.toThrow("killed");
    expect(await textOf(path)).toBe(held);
    expect(await readdir(session().folder)).toEqual(["session.json"]);
    await end();
    expect(await textOf(path)).toBe(text);
    expect(await readdir(dirname(path))).toEqual(["auth.json"]);
  });

  test("and others have written since: logout removes ours", async () => {
    const path = await makeFile(odd({ "quay.io": theirs }));
    const { store, logout: end } = await keeper(path);
    await store(0);
    await expect(store(1, path)).rejects.toThrow("killed");
    await change(path, (auths) => {
      auths["docker.io"] = theirs;
    });
    await end();
    expect((await read(path)).auths).toEqual({ "quay.io": theirs, "docker.io": theirs });
  });
});

describe("a renewal that fails half way", () => {
  test("is repeated later; logout then knows every entry of ours", async () => {
    const [one, two] = [await makeFile(odd({ "quay.io": theirs })), await makeFile(odd({}))];
    const { store, logout: end } = await keeper(one, two);
    await store(0);
    await expect(store(1, two)).rejects.toThrow("killed");
    expect([(await read(one)).auths["quay.io"], (await read(two)).auths["quay.io"]]).toEqual([entry(1), entry(0)]);
    await store(2);
    await end();
    expect(await textOf(one)).toBe(odd({ "quay.io": theirs }));
    expect(await textOf(two)).toBe(odd({}));
  });

  test("is repeated until it succeeds, or never does", async () => {
    for (const recovers of [true, false]) {
      const path = await makeFile(odd({ "quay.io": theirs }));
      const { store, logout: end } = await keeper(path);
      await store(0);
      for (let number = 1; number < 8; number++) {
        await expect(store(number, path)).rejects.toThrow("killed");
      }
      if (recovers) await store(8);
      await change(path, (auths) => {
        auths["docker.io"] = theirs;
      });
      await end();
      expect((await read(path)).auths).toEqual({ "quay.io": theirs, "docker.io": theirs });
    }
  });

  test("of several scopes", async () => {
    const path = await makeFile(odd({}));
    const { store, logout: end } = await keeper(path);
    await store(0, "", ["quay.io", "quay.io/acme"]);
    await store(1, "", ["quay.io", "quay.io/acme"]);
    await end();
    expect(await textOf(path)).toBe(odd({}));
  });
});
