/** User input for what an organization trusts: the file, and the options of a binding. */
import fc from "fast-check";
import { expect, test } from "vitest";
import * as yaml from "yaml";
import type { OptionValues } from "../../src/options/table.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { type Mention, withMentions } from "../../src/platform/wording.ts";
import { formKeys, formOf } from "../../src/trust/binding-forms.ts";
import { lintTrust } from "../../src/trust/lint.ts";
import { parseTrustFile } from "../../src/trust/trust-file.ts";
import { bindingOfOptions } from "../../src/trust/trust-of-options.ts";
import { failureOf } from "../fixtures.ts";
import { goodFiles } from "../trust/cases.ts";
import { expectUnsaid, forAll, outcome } from "./property.ts";
import { endless, hostile, nearly, secret } from "./values.ts";

const read = (text: string) => () =>
  parseTrustFile(yaml, text, "quay-trust.yaml", {
    ...{ registry: undefined, prune: true, createRobots: false, createRepositories: false },
  });

function expectOneLine(failed: ExplainedError): void {
  const { code, message, remedy } = failureOf(failed);
  expect(code).toBe("invalid-input");
  expect(message + remedy.join("")).not.toMatch(/[\r\n]/);
  expect(message.length).toBeLessThan(1_500);
  expect(remedy.length).toBeGreaterThan(0);
}

test("any text gives a trust that can be checked, or an error on one line that names the file", () => {
  let right = 0;
  forAll(
    fc.oneof(nearly(...goodFiles), hostile, endless),
    (text) => {
      const trust = outcome(read(text));
      if (trust instanceof ExplainedError) {
        expectOneLine(trust);
        expect(trust.message).toContain("quay-trust.yaml");
      } else {
        right += 1;
        for (const strict of [true, false]) {
          expect(lintTrust(trust, { strict }).every(({ level }) => level === "error" || !strict)).toBe(true);
        }
      }
    },
    1500,
  );
  expect(right).toBeGreaterThan(50);
});

test("errors never quote a password before a host", () => {
  const key = fc.constantFrom("registry", "organization", "github", "gitlab", "service-account", "issuer");
  const before = fc.constantFrom("", "https://", "user:", "https://user:");
  forAll(fc.tuple(key, before, fc.constantFrom("", "a", "1-")), ([name, start, more]) => {
    const value = `${start}${more}${secret}@quay.io/acme`;
    const own = { registry: "quay.io", organization: "acme" };
    const file = ["registry", "organization"].includes(name)
      ? { ...own, [name]: value, robots: {} }
      : { ...own, robots: { ci: { bindings: [{ issuer: "https://a", branch: "x", [name]: value }] } } };
    const results = [outcome(read(JSON.stringify(file)))];
    if (!["registry", "organization"].includes(name)) {
      results.push(outcome(() => bindingOfOptions({ branch: "x", [name]: value }) as never));
    }
    for (const result of results) {
      expect(result).toBeInstanceOf(ExplainedError);
      expectUnsaid(result as ExplainedError, secret);
    }
  });
});

/** The mentions in the last line of an error, as options. */
function exampleOf({ remedy }: ExplainedError): OptionValues {
  const mentions: Mention[] = [];
  withMentions(remedy.at(-1) ?? "", (mention) => {
    mentions.push(mention);
    return "";
  });
  return Object.fromEntries(mentions.map(({ option, value }) => [option, value]));
}

test("options of a binding give one, or an error with an example that works", () => {
  const valuesOf = (key: string) =>
    key === "pull-request"
      ? fc.constantFrom("true", "false")
      : fc.oneof(nearly("acme/app", "main", "https://a.example", "acme@1/app@2", "refs/heads/main"), hostile);
  const record = (keys: readonly string[], requiredKeys: string[]) =>
    fc.record(Object.fromEntries(keys.map((key) => [key, valuesOf(key)])), { requiredKeys });
  const values = fc.oneof(
    record(formKeys, []),
    record(["github", "environment"], ["github", "environment"]),
    record(["gitlab", "branch"], ["gitlab", "branch"]),
    record(["issuer", "subject"], ["issuer", "subject"]),
  );
  let right = 0;
  forAll(
    values,
    (given: OptionValues) => {
      const binding = outcome(() => bindingOfOptions(given) ?? "none");
      if (!(binding instanceof ExplainedError)) {
        right += binding === "none" ? 0 : 1;
        return;
      }
      expectOneLine(binding);
      const example = exampleOf(binding);
      const keys = Object.keys(example);
      const again = outcome(() => bindingOfOptions(keys.length === 1 ? { ...given, ...example } : example) ?? "none");
      // An example of the whole works if the values that it repeats do; one of a single value is no longer what is wrong.
      const repeated = keys.filter((key) => given[key as keyof OptionValues] === example[key as keyof OptionValues]);
      if (again instanceof ExplainedError && repeated.length === 0) {
        expect(again.message).not.toBe(binding.message);
      }
      if (keys.length > 1 && repeated.length === 0) {
        expect(again).not.toBeInstanceOf(ExplainedError);
      }
    },
    2000,
  );
  expect(right).toBeGreaterThan(10);
});

test("the short form of any binding is found soon", () => {
  forAll(
    fc.tuple(fc.constantFrom("", "repo:", "project_path:", "system:serviceaccount:"), endless),
    ([start, text]) => {
      const subject = `${start}${text}`;
      expect(formOf({ issuer: "https://a.example", subject })).toBeDefined();
    },
  );
});
