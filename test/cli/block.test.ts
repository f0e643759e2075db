import { describe, expect, test } from "vitest";
import { createBlock } from "../../src/cli/block.ts";
import { createScreen } from "./screen.ts";

function onScreen(columns = 40, rows = 8) {
  const screen = createScreen(columns, rows);
  const block = createBlock(() => screen.size);
  return {
    screen,
    block,
    live: (...lines: string[]) => screen.write(block.change(lines)),
    say: (text: string) => screen.write(block.around(`${text}\n`)),
  };
}

describe("a block of lines", () => {
  test("changes in place, grows, shrinks, and leaves nothing", () => {
    const { screen, live } = onScreen();
    live("one");
    expect(screen.all()).toEqual(["one"]);
    live("two", "three");
    expect(screen.all()).toEqual(["two", "three"]);
    live("four");
    expect(screen.all()).toEqual(["four"]);
    live();
    expect(screen.all()).toEqual([]);
  });

  test("stays below other output, which stays whole", () => {
    const { screen, live, say } = onScreen();
    say("before");
    live("one", "two");
    say("Warning: this\n  and that");
    live("three", "four");
    say("x".repeat(90));
    expect(screen.rows()).toEqual(
      [
        "before",
        "Warning: this",
        "  and that",
        ...["x".repeat(40), "x".repeat(40), "x".repeat(10)],
        "three",
        "four",
      ].slice(-7),
    );
    live();
    expect(screen.all()).toEqual([
      ...["before", "Warning: this", "  and that"],
      ...["x".repeat(40), "x".repeat(40), "x".repeat(10)],
    ]);
  });

  test("scrolls with other output, and never leaves a copy above", () => {
    const { screen, live, say } = onScreen(20, 5);
    for (let index = 0; index < 12; index++) {
      live(`at work ${index}`, "more");
      say(`line ${index}`);
    }
    live();
    expect(screen.all()).toEqual(Array.from({ length: 12 }, (_, index) => `line ${index}`));
  });

  test("is never wider than the screen", () => {
    const { screen, live } = onScreen(10, 5);
    live("0123456789", "012345678", "é🙂".repeat(9));
    expect(screen.rows()).toEqual(["01234567…", "012345678", "é🙂é🙂é🙂é🙂…"]);
    live();
    expect(screen.all()).toEqual([]);
  });

  test("is never higher than the screen, and counts the lines left out", () => {
    const { screen, live } = onScreen(20, 5);
    live("1", "2", "3", "4");
    expect(screen.all()).toEqual(["1", "2", "3", "4"]);
    live("1", "2", "3", "4", "5", "6");
    expect(screen.all()).toEqual(["1", "2", "3", "… and 3 more"]);
    live();
    expect(screen.all()).toEqual([]);
  });

  test.each([1, 2])("fits a screen of %d rows", (rows) => {
    const { screen, live, say } = onScreen(20, rows);
    live("1", "2", "3");
    say("said");
    live();
    expect(screen.rows().length).toBeLessThanOrEqual(rows);
  });

  test("is removed whole after the screen became narrower, when its lines take several rows", () => {
    const { screen, block, live } = onScreen(40, 8);
    live("x".repeat(39), "short");
    // As terminals wrap it again.
    const narrow = createScreen(20, 8);
    narrow.write(`${"x".repeat(39)}\nshort\n`);
    screen.size.columns = 20;
    narrow.write(block.change(["y".repeat(39)]));
    expect(narrow.all()).toEqual([`${"y".repeat(18)}…`]);
  });

  test("is written only if it changes", () => {
    const { block } = onScreen();
    expect(block.change([])).toBe("");
    expect(block.change(["one"])).toBe("one\n");
    expect(block.change(["one"])).toBe("");
    expect(block.around("")).toBe("\u001b[1A\u001b[Jone\n");
    expect([block.hide(), block.hide(), block.show()]).toEqual(["\u001b[1A\u001b[J", "", "one\n"]);
    expect(block.change([])).toBe("\u001b[1A\u001b[J");
    expect(block.around("x\n")).toBe("x\n");
  });
});
