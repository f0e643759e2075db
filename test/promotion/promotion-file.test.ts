import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import * as yaml from "yaml";
import { parsePromotionFile, readPromotionFile } from "../../src/promotion/promotion-file.ts";
import { formatReference, pathOf } from "../../src/promotion/reference.ts";
import { asNobody, failure, makeFolder } from "../fixtures.ts";

const path = "release.yaml";
const parse = (text: string, hasSourceRobot = false) =>
  parsePromotionFile(yaml, text, { path, registry: "quay.io", hasSourceRobot });

/** The parsed promotions, as text again. */
const said = (text: string) =>
  parse(text).map(({ source, destination, tags }) => [formatReference(source), pathOf(destination), ...tags]);

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

describe("a list of promotions", () => {
  test("in the usual form", () => {
    const text = `
# The release of November.
- source: acme/staging@${digest}
  destination: acme/app
  tags: [1.4.2, "1.4", latest]

- source: other.example:8443/acme/worker:nightly   # as tested
  destination: quay.io/acme/worker
  tags:
    - 1.10
    - v1
`;
    expect(said(text)).toEqual([
      [`quay.io/acme/staging@${digest}`, "quay.io/acme/app", "1.4.2", "1.4", "latest"],
      ["other.example:8443/acme/worker:nightly", "quay.io/acme/worker", "1.10", "v1"],
    ]);
  });

  test.each([
    ["JSON", '[{"source":"a/b:1","destination":"a/c","tags":["1.10","2"]}]'],
    ["one line", "[{source: 'a/b:1', destination: a/c, tags: [1.10, 2]}]"],
    ["keys in another order", "- tags: [1.10, 2]\n  destination: a/c\n  source: a/b:1"],
    ["line ends of Windows, with a comment", "# all\r\n- source: a/b:1\r\n  destination: a/c\r\n  tags: [1.10, 2]\r\n"],
    ["a document with its marks", "%YAML 1.1\n---\n- source: a/b:1\n  destination: a/c\n  tags: [1.10, 2]\n...\n"],
    ["folded text", "- source: >-\n    a/b:1\n  destination: |\n    a/c\n  tags: [1.10, 2]"],
    ["anchors", "- source: a/b:1\n  destination: &d a/c\n  tags: &t [1.10, 2]"],
  ])("%s", (_, text) => {
    expect(said(text)).toEqual([["quay.io/a/b:1", "quay.io/a/c", "1.10", "2"]]);
  });

  test("keeps values as text, even numbers and booleans of other YAML", () => {
    const tags = ["1.10", "1e3", "0x10", "0o7", "no", "true", "null", "2026-11-24", "1_000", "007"];
    const text = `- {source: a/b:1, destination: a/c, tags: [${tags}]}`;
    expect(said(text)[0]?.slice(2)).toEqual(tags);
  });

  test("resolves an alias to the last anchor before it", () => {
    const text = `
- source: &s a/b:1
  destination: &d a/c
  tags: &t [1, 2]
- source: *s
  destination: a/d
  tags: *t
- source: &s a/b:2
  destination: &d a/e
  tags: [&one 1]
`;
    expect(said(`${text}- {source: *s, destination: a/f, tags: [*one, x]}`)).toEqual([
      ["quay.io/a/b:1", "quay.io/a/c", "1", "2"],
      ["quay.io/a/b:1", "quay.io/a/d", "1", "2"],
      ["quay.io/a/b:2", "quay.io/a/e", "1"],
      ["quay.io/a/b:2", "quay.io/a/f", "1", "x"],
    ]);
  });

  test("allows several destinations of a source, and tags of a repository from several sources", () => {
    const text = `
- {source: a/b:1, destination: a/c, tags: [1]}
- {source: a/b:1, destination: a/d, tags: [1]}
- {source: a/b:2, destination: a/c, tags: [2]}
`;
    expect(parse(text, true)).toHaveLength(3);
  });
});

const good = "- {source: a/b:1, destination: a/c, tags: [x]}\n";
const list = "Write, for example, a list in which each entry has source, destination and tags";
const whole = "An entry has source, destination, tags.";
const write = (what: string) => `Write in the file, for example, ${what}`;

describe("rejects a file with", () => {
  test.each<[string, string, string]>([
    ["nothing", "", "it is empty"],
    ["blanks", " \n\n", "it is empty"],
    ["a comment", "# nothing yet\n", "it is empty"],
    ["an empty document", "---\n", "it is empty"],
    ["an empty list", "[]", "it has no entries"],
    [
      "one promotion, no list",
      "source: a/b:1\ndestination: a/c\ntags: [1]",
      "it is not a list; each entry begins with a dash",
    ],
    ["something else", "images:\n- a/b:1", "it is not a list"],
    ["text", "a/b:1 a/c 1", "it is not a list"],
    ["several documents", `${good}---\n${good}`, "it has several documents, separated by ---"],
    ["a tab", "- source: a/b:1\n\ttags: [1]", "it is not YAML, line 2, column 2: Unexpected scalar at node end"],
    [
      "an unclosed list",
      "- source: a/b:1\n  tags: [1, 2\n",
      "it is not YAML, line 3, column 1: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    // The library's message would quote the file.
    [
      "two values",
      '- source: "a/b:1" "x"',
      "it is not YAML, line 1, column 19: Unexpected double-quoted-scalar at node end",
    ],
    ["brackets", '] "secret"', "it is not YAML, line 1, column 1: Unexpected flow-seq-end token in YAML document"],
    ["a block", "- |secret\n", "it is not YAML, line 1, column 4: Block scalar header includes extra characters"],
    ["an escape", '- "a\\xsecret"\n', "it is not YAML, line 1, column 5: Invalid escape sequence"],
    ["a tag", "- !<secret x\n", "it is not YAML, line 1, column 3: Unusable tag (with !)"],
    ["a directive", "%YAML secret x\n---\n- a", "it is not YAML, line 1, column 1: Unusable directive"],
    ["an alias of nothing", "- a\n- *a\n", "it is not YAML, line 2: *a has no anchor before it"],
    ["an alias before its anchor", "- *a\n- &a b\n", "it is not YAML, line 1: *a has no anchor before it"],
    ["50 nested lists", `${"[".repeat(50)}${"]".repeat(50)}`, "its lists are nested too deeply"],
    ["half a million nested lists", "- ".repeat(500_000), "its lists are nested too deeply"],
    ["a million brackets", "[".repeat(1_000_000), "its lists are nested too deeply"],
  ])("%s", async (_, text, problem) => {
    const error = await failure(() => parse(text));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`The option "file" is "release.yaml": ${problem}.`);
    expect(error.remedy).toEqual([list]);
  });
});

describe("rejects the entry", () => {
  test.each<[text: string, problem: string, remedy: string]>([
    ["just text", "it is not an entry with source, destination and tags", write("source: quay.io/acme/app:1.0")],
    ["[source]", "it is not an entry with source, destination and tags", write("source: quay.io/acme/app:1.0")],
    ["", "it is not an entry with source, destination and tags", write("source: quay.io/acme/app:1.0")],
    ["{sorce: a/b:1}", 'it has the unknown key "sorce"', "Did you mean: source"],
    ["{tag: x}", 'it has the unknown key "tag"', "Did you mean: tags"],
    ["{move-tags: true}", 'it has the unknown key "move-tags"', whole],
    ["{<<: {source: a/b:1}}", 'it has the unknown key "<<"', whole],
    ["{? [a] : b}", 'it has the unknown key ""', whole],
    ["{me:secret@quay.io: b}", 'it has the unknown key "…@quay.io"', whole],
    ["{source: a/b:1, source: a/b:2}", "it has source twice", whole],
    ["{}", "it has no source", whole],
    ["{source: a/b:1}", "it has no destination", whole],
    ["{source: a/b:1, destination: a/c}", "it has no tags", whole],
    ["{source: , destination: a/c, tags: [1]}", "its source is empty", write("source: quay.io/acme/staging:1.0")],
    ["{source: [a], destination: a/c, tags: [1]}", "its source is not text", write("source: quay.io/acme/staging:1.0")],
    [
      "{source: !!binary aGVsbG8=, destination: a/c, tags: [1]}",
      "its source is not text",
      write("source: quay.io/acme/staging:1.0"),
    ],
    [
      "{source: a/b:2, destination: {}, tags: [1]}",
      "its destination is not text",
      write("destination: quay.io/acme/app"),
    ],
    ["{source: a/b:2, destination: a/d, tags: 1.10}", "its tags are not a list", write('tags: ["1.10"]')],
    ["{source: a/b:2, destination: a/d, tags: '1 2'}", "its tags are not a list", write('tags: ["1.0"]')],
    ["{source: a/b:2, destination: a/d, tags: }", "its tags are not a list", write('tags: ["1.0"]')],
    ["{source: a/b:2, destination: a/d, tags: {}}", "its tags are not a list", write('tags: ["1.0"]')],
    ["{source: a/b:2, destination: a/d, tags: []}", "its list of tags is empty", write('tags: ["1.0"]')],
    ["{source: a/b:2, destination: a/d, tags: [1, ' ']}", "tag 2 is empty", write('tags: ["1.0"]')],
    ["{source: a/b:2, destination: a/d, tags: [[1]]}", "tag 1 is not text", write('tags: ["1.0"]')],
    ["{source: a/b:2, destination: a/d, tags: &t [*t]}", "tag 1 is not text", write('tags: ["1.0"]')],
    [
      "{source: a/b, destination: a/d, tags: [1]}",
      'its source is "a/b": it has neither a digest nor a tag',
      write("source: quay.io/a/b:1.0"),
    ],
    [
      "{source: me:secret@quay.io/a/b:1, destination: a/d, tags: [1]}",
      'its source is "…@quay.io/a/b:1": a reference has no user or password: the robots log in',
      write("source: quay.io/acme/app"),
    ],
    [
      "{source: a/b:2, destination: a/d:1, tags: [1]}",
      'its destination is "a/d:1": it has a tag; tags go into the key tags',
      write("destination: quay.io/a/d"),
    ],
    ["{source: a/b:2, destination: a/d, tags: [1, 1]}", 'its tag is "1": it is given twice', write('tags: ["1"]')],
    [
      "{source: a/b:2, destination: a/b, tags: [1, 2]}",
      'its tag is "2": quay.io/a/b:2 is the source itself',
      write('tags: ["2-released"]'),
    ],
    // Together with the first entry.
    [
      "{source: a/b:1, destination: quay.io/a/c, tags: [x]}",
      "it repeats entry 1 (line 1)",
      "Leave one of the two out.",
    ],
    [
      "{source: a/b:2, destination: a/c, tags: [x]}",
      "quay.io/a/c:x is already a tag of entry 1 (line 1)",
      "Leave the tag out of one of the two.",
    ],
    [
      "{source: a/b:1, destination: a/c, tags: [y, x]}",
      "quay.io/a/c:x is already a tag of entry 1 (line 1)",
      "Leave the tag out of one of the two.",
    ],
    [
      "{source: a/b:1, destination: other.example/a/c, tags: [x]}",
      "its destination is on other.example, and that of entry 1 (line 1) on quay.io; one robot logs in to one registry",
      "Make a file for each registry.",
    ],
  ])("- %s", async (text, problem, remedy) => {
    const error = await failure(() => parse(`${good}# between\n- ${text}\n`));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`release.yaml, entry 2 (line 3): ${problem}.`);
    expect(error.remedy).toEqual([remedy]);
    expect(error.message).not.toContain("secret");
  });

  test("sources on several registries, unless no robot reads them", async () => {
    const text = `${good}${good.replace("a/b", "docker.io/a/b").replace("a/c", "a/d")}`;
    expect(parse(text)).toHaveLength(2);
    expect(await failure(() => parse(text, true))).toMatchObject({
      message:
        "release.yaml, entry 2 (line 2): its source is on docker.io, and that of entry 1 (line 1) on quay.io; one robot logs in to one registry.",
      remedy: ["Make a file for each registry."],
    });
  });

  test("with the line of the entry, even if it is an alias", async () => {
    const text = `- &a\n  source: a/b:1\n  destination: a/c\n  tags: [x]\n${"\n".repeat(5)}- *a\n`;
    const error = await failure(() => parse(text));
    expect(error.message).toBe("release.yaml, entry 2 (line 10): it repeats entry 1 (line 2).");
  });
});

describe("a hostile file is rejected soon:", () => {
  const bomb = `- &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghi"]
    .map((name, index) => `- &${name} [${`*${"abcdefgh"[index]},`.repeat(9)}]`)
    .join("\n")}`;
  const tags = Array.from({ length: 5000 }, (_, index) => `t${index}`).join();
  const copies = Array.from({ length: 200 }, (_, index) => `- {source: a/b:1, destination: a/c${index}, tags: *t}`);

  test.each<[string, string, RegExp]>([
    ["a bomb of aliases", bomb, /entry 1 \(line 1\): it is not an entry/],
    [
      "a bomb as tags",
      `- {source: a/b:1, destination: a/c, tags: [${bomb.replaceAll("\n- ", ", ").slice(2)}]}`,
      /tag 1 is not text/,
    ],
    [
      "one list in many entries",
      `- {source: a/b:1, destination: a/c, tags: &t [${tags}]}\n${copies.join("\n")}`,
      /it has more than 10000 tags/,
    ],
    ["40,000 aliases", `- &a x\n${"- *a\n".repeat(40_000)}`, /entry 1/],
    ["40,000 keys", Array.from({ length: 40_000 }, (_, index) => `k${index}: v`).join("\n"), /not a list|too many/],
    ["quotes", '"'.repeat(1_000_000), /too many parts/],
    ["directives", "%\n".repeat(500_000), /too many parts/],
    ["commas", `[${",".repeat(1_000_000)}]`, /too many parts/],
    ["escapes", `"${"\\x".repeat(500_000)}"`, /not YAML, line 1, column 2: Invalid escape sequence/],
  ])("%s", async (_, text, message) => {
    const started = performance.now();
    const { stackTraceLimit } = Error;
    const error = await failure(() => parse(text));
    expect(performance.now() - started).toBeLessThan(6000);
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(500);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});

describe("the file", () => {
  const read = (file: string) =>
    readPromotionFile({ path: file, registry: "quay.io", hasSourceRobot: false }, AbortSignal.timeout(5_000));

  test("is read up to 1 MiB, and with a byte order mark", async () => {
    const file = join(await makeFolder(), "release.yaml");
    await writeFile(file, `\ufeff${good}`);
    expect(await read(file)).toHaveLength(1);
    const full = `${good}#`.padEnd(1024 * 1024, "x");
    await writeFile(file, full);
    expect(await read(file)).toHaveLength(1);
    await writeFile(file, `${full}x`);
    const error = await failure(read(file));
    expect(error.message).toBe(`The option "file" is ${JSON.stringify(file)}: it is larger than 1 MiB.`);
    expect(error.remedy).toEqual(["Write, for example, a file for each part of the release"]);
  });

  test("can be a pipe, as a shell makes for <(…)", async () => {
    const module = JSON.stringify(join(import.meta.dirname, "../../src/promotion/promotion-file.ts"));
    const program = `const { readPromotionFile } = await import(${module});
      const read = await readPromotionFile({ path: process.argv[1], registry: "quay.io", hasSourceRobot: false }, AbortSignal.timeout(5_000));
      console.log(read.length, read[0].tags[0]);`;
    const shell = 'exec "$0" --input-type=module --eval "$1" <(sleep 0.1; printf "%s" "$2")';
    const { stdout } = await promisify(execFile)("bash", ["-c", shell, process.execPath, program, good]);
    expect(stdout).toBe("1 x\n");
  });

  test.each<[string, string, (file: string) => Promise<unknown>]>([
    ["is missing", "it does not exist", async () => {}],
    ["is a folder", "it is a folder", (file) => mkdir(file)],
    ["is not text", "it is not UTF-8 text", (file) => writeFile(file, Buffer.from([0x2d, 0x20, 0xff, 0xfe]))],
    ["was written by PowerShell", "it is not UTF-8 text", (file) => writeFile(file, `\ufeff${good}`, "utf16le")],
    ["is empty", "it is empty", (file) => writeFile(file, "")],
  ])("%s", async (_, problem, make) => {
    const file = join(await makeFolder(), "release.yaml");
    await make(file);
    const error = await failure(read(file));
    expect(error.message).toBe(`The option "file" is ${JSON.stringify(file)}: ${problem}.`);
    expect(error.remedy[0]).toMatch(/^Write, for example, (?:file: release\.yaml|a list in which .*)$/);
  });

  test("is below a file", async () => {
    const file = join(await makeFolder(), "release.yaml");
    await writeFile(file, good);
    expect((await failure(read(join(file, "x")))).message).toContain("it does not exist");
  });

  test("can't be read by this user", async () => {
    const folder = await makeFolder();
    await chmod(folder, 0o755);
    const file = join(folder, "release.yaml");
    await writeFile(file, good, { mode: 0o000 });
    const said = await asNobody(
      ["promotion/promotion-file.ts"],
      (src: typeof import("../../src/promotion/promotion-file.ts"), file) =>
        src.readPromotionFile({ path: file, registry: "quay.io", hasSourceRobot: false }, AbortSignal.timeout(5_000)),
      file,
    );
    expect(said).toContain("it is not readable by this user");
  });

  test("is named on one line of a message", async () => {
    const error = await failure(() =>
      parsePromotionFile(yaml, "- x", { path: `a\nb${"c".repeat(200)}`, registry: "quay.io", hasSourceRobot: false }),
    );
    expect(error.message).toMatch(/^a\\nbc+…, entry 1 \(line 1\): /);
  });
});
