import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createTerminal, type Terminal, type Verbosity } from "../../src/cli/terminal.ts";
import { mention, text } from "../../src/platform/wording.ts";

/** A terminal, and what it wrote to standard output and standard error. */
function listenTo(verbosity?: Verbosity): { terminal: Terminal; out: () => string; err: () => string } {
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    const spy = vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      written[name] += chunk;
      return true;
    });
    onTestFinished(() => spy.mockRestore());
  }
  return { terminal: createTerminal(verbosity), out: () => written.stdout, err: () => written.stderr };
}

afterEach(() => vi.unstubAllEnvs());

test("prints results to standard output, and the rest to standard error", () => {
  vi.stubEnv("NO_COLOR", "1");
  const { terminal, out, err } = listenTo("verbose");
  terminal.print("registry  quay.io");
  terminal.info("Logged in.");
  terminal.warning("Careful.");
  terminal.error("Failed.\n  Do this.");
  terminal.debug("Details.");
  expect(out()).toBe("registry  quay.io\n");
  expect(err()).toBe("Logged in.\nWarning: Careful.\nError: Failed.\n  Do this.\nDetails.\n");
});

test("prints details only with --verbose", () => {
  const { terminal, err } = listenTo();
  terminal.debug("Details.");
  expect(err()).toBe("");
});

test("writes options in messages of the core as flags", () => {
  vi.stubEnv("NO_COLOR", "1");
  const { terminal, err } = listenTo();
  terminal.info(text`The time (option ${mention("timeout")}) is over.`);
  terminal.warning(text`Set the option ${mention("audience")}.`);
  terminal.error(mention("audience", "quay"));
  expect(err()).toBe(
    "The time (option --timeout) is over.\nWarning: Set the option --audience.\nError: --audience quay\n",
  );
});

describe("a secret", () => {
  test("is hidden in all later output", () => {
    const { terminal, out, err } = listenTo("verbose");
    for (const secret of ["eyJ.abc.def.ghi.jkl", "c2VjcmV0LW9mLXVz", "a.b*c+$&-and-on-and-on"]) {
      terminal.secret(secret);
    }
    terminal.secret("");
    const text = "1 eyJ.abc.def.ghi.jkl 2 c2VjcmV0LW9mLXVz 3 a.b*c+$&-and-on-and-on 4";
    for (const say of [terminal.info, terminal.warning, terminal.error, terminal.debug]) {
      say(text);
    }
    expect(err().match(/^.*1 \*{3} 2 .* 3 \*{3} 4$/gm)).toHaveLength(4);
    expect(out() + err()).not.toMatch(/eyJ|c2VjcmV0LW9mLXVz|a\.b/);
  });

  test("is hidden whole if another is part of it", () => {
    const { terminal, err } = listenTo();
    terminal.secret("secret-of-sixteen");
    terminal.secret("secret-of-sixteen-and-more");
    terminal.info("it is secret-of-sixteen-and-more, or secret-of-sixteen");
    expect(err()).not.toMatch(/secret|and-more/);
  });

  test("of fewer than 16 characters is not hidden, which would only break words", () => {
    const { terminal, err } = listenTo();
    terminal.secret("e");
    terminal.secret("letters");
    terminal.secret("sixteenletterful");
    terminal.info("e, letters, sixteenletterful");
    expect(err()).toBe("e, letters, ***\n");
  });

  test("is printed on request, alone on standard output", () => {
    const { terminal, out, err } = listenTo("verbose");
    terminal.secret("eyJ.abc.def");
    terminal.printSecret("eyJ.abc.def");
    expect(out()).toBe("eyJ.abc.def\n");
    expect(err()).toBe("");
  });
});

describe("text from outside", () => {
  test.each<[string, string, string, inOneLine?: string]>([
    ["colours and cursors", "\u001b[31mred\u001b[0m\u001b[2J\u001b[1A up", "red up"],
    ["a title", "a\u001b]0;title\u0007b", "ab"],
    ["a carriage return and a backspace", "good\rbad\b", "good\ufffdbad\ufffd", "good bad\ufffd"],
    ["a lone escape, a bell, zero, delete", "\u0007a\u0000b\u007f", "\ufffda\ufffdb\ufffd"],
    ["C1 controls", "a\u0085b\u0090c", "a\ufffdb\ufffdc", "a b\ufffdc"],
    ["bidi, zero-width, a soft hyphen, a filler", "a\u202eb\u200bc\u00add\u3164e", "a\ufffdb\ufffdc\ufffdd\ufffde"],
    ["half a character", "a\ud800b", "a\ufffdb"],
    ["letters of all kinds stay", "é ü 名 🙂", "é ü 名 🙂"],
  ])("%s", (_, text, expected, inOneLine = expected) => {
    vi.stubEnv("NO_COLOR", "1");
    const { terminal, out, err } = listenTo("verbose");
    terminal.info(text);
    terminal.warning(text);
    terminal.error(text);
    terminal.debug(text);
    terminal.print(text);
    expect(out()).toBe(`${expected}\n`);
    expect(err()).toBe(`${inOneLine}\nWarning: ${expected}\nError: ${expected}\n${expected}\n`);
  });

  test("makes an information one line; a warning keeps its lines", () => {
    vi.stubEnv("NO_COLOR", "1");
    const { terminal, out, err } = listenTo("verbose");
    for (const say of [terminal.info, terminal.warning, terminal.error, terminal.debug, terminal.print]) {
      say("a\n\tb");
    }
    expect(out()).toBe("a\n\tb\n");
    expect(err()).toBe("a b\nWarning: a\n\tb\nError: a\n\tb\na\n\tb\n");
  });

  test("a secret with an escape sequence in it is hidden", () => {
    const { terminal, err } = listenTo();
    terminal.secret("sabcdef-and-so-on");
    terminal.info("sab\u001b[0mcdef-and-so-on");
    expect(err()).toBe("***\n");
  });
});

describe("colour", () => {
  test("is used on request, for our own words only", () => {
    vi.stubEnv("NO_COLOR", undefined);
    vi.stubEnv("FORCE_COLOR", "1");
    const { terminal, out, err } = listenTo();
    terminal.error("x");
    terminal.warning("x");
    terminal.print("x");
    expect(err()).toBe("\u001b[31mError:\u001b[39m x\n\u001b[33mWarning:\u001b[39m x\n");
    expect(out()).toBe("x\n");
  });

  test("is not used if standard error is no terminal", () => {
    vi.stubEnv("FORCE_COLOR", undefined);
    vi.stubEnv("NO_COLOR", undefined);
    const { terminal, err } = listenTo();
    terminal.error("x");
    expect(err()).toBe("Error: x\n");
  });
});
