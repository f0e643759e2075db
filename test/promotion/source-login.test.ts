/** Which entry of an auth file is used for a source. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readSourceLogins, writeSourceLogins } from "../../src/promotion/source-login.ts";
import { failure, makeFolder } from "../fixtures.ts";

const auth = (name: string) => ({ auth: Buffer.from(`${name}:password`).toString("base64") });
const source = (path: string) => ({ registry: path.replace(/\/.*/, ""), repository: path.replace(/^[^/]*\//, "") });

async function fileWith(content: unknown): Promise<string> {
  const file = join(await makeFolder(), "auth.json");
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

/** The key of the entry that is used. */
async function taken(keys: readonly string[], path: string): Promise<string | undefined> {
  const file = await fileWith({ auths: Object.fromEntries(keys.map((key) => [key, auth(key)])) });
  return (await readSourceLogins(file, [source(path)])).get(path)?.key;
}

test.each([
  ["ghcr.io/acme/staging", ["ghcr.io", "ghcr.io/acme", "ghcr.io/acme/staging"], "ghcr.io/acme/staging"],
  ["ghcr.io/acme/staging", ["ghcr.io/acme", "ghcr.io"], "ghcr.io/acme"],
  ["ghcr.io/acme/staging", ["ghcr.io/acme/stag", "ghcr.io/acm", "ghcr.io"], "ghcr.io"],
  ["ghcr.io/acme/staging", ["GHCR.io"], "GHCR.io"],
  ["ghcr.io/acme/staging", ["https://ghcr.io/v1/"], "https://ghcr.io/v1/"],
  ["ghcr.io/acme/staging", ["https://ghcr.io"], "https://ghcr.io"],
  ["quay.example.com:8443/acme/staging", ["quay.example.com", "quay.example.com:8443"], "quay.example.com:8443"],
  ["docker.io/acme/app", ["https://index.docker.io/v1/"], "https://index.docker.io/v1/"],
  ["docker.io/acme/app", ["index.docker.io", "docker.io/acme"], "docker.io/acme"],
])("for %s, of %j", async (path, keys, expected) => {
  expect(await taken(keys, path)).toBe(expected);
});

test("writes one entry per source, and nothing else", async () => {
  const paths = ["ghcr.io/acme/one", "ghcr.io/acme/two", "docker.io/acme/three"];
  const keys = ["ghcr.io", "ghcr.io/acme/two", "docker.io", "quay.io"];
  const file = await fileWith({
    auths: Object.fromEntries(keys.map((key) => [key, auth(key)])),
    credHelpers: { a: "b" },
  });
  const logins = await readSourceLogins(file, paths.map(source));
  expect(paths.map((path) => logins.get(path)?.key)).toEqual(["ghcr.io", "ghcr.io/acme/two", "docker.io"]);
  const written = await writeSourceLogins([...logins.values()], join(await makeFolder(), "source"));
  expect(JSON.parse(await readFile(written, "utf8"))).toEqual({
    auths: Object.fromEntries(keys.slice(0, 3).map((key) => [key, auth(key)])),
  });
  expect(((await stat(written)).mode & 0o777).toString(8)).toBe("600");
  expect(((await stat(dirname(written))).mode & 0o777).toString(8)).toBe("700");
});

test.each([
  ["no entry", { auths: { "quay.io": auth("x") } }, "not-logged-in", /has no login for ghcr\.io\/acme\/staging/],
  ["an empty file", {}, "not-logged-in", /has no login/],
  ["a longer name", { auths: { "ghcr.io/acme/staging2": auth("x") } }, "not-logged-in", /has no login/],
  ["another host's beginning", { auths: { "ghcr.io.example.com": auth("x") } }, "not-logged-in", /has no login/],
  ["a helper", { credHelpers: { "ghcr.io": "gcloud" } }, "credential-helper", /credHelpers/],
  [
    "a helper before an entry",
    { auths: { "ghcr.io": auth("x") }, credHelpers: { "ghcr.io": "x" } },
    "credential-helper",
    /credHelpers/,
  ],
  ["docker's store", { auths: { "ghcr.io": {} }, credsStore: "desktop" }, "credential-helper", /credsStore/],
  ["an empty entry", { auths: { "ghcr.io": {} } }, "not-logged-in", /has no login/],
  ["a null entry", { auths: { "ghcr.io": null } }, "not-logged-in", /has no login/],
  ["a number", { auths: { "ghcr.io": { auth: 7 } } }, "credential-helper", /has no password/],
  ["no password", { auths: { "ghcr.io": { auth: "c29tZWJvZHk6" } } }, "credential-helper", /has no password/],
  [
    "a token for OAuth 2",
    { auths: { "ghcr.io": { ...auth("x"), identitytoken: "t" } } },
    "credential-helper",
    /has no password/,
  ],
  ["a text that is not JSON", "{", "auth-file-unusable", /is not JSON/],
])("rejects %s, with the remedy", async (_, content, code, said) => {
  const error = await failure(readSourceLogins(await fileWith(content), [source("ghcr.io/acme/staging")]));
  expect(error.code).toBe(code);
  expect(error.message).toMatch(said);
  if (code !== "auth-file-unusable") {
    expect(error.remedy).toEqual([
      "Log in to a separate file: skopeo login --authfile source.json ghcr.io",
      "Then name that file: source-auth-file: source.json",
    ]);
  }
});

test("rejects a missing file", async () => {
  const error = await failure(readSourceLogins("/nowhere/auth.json", [source("ghcr.io/acme/staging")]));
  expect([error.code, error.message]).toEqual(["invalid-input", expect.stringContaining("it does not exist")]);
});
