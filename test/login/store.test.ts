import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Destinations } from "../../src/login/destinations.ts";
import type { Journal } from "../../src/login/journal.ts";
import { openSession, privateFile } from "../../src/login/session.ts";
import { storeLogins } from "../../src/login/store.ts";
import { entryOf, failure, makeFolder, testPlatform } from "../fixtures.ts";

describe("logins are written", () => {
  const entries = { "quay.io": entryOf("acme+ci", "a-password") };
  const privately: Destinations = {
    authFile: undefined,
    mode: undefined,
    docker: undefined,
    dockerIsNeeded: false,
    start: undefined,
  };
  const written = async (path: string) => JSON.parse(await readFile(path, "utf8"));

  const makeStore = async () => {
    const base = await makeFolder();
    const platform = testPlatform();
    const [authFile, docker] = [join(base, "auth.json"), join(base, "docker/config.json")];
    const session = await openSession(base);
    const store = async (destinations: Partial<Destinations>) => {
      const remembered: string[] = [];
      const journal: Journal = {
        session,
        write: async ({ files = [] }) => void remembered.push(...files.map(({ path }) => path)),
      };
      const path = await storeLogins(entries, { ...privately, ...destinations }, journal, platform);
      return { path, remembered: [...new Set(remembered)] };
    };
    return { base, session, authFile, docker, store, warnings: platform.reporter.warnings };
  };

  test("into a private file, which starts with others", async () => {
    const { store, session } = await makeStore();
    const path = privateFile(session.folder);
    const start = { auths: { "ghcr.io": { auth: "dGhlaXJz" } } };
    expect(await store({ start, mode: 0o640 })).toEqual({ path, remembered: [path] });
    expect(await written(path)).toEqual({ auths: { ...start.auths, ...entries } });
    expect((await stat(path)).mode & 0o777).toBe(0o640);
  });

  test("into docker's configuration too, or once if both are one file", async () => {
    const { store, authFile, docker } = await makeStore();
    const of = (path: string) => ({ path, content: {} });
    expect(await store({ authFile: of(authFile), docker: of(docker) })).toEqual({
      path: authFile,
      remembered: [authFile, docker],
    });
    expect([await written(authFile), await written(docker)]).toEqual([{ auths: entries }, { auths: entries }]);
    expect((await store({ authFile: of(docker), docker: of(docker) })).remembered).toEqual([docker]);
  });

  test("elsewhere if docker's configuration has become unusable, unless it is needed", async () => {
    const { store, authFile, docker, warnings } = await makeStore();
    await mkdir(docker, { recursive: true });
    const destinations = { authFile: { path: authFile, content: {} }, docker: { path: docker, content: {} } };
    expect((await store(destinations)).path).toBe(authFile);
    expect(await written(authFile)).toEqual({ auths: entries });
    expect(warnings).toEqual([
      expect.stringContaining("docker, cosign, crane, oras and helm will not see this login."),
    ]);
    const error = await failure(store({ ...destinations, dockerIsNeeded: true }));
    expect(error.code).toBe("auth-file-unusable");
  });
});
