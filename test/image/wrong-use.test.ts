/** What script/image says to wrong use, before it builds anything. test/real/image.test.ts looks at what it writes. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { finish } from "../support/runner.ts";

const script = resolve(import.meta.dirname, "../../script/image");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-wrong-use-"));
  await mkdir(join(folder, "taken"));
  await writeFile(join(folder, "taken/file"), "");
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ["no folder", [], "needs the folder to write; type, for example: script/image image"],
  ["two folders", ["one", "two"], "needs one folder to write, not also two; type, for example: script/image image"],
  ["an unknown option", ["--arch", "arm64", "x"], "there is no option --arch; type, for example: script/image image"],
  [
    "a base without a folder",
    ["--base"],
    '--base names a folder that exists, not ""; type, for example: script/image --base folder image',
  ],
  [
    "programs that are not there",
    ["--programs", "nowhere", "x"],
    '--programs names a folder that exists, not "nowhere"; type, for example: script/image --programs folder image',
  ],
  ["a folder of something else", ["taken"], "/taken exists and is no OCI layout: name a new folder"],
])("refuses %s", async (_, args, said) => {
  const ran = await finish(spawn(script, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] }));
  expect(ran).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(said) });
  expect(await readdir(folder)).toEqual(["taken"]);
});
