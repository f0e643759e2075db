/** SHA256SUMS, as coreutils read it. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sumsFile } from "../../script/releasing/project.ts";
import { writeSums } from "../../script/releasing/sums.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quay-keyless-sums-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("lists each file but itself and its signature, as sha256sum does", () => {
  for (const name of ["b.tgz", "a.json", "SHA256SUMS.sigstore.json", sumsFile]) writeFileSync(join(folder, name), name);
  mkdirSync(join(folder, "oci"));
  writeSums(folder);
  expect(readFileSync(join(folder, sumsFile), "utf8")).toBe(
    execFileSync("sha256sum", ["a.json", "b.tgz"], { cwd: folder, encoding: "utf8" }),
  );
  const check = () => spawnSync("sha256sum", ["--check", "--strict", sumsFile], { cwd: folder }).status;
  expect(check()).toBe(0);
  writeFileSync(join(folder, "b.tgz"), "B.tgz");
  expect(check()).toBe(1);
});
