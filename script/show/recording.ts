/** The recording of a demo: an asciicast (version 2) of the chapters that its picture shows, the same in each run. */
import { tmpdir } from "node:os";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import type { Printed } from "./screen.ts";

export const columns = 98;

/** A screen of the recording each. */
const shown = [
  "The workflow",
  "The job logs in, later steps push and pull",
  "A robot that does not trust this job",
  "The plan",
  "Does Quay still have what the file says?",
  "The tested image becomes the release",
  "A tag that is taken",
];

/** Seconds before a new paragraph or command, before another line, and at the end of a screen. */
const pace = { block: 0.7, line: 0.05, end: 3.5 };

const day = Date.parse("2026-12-01T09:30:00Z");
const tenMinutes = 600_000;

/**
 * Replaces what differs from run to run: the clock, ports, the names of folders, how long a copy takes.
 * @param began when the demo began, milliseconds since 1970
 */
export function fix({ registryHost, issuer }: Peers, began: number): (text: string) => string {
  const issuerHost = new URL(issuer.url).host;
  const clock = (time: string) => {
    const since = Math.round((Date.parse(time) - began) / tenMinutes) * tenMinutes;
    return new Date(day + since).toISOString().replace(".000", "");
  };
  return (text) =>
    text
      .replaceAll(registryHost, "localhost:44300")
      .replaceAll(issuerHost, "localhost:44400")
      .replaceAll(`${tmpdir()}/`, "/tmp/")
      .replaceAll(/(quay-keyless-job|quay-keyless-demo|\bjob)-\w{6}\b/g, "$1-f3Tq9z")
      .replaceAll(/(quay-keyless-login)-[0-9a-f]{12}\b/g, "$1-5d1f0c3a9b7e")
      .replaceAll(/\b\d+\.\d s\b/g, "0.5 s")
      .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, clock);
}

/** @throws Error if a chapter is missing */
export function toCast(printed: readonly Printed[]): string {
  const screens = shown.map((title) => ({ title, pieces: printed.filter(({ chapter }) => chapter === title) }));
  const heights = screens.map(
    ({ pieces }) =>
      pieces
        .map(({ text }) => text)
        .join("")
        .trim()
        .split("\n").length,
  );
  const header = { version: 2, width: columns, height: Math.max(...heights), title: "script/demo, an excerpt" };
  let time = 0;
  const events = screens.flatMap(({ title, pieces }) => {
    const act = pieces[0]?.act;
    if (act === undefined) throw new Error(`the demo has no chapter "${title}"`);
    const lines = pieces.flatMap(({ text }) => text.match(/.*\n/g) ?? []);
    while (lines[0] === "\n") lines.shift();
    while (lines.at(-1) === "\n") lines.pop();
    const told = lines.map((line, index) => {
      if (index > 0) time += lines[index - 1] === "\n" || line.includes("$") ? pace.block : pace.line;
      return [time, "o", line.replace("\n", "\r\n")] as const;
    });
    const events = [[told[0]?.[0], "m", act], [told[0]?.[0], "o", "\u001b[2J\u001b[H"], ...told] as const;
    time += pace.end;
    return events;
  });
  return [header, ...events.map(([at = 0, ...event]) => [Math.round(at * 100) / 100, ...event])]
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");
}
