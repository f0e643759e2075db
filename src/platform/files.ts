/**
 * Files from outside. A path may lead to a pipe without a writer, or to an endless device: this reads only regular files, without
 * waiting, and no more than the file's use needs. It follows links, because a mounted token is one.
 */
import { constants, openSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { orAborted } from "./abort.ts";
import { codeOf } from "./errors.ts";

const mebibyte = 1024 * 1024;

/** The largest file that is read, in bytes, by its content: far more than any of them has. */
export const maxSize = {
  token: mebibyte,
  certificates: 4 * mebibyte,
  logins: 4 * mebibyte,
  /** Includes the previous content of two auth files, in base64. */
  session: 16 * mebibyte,
  /** GitHub's payloads end at 25 MB. */
  event: 32 * mebibyte,
  log: 4 * mebibyte,
} as const;

/** Its message is a phrase that can follow the file's name, as in `is a folder`. `code` is the system's, or the closest one. */
export class FileFailure extends Error {
  override readonly name = "FileFailure";
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/**
 * The whole content and the metadata of one and the same file.
 * @throws FileFailure; the signal's reason once it aborts
 */
export function readFileWithin(
  path: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Buffer; readonly info: Stats }> {
  const reading = withFile(path, 0, async (file, info) => {
    assertRegular(info);
    return { bytes: await readAll(file, info.size, maxBytes, signal), info };
  });
  return signal ? orAborted(reading, signal) : reading;
}

/** The same as text. */
export async function readTextWithin(path: string, maxBytes: number, signal?: AbortSignal): Promise<string> {
  return (await readFileWithin(path, maxBytes, signal)).bytes.toString("utf8");
}

/**
 * A file that this program has made. It follows no link: the target would be another's file.
 * @throws FileFailure
 */
export function readOwnFile(path: string, maxBytes: number): Promise<{ readonly bytes: Buffer; readonly info: Stats }> {
  return withFile(path, constants.O_NOFOLLOW, async (file, info) => {
    assertRegular(info);
    return { bytes: await readAll(file, info.size, maxBytes, undefined), info };
  });
}

/**
 * A file from outside, or the content of a pipe, such as a shell's `<(…)`.
 * @throws FileFailure; the signal's reason once it aborts
 */
export function readFileOrPipeWithin(path: string, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const reading = withFile(path, 0, async (file, info) => {
    if (!info.isFIFO()) {
      assertRegular(info);
      return readAll(file, info.size, maxBytes, signal);
    }
    // A second descriptor, because a socket closes the one that it is given.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const pipe = new Socket({ fd, readable: true, writable: false });
    let size = 0;
    pipe.on("data", ({ length }: Buffer) => {
      size += length;
      if (size > maxBytes) {
        pipe.destroy(tooLarge(maxBytes));
      }
    });
    const stop = () => pipe.destroy(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    return buffer(pipe).finally(() => signal.removeEventListener("abort", stop));
  });
  return orAborted(reading, signal);
}

/**
 * Standard input to its end.
 * @throws FileFailure; the signal's reason once it aborts
 */
export async function readStandardInputWithin(maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const input = process.stdin;
  if (input.isTTY) {
    throw new FileFailure("ENXIO", "is a terminal, not a pipe or a file");
  }
  let size = 0;
  const count = ({ length }: Buffer) => {
    size += length;
    if (size > maxBytes) {
      input.destroy(tooLarge(maxBytes));
    }
  };
  input.on("data", count);
  return orAborted(buffer(input), signal).finally(() => input.destroy());
}

/** Opens without waiting for a process at the other end of a pipe. */
async function withFile<T>(
  path: string,
  flags: number,
  use: (file: FileHandle, info: Stats) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | flags | constants.O_NONBLOCK | constants.O_NOCTTY);
    return await use(file, await file.stat());
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof FileFailure || code === "") {
      throw error;
    }
    const problem = code === "EACCES" ? "is not readable by this user" : problems[code];
    throw new FileFailure(code, problem ?? `cannot be read (${code})`, error);
  } finally {
    await file?.close();
  }
}

const problems: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist",
  EISDIR: "is a folder",
  ELOOP: "is a symbolic link, or a loop of them",
  ENXIO: "is a pipe, a socket or a device, not a file",
};

/** @throws FileFailure */
function assertRegular(info: Stats): void {
  if (info.isDirectory()) {
    throw new FileFailure("EISDIR", "is a folder");
  }
  if (!info.isFile()) {
    throw new FileFailure("ENXIO", "is a pipe, a socket or a device, not a file");
  }
}

const tooLarge = (maxBytes: number): FileFailure =>
  new FileFailure("EFBIG", `is larger than ${maxBytes / mebibyte} MiB`);

/** The stated size is only the first guess: files of the kernel state none, and a file may grow while it is read. */
async function readAll(
  file: FileHandle,
  stated: number,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let room = Math.min(stated, maxBytes) + 1;
  for (let size = 0; ; room = 65_536) {
    signal?.throwIfAborted();
    const { bytesRead, buffer: chunk } = await file.read(Buffer.allocUnsafe(room), 0, room);
    if (bytesRead === 0) {
      return Buffer.concat(chunks);
    }
    chunks.push(chunk.subarray(0, bytesRead));
    size += bytesRead;
    if (size > maxBytes) {
      throw tooLarge(maxBytes);
    }
  }
}
