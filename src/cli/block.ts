/** Lines at the end of a terminal that change in place, with ECMA-48's cursor moves. Pure. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

export interface Block {
  /** The text that replaces the lines before by these; "" if nothing changes. */
  change(lines: readonly string[]): string;
  /** The text that writes `text` above the block. */
  around(text: string): string;
  /** The text that removes the block before other output, and the text that draws it again. */
  hide(): string;
  show(): string;
}

/** @param screen reads the current size: windows are resized */
export function createBlock(screen: () => Screen): Block {
  let wanted: readonly string[] = [];
  let drawn: readonly string[] = [];
  const hide = () => {
    const { columns } = screen();
    // In a window that was made narrower, a line takes several rows.
    const height = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(lengthOf(line) / columns)), 0);
    drawn = [];
    return height === 0 ? "" : `\u001b[${height}A\u001b[J`;
  };
  const show = () => {
    drawn = fitted(wanted, screen());
    return drawn.map((line) => `${line}\n`).join("");
  };
  return {
    hide,
    show,
    around: (text) => `${hide()}${text}${show()}`,
    change(lines) {
      wanted = lines;
      const next = fitted(lines, screen());
      const isSame = next.length === drawn.length && next.every((line, index) => line === drawn[index]);
      return isSame ? "" : `${hide()}${show()}`;
    },
  };
}

const lengthOf = (line: string): number => [...line].length;

/** The cursor needs its own row below the lines. A line that fills its row would wrap on some terminals. */
function fitted(lines: readonly string[], { columns, rows }: Screen): readonly string[] {
  const most = Math.max(1, rows - 1);
  const shown = lines.length > most ? lines.slice(0, most - 1) : lines;
  const rest = lines.length - shown.length;
  return [...shown, ...(rest > 0 ? [`… and ${rest} more`] : [])].map((line) => cut(line, Math.max(1, columns - 1)));
}

function cut(line: string, width: number): string {
  const characters = [...line];
  return characters.length > width ? `${characters.slice(0, width - 1).join("")}…` : line;
}
