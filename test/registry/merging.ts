/**
 * A login's work on one auth file, in a process of its own, which a test may kill:
 * `node merging.ts FILE SESSIONS SCOPE once` merges one entry; `… forever` merges and restores until it is killed,
 * after a line on standard output. SESSIONS is where its session's folder goes.
 */
import { logout } from "../../src/logout.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { mergeEntries } from "../../src/registry/merge.ts";
import { openSession, saveSession } from "../../src/session.ts";

const [path = "", sessions = "", scope = "", how] = process.argv.slice(2);
const reporter = { info: () => {}, warning: () => {}, debug: () => {}, secret: () => {} };
const platform = { clock: systemClock, reporter, signal: new AbortController().signal };
const entries = { [scope]: { auth: Buffer.from(`robot:${scope}`).toString("base64") } };

do {
  const session = await openSession(sessions);
  await mergeEntries(
    { path, entries, mode: undefined, id: session.id },
    platform,
    async (record) => void (await saveSession({ ...session, files: [record] })),
  );
  if (how === "forever") {
    process.stdout.write(".");
    await logout(session.folder, platform);
  }
} while (how === "forever");
