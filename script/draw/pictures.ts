/** All pictures of docs/pictures/, each light and dark. */
import { readFile, writeFile } from "node:fs/promises";
import { drawPlot } from "./plot.ts";
import { login, promotion } from "./sequences.ts";
import { refusal, success } from "./summary.ts";
import { draw, type Picture, type Theme } from "./svg.ts";
import { drawCast } from "./terminal.ts";

async function pictures(): Promise<Readonly<Record<string, Picture>>> {
  return {
    demo: demo(await readFile("docs/pictures/demo.cast", "utf8")),
    benchmark: drawPlot(await readFile("docs/performance.md", "utf8")),
    login,
    promotion,
    "summary-success": success(),
    "summary-refusal": refusal(),
  };
}

const demo = (cast: string): Picture =>
  drawCast(cast, 1, {
    title: "A recording of script/demo",
    description:
      "A job on GitHub logs in to Quay without a stored password, pushes and pulls. A robot that does not trust it is refused. " +
      "Robots get to trust a pod, from a file. An image is promoted by its digest, and a tag that is taken is refused.",
  });

/** @returns each file with the text that it should have */
export async function drawAll(): Promise<Map<string, string>> {
  const themes: readonly Theme[] = ["light", "dark"];
  return new Map(
    Object.entries(await pictures()).flatMap(([name, picture]) =>
      themes.map((theme) => [`docs/pictures/${name}-${theme}.svg`, draw(picture, theme)] as const),
    ),
  );
}

/** Files that differ from what is drawn. */
export async function stale(): Promise<Map<string, string>> {
  const all = await drawAll();
  for (const [file, svg] of all) {
    if ((await readFile(file, "utf8").catch(() => "")) === svg) all.delete(file);
  }
  return all;
}

/** Writes those. @returns their names */
export async function writeAll(): Promise<string[]> {
  const files = await stale();
  for (const [file, svg] of files) await writeFile(file, svg);
  return [...files.keys()];
}
