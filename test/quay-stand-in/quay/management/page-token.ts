/**
 * The token of a next page, 100 letters like Quay's (Fernet). It holds numbers and their seal; one that isn't ours is
 * answered with the first page.
 */
import { createHmac, randomBytes } from "node:crypto";

const KEY = randomBytes(32);
const NUMBERS = 4;
const HEAD = 73 - 32;

/** @param numbers at most four, whole */
export function sealPage(...numbers: number[]): string {
  const content = Buffer.alloc(HEAD);
  content.set([0x80, 0, 0, 0, 0, 0x69, 0, 0, numbers.length]);
  for (const [index, number] of numbers.entries()) content.writeDoubleBE(number, 9 + index * 8);
  return Buffer.concat([content, seal(content)])
    .toString("base64")
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}

export function openPage(token: string | null): number[] | undefined {
  const bytes = Buffer.from(token ?? "", "base64url");
  const content = bytes.subarray(0, HEAD);
  if (bytes.length !== HEAD + 32 || !seal(content).equals(bytes.subarray(HEAD))) return undefined;
  return Array.from({ length: Math.min(content[8] ?? 0, NUMBERS) }, (_, index) => content.readDoubleBE(9 + index * 8));
}

function seal(content: Buffer): Buffer {
  return createHmac("sha256", KEY).update(content).digest();
}
