/** What the post step needs to know of its login. It goes into the runner's state, without secrets, before anything is changed. */
import { getState } from "@actions/core";
import { shortTrace, type Trace, traceOf } from "../login/logout.ts";
import { assertForm } from "../login/record.ts";
import type { Session } from "../login/session.ts";
import { saveState } from "./file-commands.ts";

/** Linux limits a variable to 128 KiB, and the runner passes each state as one. */
const roomForTraces = 100_000;

/** @returns a function to call with each session, and after each change of one */
export function rememberSessions(): (session: Session) => void {
  const traces = new Map<string, Trace>();
  return (session) => {
    traces.set(session.folder, traceOf(session));
    // The last value of a name counts. A login has one folder, a promotion one for each endpoint.
    saveState("session", [...traces.keys()].join("\n"));
    const all = [...traces.values()];
    const text = JSON.stringify(all);
    saveState("traces", text.length <= roomForTraces ? text : JSON.stringify(all.map(shortTrace)));
  };
}

/** After a failed login was removed: its post step has nothing to do. @param folder of its session, if it is a login */
export function forget(folder?: string): void {
  try {
    saveState("session", "");
    if (folder !== undefined) {
      saveState("failed", folder);
    }
  } catch {
    // The first write to the state has reported it; at worst, post finds nothing to do.
  }
}

/** The folder of a session that `forget` was called for. */
export const failedSession = (): string | undefined => getState("failed") || undefined;

export interface Remembered {
  readonly folder: string;
  readonly trace: Trace | undefined;
}

export function remembered(): readonly Remembered[] {
  const traces = tracesIn(getState("traces") || "[]");
  const folders = getState("session").split("\n").filter(Boolean);
  return folders.map((folder) => ({ folder, trace: traces.find(({ session }) => session.folder === folder) }));
}

/** Text without the form that was written counts as no traces: then only the folders are known. */
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
