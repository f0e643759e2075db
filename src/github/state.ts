/** What the post step has to know of its login: in the runner's state, where no secret may stand, before anything is done. */
import { getState } from "@actions/core";
import { shortTrace, type Trace, traceOf } from "../login/logout.ts";
import { assertForm } from "../login/record.ts";
import type { Session } from "../login/session.ts";
import { saveState } from "./file-commands.ts";

/** Linux gives a variable 128 KiB, and the runner makes one of each state. */
const roomForTraces = 100_000;

/** @returns what is to be told of each session, and of each change of one */
export function rememberSessions(): (session: Session) => void {
  const traces = new Map<string, Trace>();
  return (session) => {
    traces.set(session.folder, traceOf(session));
    // The last of its name counts. A login has one folder, a promotion one for each side.
    saveState("session", [...traces.keys()].join("\n"));
    const all = [...traces.values()];
    const text = JSON.stringify(all);
    saveState("traces", text.length <= roomForTraces ? text : JSON.stringify(all.map(shortTrace)));
  };
}

/** Of a login that failed, and is taken back: its post step has nothing to do. */
export function forget(): void {
  try {
    saveState("session", "");
  } catch {
    // That was told when it was first written to; at worst post finds nothing to do.
  }
}

export interface Remembered {
  readonly folder: string;
  readonly trace: Trace | undefined;
}

export function remembered(): readonly Remembered[] {
  const traces = tracesIn(getState("traces") || "[]");
  const folders = getState("session").split("\n").filter(Boolean);
  return folders.map((folder) => ({ folder, trace: traces.find(({ session }) => session.folder === folder) }));
}

/** What has not the form that was written is none: the folder alone is known then. */
function tracesIn(text: string): readonly Trace[] {
  try {
    const traces: readonly Trace[] = JSON.parse(text);
    for (const { session, replaced } of traces) {
      assertForm({ ...session, files: session.files.map((file) => ({ ...file, before: null })) });
      replaced.map(({ path, scope }) => path + scope);
    }
    return traces;
  } catch {
    return [];
  }
}
