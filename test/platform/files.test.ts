/** Real pipes, devices, sockets and links: none of them blocks. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, open, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import {
  FileFailure,
  readFileOrPipeWithin,
  readFileWithin,
  readOwnFile,
  readStandardInputWithin,
  readTextWithin,
} from "../../src/platform/files.ts";
import { asNobody, makeFolder, withStandardInput } from "../fixtures.ts";

const mebibyte = 1024 * 1024;
let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});
const at = (name: string) => join(folder, name);

async function fifo(name = "fifo"): Promise<string> {
  await promisify(execFile)("mkfifo", [at(name)]);
  return at(name);
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    (value) => expect.unreachable(`no failure but ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FileFailure);
  return (error as FileFailure).message;
}

const noFile = "is a pipe, a socket or a device, not a file";

/** What a path can lead to besides a regular file. */
const others: [string, string, () => Promise<string>][] = [
  ["a pipe without a writer", noFile, () => fifo()],
  [
    "a link to one",
    noFile,
    async () => {
      await symlink(await fifo(), at("link"));
      return at("link");
    },
  ],
  ["an endless device", noFile, async () => "/dev/zero"],
  ["a full device", noFile, async () => "/dev/full"],
  ["an empty device", noFile, async () => "/dev/null"],
  [
    "a socket",
    noFile,
    async () => {
      const server = createServer().listen(at("socket"));
      await once(server, "listening");
      onTestFinished(() => void server.close());
      return at("socket");
    },
  ],
  ["a folder", "is a folder", async () => folder],
  ["a path below a file", "does not exist", async () => join(import.meta.filename, "x")],
];

describe("reading", () => {
  test.each(others)("%s", async (_, problem, make) => {
    const path = await make();
    expect(await messageOf(readFileWithin(path, mebibyte))).toBe(problem);
    expect(await messageOf(readFileWithin(path, mebibyte, new AbortController().signal))).toBe(problem);
  });

  test("rejects a pipe with a writer, and takes nothing from it", async () => {
    const path = await fifo();
    const writer = await open(path, "r+");
    onTestFinished(() => writer.close());
    await writer.write("x");
    expect(await messageOf(readFileWithin(path, mebibyte))).toBe(noFile);
  });

  test("rejects a missing file, and one that this user may not read", async () => {
    expect(await messageOf(readFileWithin(at("nothing"), mebibyte))).toBe("does not exist");
    await chmod(folder, 0o755);
    await writeFile(at("theirs"), "x", { mode: 0 });
    const read = (src: typeof import("../../src/platform/files.ts"), path: string) => src.readFileWithin(path, 1);
    expect(await asNobody(["platform/files.ts"], read, at("theirs"))).toBe("is not readable by this user\n");
  });

  test("follows links, as for a mounted token, and returns the metadata", async () => {
    await mkdir(at("..2026"));
    await writeFile(at("..2026/token"), "text", { mode: 0o640 });
    await symlink("..2026", at("..data"));
    await symlink("..data/token", at("token"));
    const { bytes, info } = await readFileWithin(at("token"), mebibyte);
    expect([bytes.toString(), info.mode & 0o777]).toEqual(["text", 0o640]);
    expect(await readTextWithin(at("token"), 4)).toBe("text");
  });

  test.each([0, 1, 65_535, 65_536, 200_000])("reads a file of %i bytes up to the limit, and no more", async (size) => {
    await writeFile(at("file"), Buffer.alloc(size, "x"));
    expect((await readFileWithin(at("file"), mebibyte)).bytes).toHaveLength(size);
    expect((await readFileWithin(at("file"), size)).bytes).toHaveLength(size);
    if (size > 0) {
      expect(await messageOf(readFileWithin(at("file"), size - 1))).toMatch(/^is larger than [\d.]+ MiB$/);
    }
  });

  test("reads a file that states no size, as the kernel's do", async () => {
    expect(await readTextWithin("/proc/self/stat", mebibyte)).toContain(`${process.pid} (`);
    expect(await messageOf(readFileWithin("/proc/self/stat", 10))).toMatch(/^is larger than/);
  });

  test("stops when the signal aborts", async () => {
    await writeFile(at("file"), "x");
    const reason = new Error("the time is over");
    await expect(readFileWithin(at("file"), 1, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe("reading an own file", () => {
  test.each(others)("%s", async (what, problem, make) => {
    const link = "is a symbolic link, or a loop of them";
    expect(await messageOf(readOwnFile(await make(), mebibyte))).toBe(what === "a link to one" ? link : problem);
  });

  test("reads a file, but follows no link", async () => {
    await writeFile(at("file"), "text");
    await symlink("file", at("link"));
    expect((await readOwnFile(at("file"), mebibyte)).bytes.toString()).toBe("text");
    expect(await messageOf(readOwnFile(at("link"), mebibyte))).toBe("is a symbolic link, or a loop of them");
  });
});

describe("reading a file or a pipe", () => {
  const signal = () => AbortSignal.timeout(5_000);

  /** Another process that writes to it. */
  const writeTo = (path: string, bytes: number) =>
    execFile("sh", ["-c", `head -c ${bytes} /dev/zero > "$1"`, "sh", path]);

  test("reads a pipe up to the limit", async () => {
    const path = await fifo();
    for (const [size, limit] of [
      [200_000, mebibyte],
      [200_001, 200_001],
    ] as const) {
      writeTo(path, size);
      expect(await readFileOrPipeWithin(path, limit, signal())).toHaveLength(size);
    }
    writeTo(path, 2 * mebibyte);
    expect(await messageOf(readFileOrPipeWithin(path, mebibyte, signal()))).toBe("is larger than 1 MiB");
  });

  test("stops reading a silent pipe when the signal aborts, with or without a writer", async () => {
    const path = await fifo();
    await expect(readFileOrPipeWithin(path, mebibyte, AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
    const writer = await open(path, "r+");
    onTestFinished(() => writer.close());
    await expect(readFileOrPipeWithin(path, mebibyte, AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
  });

  test("rejects devices, reads files", async () => {
    expect(await messageOf(readFileOrPipeWithin("/dev/zero", mebibyte, signal()))).toBe(noFile);
    await writeFile(at("file"), "text");
    expect(String(await readFileOrPipeWithin(at("file"), mebibyte, signal()))).toBe("text");
  });
});

describe("standard input", () => {
  const never = new AbortController().signal;

  test("is read to its end", async () => {
    withStandardInput("printf 'one\\n'; sleep 0.1; printf two");
    expect(String(await readStandardInputWithin(mebibyte, never))).toBe("one\ntwo");
  });

  test("that is larger is rejected before its end, which may never come", async () => {
    withStandardInput("cat /dev/zero");
    expect(await messageOf(readStandardInputWithin(mebibyte, never))).toBe("is larger than 1 MiB");
  });

  test("that never ends is left once the signal aborts", async () => {
    withStandardInput("exec sleep 60");
    const reason = new Error("the end");
    const ended = new AbortController();
    setTimeout(() => ended.abort(reason), 50);
    await expect(readStandardInputWithin(mebibyte, ended.signal)).rejects.toBe(reason);
    expect(process.stdin.destroyed).toBe(true);
  });

  test("that is a terminal is not waited for", async () => {
    Object.assign(withStandardInput("exec sleep 60"), { isTTY: true });
    expect(await messageOf(readStandardInputWithin(mebibyte, never))).toBe("is a terminal, not a pipe or a file");
  });
});

test("a path that the system refuses for another reason has the system's code", async () => {
  expect(await messageOf(readFileWithin("x".repeat(5000), mebibyte))).toBe("cannot be read (ENAMETOOLONG)");
});
