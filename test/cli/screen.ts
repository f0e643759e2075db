/** The part of a terminal that our output needs: it wraps, scrolls, moves up and erases below, and rejects the rest. */
export interface Screen {
  write(text: string): void;
  /** Its rows, without blank ones at the end. */
  rows(): string[];
  /** The rows that scrolled out at the top, and those on it. */
  all(): string[];
  readonly size: { columns: number; rows: number };
}

export function createScreen(columns: number, rows: number): Screen {
  const size = { columns, rows };
  const gone: string[] = [];
  let lines = [""];
  let at = 0;
  const feed = () => {
    at++;
    lines[at] ??= "";
    if (lines.length > size.rows) {
      gone.push(lines.shift() ?? "");
      at--;
    }
  };
  let column = 0;
  const put = (character: string) => {
    if (column === size.columns) {
      feed();
      column = 0;
    }
    const row = [...(lines[at] ?? "").padEnd(column)];
    row[column++] = character;
    lines[at] = row.join("");
  };
  const trimmed = (all: string[]) => all.slice(0, all.findLastIndex((line) => line !== "") + 1);
  return {
    size,
    rows: () => trimmed(lines),
    all: () => trimmed([...gone, ...lines]),
    write(text) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what moves the cursor
      for (const [piece, up] of text.matchAll(/\u001b\[(\d+)A|\u001b\[J|[\s\S]/gu)) {
        if (up !== undefined) {
          at = Math.max(0, at - Number(up));
        } else if (piece === "\u001b[J") {
          lines = [...lines.slice(0, at), (lines[at] ?? "").slice(0, column)];
        } else if (piece === "\n") {
          feed();
          column = 0;
        } else if (piece === "\r") {
          column = 0;
        } else if (/\p{Cc}/u.test(piece)) {
          throw new Error(`the screen does not know ${JSON.stringify(piece)}`);
        } else {
          put(piece);
        }
      }
    },
  };
}
