/** `promote`, killed at any moment: no release tag is on an incomplete or unsigned image, and a second run finishes. */
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, type ExpectStatic, test } from "vitest";
import { processesOf } from "../../faults/world.ts";
import { slow } from "../../quay-stand-in/scripted.ts";
import {
  cosignTag,
  fallbackTag,
  type Made,
  makeCosign,
  makeFallbackIndex,
  makeReferrer,
  makeTwoPlatforms,
} from "../../support/images.ts";
import { once } from "../world.ts";
import {
  arrived,
  eventually,
  newScenario,
  type Place,
  requestOf,
  type Scenario,
  succeeded,
  usePromotionWorld,
} from "./world.ts";

const world = usePromotionWorld();

interface Signed {
  readonly scenario: Scenario;
  readonly made: Made;
  readonly signature: Made;
  readonly referrer: Made;
  readonly args: readonly string[];
}

const tags = ["1.0", "latest"] as const;

async function signed(name: string): Promise<Signed> {
  // The leak harness would find the login in the private folder of a killed process.
  const scenario = await newScenario(world(), { tolerateLeaks: true });
  const { side, repository } = scenario.from;
  const made = makeTwoPlatforms(`kills ${name}`);
  const [signature, referrer] = [makeCosign(made, "sig"), makeReferrer(made, "bundle")];
  await side.push(repository, made);
  await side.push(repository, signature, [cosignTag(made, "sig")]);
  await side.push(repository, referrer);
  await side.push(repository, makeFallbackIndex([referrer]), [fallbackTag(made)]);
  return { scenario, made, signature, referrer, args: [...scenario.args(made, ...tags), "--with-signatures"] };
}

/** Checks what holds at every moment. @returns the release tags that can be pulled */
async function keepsPromise(expect: ExpectStatic, { scenario, made, signature, referrer }: Signed): Promise<string[]> {
  const { side, repository } = scenario.to;
  const there: string[] = [];
  for (const tag of tags) {
    // Not the listed tags: this registry lists a tag before it can be pulled.
    const digest = await side.digest(repository, tag);
    if (digest === undefined) continue;
    there.push(tag);
    expect(digest).toBe(made.digest);
    expect(await side.missing(repository, made)).toEqual([]);
    expect(await side.missing(repository, signature)).toEqual([]);
    expect(await side.digest(repository, cosignTag(made, "sig"))).toBe(signature.digest);
    expect(await side.missing(repository, referrer)).toEqual([]);
    expect((await side.manifest(repository, fallbackTag(made)))?.text).toContain(referrer.digest);
  }
  return there;
}

async function finishes(expect: ExpectStatic, all: Signed): Promise<void> {
  const { scenario, made, args } = all;
  // A tool whose parent was killed may still be running.
  await eventually(async () => (await processesOf(scenario.machine.scratch)).length === 0, "the end of the last tool");
  await keepsPromise(expect, all);
  const { machine } = scenario;
  succeeded(expect, await machine.run(["promote", ...args]));
  await arrived(expect, scenario.to, made, ...tags);
  expect(await keepsPromise(expect, all)).toEqual([...tags]);
}

/** Where it is held: the endpoint, the request, and the release tags that may be set by then. */
const phases: [string, (all: Signed) => [Place, (request: IncomingMessage) => boolean], string[]][] = [
  ["resolving the source", ({ scenario: { from } }) => [from, requestOf("GET", from, "manifests/sha256:")], []],
  ["looking at the tags", ({ scenario: { to } }) => [to, requestOf("HEAD", to, "manifests/1.0")], []],
  ["sending a blob", ({ scenario: { to } }) => [to, requestOf("PUT", to, "blobs/uploads/")], []],
  [
    "setting the image's manifest",
    ({ scenario: { to }, made }) => [to, requestOf("PUT", to, `manifests/${made.digest}`)],
    [],
  ],
  [
    "sending a signature",
    ({ scenario: { to }, signature }) => [to, requestOf("PUT", to, `manifests/${signature.digest}`)],
    [],
  ],
  [
    "setting a signature's tag",
    ({ scenario: { to }, made }) => [to, requestOf("PUT", to, `manifests/${cosignTag(made, "sig")}`)],
    [],
  ],
  [
    "listing a referrer",
    ({ scenario: { to }, made }) => [to, requestOf("PUT", to, `manifests/${fallbackTag(made)}`)],
    [],
  ],
  ["setting the first tag", ({ scenario: { to } }) => [to, requestOf("PUT", to, "manifests/1.0")], []],
  ["setting the second tag", ({ scenario: { to } }) => [to, requestOf("PUT", to, "manifests/latest")], ["1.0"]],
];

describe.concurrent("promote, killed", { timeout: 60_000 }, () => {
  test.for(phases)("%s", { timeout: 60_000 }, async ([name, hold, expected], { expect }) => {
    const all = await signed(name);
    const [{ side }, matches] = hold(all);
    const isHeld = once(matches);
    let held = false;
    // Long enough for the kill; then an orphaned tool and a pending request continue.
    side.quay.registryScript.always(slow(1500), (request) => {
      const found = isHeld(request);
      held ||= found;
      return found;
    });
    const started = await all.scenario.machine.start(["promote", ...all.args]);
    await eventually(() => held, name);
    started.kill("SIGKILL");
    expect((await started.done).signal).toBe("SIGKILL");
    expect(await keepsPromise(expect, all)).toEqual(expected);
    await finishes(expect, all);
  });

  test("at random moments", async ({ expect }) => {
    const all = await signed("moments");
    const { scenario, args } = all;
    const { from, to } = scenario;
    for (const { side, repository } of [from, to]) {
      side.quay.registryScript.always(slow(60), ({ url = "" }) => url.startsWith(`/v2/${repository}/`));
    }
    let kills = 0;
    // At the second, fifth, … change: each run begins where the one before was killed.
    for (const limit of [2, 5, 4, 3, 2]) {
      const started = await scenario.machine.start(["promote", ...args]);
      let changes = 0;
      const stop = to.side.onAsked(({ method, path }) => {
        const isChange = method !== "GET" && method !== "HEAD" && path.startsWith(`/v2/${to.repository}/`);
        if (isChange && ++changes === limit) started.kill("SIGKILL");
      });
      if ((await started.done).signal === "SIGKILL") kills++;
      stop();
      await keepsPromise(expect, all);
    }
    expect(kills).toBeGreaterThan(2);
    await finishes(expect, all);
  });

  test("while a user pulls all the time", async ({ expect }) => {
    const all = await signed("watched");
    const { scenario, args } = all;
    const started = await scenario.start(args);
    let over = false;
    const done = started.ended().finally(() => {
      over = true;
    });
    let looks = 0;
    for (; !over; looks++) {
      await keepsPromise(expect, all);
      await sleep(15);
    }
    succeeded(expect, await done);
    expect(looks).toBeGreaterThan(10);
    expect(await keepsPromise(expect, all)).toEqual([...tags]);
  });
});
