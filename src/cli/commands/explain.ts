/** `explain`: the page of an error, for readers who have only the program. */
import { closest } from "../../options/closest.ts";
import { type ErrorCode, ExplainedError, errorCodes } from "../../platform/errors.ts";
import { documentUrl, explanationUrl } from "../../platform/project.ts";
import { asGiven } from "../../platform/text.ts";
import { readPage } from "../beside.ts";
import { wrap } from "../wrap.ts";

const codes = Object.keys(errorCodes) as readonly ErrorCode[];

/**
 * @param code undefined: all codes, a line each
 * @param width columns
 * @throws ExplainedError `invalid-input` for an unknown code
 */
export async function explain(code: string | undefined, width: number): Promise<string> {
  const known = codes.find((candidate) => candidate === code);
  if (code !== undefined && known === undefined) {
    throw unknownCode(code);
  }
  const pages = sectionsOf(await readPage("troubleshooting.md"));
  return (known === undefined ? overview(pages, width) : pageOf(known, pages.get(known) ?? "", width)).join("\n");
}

function unknownCode(code: string): ExplainedError {
  const close = closest(code, codes);
  return new ExplainedError("invalid-input", `There is no error code ${JSON.stringify(asGiven(code))}.`, {
    remedy: [
      ...(close ? [`Did you mean: quay-keyless-login explain ${close}`] : []),
      "For all codes: quay-keyless-login explain",
    ],
  });
}

/** A section begins with a heading of the second level, and ends at the next heading. In fenced code, # is a comment. */
export function sectionsOf(markdown: string): ReadonlyMap<string, string> {
  const sections = new Map<string, string>();
  let isFenced = false;
  let current: string | undefined;
  for (const line of markdown.split("\n")) {
    const [, level, title = ""] = (!isFenced && /^(#+) (.*)$/.exec(line)) || [];
    isFenced = isFenced !== line.startsWith("```");
    if (level !== undefined) {
      current = level === "##" ? title : undefined;
    } else if (current !== undefined) {
      sections.set(current, `${sections.get(current) ?? ""}${line}\n`);
    }
  }
  return sections;
}

function overview(pages: ReadonlyMap<string, string>, width: number): string[] {
  const column = Math.max(...codes.map((code) => code.length));
  return [
    "quay-keyless-login explain CODE prints the page of an error:",
    "",
    ...codes.map((code) => cut(`  ${code.padEnd(column)}  ${firstSentence(pages.get(code) ?? "")}`, width)),
  ];
}

const firstSentence = (section: string): string =>
  /^.*?(?:\.(?= )|$)/.exec(inline(blocksOf(section)[0] ?? ""))?.[0] ?? "";

const cut = (line: string, width: number): string => (line.length > width ? `${line.slice(0, width - 1)}…` : line);

export function pageOf(code: string, section: string, width: number): string[] {
  const blocks = blocksOf(section).map((block) => shown(block, width));
  return [code, ...blocks, [explanationUrl(code)]].flatMap((block, index) => (index === 0 ? block : ["", ...block]));
}

/** Paragraphs, lists and fenced code. */
const blocksOf = (section: string): readonly string[] =>
  section.trim().match(/^```[\s\S]*?^```$|(?:^(?!```).+\n?)+/gm) ?? [];

function shown(block: string, width: number): string[] {
  if (block.startsWith("```")) {
    return block
      .split("\n")
      .slice(1, -1)
      .map((line) => `    ${line}`.trimEnd());
  }
  return block
    .split(/\n(?=- )/)
    .flatMap((part) =>
      part.startsWith("- ") ? wrap(inline(part.slice(2)), width, "  ", "- ") : wrap(inline(part), width),
    );
}

/** One line without markup, except backticks. A link within the page becomes its text. */
const inline = (text: string): string =>
  text
    .replaceAll(/\[([^\]]*)\]\(([^)]*)\)/g, (_, label: string, target: string) =>
      target.startsWith("#") ? label : `${label} (${documentUrl(target)})`,
    )
    .replaceAll("**", "")
    .replaceAll(/\s+/g, " ")
    .trim();
