import { getEventListeners } from "node:events";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { start, which } from "../../src/platform/exec.ts";
import { fakeTool, makeFolder } from "../fixtures.ts";

const never = new AbortController().signal;
const env = { PATH: "/usr/bin:/bin" };
const shell = (script: string, signal = never) => start({ file: "/bin/sh", args: ["-c", script], env }, signal);

/** Whether the process still runs (a zombie does not). */
async function lives(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return status !== "" && !/^\d+ \(.*\) Z/.test(status);
}

test("writes the input, returns output and exit code", async () => {
  const running = shell("read secret; echo out $secret; echo err >&2; exit 3");
  const { exitCode, output } = await running.finish("hello");
  expect(exitCode).toBe(3);
  expect(output.split("\n").sort()).toEqual(["", "err", "out hello"]);
});

test("passes on the given environment, and nothing else", async () => {
  process.env.QUAY_KEYLESS_TEST = "inherited";
  const running = start({ file: "/usr/bin/env", args: [], env: { A: "1", B: undefined } }, never);
  expect((await running.finish("")).output).toBe("A=1\n");
});

test("keeps the last 64 KiB of output in whole lines: a tool says there why it failed", async () => {
  const { exitCode, output } = await shell(
    "head -c 1000000 /dev/zero | tr '\\0' x | fold -w 999; echo; echo why",
  ).finish("");
  expect(exitCode).toBe(0);
  expect(output.length).toBeGreaterThan(64_000);
  expect(output.length).toBeLessThanOrEqual(65_536);
  const lines = output.trimEnd().split("\n");
  expect(lines.at(-1)).toBe("why");
  expect(new Set(lines.slice(0, -2).map(({ length }) => length))).toEqual(new Set([999]));
});

test("drops a line that is longer, and keeps what follows", async () => {
  expect((await shell("head -c 100000 /dev/zero | tr '\\0' x; echo; echo why").finish("")).output).toBe("why\n");
  expect((await shell("head -c 100000 /dev/zero | tr '\\0' x").finish("")).output).toBe("");
});

describe("standard output as a result", () => {
  const run = (script: string, maxStdout: number) =>
    start({ file: "/bin/sh", args: ["-c", script], env }, never, { maxStdout }).finish("");

  test("is kept apart from standard error", async () => {
    expect(await run("echo out; echo err >&2; exit 3", 100)).toEqual({ exitCode: 3, stdout: "out\n", output: "err\n" });
  });

  test("may be as long as its limit, in characters of several bytes too", async () => {
    expect(await run("printf 'ä€𝒳'", 9)).toMatchObject({ exitCode: 0, stdout: "ä€𝒳" });
  });

  test("kills a process that writes more, and its children", async () => {
    const { isTooLong, exitCode, stdout } = await run("cat /dev/zero | tr '\\0' x", 1000);
    expect([isTooLong, exitCode, stdout]).toEqual([true, undefined, "x".repeat(1000)]);
  });

  test("is an error if a process that has ended wrote more", async () => {
    expect(await run("printf 123", 2)).toMatchObject({ isTooLong: true, stdout: "12" });
  });
});

test("reports output as it arrives, and the process id", async () => {
  const heard: string[] = [];
  const command = { file: "/bin/sh", args: ["-c", "echo $$; read -r line; echo $line"], env: process.env };
  const running = start(command, never, { onOutput: (text) => heard.push(text) });
  await expect.poll(() => heard).toEqual([`${running.pid}\n`]);
  await running.finish("more\n");
  expect(heard.join("")).toBe(`${running.pid}\nmore\n`);
});

describe("traffic", () => {
  const command = (script: string) => ({ file: "/bin/sh", args: ["-c", script], env });

  test("kills a process that is idle for too long, and reports it", async () => {
    const began = performance.now();
    const { exitCode, wasIdle } = await start(command("exec sleep 60"), never, { idleMs: 600 }).finish("");
    expect([exitCode, wasIdle]).toEqual([undefined, true]);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  test("does not kill a process that reads or writes enough", async () => {
    const busy =
      "for each in $(seq 15); do head -c 20000 /dev/zero >/dev/null; read -t 0.1 none <>/dev/zero; done; exit 3";
    const shell = { file: "/bin/bash", args: ["-c", busy], env };
    const { exitCode, wasIdle } = await start(shell, never, { idleMs: 600 }).finish("");
    expect([exitCode, wasIdle]).toEqual([3, undefined]);
  });

  test("reports the bytes sent twice a second, until the process exits", async () => {
    const sent: number[] = [];
    const running = start(command("head -c 5000 /dev/zero; exec sleep 1.3"), never, {
      onSent: (bytes) => sent.push(bytes),
    });
    await running.finish("");
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.every((bytes) => Number.isInteger(bytes))).toBe(true);
    const count = sent.length;
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(sent).toHaveLength(count);
  });
});

test("accepts a tool that exits before it has read its input", async () => {
  const running = shell("exit 7");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await running.finish("x".repeat(1_000_000))).toEqual({ exitCode: 7, output: "" });
});

test("reports a missing file, and one that is not a program", async () => {
  const file = join(await makeFolder(), "no-program");
  expect(await start({ file, args: [], env }, never).finish("x")).toEqual({
    exitCode: undefined,
    output: expect.stringContaining("ENOENT"),
  });
  await writeFile(file, "x");
  expect(await start({ file, args: [], env }, never).finish("x")).toEqual({
    exitCode: undefined,
    output: expect.stringContaining("EACCES"),
  });
});

test("gives no exit code for a process that a signal ended", async () => {
  expect(await shell("kill -9 $$").finish("")).toEqual({ exitCode: undefined, output: "" });
});

test("kills what the process left in the background, without waiting", async () => {
  const began = performance.now();
  const { exitCode, output } = await shell("sleep 60 & echo $!; exit 5").finish("");
  expect(exitCode).toBe(5);
  expect(performance.now() - began).toBeLessThan(10_000);
  await expect.poll(() => lives(Number(output))).toBe(false);
});

test("does not wait for a process that left the group", async () => {
  const began = performance.now();
  const { exitCode, output } = await shell("setsid sleep 60 & echo $!; sleep 0.2").finish("");
  expect([exitCode, performance.now() - began < 20_000]).toEqual([0, true]);
  process.kill(Number(output));
});

describe("an abort", () => {
  const reason = new Error("the time is over");
  const started = async (script: string, signal: AbortSignal) => {
    const file = join(await makeFolder(), "pid");
    const running = shell(`echo $$ > ${file}; ${script}`, signal);
    await expect.poll(() => readFile(file, "utf8").catch(() => "")).toMatch(/\n/);
    return { running, pid: Number(await readFile(file, "utf8")) };
  };

  test("kills it", async () => {
    const controller = new AbortController();
    const { running, pid } = await started("exec sleep 60", controller.signal);
    const finished = running.finish("");
    controller.abort(reason);
    await expect(finished).rejects.toBe(reason);
    await expect.poll(() => lives(pid)).toBe(false);
  });

  test("kills it also if a child of its own holds the output", async () => {
    const controller = new AbortController();
    const { running, pid } = await started("sleep 5; echo late", controller.signal);
    const before = performance.now();
    const finished = running.finish("");
    controller.abort(reason);
    await expect(finished).rejects.toBe(reason);
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(await lives(pid)).toBe(false);
  });

  test("kills its children too", async () => {
    const controller = new AbortController();
    const file = join(await makeFolder(), "child");
    const { running, pid } = await started(`sleep 60 & echo $! > ${file}; wait`, controller.signal);
    await expect.poll(() => readFile(file, "utf8").catch(() => "")).toMatch(/\n/);
    const child = Number(await readFile(file, "utf8"));
    const finished = running.finish("");
    controller.abort(reason);
    await expect(finished).rejects.toBe(reason);
    await expect.poll(() => Promise.all([lives(pid), lives(child)])).toEqual([false, false]);
  });

  test("kills a process that ignores other signals", async () => {
    const controller = new AbortController();
    const { running, pid } = await started("trap '' TERM INT HUP; cat; sleep 60", controller.signal);
    const finished = running.finish("");
    controller.abort(reason);
    await expect(finished).rejects.toBe(reason);
    await expect.poll(() => lives(pid)).toBe(false);
  });

  test("does not wait for a process that left the group and holds the output", async () => {
    const controller = new AbortController();
    const file = join(await makeFolder(), "child");
    const { running } = await started(`setsid sleep 20 & echo $! > ${file}; wait`, controller.signal);
    await expect.poll(() => readFile(file, "utf8").catch(() => "")).toMatch(/\n/);
    const child = Number(await readFile(file, "utf8"));
    // It has left the group once it leads its own.
    await expect.poll(async () => (await readFile(`/proc/${child}/stat`, "utf8")).split(" ")[4]).toBe(String(child));
    const before = performance.now();
    await running.kill();
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(await lives(child)).toBe(true);
    process.kill(child, "SIGKILL");
  });

  test("has no effect on a process that has exited", async () => {
    const controller = new AbortController();
    for (let count = 0; count < 3; count++) {
      expect((await shell("exit 0", controller.signal).finish("")).exitCode).toBe(0);
    }
    const gone = start({ file: "/nothing/there", args: [], env }, controller.signal);
    expect(gone.pid).toBeUndefined();
    await gone.finish("");
    await gone.kill();
    // A login of hours starts a process every few minutes: its listeners must not pile up.
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("kills a process that waits for its input", async () => {
    const controller = new AbortController();
    const { running, pid } = await started("cat", controller.signal);
    controller.abort(reason);
    await expect.poll(() => lives(pid)).toBe(false);
    await running.kill();
  });

  test("lets no process start afterwards", () => {
    expect(() => shell("exit 0", AbortSignal.abort(reason))).toThrow(reason);
  });
});

test("kill ends the process; a second kill does nothing", async () => {
  const running = shell("cat");
  await running.kill();
  await running.kill();
  expect((await running.finish("x")).exitCode).toBeUndefined();
});

describe("which", () => {
  test("finds the first executable file on PATH", async () => {
    const [one, two] = [await makeFolder(), await makeFolder()];
    const [first, second] = [await fakeTool(one, "tool", ""), await fakeTool(two, "tool", "")];
    expect(await which("tool", { PATH: `${first}:${second}` })).toBe(join(first, "tool"));
    expect(await which("tool", { PATH: `${second}:${first}` })).toBe(join(second, "tool"));
    expect(await which("other", { PATH: `${first}:${second}` })).toBeUndefined();
  });

  test("skips folders, files that are not executable, and empty parts of PATH", async () => {
    const folder = await makeFolder();
    await mkdir(join(folder, "a/tool"), { recursive: true });
    await mkdir(join(folder, "b"));
    await writeFile(join(folder, "b/tool"), "");
    await chmod(join(folder, "b/tool"), 0o644);
    const bin = await fakeTool(folder, "real", "");
    await mkdir(join(folder, "c"));
    await symlink(join(bin, "real"), join(folder, "c/tool"));
    const PATH = ["", join(folder, "a"), join(folder, "b"), join(folder, "none"), join(folder, "c")].join(":");
    expect(await which("tool", { PATH })).toBe(join(folder, "c/tool"));
  });

  test("skips empty and relative parts of PATH, which lead into the job's folder", async () => {
    const bin = await fakeTool(await makeFolder(), "tool", "");
    const here = relative(process.cwd(), bin);
    for (const part of [here, `./${here}`, `${here}/`, `../${basename(process.cwd())}/${here}`]) {
      expect(await which("tool", { PATH: part })).toBeUndefined();
      expect(await which("tool", { PATH: `${part}:${bin}` })).toBe(join(bin, "tool"));
    }
    for (const PATH of [":", ".", "..", "::.:"]) {
      expect(await which(join(here, "tool"), { PATH })).toBeUndefined();
    }
    expect(await which(join(here, "tool"), { PATH: process.cwd() })).toBe(join(bin, "tool"));
  });

  test("finds nothing without PATH", async () => {
    expect(await which("sh", {})).toBeUndefined();
    expect(await which("sh", { PATH: "" })).toBeUndefined();
  });
});
