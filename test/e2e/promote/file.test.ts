/** `promote --file`: many at once, one report. A second run completes what failed or was interrupted. */
import { readFile } from "node:fs/promises";
import { describe, test } from "vitest";
import { answer, hang, slow } from "../../quay-stand-in/scripted.ts";
import { type Made, makeImage, makeTwoPlatforms } from "../../support/images.ts";
import { addPlace } from "../../support/promotion.ts";
import { once } from "../world.ts";
import {
  arrived,
  eventually,
  fileOf,
  newScenario,
  type Place,
  refused,
  requestOf,
  type Scenario,
  succeeded,
  usePromotionWorld,
} from "./world.ts";

const world = usePromotionWorld();

interface Many {
  readonly scenario: Scenario;
  readonly images: readonly Made[];
  readonly places: readonly Place[];
  readonly args: readonly string[];
}

/** This many images, each to a separate repository, in a file. */
async function many(name: string, count: number): Promise<Many> {
  const scenario = await newScenario(world());
  const { from, to, machine } = scenario;
  const numbers = Array.from({ length: count }, (_, index) => index);
  const images = numbers.map((index) =>
    index === 0 ? makeTwoPlatforms(`${name} ${index}`) : makeImage(`${name} ${index}`),
  );
  const places = numbers.map((index): Place => {
    const repository = `${to.repository}-${index}`;
    addPlace(world(), to.side, repository, { robots: { [to.robot]: "write" } });
    return { ...to, repository, path: `${to.side.host}/${repository}` };
  });
  for (const made of images) await from.side.push(from.repository, made);
  const entries = numbers.map((index) =>
    [
      `- source: ${from.path}@${images[index]?.digest}`,
      `  destination: ${places[index]?.path}`,
      "  tags:",
      "    - 1.10",
      "    - latest",
    ].join("\n"),
  );
  const file = await machine.write(fileOf(machine, "release.yaml"), `${entries.join("\n")}\n`);
  return { scenario, images, places, args: [...scenario.base, "--output", "json", "--file", file] };
}

const tagsOf = ({ places }: Many) => Promise.all(places.map(({ side, repository }) => side.tags(repository)));
const done = ["1.10", "latest"];

async function allArrived(expect: Parameters<typeof arrived>[0], { images, places }: Many) {
  for (const [index, place] of places.entries()) {
    const made = images[index];
    if (made) await arrived(expect, place, made, ...done);
  }
}

describe.concurrent("promote --file", { timeout: 60_000 }, () => {
  test("promotes five images, with one login per endpoint", async ({ expect }) => {
    const all = await many("file five", 5);
    const { from, to } = all.scenario;
    const ran = succeeded(expect, await all.scenario.promote(all.args));
    await allArrived(expect, all);
    expect(ran.promotions.map(({ changed, destination }) => [changed, destination])).toEqual(
      all.places.map(({ path }) => [true, path]),
    );
    const exchanges = [from, to].map(
      ({ side, robot }) =>
        side.quay.requests.filter(({ path, user }) => path.startsWith("/oauth2") && user === robot).length,
    );
    expect(exchanges).toEqual([1, 1]);
    const again = succeeded(expect, await all.scenario.promote(all.args));
    expect(again.promotions.some(({ changed }) => changed)).toBe(false);
  });

  test("promotes the others if one of five is refused; a second run finishes", async ({ expect }) => {
    const all = await many("file refused", 5);
    const bad = all.places[2];
    if (bad === undefined) throw new Error("too few");
    bad.side.quay.store.repositories.get(bad.repository)?.permissions.clear();
    const ran = await all.scenario.promote(all.args);
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("explain access-missing")]);
    expect(ran.promotions.map(({ error, changed }) => [error?.code, changed])).toEqual(
      all.places.map((place) => (place === bad ? ["access-missing", false] : [undefined, true])),
    );
    expect(await tagsOf(all)).toEqual(all.places.map((place) => (place === bad ? [] : done)));
    expect(ran.stderr).toContain(bad.repository);

    bad.side.quay.store.repositories.get(bad.repository)?.permissions.set(bad.robot, "write");
    const again = succeeded(expect, await all.scenario.promote(all.args));
    await allArrived(expect, all);
    expect(again.promotions.map(({ changed }) => changed)).toEqual(all.places.map((place) => place === bad));
  });

  test("prints a table with all of them, and the failure", async ({ expect }) => {
    const all = await many("file text", 3);
    const bad = all.places[1];
    bad?.side.quay.store.repositories.get(bad.repository)?.permissions.clear();
    const ran = await all.scenario.promote(all.args.map((arg) => (arg === "json" ? "text" : arg)));
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("explain access-missing")]);
    for (const { repository } of all.places) expect(ran.stdout).toContain(repository);
    expect(ran.stdout).toContain("access-missing");
    expect(ran.stdout).toMatch(/2 promoted.*1 failed/);
  });

  test("exits with 75 if each failure is temporary, else with 1", async ({ expect }) => {
    const all = await many("file temporary", 3);
    const { to } = all.scenario;
    const unavailable = answer(503, "");
    for (const place of all.places.slice(1)) {
      to.side.quay.registryScript.always(unavailable, requestOf("HEAD", place));
      to.side.quay.registryScript.always(unavailable, requestOf("GET", place));
    }
    const args = [...all.args, "--timeout", "3"];
    const ran = await all.scenario.promote(args);
    expect([ran.code, ran.stderr]).toEqual([75, expect.anything()]);
    expect(ran.promotions.map(({ error }) => error?.code)).toEqual([
      undefined,
      "registry-unavailable",
      "registry-unavailable",
    ]);
    expect(await tagsOf(all)).toEqual([done, [], []]);
    const [first] = all.places;
    first?.side.quay.store.repositories.get(first.repository)?.permissions.clear();
    const mixed = await all.scenario.promote(args);
    expect([mixed.code, mixed.stderr]).toEqual([1, expect.stringContaining("explain access-missing")]);
  });

  test("retries a registry that was busy once", async ({ expect }) => {
    const all = await many("file busy", 2);
    const { registryScript } = all.scenario.to.side.quay;
    for (const place of all.places) {
      registryScript.always(answer(503, ""), once(requestOf("HEAD", place)));
      registryScript.always(answer(429, "", { "retry-after": "1" }), once(requestOf("PUT", place, "manifests/latest")));
      registryScript.always(answer(502, ""), once(requestOf("POST", place, "blobs/uploads")));
    }
    succeeded(expect, await all.scenario.promote(all.args));
    await allArrived(expect, all);
  });

  test.for(["SIGINT", "SIGTERM"] as const)(
    "prints a report after %s half-way; a second run finishes",
    async (signal, { expect }) => {
      const all = await many(`file ${signal}`, 3);
      const [first, ...others] = all.places;
      const held = new Set<Place>();
      for (const place of others) {
        const isHeld = once(requestOf("POST", place, "blobs/uploads"));
        place.side.quay.registryScript.always(hang(), (request) => {
          const matches = isHeld(request);
          if (matches) held.add(place);
          return matches;
        });
      }
      const started = await all.scenario.start(all.args);
      await eventually(() => held.size === others.length, "the others' uploads");
      await eventually(() => started.shown.stderr.includes("done after"), "the first one's end");
      expect(await first?.side.tags(first.repository)).toEqual(done);
      const from = performance.now();
      started.kill(signal);
      const ran = await started.ended(); // checks that no login is left
      expect(performance.now() - from).toBeLessThan(5_000);
      expect([ran.code, ran.signal, ran.stderr]).toEqual([75, null, expect.stringContaining("explain cancelled")]);
      expect(ran.promotions.map(({ error, changed }) => [error?.code, changed])).toEqual([
        [undefined, true],
        ["cancelled", false],
        ["cancelled", false],
      ]);
      expect(await tagsOf(all)).toEqual([done, [], []]);
      const again = succeeded(expect, await all.scenario.promote(all.args));
      expect(again.promotions.map(({ changed }) => changed)).toEqual([false, true, true]);
      await allArrived(expect, all);
    },
  );

  test("runs no more copies at once than --parallel", async ({ expect }) => {
    const all = await many("file parallel", 4);
    const { side } = all.scenario.to;
    const open = new Set<Place>();
    let most = 0;
    for (const place of all.places) side.quay.registryScript.always(slow(200), requestOf("POST", place));
    const stop = side.onAsked(({ method, path }) => {
      const index = all.places.findIndex(({ repository }) => path.startsWith(`/v2/${repository}/`));
      const [place, made] = [all.places[index], all.images[index]];
      if (place === undefined) return;
      if (method === "POST") open.add(place);
      if (method === "PUT" && path.endsWith(`/manifests/${made?.digest}`)) open.delete(place);
      most = Math.max(most, open.size);
    });
    succeeded(expect, await all.scenario.promote([...all.args, "--parallel", "2"]));
    stop();
    expect(most).toBe(2);
    await allArrived(expect, all);
  });

  test("runs no more verify-commands at once than --parallel", async ({ expect }) => {
    const all = await many("file verify", 5);
    const log = fileOf(all.scenario.machine, "log");
    const command = `sh -c 'echo 1 >>${log}; sleep 0.3; echo -1 >>${log}'`;
    succeeded(expect, await all.scenario.promote([...all.args, "--parallel", "2", "--verify-command", command]));
    let running = 0;
    const counts = (await readFile(log, "utf8"))
      .trim()
      .split("\n")
      .map((change) => {
        running += Number(change);
        return running;
      });
    expect([counts.length, Math.max(...counts)]).toEqual([10, 2]);
    await allArrived(expect, all);
  });

  test("reports a missing skopeo once", async ({ expect }) => {
    const scenario = await newScenario(world(), { tools: [] });
    const made = makeImage("file no skopeo");
    await scenario.from.side.push(scenario.from.repository, made);
    const ran = await scenario.promote(scenario.args(made, "1.0"));
    expect(refused(expect, ran, "tool-not-found")).toContain("skopeo");
  });
});
