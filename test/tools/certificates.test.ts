import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type CertificateRecord,
  installRoots,
  isCertificateOf,
  readRoots,
  removeRoots,
} from "../../src/tools/certificates.ts";
import { asNobody, failure, makeFolder } from "../fixtures.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority();
});
afterAll(() => authority.close());

describe("the file of roots", () => {
  const write = async (text: string) => {
    const path = join(await makeFolder(), "ca.pem");
    await writeFile(path, text);
    return path;
  };

  test("takes its certificates, and nothing between them", async () => {
    const root = authority.ca.trim();
    expect(await readRoots(undefined)).toBeUndefined();
    expect(await readRoots(authority.caFile)).toBe(`${root}\n`);
    expect(await readRoots(await write(`# Our root\r\n${root}\n\nsubject=x\n${root}\n-- end`))).toBe(
      `${root}\n${root}\n`,
    );
  });

  test.each<[string, string, string]>([
    ["empty", " \n", "the file is empty"],
    ["bytes", "0\u0082\u0001\n\u00ff", "the file holds no PEM certificate"],
    ["a page", "<html>", "the file holds no PEM certificate"],
    ["a key", "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", "the file holds no PEM certificate"],
    [
      "a damaged certificate",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "certificate 1 in the file is damaged",
    ],
  ])("%s", async (_, text, problem) => {
    const path = await write(text);
    const error = await failure(readRoots(path));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`The option "ca-file" is ${JSON.stringify(path)}: ${problem}.`);
  });

  test("names the damaged one of several", async () => {
    const broken = authority.ca.replace(/^MI../m, "AAAA");
    const error = await failure(readRoots(await write(`${authority.ca}\n${broken}`)));
    expect(error.message).toContain("certificate 2 in the file is damaged");
  });

  test("another user's", async () => {
    const path = await write("theirs");
    await chmod(path, 0o000);
    await chmod(dirname(path), 0o755);
    const said = await asNobody(
      ["tools/certificates.ts"],
      (src: typeof import("../../src/tools/certificates.ts"), file) => src.readRoots(file),
      path,
    );
    expect(said).toBe(`The option "ca-file" is "${path}": the file is not readable by this user.\n`);
  });

  test("missing, or a folder", async () => {
    const folder = await makeFolder();
    const path = join(folder, "nothing");
    const error = await failure(readRoots(path));
    expect(error.message).toBe(`The option "ca-file" is "${path}": the file does not exist.`);
    expect(error.remedy).toEqual(["Write, for example, ca-file: /path/to/root.pem"]);
    expect((await failure(readRoots(folder))).message).toContain("the file is a folder");
  });
});

test("installs roots in a folder and removes them with it, again and again", async () => {
  const home = await makeFolder();
  const folder = join(home, ".config/containers/certs.d/quay.io");
  const records: CertificateRecord[] = [];
  await installRoots(authority.ca, folder, "abc123", async (record) => {
    expect(existsSync(record.path)).toBe(false); // written down first
    records.push(record);
  });
  const [record] = records;
  if (!record) {
    return expect.unreachable("nothing was remembered");
  }
  expect(dirname(record.path)).toBe(folder);
  expect(record.path).toMatch(/\.crt$/); // the tools read nothing else
  expect(await readFile(record.path, "utf8")).toBe(authority.ca);
  expect((await stat(record.path)).mode & 0o777).toBe(0o644);
  await removeRoots(record);
  await removeRoots(record);
  expect(existsSync(join(home, ".config"))).toBe(false);
});

test("ignores recorded roots that could not be made; reports those that can't be deleted", async () => {
  const home = await makeFolder();
  await writeFile(join(home, "file"), "");
  await removeRoots({ path: join(home, "file/certs.d/x.crt"), folders: [join(home, "file/certs.d")], hash: "" });
  await mkdir(join(home, "x.crt/theirs"), { recursive: true });
  await expect(removeRoots({ path: join(home, "x.crt"), folders: [], hash: "" })).rejects.toMatchObject({
    code: "EISDIR",
  });
  expect(existsSync(join(home, "x.crt/theirs"))).toBe(true);
});

test("keeps a certificate that has replaced ours, and removes what a kill has left", async () => {
  const folder = join(await makeFolder(), "certs.d/quay.io");
  const records: CertificateRecord[] = [];
  await installRoots("ours", folder, "0123456789ab", async (record) => void records.push(record));
  const [record = expect.unreachable("it is remembered")] = records;
  expect(isCertificateOf(record.path, "0123456789ab")).toBe(true);
  expect(isCertificateOf(record.path, "ba9876543210")).toBe(false);
  await writeFile(join(folder, ".quay-keyless-login-0123456789ab.crt.0123456789ab.ffffffffffff.tmp"), "ours");
  await writeFile(record.path, "theirs");
  expect(await removeRoots(record)).toBe(false);
  expect(await readFile(record.path, "utf8")).toBe("theirs");
  expect(await readdir(folder)).toEqual(["quay-keyless-login-0123456789ab.crt"]);
});

test("does not write through a link at the certificate's path", async () => {
  const base = await makeFolder();
  const folder = join(base, "certs.d/quay.io");
  await mkdir(folder, { recursive: true });
  await writeFile(join(base, "precious"), "theirs");
  await symlink(join(base, "precious"), join(folder, "quay-keyless-login-0123456789ab.crt"));
  await installRoots("ours", folder, "0123456789ab", async () => {});
  expect(await readFile(join(base, "precious"), "utf8")).toBe("theirs");
});

test("keeps a folder with other roots", async () => {
  const home = await makeFolder();
  const records: CertificateRecord[] = [];
  await installRoots("x", join(home, "certs.d/quay.io"), "a", async (record) => void records.push(record));
  await writeFile(join(home, "certs.d/quay.io/corporate.crt"), "theirs");
  await Promise.all(records.map(removeRoots));
  expect(await readFile(join(home, "certs.d/quay.io/corporate.crt"), "utf8")).toBe("theirs");
  await rm(home, { recursive: true });
});

test.each([
  [0, 1, 2],
  [2, 1, 0],
  [1, 2, 0],
  [1, 0, 2],
])(
  "three sessions that install roots for one host, and log out in the order %d, %d, %d, leave nothing",
  async (...order) => {
    const base = await makeFolder();
    const folder = join(base, "containers/certs.d/quay.io");
    const records: CertificateRecord[] = [];
    for (const id of ["a0", "b1", "c2"]) {
      await installRoots("PEM", folder, id, async (record) => void records.push(record));
    }
    for (const index of order) {
      expect((await readdir(folder)).filter((name) => name.endsWith(".crt"))).toContain(
        basename(records[index]?.path ?? ""),
      );
      await removeRoots(records[index] as CertificateRecord);
    }
    expect(await readdir(base)).toEqual([]);
  },
);
