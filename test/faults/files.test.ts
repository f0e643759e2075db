/** Rows of the matrix: files and disks. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { watch } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { authsIn, entryOf, of, until, userOf } from "../e2e/world.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { slow } from "../support/scripted.ts";
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
  /** The auth file, with a login of somebody else, is on a disk of its own. */
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
  /** Does something to the world during the exchange. */
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
    // What the folder held is gone by somebody else's hand.
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
    const lock = await world.machine.write(`${world.machine.usualFile}.lock`, "of somebody at work");
    const before = await world.machine.snapshot();
    const touching = setInterval(() => void utimes(lock, new Date(), new Date()), 500);
    try {
      await logIn(expect, row, { ...world, before });
    } finally {
      clearInterval(touching);
    }
  });
});

describe("between reading the auth file and replacing it", () => {
  fault("F152", async ({ expect, row }) => {
    const added = entryOf("else", "a-later-foreign-password");
    const padding = "x".repeat(4_000_000);

    /**
     * Stops the login while it writes its new content, which takes a while with so much in it, and replaces the file.
     * @returns whether that was the moment
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
