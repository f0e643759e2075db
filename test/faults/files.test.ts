/** Rows of the matrix: files and disks. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { watch } from "node:fs";
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { authsIn, entryOf, of, until, userOf } from "../e2e/world.ts";
import { slow } from "../quay-stand-in/scripted.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { exchangesOf, fault, foreignHost, keepsPromises, logIn, newWorld, type World } from "./world.ts";

const peers = useWorld({ registry: false });
const run = promisify(execFile);
const mounted: string[] = [];
afterAll(() => Promise.all(mounted.map((path) => run("umount", ["--lazy", path]))));

/** A disk of 64 kB, mounted. Needs root. */
async function mountDisk(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", "size=64k", "quay-keyless-faults", path]);
  mounted.push(path);
  return path;
}

async function fill(path: string): Promise<void> {
  const problem = await writeFile(join(path, "ballast"), Buffer.alloc(1_000_000)).catch(({ code }) => code);
  if (problem !== "ENOSPC") throw new Error(`the disk at ${path} is not full (${problem})`);
}

const readOnly = (path: string) => run("mount", ["-o", "remount,ro", path]);

const inhabitants = JSON.stringify({ auths: { [foreignHost]: entryOf("somebody", "another-foreign-password") } });

describe.skipIf(!isRoot).concurrent(`a disk that is ${needsRoot}`, () => {
  /** The auth file, with another user's login, is on a separate disk. */
  async function onDisk(spoil: (path: string) => Promise<unknown>) {
    const world = await newWorld(peers());
    const disk = await mountDisk(join(world.machine.home, "disk"));
    const file = await world.machine.write(join(disk, "auth.json"), inhabitants);
    await spoil(disk);
    const args = [...world.args, "--auth-file", file];
    return { file, world: { ...world, args, before: await world.machine.snapshot() } };
  }

  fault("F141", async ({ expect, row }) => {
    const { file, world } = await onDisk(fill);
    expect((await logIn(expect, row, world)).stderr).toContain(`${file} cannot be written: the disk is full`);
  });

  fault("F142", async ({ expect, row }) => {
    const { file, world } = await onDisk(readOnly);
    expect((await logIn(expect, row, world)).stderr).toContain(
      `${file} cannot be written: the file system is read-only`,
    );
    expect(exchangesOf(peers(), world.robot)).toBe(0);
  });

  async function withTemporary(spoil: (path: string) => Promise<unknown>): Promise<World> {
    const world = await newWorld(peers());
    await spoil(await mountDisk(world.machine.temp));
    return { ...world, before: await world.machine.snapshot() };
  }

  fault("F143", async ({ expect, row }) => {
    const world = await withTemporary(fill);
    await logIn(expect, row, world);
    expect(exchangesOf(peers(), world.robot)).toBe(0);
  });

  fault("F144", async ({ expect, row }) => {
    const world = await withTemporary(readOnly);
    await logIn(expect, row, world);
    expect(exchangesOf(peers(), world.robot)).toBe(0);
  });

  fault("F145", async ({ expect, row }) => {
    const world = await newWorld(peers());
    const disk = await mountDisk(join(world.machine.work, "disk"));
    await fill(disk);
    const session = join(disk, "session");
    const args = [...world.args, "--session", session];
    await logIn(expect, row, { ...world, args, before: await world.machine.snapshot() });
  });
});

describe.concurrent("while Quay answers", () => {
  /** Changes the world during the exchange. */
  async function meanwhile(world: World, act: () => Promise<unknown>) {
    peers().quay.exchangeScript.always(slow(600), of(world.robot));
    const acted = until(() => exchangesOf(peers(), world.robot) > 0, "the exchange").then(act);
    const ran = await world.machine.run(world.args);
    await acted;
    return ran;
  }

  fault("F146", async ({ expect, row }) => {
    const world = await newWorld(peers());
    const { usualFile } = world.machine;
    const ran = await meanwhile(world, () => rm(dirname(usualFile), { recursive: true }));
    // Another process has deleted what the folder held.
    expect([ran.code, row.outcome]).toEqual([0, "recovered"]);
    expect(Object.keys(await authsIn(usualFile))).toEqual([world.registry]);
    expect(userOf((await authsIn(usualFile))[world.registry])).toBe(world.robot.name);
  });

  fault("F147", async ({ expect, row }) => {
    const world = await newWorld(peers());
    const { temp } = world.machine;
    const ran = await meanwhile(world, async () => {
      for (const name of await readdir(temp)) await rm(join(temp, name), { recursive: true });
    });
    await keepsPromises(expect, row, world, ran);
  });

  fault("F148", async ({ expect, row }) => {
    const world = await newWorld(peers());
    const { usualFile } = world.machine;
    const added = entryOf("else", "a-later-foreign-password");
    const ran = await meanwhile(world, async () => {
      const content = JSON.parse(await readFile(usualFile, "utf8"));
      content.auths["later.example.com"] = added;
      await writeFile(usualFile, JSON.stringify(content));
    });
    await keepsPromises(expect, row, world, ran);
    expect((await authsIn(usualFile))["later.example.com"]).toEqual(added);
  });

  fault("F149", async ({ expect, row }) => {
    const world = await newWorld(peers());
    const { usualFile } = world.machine;
    const ran = await meanwhile(world, () => writeFile(usualFile, "{half"));
    world.before.set(usualFile, { path: usualFile, kind: "file", mode: 0o600, content: "{half" });
    await keepsPromises(expect, row, world, ran);
    expect(ran.stderr).toContain("is not JSON");
  });
});

describe.concurrent("the lock beside the auth file", () => {
  fault("F150", async ({ expect, row }) => {
    const world = await newWorld(peers());
    await world.machine.write(`${world.machine.usualFile}.lock`, randomUUID());
    const { milliseconds } = await logIn(expect, row, world);
    expect(milliseconds).toBeGreaterThan(3_000);
  });

  fault("F151", async ({ expect, row }) => {
    const world = await newWorld(peers(), { row });
    const lock = await world.machine.write(`${world.machine.usualFile}.lock`, "of another process");
    const before = await world.machine.snapshot();
    const touching = setInterval(() => void utimes(lock, new Date(), new Date()), 500);
    try {
      await logIn(expect, row, { ...world, before });
    } finally {
      clearInterval(touching);
    }
  });
});

describe.concurrent("a file or folder that we may not change", () => {
  fault("F155", async ({ expect, row }) => {
    for (const put of [
      (world: World, path: string) => world.machine.write(path, "4711\n"),
      (_: World, path: string) => mkdir(join(path, "files"), { recursive: true }),
    ]) {
      const world = await newWorld(peers());
      const path = `${world.machine.usualFile}.lock`;
      await put(world, path);
      await utimes(path, 0, 0);
      const ran = await logIn(expect, row, { ...world, before: await world.machine.snapshot() });
      expect(ran.stderr).toContain(`mv ${path} ${path}.old`);
    }
  });

  describe.skipIf(!isRoot).concurrent(needsRoot, () => {
    fault("F156", async ({ expect, row }) => {
      const world = await newWorld(peers());
      const { usualFile } = world.machine;
      await run("mount", ["--bind", usualFile, usualFile]);
      mounted.push(usualFile);
      const ran = await logIn(expect, row, world);
      expect(ran.stderr).toContain(`${usualFile} cannot be written: it is mounted by itself`);
      expect(exchangesOf(peers(), world.robot)).toBe(0);
    });

    fault("F157", async ({ expect, row }) => {
      for (const [uid, gid, mode] of [
        [2001, 2002, 0o644], // its owner could no longer write to it
        [2002, 3000, 0o666],
        [2001, 3000, 0o666],
      ] as const) {
        const world = await newWorld(peers(), { uid: 2002 });
        const { usualFile, work } = world.machine;
        await chmod(usualFile, mode);
        await chmod(dirname(usualFile), 0o777);
        await chown(usualFile, uid, gid);
        const roots = await world.machine.write(join(work, "ca.crt"), await readFile(peers().caFile, "utf8"));
        const args = world.args.map((arg) => (arg === peers().caFile ? roots : arg));
        const ran = await logIn(expect, row, { ...world, args, before: await world.machine.snapshot() });
        expect(ran.stderr).toContain(`${usualFile} belongs to user ${uid} and group ${gid}, and this user (2002)`);
        expect(await stat(usualFile)).toMatchObject({ uid, gid });
        expect(exchangesOf(peers(), world.robot)).toBe(0);
      }
    });
  });

  fault("F158", async ({ expect, row }) => {
    for (const more of ['"n": 12345678901234567', '"n": 1, "n": 2', `"n": ${"[".repeat(3_000)}${"]".repeat(3_000)}`]) {
      const world = await newWorld(peers());
      const { usualFile } = world.machine;
      await writeFile(usualFile, (await readFile(usualFile, "utf8")).replace("{", `{${more}, `));
      await logIn(expect, row, { ...world, before: await world.machine.snapshot() });
      expect(exchangesOf(peers(), world.robot)).toBe(0);
    }
  });

  fault("F159", async ({ expect, row }) => {
    const world = await newWorld(peers(), { more: ["--session", "session"] });
    const precious = await world.machine.write(join(world.machine.home, ".ssh/id"), "precious");
    const certificates = [{ path: precious, folders: [], hash: "0" }];
    const record = { version: 1, id: "0123456789ab", files: [], certificates, robots: [] };
    await world.machine.write(join(world.machine.work, "session/session.json"), JSON.stringify(record), 0o644);
    await logIn(expect, row, { ...world, before: await world.machine.snapshot() });
    expect(exchangesOf(peers(), world.robot)).toBe(0);
  });
});

describe("between reading the auth file and replacing it", () => {
  fault("F152", async ({ expect, row }) => {
    const added = entryOf("else", "a-later-foreign-password");
    const padding = "x".repeat(4_000_000);

    /**
     * Stops the login while it writes its new content, which takes a while for its size, and replaces the file.
     * @returns whether it was stopped in time
     */
    async function replaceInTime(world: World): Promise<boolean> {
      const { usualFile } = world.machine;
      const old = JSON.parse(await readFile(usualFile, "utf8"));
      const running = await world.machine.start(world.args);
      const unfinished = await new Promise<string>((resolve) => {
        const watcher = watch(dirname(usualFile), (_event, name) => {
          if (!name?.endsWith(".tmp")) return;
          running.kill("SIGSTOP");
          watcher.close();
          resolve(join(dirname(usualFile), name));
        });
      });
      const size = await stat(unfinished).then(
        (found) => found.size,
        () => Number.POSITIVE_INFINITY,
      );
      const inTime = size < padding.length;
      if (inTime) {
        const content = JSON.stringify({ ...old, auths: { ...old.auths, "later.example.com": added } });
        await writeFile(join(world.machine.scratch, "theirs"), content, { mode: 0o600 });
        await rename(join(world.machine.scratch, "theirs"), usualFile);
      }
      running.kill("SIGCONT");
      const ran = await running.done;
      if (inTime) await keepsPromises(expect, row, world, ran);
      return inTime;
    }

    for (let attempts = 0; attempts < 20; attempts++) {
      const world = await newWorld(peers());
      const { usualFile } = world.machine;
      const content = JSON.parse(await readFile(usualFile, "utf8"));
      await world.machine.write(usualFile, JSON.stringify({ ...content, padding }));
      if (await replaceInTime({ ...world, before: await world.machine.snapshot() })) {
        expect((await authsIn(usualFile))["later.example.com"]).toEqual(added);
        return;
      }
    }
    expect.unreachable("the moment was never met");
  });
});

describe.concurrent("no file at all", () => {
  function endless(id: string, option: string, make: (path: string) => Promise<unknown>) {
    fault(id, async ({ expect, row }) => {
      const world = await newWorld(peers());
      const path = join(world.machine.scratch, "endless");
      await make(path);
      const at = world.args.indexOf(option);
      const args = at < 0 ? [...world.args, option, path] : world.args.with(at + 1, path);
      const given = option === "--result" ? world.args.concat(option, `robot=${path}`) : args;
      const ran = await logIn(expect, row, { ...world, args: given });
      expect(ran.milliseconds).toBeLessThan(8_000);
      expect(exchangesOf(peers(), world.robot)).toBe(0);
    });
  }
  const pipe = (path: string) => run("mkfifo", [path]);
  const device = (path: string) => symlink("/dev/zero", path);

  endless("F255", "--token-file", pipe);
  endless("F256", "--token-file", device);
  endless("F257", "--auth-file", pipe);
  endless("F258", "--auth-file", device);
  endless("F259", "--ca-file", pipe);
  endless("F260", "--ca-file", device);
  endless("F261", "--result", pipe);
});
