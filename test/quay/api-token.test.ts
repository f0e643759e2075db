/** Where the API token comes from, and what is no API token. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readOptions } from "../../src/options/reader.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { parseApiTokenSource, readApiToken } from "../../src/quay/api-token.ts";
import { failureText, makeFolder, testPlatform, unsignedJwt, withStandardInput } from "../fixtures.ts";

const token = "A1".repeat(20);

async function read(values: OptionValues, env: Record<string, string> = {}) {
  const platform = testPlatform({ env });
  const found = await readApiToken(parseApiTokenSource(readOptions(values)), platform);
  expect(platform.reporter.secrets).toEqual([found]);
  return found;
}

test("comes from QUAY_API_TOKEN, from the variable that is named, or from a file, which counts first", async () => {
  const file = join(await makeFolder(), "token");
  await writeFile(file, `${token}\n`);
  expect(await read({}, { QUAY_API_TOKEN: ` ${token}\n` })).toBe(token);
  expect(await read({ "api-token-env": "MINE" }, { MINE: token })).toBe(token);
  expect(await read({ "api-token-file": file }, { QUAY_API_TOKEN: "x" })).toBe(token);
});

test("comes from standard input", async () => {
  withStandardInput(`echo ${token}`);
  expect(await read({ "api-token-file": "-" })).toBe(token);
});

test("of standard input that is a terminal, or empty, is an error that names it", async () => {
  Object.assign(withStandardInput("exec sleep 60"), { isTTY: true });
  const output = await failureText("api-token-unusable", read({ "api-token-file": "-" }));
  expect(output).toContain("standard input is a terminal, not a pipe or a file");
  withStandardInput("true");
  expect(await failureText("api-token-unusable", read({ "api-token-file": "-" }))).toContain("standard input is empty");
});

test("is waited for no longer than the signal allows", async () => {
  withStandardInput("exec sleep 60");
  const reason = new Error("the end");
  const platform = testPlatform({ signal: AbortSignal.abort(reason) });
  await expect(readApiToken({ kind: "file", path: "-" }, platform)).rejects.toBe(reason);
});

test("is missing: says how to make one, and where it goes", async () => {
  const output = await failureText("api-token-not-found", read({}));
  expect(output).toContain("QUAY_API_TOKEN is not set");
  expect(output).toContain("org:admin repo:admin");
  expect(output).toContain("api-token-file: FILE");
});

describe("rejects", () => {
  const jwt = unsignedJwt({ sub: "acme+ci" });
  test.each<[string, content: string, says: string]>([
    ["nothing", "", "is empty"],
    ["a JWT: an identity token, or a robot token", jwt, "holds a JWT"],
    ["a header", `Bearer ${token}`, "holds a header's value"],
    ["a whole answer", `{"access_token": "${token}"}`, "jq -r .access_token"],
    ["two lines", `${token}\n${token}`, "more than one word"],
    ["a line of a shell", `QUAY_API_TOKEN=${token}`, "holds NAME=…"],
    ["one that exports", `export TOKEN="${token}"\n`, "holds NAME=…"],
    ["an equals sign inside", `${token}=${token}`, "holds NAME=…"],
    ["a word", "secret", "no token of Quay"],
    ["characters that no token has", `${token}é`, "no token of Quay"],
    ["jq's null", "null", "the word null"],
  ])("%s, without showing it", async (_, content, says) => {
    const output = await failureText("api-token-unusable", read({}, { QUAY_API_TOKEN: content }));
    expect(output).toContain(says);
    for (const secret of [token, jwt]) expect(output).not.toContain(secret);
  });

  test.each<[string, string]>([
    ["/nowhere/token", "does not exist"],
    ["/", "is a folder"],
    ["/dev/zero", "is a pipe, a socket or a device"],
  ])("the file %s", async (file, says) => {
    expect(await failureText("api-token-unusable", read({ "api-token-file": file }))).toContain(says);
  });

  test("a file that is too large", async () => {
    const file = join(await makeFolder(), "token");
    await writeFile(file, "A".repeat(2 * 1024 * 1024));
    expect(await failureText("api-token-unusable", read({ "api-token-file": file }))).toContain("larger than 1 MiB");
  });

  test.each([`${token.slice(1)}!`, "a b"])("the token in place of its variable's name", async (name) => {
    const output = await failureText("invalid-input", read({ "api-token-env": name }));
    expect(output).toContain("the name of a variable, not the token");
    expect(output).not.toContain(name);
  });

  test("a token that could be a variable's name, without showing it", async () => {
    expect(await failureText("api-token-not-found", read({ "api-token-env": token }))).not.toContain(token);
  });
});
