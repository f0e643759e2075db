/** User input for promotions: references, options, the file. */
import fc from "fast-check";
import { expect, test } from "vitest";
import * as yaml from "yaml";
import { type OptionName, type OptionValues, options } from "../../src/options/table.ts";
import { ExplainedError, invalidInput } from "../../src/platform/errors.ts";
import type { Words } from "../../src/platform/wording.ts";
import type { Promotion } from "../../src/promotion/promotion.ts";
import { parsePromotionFile } from "../../src/promotion/promotion-file.ts";
import {
  byDigest,
  formatReference,
  parseDestination,
  parseSource,
  parseTags,
  pathOf,
} from "../../src/promotion/reference.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";
import { failureOf } from "../fixtures.ts";
import { expectUnsaid, forAll, forAllAsync, outcome, outcomeAsync } from "./property.ts";
import { endless, hostile, like, nearly, registryHost, secret } from "./values.ts";

const hex = "0123456789abcdef".repeat(4);
const sources = [
  "quay.io/acme/app:1.0",
  `acme/app@sha256:${hex}`,
  `localhost:5000/acme/app:1@sha256:${hex}`,
  "docker.io/library/alpine:3",
  "[::1]:8443/acme/app:x",
];
const destinations = ["quay.io/acme/app", "acme/team/app", "QUAY.io:8443/a/b"];

const refuse = (shown: string, problem: Words, example: string) => invalidInput("source", shown, problem, example);
const source = (text: string) => parseSource(text, "quay.io", refuse);
const destination = (text: string) => parseDestination(text, "quay.io", "the option tag", refuse);

/** Hosts that differ from organizations: by a dot, a port or localhost. */
const host = registryHost.filter((text) => /[.:]/.test(text) || text === "localhost");
const repository = fc
  .array(fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}$/), { minLength: 2, maxLength: 4 })
  .map((parts) => parts.join("/"))
  // The host has its dot; an organization has none here.
  .filter((text) => !/^[^/]*\.|^localhost\//.test(text));
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/);
const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((text) => `sha256:${text}`);

/** On one line, not endless, and of a known kind. */
function expectOneLine(failed: ExplainedError): void {
  const error = failureOf(failed);
  expect(error.code).toBe("invalid-input");
  expect(error.message + error.remedy.join("")).not.toMatch(/[\r\n]/);
  expect(error.message.length).toBeLessThan(1_000);
  expect(error.remedy.join("").length).toBeLessThan(25_000);
  // An example for each missing option.
  const missing = /^Missing required options? (.*)\.$/.exec(error.message)?.[1]?.split(", ");
  expect(error.remedy).toHaveLength(missing?.length ?? 1);
}

test("any text gives a reference that reads the same again, or an error on one line", () => {
  let right = 0;
  forAll(
    like(...sources, ...destinations),
    (text) => {
      const image = outcome(() => source(text));
      if (image instanceof ExplainedError) {
        expectOneLine(image);
      } else {
        right += 1;
        expect(source(formatReference(image))).toEqual(image);
      }
      const place = outcome(() => destination(text));
      if (place instanceof ExplainedError) {
        expectOneLine(place);
      } else {
        expect(destination(pathOf(place))).toEqual(place);
        expect(source(byDigest(place, `sha256:${hex}`))).toMatchObject(place);
      }
    },
    1000,
  );
  expect(right).toBeGreaterThan(100);
});

test("a reference has its parts' values, in any notation", () => {
  forAll(fc.tuple(host, repository, tag, digest, fc.boolean()), ([registry, path, name, sum, capitals]) => {
    const written = `${capitals ? registry.toUpperCase() : registry}/${path}`;
    expect(source(`${written}:${name}`)).toEqual({ registry, repository: path, by: { tag: name } });
    expect(source(`${written}@${sum}`)).toEqual({ registry, repository: path, by: { digest: sum } });
    expect(source(`${written}:${name}@${sum}`)).toEqual({ registry, repository: path, by: { digest: sum } });
    expect(destination(written)).toEqual({ registry, repository: path });
    expect(source(`${path}:${name}`)).toEqual({ registry: "quay.io", repository: path, by: { tag: name } });
  });
});

test("tags are unchanged, or the error names one", () => {
  forAll(fc.array(like("1.0", "latest", "v1.2-rc_3"), { maxLength: 4 }), (texts) => {
    const tags = outcome(() => parseTags(texts, refuse));
    if (tags instanceof ExplainedError) {
      expectOneLine(tags);
    } else {
      expect(tags).toEqual(texts);
      expect(new Set(tags).size).toBe(tags.length);
    }
  });
});

test("the example in an error about a reference is valid", () => {
  forAll(
    nearly(...sources),
    (text) => {
      const error = outcome(() => source(text));
      const example =
        error instanceof ExplainedError ? failureOf(error).remedy[0]?.replace("Write, for example, ", "") : undefined;
      // Otherwise it is a repository alone.
      if (example !== undefined && !/(?:no scheme|no user or password|has no blanks)/.test(String(error))) {
        expect(outcome(() => source(example))).not.toBeInstanceOf(ExplainedError);
      }
    },
    1000,
  );
});

/** Valid values, most of them together. */
const good: Partial<Record<OptionName, readonly string[]>> = {
  registry: ["quay.io", "quay.example.com:8443"],
  source: sources,
  destination: destinations,
  tag: ["1.0", "1.0\nlatest", "v1\r\nv2\n\nv3"],
  "source-robot": ["acme+ci"],
  "destination-robot": ["acme+release"],
  platform: ["linux/amd64", "linux/arm/v7\nlinux/arm64"],
  parallel: ["1", "32"],
  timeout: ["120"],
  "verify-command": ["cosign verify --key release.pub"],
  "move-tags": ["true", "false"],
  "create-only": ["false"],
};
const flags = ["with-signatures", "dry-run"];
const valuesFor = (name: OptionName) => like(...(good[name] ?? [flags.includes(name) ? "true" : ""]));
// Files have tests of their own; a file that exists by chance must not be read.
const names = options.map(({ name }) => name).filter((name) => name !== "file");

test("any options give a request, or an error that names one of them", async () => {
  const base = { source: "acme/a:1", destination: "acme/b", tag: "1", "destination-robot": "acme+ci" } as const;
  const one = fc.constantFrom(...names).chain((name) => valuesFor(name).map((value) => ({ ...base, [name]: value })));
  const any = fc.record(Object.fromEntries(names.map((name) => [name, valuesFor(name)])), { requiredKeys: [] });
  let right = 0;
  await forAllAsync(
    fc.oneof<fc.Arbitrary<OptionValues>[]>(one, any),
    async (values) => {
      const result = await outcomeAsync(() => readPromotionRequest(values));
      if (result instanceof ExplainedError) {
        expectOneLine(result);
        expect(names).toContain(/^(?:The option "|Missing required options? )([\w-]+)/.exec(result.message)?.[1]);
        return;
      }
      right += 1;
      const [promotion] = result.promotions;
      expect(promotion?.tags.length).toBeGreaterThan(0);
      expect(new Set(promotion?.tags).size).toBe(promotion?.tags.length);
      expect(result.parallel).toBeGreaterThan(0);
      expect(result.parallel).toBeLessThan(33);
    },
    600,
  );
  expect(right).toBeGreaterThan(60);
});

const file = (text: string, hasSourceRobot: boolean) => () =>
  parsePromotionFile(yaml, text, { path: "release.yaml", registry: "quay.io", hasSourceRobot });

const release = `# November
- source: quay.io/acme/staging:1.0
  destination: &there acme/app
  tags: [1.0, "latest"]
- {source: acme/worker@sha256:${hex}, destination: acme/worker, tags: [1]}
- source: acme/staging:2
  destination: *there
  tags:
    - v2
`;
const json = JSON.stringify([{ source: "acme/staging:1", destination: "acme/app", tags: ["1", "2"] }]);

test("any file gives promotions, or an error that names the file", () => {
  const sign = fc.constantFrom(
    ..."-:[]{},&*!|>'\"%@`#? \n\t".split(""),
    "- ",
    ": ",
    "\n- ",
    "\n  ",
    "---\n",
    "&a ",
    "*a",
  );
  const text = fc.oneof(
    { weight: 5, arbitrary: nearly(release, json) },
    { weight: 2, arbitrary: fc.array(fc.oneof(sign, hostile), { maxLength: 12 }).map((parts) => parts.join("")) },
    { weight: 1, arbitrary: endless },
    // Opening characters, repeated.
    { weight: 1, arbitrary: fc.tuple(sign, sign, fc.nat({ max: 20_000 })).map(([a, b, n]) => (a + b).repeat(n)) },
  );
  let right = 0;
  forAll(
    fc.tuple(text, fc.boolean()),
    ([content, hasSourceRobot]) => {
      const result = outcome(file(content, hasSourceRobot));
      if (result instanceof ExplainedError) {
        expectOneLine(result);
        expect(result.message).toMatch(
          /^(?:The option "file" is "release\.yaml": |release\.yaml, entry \d+ \(line \d+\): )/,
        );
      } else {
        right += 1;
        expect(result.length).toBeGreaterThan(0);
      }
    },
    400,
  );
  expect(right).toBeGreaterThan(10);
});

test("a file written as YAML or JSON reads the same", () => {
  const entry = fc.record({
    source: fc.tuple(repository, digest).map(([path, sum]) => `quay.io/${path}@${sum}`),
    destination: repository.map((path) => `quay.io/${path}`),
    tags: fc.uniqueArray(tag, { minLength: 1, maxLength: 4 }),
  });
  const entries = fc.uniqueArray(entry, { minLength: 1, maxLength: 5, selector: ({ destination }) => destination });
  const written = ({ source, destination, tags }: Promotion) => ({
    source: formatReference(source),
    destination: pathOf(destination),
    tags,
  });
  forAll(fc.tuple(entries, fc.constantFrom("yaml", "json", "flow", "pretty")), ([list, how]) => {
    const text =
      how === "yaml"
        ? yaml.stringify(list)
        : how === "flow"
          ? yaml.stringify(list, { collectionStyle: "flow" })
          : JSON.stringify(list, undefined, how === "pretty" ? 2 : 0);
    const result = outcome(file(text, true));
    expect(result instanceof ExplainedError ? result.message : result.map(written)).toEqual(list);
  });
});

test("errors never quote a password before a host, in options or in a file", async () => {
  const before = fc.constantFrom("", "https://", "docker://", "user:", "https://user:");
  const userinfo = fc
    .tuple(before, hostile, hostile)
    .map(([start, a, b]) => `${start}${a}${secret}${b}@`)
    // Lines are separate values, the part before :// is not a password, and spaces around a value are dropped.
    .map((text) => text.replaceAll(/[\r\n]/g, ""))
    .filter((text) => !/^[a-z][a-z0-9+.-]*:\/\//i.exec(text.trim())?.[0].includes(secret));
  const after = fc.constantFrom("quay.io/acme/app:1", "quay.io/acme/app", `localhost:5000/a/b@sha256:${hex}`, "");
  const fields = ["source", "destination", "tag"] as const;
  const values = fc.tuple(userinfo, after, fc.constantFrom(...fields)).map(([start, end, field]) => ({
    field,
    text: `${start}${end}`,
  }));
  const base = { source: "acme/a:1", destination: "acme/b", tag: "1", "destination-robot": "acme+ci" } as const;
  await forAllAsync(
    values,
    async ({ field, text }) => {
      const alone = await outcomeAsync(() => readPromotionRequest({ ...base, [field]: text }));
      const both = await outcomeAsync(() =>
        readPromotionRequest({ [field]: text, file: "f", "destination-robot": "a1+b1" }),
      );
      const { source, destination, tag }: OptionValues = { ...base, [field]: text };
      const written = yaml.stringify([{ source, destination, tags: [tag] }]);
      const inFile = outcome(file(written, false));
      // Broken YAML: the library quotes what it did not expect.
      const broken = outcome(file(`- source: ${text}\n] ${text}`, false));
      for (const result of [alone, both, inFile, broken]) {
        expect(result).toBeInstanceOf(ExplainedError);
        expectUnsaid(result as ExplainedError, secret);
      }
    },
    300,
  );
});
