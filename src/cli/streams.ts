/** Standard input and output of a program that is over in milliseconds: Node's own streams take longer to make than all else. */
import { readSync, writeSync } from "node:fs";
import { codeOf } from "../platform/errors.ts";

/** A caller may have made its end of a pipe non-blocking, and with it ours. */
const pause = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);

/** @returns standard input to its end, or its first `maxBytes`; "" if it can't be read */
export function readInput(maxBytes: number): string {
  const bytes = Buffer.alloc(maxBytes);
  let length = 0;
  while (length < maxBytes) {
    try {
      const read = readSync(0, bytes, length, maxBytes - length, null);
      if (read === 0) {
        break;
      }
      length += read;
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") {
        break;
      }
      pause();
    }
  }
  return bytes.toString("utf8", 0, length);
}

/** Writes a line; the exit code tells if that fails. @param stream 1: standard output, 2: standard error */
export function writeLine(stream: 1 | 2, line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(stream, rest));
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") {
        process.exitCode = 1;
        return;
      }
      pause();
    }
  }
}
