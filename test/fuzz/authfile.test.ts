/** Auth files of other programs: read, changed, restored. */
import { readdirSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type FileRecord, mergeEntries } from "../../src/authfile/change.ts";
import { readAuthFile } from "../../src/authfile/read.ts";
import { removeEntries, restoreEntries } from "../../src/authfile/restore.ts";
import { readSession } from "../../src/login/session.ts";
import { readStatus } from "../../src/login/status.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { createRecorder, entryOf, makeFolder, robotToken } from "../fixtures.ts";
import { expectUnsaid, forAllAsync, outcomeAsync } from "./property.ts";
import { endless, hostile, nearly, secret } from "./values.ts";

const platform = { clock: systemClock, signal: new AbortController().signal, reporter: createRecorder() };

const password = Buffer.from(`user:${secret}`).toString("base64");
const scope = fc.oneof(
  fc.constantFrom("quay.io", "quay.io/acme", "docker.io", "__proto__", "constructor", "toString", "0", ""),
  hostile,
);
/** Scopes of logins. */
const ourScope = fc.constantFrom<string>(
  "quay.io",
  "quay.io/acme",
  "quay.io/acme/app",
  "localhost:5000",
  "constructor",
  "0",
);
const entry = fc.oneof(
  fc.constantFrom({ auth: password }, entryOf("acme+ci", robotToken(2_000_000_000)), {}),
  fc.record(
    { auth: hostile, identitytoken: fc.constant(secret), x: fc.jsonValue({ maxDepth: 1 }) },
    { requiredKeys: [] },
  ),
);
const auths = fc.dictionary(scope, entry, { maxKeys: 6, noNullPrototype: true });
const others = fc.dictionary(
  fc.oneof(fc.constantFrom("credsStore", "psFormat", "HttpHeaders", "__proto__"), hostile),
  fc.jsonValue({ maxDepth: 2 }),
  { maxKeys: 4, noNullPrototype: true },
);
/** An auth file with other programs' content, as JSON in any layout. */
const sound = fc
  .record({
    others,
    auths: fc.option(auths, { nil: null }),
    credHelpers: fc.option(fc.dictionary(hostile, fc.string(), { maxKeys: 2, noNullPrototype: true }), { nil: null }),
    space: fc.constantFrom("", " ", "\t"),
    end: fc.constantFrom("", "\n", "  \r\n"),
  })
  .map(
    ({ others, auths, credHelpers, space, end }) =>
      JSON.stringify({ ...others, auths, credHelpers }, null, space) + end,
  );

const any = fc.oneof(
  sound,
  sound.chain((text) => nearly(text)),
  fc.json({ maxDepth: 3 }),
  fc.tuple(hostile, hostile).map(([a, b]) => `{"auths": {"quay.io": {"auth": "${a}${password}${b}`),
  endless,
);

/** JSON as another program reads it: a name such as __proto__ is just a name. */
const entriesOf = (value: unknown): Map<string, string> =>
  new Map(Object.entries((value ?? {}) as object).map(([name, content]) => [name, JSON.stringify(content)]));

test("any bytes give logins, or an error that quotes none of them", async () => {
  const path = join(await makeFolder(), "auth.json");
  const wanted = { registry: "quay.io", scopes: [] };
  let read = 0;
  const contents = fc.oneof(
    any.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  );
  await forAllAsync(
    contents,
    async (bytes) => {
      await writeFile(path, bytes);
      for (const work of [() => readAuthFile(path), () => readStatus(wanted, path, {})]) {
        const result = await outcomeAsync<unknown>(work);
        if (result instanceof ExplainedError) {
          expect(result.code).toBe("auth-file-unusable");
          expectUnsaid(result, secret);
        } else {
          read++;
        }
      }
      expect(await readFile(path)).toEqual(bytes);
    },
    400,
  );
  expect(read).toBeGreaterThan(100);
});

test("merges entries, keeps all others, and restores the file byte for byte", async () => {
  const folder = await makeFolder();
  const path = join(folder, "auth.json");
  const ourEntry = fc.nat().map((number) => entryOf("acme+ci", robotToken(2_000_000_000, { number })));
  const entries = fc.dictionary(ourScope, ourEntry, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
  const foreign = fc.dictionary(fc.oneof(ourScope, scope), entry, { maxKeys: 4, noNullPrototype: true });
  await forAllAsync(
    fc.tuple(fc.option(sound, { nil: undefined }), entries, fc.option(foreign, { nil: undefined })),
    async ([text, ours, meanwhile]) => {
      await (text === undefined ? rm(path, { force: true }) : writeFile(path, text));
      const before = text === undefined ? {} : JSON.parse(text);
      const record = await merge(path, ours);
      const merged = JSON.parse(await readFile(path, "utf8"));
      expect(entriesOf({ ...merged, auths: null })).toEqual(entriesOf({ ...before, auths: null }));
      expect(entriesOf(merged.auths)).toEqual(new Map([...entriesOf(before.auths), ...entriesOf(ours)]));
      if (meanwhile === undefined) {
        await restoreEntries(record, "fuzz", platform);
        expect(await readFile(path, "utf8").catch(() => undefined)).toBe(text);
      } else {
        // Another process writes in between: its entries are kept, ours are removed, and what they replaced is restored.
        await writeFile(path, JSON.stringify({ ...merged, auths: { ...merged.auths, ...meanwhile } }));
        const left = new Map([...entriesOf(merged.auths), ...entriesOf(meanwhile)]);
        for (const [name, content] of entriesOf(ours)) {
          const covered = entriesOf(before.auths).get(name);
          if (left.get(name) === content && covered !== content) {
            left.delete(name);
            if (covered !== undefined) {
              left.set(name, covered);
            }
          }
        }
        await outcomeAsync(() => restoreEntries(record, "fuzz", platform));
        const after = JSON.parse(await readFile(path, "utf8").catch(() => "{}"));
        expect(entriesOf(after.auths)).toEqual(left);
      }
      // A foreign robot token may be another session's, which then finds the entry from before ours.
      const handover = join(folder, "auth.json.quay-keyless-login");
      const isHandedOver = await rm(handover).then(
        () => true,
        () => false,
      );
      expect(isHandedOver && meanwhile === undefined).toBe(false);
      expect(readdirSync(folder).filter((name) => name !== "auth.json")).toEqual([]);
    },
    150,
  );
});

test("a logout without a session removes the named entries, and nothing else", async () => {
  const path = join(await makeFolder(), "auth.json");
  await forAllAsync(
    fc.tuple(sound, fc.uniqueArray(ourScope, { maxLength: 3 }), fc.boolean()),
    async ([text, scopes, isOurs]) => {
      await writeFile(path, text);
      const before = entriesOf(JSON.parse(text).auths);
      const removed = await removeEntries({ path, id: "fuzz" }, scopes, () => isOurs, platform);
      const after = entriesOf(JSON.parse(await readFile(path, "utf8")).auths);
      const expected = isOurs ? scopes.filter((name) => before.has(name)) : [];
      expect([...removed].sort()).toEqual([...expected].sort());
      expect(after).toEqual(new Map([...before].filter(([name]) => !expected.includes(name))));
    },
    100,
  );
});

test("a damaged session record is read as a session, or reported as damaged", async () => {
  const folder = await makeFolder();
  const path = join(folder, "auth.json");
  await writeFile(path, `{"auths": {"quay.io": {"auth": "${password}"}}}`);
  const record = await merge(path, { "quay.io": { auth: "b3VyczpvdXJz" } });
  const session = {
    version: 1,
    folder,
    named: true,
    id: "0123456789ab",
    files: [record],
    certificates: [],
    robots: [{ robot: "acme+ci", scope: "quay.io", expiresAt: 2_000_000_000, lifeSeconds: 3600 }],
  };
  const parts = fc.dictionary(fc.constantFrom(...Object.keys(session)), fc.jsonValue({ maxDepth: 2 }), {
    noNullPrototype: true,
  });
  const written = fc.oneof(
    nearly(JSON.stringify(session)),
    parts.map((change) => JSON.stringify({ ...session, ...change })),
    parts.map((change) => JSON.stringify({ ...session, files: [{ ...record, ...change }] })),
    fc.json(),
    any,
  );
  await forAllAsync(
    written,
    async (text) => {
      await writeFile(join(folder, "session.json"), text);
      const result = await outcomeAsync(() => readSession(folder));
      if (result instanceof ExplainedError) {
        expect(result.code).toBe("logout-incomplete");
        expectUnsaid(result, secret);
      }
    },
    300,
  );
});

async function merge(path: string, entries: Record<string, Record<string, unknown>>): Promise<FileRecord> {
  let record: FileRecord | undefined;
  await mergeEntries({ path, entries, mode: undefined, id: "fuzz" }, platform, async (written) => {
    record = written;
  });
  return record ?? expect.unreachable("nothing was remembered");
}
