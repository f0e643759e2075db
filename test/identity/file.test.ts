import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTokenFile } from "../../src/identity/file.ts";
import { claims, failureText, makeFolder, unsignedJwt } from "../fixtures.ts";

const token = unsignedJwt(claims);

test.each([token, `${token}\n`, `  ${token} \r\n\n`])("reads the token without surrounding spaces", async (text) => {
  const path = join(await makeFolder(), "token");
  await writeFile(path, text);
  expect(await readTokenFile(path)).toBe(token);
});

test("reads it again each time: the kubelet switches the link", async () => {
  const folder = await makeFolder();
  const turn = async (time: string, text: string) => {
    await mkdir(join(folder, `..${time}`));
    await writeFile(join(folder, `..${time}`, "quay-token"), text);
    await symlink(`..${time}`, join(folder, "..data_tmp"));
    await rename(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  await turn("2026_11_24_07", "first");
  await symlink("..data/quay-token", join(folder, "quay-token"));
  expect(await readTokenFile(join(folder, "quay-token"))).toBe("first");
  await turn("2026_11_24_08", "second");
  expect(await readTokenFile(join(folder, "quay-token"))).toBe("second");
});

test.each<[string, string, string]>([
  ["empty", "", "is empty"],
  ["blank", " \n", "is empty"],
  ["two lines", `${token}\n${token}\n`, "holds more than one word or line; a token is a single one"],
  ["two words", `${token} ${token}`, "holds more than one word or line; a token is a single one"],
  ["a header's value", `Bearer ${token}`, "holds a header's value"],
  [
    "a token server's answer",
    JSON.stringify({ access_token: token }),
    "holds a whole JSON answer, not the token in it",
  ],
])("%s", async (_, text, problem) => {
  const path = join(await makeFolder(), "token");
  await writeFile(path, text);
  const shown = await failureText("token-file-unusable", readTokenFile(path));
  expect(shown).toContain(`The token file ${path} ${problem}.`);
  expect(shown).not.toContain(token);
});

test("rejects what is not a file", async () => {
  const folder = await makeFolder();
  const shown = (path: string) => failureText("token-file-unusable", readTokenFile(path));
  expect(await shown(join(folder, "nothing"))).toContain("does not exist");
  await writeFile(join(folder, "file"), "x");
  expect(await shown(join(folder, "file/token"))).toContain("does not exist");
  expect(await shown(folder)).toContain("is a folder");
  await symlink("self", join(folder, "self"));
  expect(await shown(join(folder, "self"))).toContain("is a symbolic link, or a loop of them");
});
