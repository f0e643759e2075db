import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { remembered, rememberSessions } from "../../src/github/state.ts";
import type { Session } from "../../src/login/session.ts";
import { entryOf, makeFolder, now } from "../fixtures.ts";
import { parseFileCommands } from "../support/workflow-commands.ts";

afterEach(() => vi.unstubAllEnvs());

const secret = "a-password-of-others";
const before = entryOf("person", secret);

function sessionOf(robots: number): Session {
  const scopes = Array.from({ length: robots }, (_, index) => `quay.io/acme/${index}`);
  return {
    version: 1,
    folder: "/temp/quay-keyless-login-1",
    named: false,
    id: "0123456789ab",
    files: [
      {
        path: "/home/auth.json",
        before: Buffer.from(JSON.stringify({ auths: { "quay.io": before } })).toString("base64"),
        mode: 0o600,
        folders: [],
        scopes: Object.fromEntries(scopes.map((scope) => [scope, { before, written: ["f".repeat(64)] }])),
        after: ["e".repeat(64)],
      },
    ],
    certificates: [],
    robots: scopes.map((scope) => ({ robot: "acme+ci", scope, expiresAt: now, lifeSeconds: 3600 })),
    job: { logout: true, refresh: false, authFileBefore: "/before.json" },
  };
}

async function remember(session: Session) {
  const path = join(await makeFolder(), "state");
  await writeFile(path, "");
  vi.stubEnv("GITHUB_STATE", path);
  rememberSessions()(session);
  const text = await readFile(path, "utf8");
  const state = parseFileCommands(text);
  for (const [name, value] of Object.entries(state)) vi.stubEnv(`STATE_${name}`, value);
  return { text, state, back: remembered() };
}

test("returns what post needs; the files' earlier content is only named", async () => {
  const { text, back } = await remember(sessionOf(2));
  expect(back).toMatchObject([
    {
      folder: "/temp/quay-keyless-login-1",
      trace: {
        session: { files: [{ path: "/home/auth.json", before: "" }], job: { authFileBefore: "/before.json" } },
        replaced: [
          { path: "/home/auth.json", scope: "quay.io/acme/0" },
          { path: "/home/auth.json", scope: "quay.io/acme/1" },
        ],
      },
    },
  ]);
  for (const form of [secret, before.auth, "e".repeat(64)]) expect(text).not.toContain(form);
});

test("fits thousands of robots into a variable: it leaves the entries out, and marks that", async () => {
  const { state, back } = await remember(sessionOf(5_000));
  for (const value of Object.values(state)) expect(value.length).toBeLessThan(128 * 1024);
  expect(back).toMatchObject([{ trace: { isShort: true, session: { files: [{ path: "/home/auth.json" }] } } }]);
});

test.each([
  "{",
  "{}",
  "null",
  "[null]",
  "[1]",
  '[{"session":null}]',
  '[{"session":{"folder":"/temp/a"},"replaced":[]}]',
])("ignores invalid traces: %s", (traces) => {
  vi.stubEnv("STATE_session", "/temp/a");
  vi.stubEnv("STATE_traces", traces);
  expect(remembered()).toEqual([{ folder: "/temp/a", trace: undefined }]);
});
