import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Destinations } from "../../src/login/destinations.ts";
import type { Journal } from "../../src/login/journal.ts";
import { openSession, privateFile } from "../../src/login/session.ts";
import { storeLogins } from "../../src/login/store.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { entryOf, failure, makeFolder, testPlatform } from "../fixtures.ts";

describe("logins are written", () => {
  const entries = { "quay.io": entryOf("acme+ci", "a-password") };
  const privately: Destinations = {
    authFile: undefined,
    mode: undefined,
    isDockers: false,
    docker: [],
    explainDocker: undefined,
    start: undefined,
  };
  const written = async (path: string) => JSON.parse(await readFile(path, "utf8"));

  const makeStore = async () => {
    const base = await makeFolder();
    const platform = testPlatform();
    const [authFile, docker] = [join(base, "auth.json"), join(base, "docker/config.json")];
    const session = await openSession(base);
    const store = async (destinations: Partial<Destinations>, logins: Record<string, { auth: string }> = entries) => {
      const remembered: string[] = [];
      const journal: Pick<Journal, "session" | "recordFile"> = {
        session,
        recordFile: async ({ path }) => void remembered.push(path),
      };
      const path = await storeLogins({ entries: logins }, { ...privately, ...destinations }, journal, platform);
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
    const dockers = (path: string) => [{ scope: "quay.io", file: of(path) }];
    expect(await store({ authFile: of(authFile), docker: dockers(docker) })).toEqual({
      path: authFile,
      remembered: [authFile, docker],
    });
    expect([await written(authFile), await written(docker)]).toEqual([{ auths: entries }, { auths: entries }]);
    expect((await store({ authFile: of(docker), docker: dockers(docker) })).remembered).toEqual([docker]);
  });

  test("elsewhere if docker's configuration has become unusable, unless it is needed", async () => {
    const { store, authFile, docker, warnings } = await makeStore();
    await mkdir(docker, { recursive: true });
    const file = { path: docker, content: {} };
    const destinations = { authFile: { path: authFile, content: {} }, docker: [{ scope: "quay.io", file }] };
    expect((await store(destinations)).path).toBe(authFile);
    expect(await written(authFile)).toEqual({ auths: entries });
    expect(warnings).toEqual([
      expect.stringContaining("docker, cosign, crane, oras and helm will not see this login."),
    ]);
    const explainDocker = ({ code }: ExplainedError) => new ExplainedError(code, "of docker", { remedy: [] });
    for (const more of [{}, { authFile: file, isDockers: true }]) {
      const error = await failure(store({ ...destinations, ...more, explainDocker }));
      expect([error.code, error.message]).toEqual(["auth-file-unusable", "of docker"]);
    }
  });

  test("of docker's builder each into a file of its own, under the host, and elsewhere only what other tools read", async () => {
    const { store, base, authFile, docker, session } = await makeStore();
    const login = (scope: string) => ({ [scope]: entryOf("acme+ci", scope) });
    const of = (path: string) => ({ path, content: {} });
    const builder = (scope: string) => ({ scope, file: of(join(base, "builder", scope, "config.json")) });
    const [app, push] = [builder("quay.io/acme/app"), builder("quay.io/acme/app@push")];
    const all = { ...login("quay.io"), ...login(app.scope), ...login(push.scope) };
    const dockers = [{ scope: "quay.io", file: of(docker) }, app, push];
    const stored = await store({ authFile: of(authFile), docker: dockers }, all);
    expect(stored.remembered).toEqual([authFile, docker, app.file.path, push.file.path]);
    expect(await written(authFile)).toEqual({ auths: { ...login("quay.io"), ...login(app.scope) } });
    for (const { scope, file } of dockers) {
      expect(await written(file.path)).toEqual({ auths: { "quay.io": entryOf("acme+ci", scope) } });
    }
    const own = of(join(base, "own/config.json"));
    const ofDocker = { authFile: own, isDockers: true, docker: [{ scope: "quay.io", file: own }, push] };
    expect((await store(ofDocker, all)).path).toBe(own.path);
    expect(await written(own.path)).toEqual({ auths: login("quay.io") });
    // The same file, named as the other tools': they read the repository's login there.
    await store({ ...ofDocker, isDockers: false }, all);
    expect(await written(own.path)).toEqual({ auths: { ...login("quay.io"), ...login(app.scope) } });
    const start = { auths: { "ghcr.io": { auth: "dGhlaXJz" } } };
    await store({ docker: [push], start }, login(push.scope));
    expect(await written(privateFile(session.folder))).toEqual(start);
  });
});
