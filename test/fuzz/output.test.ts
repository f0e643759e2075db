/** Printed output: text from outside stays text, for GitHub's runner, for a terminal and in a summary. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { createTerminal } from "../../src/cli/terminal.ts";
import { createReporter, reportFailure } from "../../src/github/annotations.ts";
import { setOutput } from "../../src/github/file-commands.ts";
import { failureSummary, skippedSummary } from "../../src/github/summary.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { plain } from "../../src/platform/text.ts";
import { everyOption, failureOf } from "../fixtures.ts";
import { parseFileCommands } from "../support/workflow-commands.ts";
import { forAll } from "./property.ts";
import { endless, hostile, nearly, secret } from "./values.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  process.exitCode = 0;
  vi.restoreAllMocks();
});

/** The output of `work` on standard output and standard error. */
function printed(work: () => void): string {
  let text = "";
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      text += chunk;
      return true;
    }),
  );
  try {
    work();
  } finally {
    for (const spy of spies) {
      spy.mockRestore();
    }
  }
  return text;
}

const commands =
  "add-mask|debug|warning|error|notice|group|endgroup|save-state|set-output|set-env|add-path|stop-commands|echo|add-matcher|remove-matcher";
/** .NET's white space (Char.IsWhiteSpace), which is not JavaScript's. */
const blank = "[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const isCommand = new RegExp(`^${blank}*::(?:${commands})(?: [^\\n]*?)?::|##\\[(?:${commands})[^\\]]*\\]`, "i");

/** The commands that GitHub's runner finds; it ends lines where .NET's StreamReader does. */
const commandsIn = (output: string): string[] => output.split(/\r\n|\r|\n/).filter((line) => isCommand.test(line));

const words = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "::add-mask::x",
        "\n \u0085\t::add-mask::x",
        "\r\u2003::debug::x",
        "##[add-mask]x",
        "::error title=a::b",
        "::stop-commands::t",
        ...commands.split("|"),
      ),
      fc.constantFrom(
        "\n",
        "\r",
        "\u0085",
        "\u2028",
        " ",
        "\ufeff",
        "\u180e",
        "\u001c",
        "::",
        "##[",
        "#",
        ":",
        "%0A",
        "]",
      ),
      nearly("::debug::x", "##[group]x"),
      hostile,
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));
const message = fc.oneof({ weight: 9, arbitrary: words }, { weight: 1, arbitrary: endless });

test("the runner finds no command in messages, and one in each command", () => {
  const reporter = createReporter(everyOption);
  forAll(
    message,
    (text) => {
      expect(commandsIn(printed(() => reporter.info(text)))).toEqual([]);
      for (const [say, start] of [
        [reporter.warning, "::warning::"],
        [reporter.debug, "::debug::"],
      ] as const) {
        const output = printed(() => say(text));
        expect(commandsIn(output)).toHaveLength(1);
        expect(output.startsWith(start)).toBe(true);
        // A reader sees the original text, as far as it is printable.
        const data = output.slice(start.length, -1);
        expect(data.replaceAll("%0A", "\n").replaceAll("%25", "%")).toBe(plain(text));
      }
    },
    500,
  );
});

test("a failure is one command, with any text in it", () => {
  const reporter = createReporter(everyOption);
  const parts = fc.record({ message, remedy: fc.array(message, { maxLength: 3 }), subject: message });
  forAll(parts, ({ message, remedy, subject }) => {
    const binding = { issuer: subject, subject, audience: subject };
    const error = new ExplainedError("subject-not-bound", message, { remedy, binding });
    const output = printed(() => reportFailure(error, reporter));
    expect(commandsIn(output)).toHaveLength(1);
    expect(output.trimEnd().split(/[\r\n]/)).toHaveLength(1);
    const foreseen = printed(() => reportFailure(new TypeError(message), reporter));
    expect(commandsIn(foreseen)).toHaveLength(2);
  });
});

test("setting a value sets exactly that, and nothing else", () => {
  const file = join(mkdtempSync(join(tmpdir(), "quay-keyless-test-")), "output");
  try {
    vi.stubEnv("GITHUB_OUTPUT", file);
    // The runner's file commands end lines at line feeds; a carriage return before one belongs to it.
    const value = fc.oneof(message, hostile, fc.constant("a<<b\nc\nb\nd=e")).map((text) => text.replaceAll("\r", ""));
    forAll(fc.tuple(value, value), ([first, second]) => {
      writeFileSync(file, "");
      setOutput("first", first);
      setOutput("second", second);
      const wellFormed = (text: string) => Buffer.from(text).toString();
      expect(parseFileCommands(readFileSync(file, "utf8"))).toEqual({
        first: wellFormed(first),
        second: wellFormed(second),
      });
    });
  } finally {
    rmSync(join(file, ".."), { recursive: true });
  }
});

test("no message moves a terminal's cursor or contains a secret, even in pieces", () => {
  const sequence = fc.constantFrom("", "\u001b[31m", "\u001b]0;title\u0007", "\u009b2J", "\u001b[");
  const control = fc.constantFrom("\u0007", "\b", "\r", "\u001b", "\u009b", "\u007f", "\u0090");
  const pieces = fc
    .tuple(message, sequence, fc.oneof(control, message))
    .map(([before, part, after]) => `${before}${secret.slice(0, 5)}${part}${secret.slice(5)}${after}${secret}`);
  const terminal = createTerminal("verbose");
  terminal.secret(secret);
  terminal.secret(secret.slice(3));
  forAll(pieces, (text) => {
    for (const say of [terminal.info, terminal.warning, terminal.error, terminal.debug, terminal.print]) {
      const output = printed(() => say(text));
      // A result that contains a secret is rejected earlier.
      expect(say !== terminal.print && output.includes(secret)).toBe(false);
      expect(output).not.toMatch(/[^\P{Cc}\n\t]/u);
    }
  });
});

test("a summary shows everything from outside as text", () => {
  forAll(message, (text) => {
    const error = failureOf(new ExplainedError("quay-refused", text, { remedy: [text] }));
    const inside = /^### Not logged in to Quay\n\n<pre>(.*)<\/pre>\n\n$/s.exec(failureSummary(error))?.[1];
    expect(inside).toBeDefined();
    expect(inside).not.toMatch(/[<>]/);
    const skipped = skippedSummary(error).split("\n")[2] ?? "";
    expect(skipped).toMatch(/The job continues without a login/);
    expect(skipped.replaceAll(/&#\d+;/g, "")).not.toMatch(/[<>|`*_[\]&\n]/);
  });
});
