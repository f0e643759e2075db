/** docs/quay-trust.schema.json says of a file what the reader says of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import * as yaml from "yaml";
import { schemaUrl } from "../../src/trust/export.ts";
import { parseTrustFile } from "../../src/trust/trust-file.ts";
import { forAll, outcome } from "../fuzz/property.ts";
import { badFiles, goodFiles } from "./cases.ts";

const schema = JSON.parse(readFileSync(join(import.meta.dirname, "../../docs/quay-trust.schema.json"), "utf8"));
const validate = new Ajv2020.default({ allErrors: true, allowUnionTypes: true, strictRequired: false }).compile(schema);

const isValid = (text: string): boolean => validate(yaml.parse(text, { uniqueKeys: false }));
const isRead = (text: string): boolean =>
  !(
    outcome(() =>
      parseTrustFile(yaml, text, "quay-trust.yaml", {
        ...{ registry: undefined, prune: true, createRobots: false, createRepositories: false },
      }),
    ) instanceof Error
  );

test("is at the address that exported files name", () => {
  expect(schema.$id).toBe(schemaUrl);
});

test.each(goodFiles)("both take %j", (text) => {
  expect(isRead(text)).toBe(true);
  expect(isValid(text), JSON.stringify(validate.errors)).toBe(true);
});

test.each(badFiles)("both refuse $at $problem", ({ file, onlyReader = false }) => {
  expect(isRead(file)).toBe(false);
  expect(isValid(file)).toBe(onlyReader);
});

test("they agree about any combination of keys and values", () => {
  const values = {
    github: ["acme/app", "acme@1/app@2", "acme@1/app", "acme/app.git", "a b/c", "https://github.com/acme/app"],
    gitlab: ["a/b", "a/b/c", "a", "a/b.git", "-a/b"],
    "service-account": ["a/b", "A/b", "a/b.c", "a/-b", "a"],
    subject: ["spiffe://a/b", " x ", "", 12],
    environment: ["release", "a:b", "refs/x", " a", "a*", 12, ""],
    branch: [
      "main",
      "a/b",
      "refs/heads/a",
      "a..b",
      "a.lock/b",
      ".a",
      "a/.b",
      "a.",
      "@",
      "a@{b",
      "a\u0085",
      "a\u200bb",
      1.5,
      "",
    ],
    tag: ["v1", "a b", "a^b", "a\\b", "/a", "a//b", "a/"],
    "pull-request": [true, false, "true"],
    issuer: [
      "https://token.actions.githubusercontent.com",
      "https://github.example.com/_services/token",
      "https://a.example",
      "http://a",
      "ftp://a",
      "https://u:p@a",
      "",
    ],
    audience: ["quay", ["quay"], [], [" a"], ["a", "a"], { a: "b" }],
  };
  const binding = fc.record(
    Object.fromEntries(Object.entries(values).map(([key, each]) => [key, fc.constantFrom<unknown>(...each)])),
    { requiredKeys: [] },
  );
  const text = fc.oneof(
    binding,
    // One head with a part: more of these are right.
    ...["environment", "branch", "tag", "pull-request"].map((part) =>
      fc.record(some(values, ["github", part, "issuer", "audience"]), { requiredKeys: ["github", part] }),
    ),
    fc.record(some(values, ["gitlab", "branch", "audience"]), { requiredKeys: ["gitlab", "branch"] }),
    fc.record(some(values, ["service-account", "issuer"])),
    fc.record(some(values, ["subject", "issuer"])),
  );
  let right = 0;
  forAll(
    text,
    (entry) => {
      const file = JSON.stringify({ organization: "acme", robots: { ci: { bindings: [entry] } } });
      const read = isRead(file);
      right += read ? 1 : 0;
      expect(isValid(file), file).toBe(read);
    },
    2000,
  );
  expect(right).toBeGreaterThan(100);
});

const some = (values: Readonly<Record<string, readonly unknown[]>>, keys: readonly string[]) =>
  Object.fromEntries<fc.Arbitrary<unknown>>(keys.map((key) => [key, fc.constantFrom(...(values[key] ?? []))]));
