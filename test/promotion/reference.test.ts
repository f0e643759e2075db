import { describe, expect, test } from "vitest";
import { invalidInput } from "../../src/platform/errors.ts";
import type { Words } from "../../src/platform/wording.ts";
import {
  byDigest,
  byTag,
  formatReference,
  parseDestination,
  parseSource,
  parseTags,
  pathOf,
  type Reference,
  shownOf,
} from "../../src/promotion/reference.ts";
import { failure } from "../fixtures.ts";

const hex = "0123456789abcdef".repeat(4);
const digest = `sha256:${hex}`;

const refuse = (shown: string, problem: Words, example: string) => invalidInput("source", shown, problem, example);
const source = (text: string, registry = "quay.io") => parseSource(text, registry, refuse);
const destination = (text: string, registry = "quay.io") => parseDestination(text, registry, "the option tag", refuse);
const tags = (...texts: string[]) => parseTags(texts, refuse);

const taken = (host: string, isName = true) =>
  `${host} is read as the registry, because it has a dot or a port, and organization/repository is missing after it${isName ? ` (if it is an organization: quay.io/${host}/app)` : ""}`;

describe("a source", () => {
  test.each<[string, string, string, Reference["by"]]>([
    ["acme/app:1.0", "quay.io", "acme/app", { tag: "1.0" }],
    [`acme/app@${digest}`, "quay.io", "acme/app", { digest }],
    ["quay.io/acme/app:1.0", "quay.io", "acme/app", { tag: "1.0" }],
    // Beside a digest, the tag is a comment.
    [`quay.io/acme/app:1.0@${digest}`, "quay.io", "acme/app", { digest }],
    ["QUAY.Example.COM:8443/acme/app:V_1.0-rc", "quay.example.com:8443", "acme/app", { tag: "V_1.0-rc" }],
    [`localhost/acme/app@${digest}`, "localhost", "acme/app", { digest }],
    ["LocalHost:5000/acme/app:1", "localhost:5000", "acme/app", { tag: "1" }],
    ["[::1]:8443/acme/app:1", "[::1]:8443", "acme/app", { tag: "1" }],
    ["10.0.0.1/acme/app:_", "10.0.0.1", "acme/app", { tag: "_" }],
    ["docker.io/library/alpine:3", "docker.io", "library/alpine", { tag: "3" }],
    // Without a dot, a port or the name localhost it is an organization, by docker's rule.
    ["acme/team/app:1", "quay.io", "acme/team/app", { tag: "1" }],
    ["quay.io/acme/a.b_c__d-e---f/9:1", "quay.io", "acme/a.b_c__d-e---f/9", { tag: "1" }],
    [`acme/app:${"a".repeat(128)}`, "quay.io", "acme/app", { tag: "a".repeat(128) }],
    [`acme/${"a".repeat(242)}:1`, "quay.io", `acme/${"a".repeat(242)}`, { tag: "1" }],
  ])("%s", (text, registry, repository, by) => {
    const reference = source(text);
    expect(reference).toEqual({ registry, repository, by });
    expect(source(formatReference(reference), "elsewhere.example")).toEqual(reference);
  });

  test("without a registry is on that of the option registry", () => {
    expect(source("acme/app:1", "quay.example.com:8443").registry).toBe("quay.example.com:8443");
  });

  const names =
    "organization and repository are lower-case letters and digits with single . _ - between them, 255 characters at most";
  const tag = "a tag has 1 to 128 letters, digits and . _ -, the first of them neither . nor -";
  const user = "a reference has no user or password: the robots log in";
  const noDigest = "after @ comes a digest, sha256: and 64 hex digits; a tag follows a colon";
  const part = "it needs organization/repository";
  const noBlanks = "a reference has no blanks";

  test.each<[text: string, problem: string, example: string, shown?: string]>([
    ["acme/app", "it has neither a digest nor a tag", "quay.io/acme/app:1.0"],
    ["quay.io/acme/app", "it has neither a digest nor a tag", "quay.io/acme/app:1.0"],
    ["alpine:3", part, "quay.io/acme/app:3"],
    ["alpine", part, "quay.io/acme/app:1.0"],
    ["quay.io/app:1", taken("quay.io"), "quay.io/acme/app:1"],
    [`localhost:5000/app@${digest}`, taken("localhost:5000", false), `localhost:5000/acme/app@${digest}`],
    ["docker.io/alpine:3", part, "docker.io/library/alpine:3"],
    ["index.docker.io/alpine:3", part, "docker.io/library/alpine:3"],
    [digest, "it is a digest without its repository", `quay.io/acme/app@${digest}`],
    // Invalid digests.
    ["acme/app@sha256:abc123", "its digest has 6 hex digits, and sha256 has 64", "quay.io/acme/app:1.0"],
    [`acme/app@${digest}0`, "its digest has 65 hex digits, and sha256 has 64", "quay.io/acme/app:1.0"],
    ["acme/app@sha256:", "its digest has 0 hex digits, and sha256 has 64", "quay.io/acme/app:1.0"],
    [`acme/app@${hex}`, "the digest lacks its algorithm, sha256:", `quay.io/acme/app@${digest}`],
    [`acme/app@sha256:${hex.toUpperCase()}`, "a digest is lower case", `quay.io/acme/app@${digest}`],
    [`acme/app@SHA256:${hex}`, "a digest is lower case", `quay.io/acme/app@${digest}`],
    [
      "acme/app@sha512:ab",
      "its digest is not a sha256, the only kind that registries use for images",
      "quay.io/acme/app:1.0",
    ],
    ["acme/app@sha256:xyz", "its digest has characters that are not hex digits", "quay.io/acme/app:1.0"],
    ["acme/app@latest", noDigest, "quay.io/acme/app:1.0", "…@latest"],
    ["acme/app@", noDigest, "quay.io/acme/app:1.0", "…@"],
    // Invalid tags.
    ["acme/app:", "it ends with a colon, without a tag", "quay.io/acme/app:1.0"],
    ["acme/app:-1", tag, "quay.io/acme/app:1.0"],
    ["acme/app:.1", tag, "quay.io/acme/app:1.0"],
    ["acme/app:1:2", tag, "quay.io/acme/app:1.0"],
    ["acme/app:1+build", tag, "quay.io/acme/app:1.0"],
    [`acme/app:${"a".repeat(129)}`, tag, "quay.io/acme/app:1.0", `acme/app:${"a".repeat(111)}…`],
    [`acme/app:+@${digest}`, tag, "quay.io/acme/app:1.0"],
    // Names.
    ["Acme/App:1", "repository names are lower case", "quay.io/acme/app:1"],
    ["quay.io/acme/App:1", "repository names are lower case", "quay.io/acme/app:1"],
    [`acme/App@${digest}`, "repository names are lower case", `quay.io/acme/app@${digest}`],
    ["acme//app:1", names, "quay.io/acme/app:1"],
    ["/acme/app:1", names, "quay.io/acme/app:1"],
    ["acme/app/:1", names, "quay.io/acme/app:1"],
    ["acme/-app:1", names, "quay.io/acme/app:1"],
    ["acme/app-:1", names, "quay.io/acme/app:1"],
    ["acme/a..b:1", names, "quay.io/acme/app:1"],
    ["acme/äpp:1", names, "quay.io/acme/app:1"],
    [`acme/${"a".repeat(243)}:1`, names, "quay.io/acme/app:1", `acme/${"a".repeat(115)}…`],
    ["quay..io:x/acme/app:1", "its registry is not a host with an optional port", "quay.io/acme/app:1", "quay..io:…"],
    ["quay.io:99999/acme/app:1", "its registry is not a host with an optional port", "quay.io/acme/app:1"],
    ["acme/app 2:1", noBlanks, "quay.io/acme/app"],
    ["acme/app:1\nacme/app:2", noBlanks, "quay.io/acme/app"],
    ["acme/app\u0000:1", noBlanks, "quay.io/acme/app"],
    // Schemes, users and passwords.
    ["docker://quay.io/acme/app:1", "a reference has no scheme: leave docker:// out", "quay.io/acme/app:1"],
    [
      `https://quay.io/acme/app@${digest}`,
      "a reference has no scheme: leave https:// out",
      `quay.io/acme/app@${digest}`,
    ],
    [
      "https://me:secret@quay.io/acme/app:1",
      "a reference has no scheme: leave https:// out",
      "quay.io/acme/app",
      "https://…@quay.io/acme/app:1",
    ],
    ["me:secret@quay.io/acme/app:1", user, "quay.io/acme/app", "…@quay.io/acme/app:1"],
    ["me:secret@localhost:5000/acme/app:1", user, "quay.io/acme/app", "…@localhost:5000/acme/app:1"],
    ["me:sec/ret@quay.io/acme/app:1", user, "quay.io/acme/app", "…@quay.io/acme/app:1"],
    [`me:secret@quay.io/acme/app@${digest}`, user, "quay.io/acme/app", `…@quay.io/acme/app@${digest}`],
    ["me:secret@sha256:abcdef0", user, "quay.io/acme/app", "…@sha256:abcdef0"],
  ])("is rejected: %j", async (text, problem, example, shown = text) => {
    const error = await failure(() => source(text));
    const shortened = shown.length > 121 ? `${shown.slice(0, 120)}…` : shown;
    expect(error.message).toBe(`The option "source" is ${JSON.stringify(shortened)}: ${problem}.`);
    expect(error.remedy).toEqual([`Write, for example, ${example}`]);
    if (/[:@]/.test(example)) {
      expect(formatReference(source(example))).toBe(example);
    }
  });
});

describe("a destination", () => {
  test.each([
    ["acme/app", "quay.io/acme/app"],
    ["QUAY.io/acme/team/app", "quay.io/acme/team/app"],
    ["localhost:5000/acme/app", "localhost:5000/acme/app"],
  ])("%s", (text, path) => {
    const repository = destination(text);
    expect(pathOf(repository)).toBe(path);
    expect(destination(path)).toEqual(repository);
    expect(byTag(repository, "1")).toBe(`${path}:1`);
    expect(byDigest(repository, digest)).toBe(`${path}@${digest}`);
  });

  test.each<[string, string, string]>([
    ["acme/app:1.0", "it has a tag; tags go into the option tag", "quay.io/acme/app"],
    ["acme/app:", "it has a tag; tags go into the option tag", "quay.io/acme/app"],
    [`acme/app@${digest}`, "it has a digest, which comes from the source", "quay.io/acme/app"],
    [`acme/app:1@${digest}`, "it has a digest, which comes from the source", "quay.io/acme/app"],
    ["app", "it needs organization/repository", "quay.io/acme/app"],
    ["other.example/app", taken("other.example"), "other.example/acme/app"],
    ["acme/App", "repository names are lower case", "quay.io/acme/app"],
    ["docker://quay.io/acme/app", "a reference has no scheme: leave docker:// out", "quay.io/acme/app"],
  ])("is rejected: %s", async (text, problem, example) => {
    const error = await failure(() => destination(text));
    expect(error.message).toBe(`The option "source" is ${JSON.stringify(text)}: ${problem}.`);
    expect(error.remedy).toEqual([`Write, for example, ${example}`]);
    expect(pathOf(destination(example))).toBe(example);
  });
});

describe("tags", () => {
  test("are kept unchanged, in order", () => {
    const all = ["1.10", "v1", "latest", "no", "_x", "A-b.c", "a".repeat(128), "Latest"];
    expect(tags(...all)).toEqual(all);
    expect(tags()).toEqual([]);
  });

  const what = "a tag has 1 to 128 letters, digits and . _ -, the first of them neither . nor -";
  test.each<[string[], string, string, string]>([
    [["1.0", "1.0"], "1.0", "it is given twice", "1.0"],
    [["a", "b", "c", "b"], "b", "it is given twice", "b"],
    [["-1"], "-1", what, "1.0"],
    [["1+2"], "1+2", what, "1.0"],
    [["a".repeat(129)], `${"a".repeat(120)}…`, what, "1.0"],
    [["1.0,latest"], "1.0,latest", "a tag has no blank, comma or semicolon; give several one by one", "1.0"],
    [["1.0 latest"], "1.0 latest", "a tag has no blank, comma or semicolon; give several one by one", "1.0"],
    [["quay.io/acme/app:2"], "quay.io/acme/app:2", "write the tag alone, without the repository", "2"],
    [[":2"], ":2", "write the tag alone, without the repository", "2"],
    [["me:secret@quay.io"], "…@quay.io", "write the tag alone, without the repository", "1.0"],
  ])("rejects %j", async (texts, shown, problem, example) => {
    const error = await failure(() => tags(...texts));
    expect(error.message).toBe(`The option "source" is ${JSON.stringify(shown)}: ${problem}.`);
    expect(error.remedy).toEqual([`Write, for example, ${example}`]);
    expect(tags(example)).toEqual([example]);
  });
});

test.each([
  ["acme/app:1", "acme/app:1"],
  [`acme/app@${digest}`, `acme/app@${digest}`],
  ["acme/app@sha256", "acme/app@sha256"],
  [`docker://acme/app@${hex}`, `docker://acme/app@${hex}`],
  ["me:secret@quay.io", "…@quay.io"],
  ["https://me:secret@quay.io/acme/app", "https://…@quay.io/acme/app"],
  // A digest without a repository before it could be a host.
  ["me:secret@abcdef0", "…@abcdef0"],
  ["https://me:secret@sha256", "https://…@sha256"],
])("shows %s as %s", (text, shown) => {
  expect(shownOf(text)).toBe(shown);
});
