/** Real pipes, devices, sockets and links: none of them holds anything up. */
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
  readTextWithin,
} from "../../src/platform/files.ts";
import { asNobody, makeFolder } from "../fixtures.ts";

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

async function said(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    (value) => expect.unreachable(`no failure but ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FileFailure);
  return (error as FileFailure).message;
}

const noFile = "is a pipe, a socket or a device, not a file";

/** What can stand at a path that is no file to read. */
const others: [string, string, () => Promise<string>][] = [
  ["a pipe without an end at the other side", noFile, () => fifo()],
  [
    "a link to one",
    noFile,
    async () => {
      await symlink(await fifo(), at("link"));
      return at("link");
    },
  ],
  ["a device without an end", noFile, async () => "/dev/zero"],
  ["a device without room", noFile, async () => "/dev/full"],
  ["a device that is empty", noFile, async () => "/dev/null"],
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
  ["a place below a file", "does not exist", async () => join(import.meta.filename, "x")],
];

describe("reading", () => {
  test.each(others)("%s", async (_, problem, make) => {
    const path = await make();
    expect(await said(readFileWithin(path, mebibyte))).toBe(problem);
    expect(await said(readFileWithin(path, mebibyte, new AbortController().signal))).toBe(problem);
  });

  test("a pipe that somebody writes to is none of its business either", async () => {
    const path = await fifo();
    const writer = await open(path, "r+");
    onTestFinished(() => writer.close());
    await writer.write("x");
    expect(await said(readFileWithin(path, mebibyte))).toBe(noFile);
  });

  test("what is not there, and what this user may not read", async () => {
    expect(await said(readFileWithin(at("nothing"), mebibyte))).toBe("does not exist");
    await chmod(folder, 0o755);
    await writeFile(at("theirs"), "x", { mode: 0 });
    const read = (src: typeof import("../../src/platform/files.ts"), path: string) => src.readFileWithin(path, 1);
    expect(await asNobody(["platform/files.ts"], read, at("theirs"))).toBe("may not be read by this user\n");
  });

  test("a file by way of links, as a mounted token is one, with what the system says of it", async () => {
    await mkdir(at("..2026"));
    await writeFile(at("..2026/token"), "text", { mode: 0o640 });
    await symlink("..2026", at("..data"));
    await symlink("..data/token", at("token"));
    const { bytes, info } = await readFileWithin(at("token"), mebibyte);
    expect([bytes.toString(), info.mode & 0o777]).toEqual(["text", 0o640]);
    expect(await readTextWithin(at("token"), 4)).toBe("text");
  });

  test.each([0, 1, 65_535, 65_536, 200_000])("a file of %i bytes, up to its limit and no further", async (size) => {
    await writeFile(at("file"), Buffer.alloc(size, "x"));
    expect((await readFileWithin(at("file"), mebibyte)).bytes).toHaveLength(size);
    expect((await readFileWithin(at("file"), size)).bytes).toHaveLength(size);
    if (size > 0) {
      expect(await said(readFileWithin(at("file"), size - 1))).toMatch(/^is larger than [\d.]+ MiB$/);
    }
  });

  test("a file that states no size, as the kernel's do", async () => {
    expect(await readTextWithin("/proc/self/stat", mebibyte)).toContain(`${process.pid} (`);
    expect(await said(readFileWithin("/proc/self/stat", 10))).toMatch(/^is larger than/);
  });

  test("ends with the signal", async () => {
    await writeFile(at("file"), "x");
    const reason = new Error("the time is over");
    await expect(readFileWithin(at("file"), 1, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe("reading a file of our own", () => {
  test.each(others)("%s", async (what, problem, make) => {
    const link = "is a symbolic link, or leads in a circle of them";
    expect(await said(readOwnFile(await make(), mebibyte))).toBe(what === "a link to one" ? link : problem);
  });

  test("a file, and not by way of a link", async () => {
    await writeFile(at("file"), "text");
    await symlink("file", at("link"));
    expect((await readOwnFile(at("file"), mebibyte)).bytes.toString()).toBe("text");
    expect(await said(readOwnFile(at("link"), mebibyte))).toBe("is a symbolic link, or leads in a circle of them");
  });
});

describe("reading a file or a pipe", () => {
  const signal = () => AbortSignal.timeout(5_000);

  /** Somebody else, who writes to it. */
  const writeTo = (path: string, bytes: number) =>
    execFile("sh", ["-c", `head -c ${bytes} /dev/zero > "$1"`, "sh", path]);

  test("what comes by a pipe, up to the limit", async () => {
    const path = await fifo();
    for (const [size, limit] of [
      [200_000, mebibyte],
      [200_001, 200_001],
    ] as const) {
      writeTo(path, size);
      expect(await readFileOrPipeWithin(path, limit, signal())).toHaveLength(size);
    }
    writeTo(path, 2 * mebibyte);
    expect(await said(readFileOrPipeWithin(path, mebibyte, signal()))).toBe("is larger than 1 MiB");
  });

  test("a pipe that nobody writes to is left when the time is over, whether or not somebody could", async () => {
    const path = await fifo();
    await expect(readFileOrPipeWithin(path, mebibyte, AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
    const writer = await open(path, "r+");
    onTestFinished(() => writer.close());
    await expect(readFileOrPipeWithin(path, mebibyte, AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
  });

  test("devices are refused, files are read", async () => {
    expect(await said(readFileOrPipeWithin("/dev/zero", mebibyte, signal()))).toBe(noFile);
    await writeFile(at("file"), "text");
    expect(String(await readFileOrPipeWithin(at("file"), mebibyte, signal()))).toBe("text");
  });
});
