/** What the post step has to know of its login: in the runner's state, where no secret may stand, before anything is done. */
import { shortTrace, type Trace, traceOf } from "../logout.ts";
import type { Session } from "../session.ts";
import type { Runner } from "./runner.ts";

/** Linux gives a variable 128 KiB, and the runner makes one of each state. */
const roomForTraces = 100_000;

/** @returns what is to be told of each session, and of each change of one */
export function rememberIn(runner: Runner): (session: Session) => void {
  const traces = new Map<string, Trace>();
  return (session) => {
    traces.set(session.folder, traceOf(session));
    // The last of its name counts. A login has one folder, a promotion one for each side.
    runner.set("GITHUB_STATE", "session", [...traces.keys()].join("\n"));
    const all = [...traces.values()];
    const text = JSON.stringify(all);
    runner.set("GITHUB_STATE", "traces", text.length <= roomForTraces ? text : JSON.stringify(all.map(shortTrace)));
  };
}

export interface Remembered {
  readonly folder: string;
  readonly trace: Trace | undefined;
}

export function remembered(runner: Runner): readonly Remembered[] {
  const traces = readTraces(runner.state("traces") ?? "");
  const folders = (runner.state("session") ?? "").split("\n").filter(Boolean);
  return folders.map((folder) => ({ folder, trace: traces.find(({ session }) => session.folder === folder) }));
}

/** The record in the session's folder says the same and more: a state that was cut off must not keep post from that. */
function readTraces(text: string): readonly Trace[] {
  try {
    const found: unknown = JSON.parse(text);
    return Array.isArray(found) ? found.filter((each) => typeof each?.session?.folder === "string") : [];
  } catch {
    return [];
  }
}
