import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  configurationPath,
  helperSyntax,
  originOf,
  parseHelperRequest,
  readCacheSwitch,
  readConfiguration,
  requestOf,
  variableOf,
  withoutConfiguration,
} from "../../src/helper/configuration.ts";
import { optionsOf } from "../../src/options/table.ts";
import { mention, plainly, text, variable, written } from "../../src/platform/wording.ts";
import { failure, makeFolder } from "../fixtures.ts";

const read = (env: Record<string, string>) => readConfiguration(originOf(env, undefined), env);

describe("variables", () => {
  test("there is one for each option", () => {
    expect(optionsOf("helper").map(({ name }) => variableOf(name))).toEqual(
      expect.arrayContaining(["QUAY_KEYLESS_ROBOT", "QUAY_KEYLESS_TOKEN_FILE", "QUAY_KEYLESS_SPIFFE_ID"]),
    );
    for (const { name } of optionsOf("helper")) {
      const value = name === "registry" ? "quay.example.com" : "some value";
      const [entry] = [...(read({ [variableOf(name)]: value })?.registries.values() ?? [])];
      expect(entry).toMatchObject({ values: { [name]: value }, problem: undefined });
    }
  });

  test("name one registry, quay.io by default", () => {
    expect([...(read({ QUAY_KEYLESS_ROBOT: "acme+ci" })?.registries.keys() ?? [])]).toEqual(["quay.io"]);
    const other = read({ QUAY_KEYLESS_REGISTRY: "Quay.Example.com:443" });
    expect([...(other?.registries.keys() ?? [])]).toEqual(["quay.example.com"]);
  });

  test("a blank one, the switch of the cache and a token's own are no configuration of their own", () => {
    expect(originOf({ QUAY_KEYLESS_ROBOT: " ", QUAY_KEYLESS_CACHE: "off", HOME: "/h" }, undefined).kind).toBe("file");
    const env = {
      QUAY_KEYLESS_TOKEN_ENV: "QUAY_KEYLESS_JWT",
      QUAY_KEYLESS_JWT: "a.b.c",
      QUAY_KEYLESS_ROBOT: "acme+ci",
    };
    expect(read(env)?.registries.get("quay.io")?.problem).toBeUndefined();
  });

  test.each([
    ["QUAY_KEYLESS_ROBT", "Did you mean: QUAY_KEYLESS_ROBOT=value"],
    ["QUAY_KEYLESS_CASHE", "Did you mean: QUAY_KEYLESS_CACHE=value"],
    ["QUAY_KEYLESS_TOKENFILE", "Did you mean: QUAY_KEYLESS_TOKEN_FILE=value"],
    ["QUAY_KEYLESS_auth_file", "Unset it. Its variables are QUAY_KEYLESS_REGISTRY"],
    ["QUAY_KEYLESS_", "Unset it."],
    ["QUAY_KEYLESS_VERSION", "Unset it."],
  ])("%s is a problem of the registry: %s", (name, remedy) => {
    const problem = read({ [name]: "value" })?.registries.get("quay.io")?.problem;
    expect(problem?.code).toBe("invalid-input");
    expect(problem?.message).toContain(`The variable ${name} is set`);
    expect(problem?.remedy.map(String).join()).toContain(remedy);
  });

  test("one that may be the registry's is a problem of every host", async () => {
    expect((await failure(() => read({ QUAY_KEYLESS_REGISTY: "quay.example.com" }))).remedy).toEqual([
      "Did you mean: QUAY_KEYLESS_REGISTRY=quay.example.com",
    ]);
    expect((await failure(() => read({ QUAY_KEYLESS_REGISTRY: "https://quay.example.com" }))).code).toBe(
      "invalid-input",
    );
    const known = read({ QUAY_KEYLESS_REGISTY: "a.example.com", QUAY_KEYLESS_REGISTRY: "b.example.com" });
    expect([...(known?.registries.keys() ?? [])]).toEqual(["b.example.com"]);
  });
});

describe("the file", () => {
  test.each([
    [{ HOME: "/home/me" }, "/home/me/.config/quay-keyless/config.json"],
    [{ HOME: "/home/me", XDG_CONFIG_HOME: "/etc/me" }, "/etc/me/quay-keyless/config.json"],
    [{ HOME: "/home/me", XDG_CONFIG_HOME: "relative" }, "/home/me/.config/quay-keyless/config.json"],
    [{ HOME: "home", XDG_CONFIG_HOME: "/etc/me" }, "/etc/me/quay-keyless/config.json"],
    [{ HOME: "home", XDG_CONFIG_HOME: "relative" }, undefined],
    [{ HOME: "." }, undefined],
    [{}, undefined],
  ])("with %j is %s", (env, path) => {
    expect(configurationPath(env)).toBe(path);
    expect(originOf(env, undefined)).toEqual(path === undefined ? { kind: "nowhere" } : { kind: "file", path });
    expect(originOf(env, "/job/config.json")).toEqual({ kind: "job", path: "/job/config.json" });
  });

  async function withFile(content: unknown) {
    const HOME = await makeFolder();
    const folder = join(HOME, ".config/quay-keyless");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    await writeFile(join(folder, "config.json"), JSON.stringify(content), { mode: 0o600 });
    return { HOME };
  }

  test("has options by host; the key is the registry", async () => {
    const found = read(
      await withFile({ version: 1, registries: { "https://Quay.example.com:443": { robot: "acme+ci" } } }),
    );
    expect([...(found?.registries ?? [])]).toEqual([
      [
        "quay.example.com",
        {
          registry: "quay.example.com",
          values: { robot: "acme+ci", registry: "quay.example.com" },
          problem: undefined,
        },
      ],
    ]);
  });

  test("that is not there is no configuration, and a sentence says so", async () => {
    const HOME = await makeFolder();
    expect(read({ HOME })).toBeUndefined();
    expect(read({})).toBeUndefined();
    expect(withoutConfiguration({ HOME })).toContain(`there is no ${HOME}/.config/quay-keyless/config.json`);
    expect(withoutConfiguration({})).toContain("HOME is not an absolute path");
  });

  test.each([
    [null, "something else than text for quay.io"],
    ["acme+ci", "something else than text for quay.io"],
    [{ robot: 1 }, "something else than text for quay.io: robot"],
    [{ constructor: "x" }, 'the option "constructor"'],
    [{ "auth-file": "x" }, 'the option "auth-file"'],
    [{ "tokn-file": "/x" }, 'the option "tokn-file"'],
  ])("an entry %j is a problem of its registry", async (entry, words) => {
    const found = read(await withFile({ version: 1, registries: { "quay.io": entry, "quay.example.com": {} } }));
    expect(found?.registries.get("quay.io")?.problem?.message).toContain(words);
    expect(found?.registries.get("quay.example.com")?.problem).toBeUndefined();
  });
});

test.each([
  [undefined, { isOn: true }],
  [" ", { isOn: true }],
  [" On ", { isOn: true }],
  ["OFF", { isOn: false }],
  ["never", { isOn: false, odd: "never" }],
])("the switch of the cache: %j is %j", (QUAY_KEYLESS_CACHE, expected) => {
  expect(readCacheSwitch({ QUAY_KEYLESS_CACHE })).toEqual(expected);
});

test.each(["token-file", "ca-file"] as const)("a relative %s is refused", async (option) => {
  const values = { registry: "quay.io", robot: "acme+ci" };
  const entry = (path: string) => ({ registry: "quay.io", values: { ...values, [option]: path }, problem: undefined });
  expect(requestOf(entry(`/etc/${option}`)).robot).toBe("acme+ci");
  const error = await failure(() => requestOf(entry(`etc/${option}`)));
  expect(error.message).toContain(`The option "${option}" is "etc/${option}"`);
  expect(error.remedy.map(plainly)).toEqual([`Write, for example, ${option}: /absolute/path/${option}`]);
});

describe("a request", () => {
  test("has the defaults of the options", () => {
    expect(parseHelperRequest({ robot: "acme+ci" })).toEqual({
      registry: "quay.io",
      tokenHost: undefined,
      robot: "acme+ci",
      identity: { wanted: { source: "auto" }, spiffeId: undefined, audience: "quay", workflowRef: undefined },
      caFile: undefined,
      timeoutSeconds: 120,
    });
    expect(parseHelperRequest({ robot: "Quay.io=acme+ci" }).robot).toBe("acme+ci");
  });

  test.each([
    [{}, "Missing required option robot"],
    [{ robot: "acme+ci\nacme+cd" }, "takes one robot"],
    [{ robot: "quay.io/acme=acme+ci" }, "can't tell quay.io/acme from other repositories"],
    [{ robot: "quay.example.com=acme+ci" }, "on another host"],
    [{ robot: "acme+ci", registry: "https://quay.io" }, "without a scheme"],
    [{ robot: "acme+ci", "token-file": "/a", "token-env": "B" }, "is set too"],
    [{ robot: "acme+ci", timeout: "0" }, "whole number of seconds"],
  ])("%j is refused: %s", async (values, words) => {
    expect(await failure(() => parseHelperRequest(values))).toMatchObject({
      code: "invalid-input",
      message: expect.stringContaining(words),
    });
  });
});

test.each([
  [{ kind: "environment" }, "QUAY_KEYLESS_CA_FILE, QUAY_KEYLESS_TIMEOUT='6 0', QUAY_KEYLESS_TOKEN_ENV=\"$NAME\""],
  [{ kind: "file", path: "/c" }, 'ca-file, "timeout": "6 0", "token-env": "$NAME"'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions
  [{ kind: "job", path: "/c" }, "ca-file, timeout: 6 0, token-env: ${{ env.NAME }}"],
] as const)("options as %j writes them", (origin, expected) => {
  const words = text`${mention("ca-file")}, ${mention("timeout", "6 0")}, ${mention("token-env", variable("NAME"))}`;
  const syntax = helperSyntax(origin);
  expect(written(words, syntax)).toBe(expected);
  expect([syntax.has("token-host"), syntax.has("auth-file")]).toEqual([true, false]);
});
