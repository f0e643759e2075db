/**
 * What logins do to one auth file, in a separate process, which a test may kill:
 * `node merging.ts FILE SESSIONS SCOPE once` merges one entry;
 * `… forever` merges and restores until it is killed, after a dot on standard output each time;
 * `… many COUNT [PAUSE]` merges entries under SCOPE/0, SCOPE/1, …, and prints each scope once its entry is written, with up to
 * PAUSE milliseconds between them;
 * `… renewing COUNT` merges one entry, renews it that often with another password, prints each password once it is written,
 * and restores the file;
 * `… holding` stops in the middle of a merge while it holds the lock, after a line that says so.
 * SESSIONS is where the sessions' folders go.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { logout } from "../../src/login/logout.ts";
import { openSession, type Session, saveSession } from "../../src/login/session.ts";
import { systemClock } from "../../src/platform/clock.ts";

const [path = "", sessions = "", scope = "", how, count = "1", pause = "0"] = process.argv.slice(2);
const reporter = {
  info: () => {},
  warning: () => {},
  debug: () => {},
  secret: () => {},
  holdsSecret: () => false,
  moreOn: () => "",
  hide: (text: string) => text,
  syntax: { has: () => true, write: () => "" },
};
const platform = { clock: systemClock, reporter, signal: new AbortController().signal };

await work();

async function work(): Promise<void> {
  switch (how) {
    case "once":
      await merge(scope);
      return;
    case "forever":
      for (;;) {
        const { folder } = await merge(scope);
        process.stdout.write(".");
        await logout(folder, platform);
      }
    case "many":
      for (let index = 0; index < Number(count); index++) {
        await merge(`${scope}/${index}`);
        process.stdout.write(`${scope}/${index}\n`);
        await sleep(Math.random() * Number(pause));
      }
      return;
    case "renewing": {
      let session = await merge(scope);
      for (let index = 0; index < Number(count); index++) {
        process.stdout.write(`${index}\n`);
        await sleep(Math.random() * 20);
        session = await merge(scope, `renewed-${index}`, session);
      }
      await logout(session.folder, platform);
      return;
    }
    case "holding":
      await merge(scope, "never", undefined, async () => {
        process.stdout.write("holding\n");
        await sleep(60_000);
      });
      return;
    default:
      throw new Error(`no such work: ${how}`);
  }
}

/** As a login does it: the session is written before the file is. */
async function merge(
  under: string,
  password = under,
  renews?: Session,
  meanwhile: () => Promise<void> = async () => {},
): Promise<Session> {
  let session = renews ?? (await openSession(sessions));
  const entries = { [under]: { auth: Buffer.from(`robot:${password}`).toString("base64") } };
  const change = { path, entries, mode: undefined, id: session.id, renews: renews?.files[0] };
  await mergeEntries(change, platform, async (record: FileRecord) => {
    session = await saveSession({ ...session, files: [record] });
    await meanwhile();
  });
  return session;
}
