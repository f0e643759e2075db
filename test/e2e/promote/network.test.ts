/** `promote` when the network breaks, and when a copy outlasts the robot tokens. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, type ExpectStatic, test } from "vitest";
import { answer, hang, pass, slow } from "../../quay-stand-in/scripted.ts";
import { removeMachines } from "../../support/command.ts";
import { type Made, makeImage } from "../../support/images.ts";
import { type PromotionWorld, startPromotionWorld } from "../../support/promotion.ts";
import { areToolsOfToday, systemPath } from "../../support/runner.ts";
import { findToxiproxy, freePort, type Passage, startToxiproxy, type Toxiproxies } from "../../support/toxiproxy.ts";
import { of, once } from "../world.ts";
import { arrived, fileOf, newScenario, type Place, refused, requestOf, type Scenario, succeeded } from "./world.ts";

let toxiproxies: Toxiproxies | undefined;
/** The proxy before the release registry. */
let passage: Passage;
let world: PromotionWorld;

/** Lifetime of the robot tokens, seconds. */
function setLife(seconds: number): void {
  for (const { quay } of [world.staging, world.release]) {
    Object.assign(quay.settings, { robotTokenLife: seconds, leeway: 0 });
  }
}

beforeAll(async () => {
  if (findToxiproxy() === undefined) return;
  toxiproxies = await startToxiproxy();
  const port = await freePort();
  passage = await toxiproxies.open(port);
  world = await startPromotionWorld({ releasePorts: { port, publicPort: passage.port } });
});
afterAll(async () => {
  await Promise.all([world?.close(), removeMachines()]);
  await toxiproxies?.close();
});

async function withImage(made: Made, fromRelease = false): Promise<Scenario> {
  const sides = fromRelease ? { from: world.release, to: world.staging } : { from: world.staging, to: world.release };
  const scenario = await newScenario(world, sides);
  await scenario.from.side.push(scenario.from.repository, made);
  return scenario;
}

/** Calls back after this many bytes of one upload. */
function onUploaded(place: Place, bytes: number, callback: () => void): void {
  const isUpload = requestOf("PATCH", place, "blobs/uploads/");
  const sockets = new Set<Socket>();
  place.side.quay.registryScript.always(pass(), (request) => {
    if (isUpload(request)) sockets.add(request.socket);
    return false;
  });
  const looking = setInterval(() => {
    if (![...sockets].some(({ bytesRead }) => bytesRead > bytes)) return;
    clearInterval(looking);
    callback();
  }, 5);
  looking.unref();
}

/** Requests of skopeo, not ours. */
const fromSkopeo =
  (predicate: (request: IncomingMessage) => boolean) =>
  (request: IncomingMessage): boolean =>
    /skopeo|containers/.test(request.headers["user-agent"] ?? "") && predicate(request);

/** Requests for a copy: a login names no repository. */
const isAuth = ({ url = "" }: IncomingMessage) => /^\/v2\/auth.*scope=/.test(url);

const copies = ({ children }: { children: { argv: string[] }[] }) =>
  children.filter(({ argv }) => argv.includes("copy")).length;

const exchangesOf = ({ side, robot }: Place) =>
  side.quay.requests.filter(({ path, user }) => path.startsWith("/oauth2") && user === robot).length;

async function triedAgain(expect: ExpectStatic, scenario: Scenario, made: Made, { isResumed = false } = {}) {
  const ran = succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
  await arrived(expect, scenario.to, made, "1.0");
  expect(copies(ran)).toBeGreaterThan(isResumed ? 0 : 1);
}

// One after the other: all of them use one proxy.
describe.skipIf(findToxiproxy() === undefined)("promote, and the network", () => {
  test("the connection is cut in the middle of a blob of 200 MB", async ({ expect }) => {
    const made = makeImage("network big", { size: 200_000_000 });
    const scenario = await withImage(made);
    let cut: Promise<void> | undefined;
    onUploaded(scenario.to, 50_000_000, () => {
      cut = passage.shut().then(passage.heal);
    });
    await triedAgain(expect, scenario, made);
    expect(cut).toBeDefined();
    await cut;
  }, 90_000);

  test("the source's connection is cut in the middle of a blob", async ({ expect }) => {
    const made = makeImage("network source", { size: 20_000_000 });
    const scenario = await withImage(made, true);
    const { from } = scenario;
    await passage.poison({ type: "limit_data", attributes: { bytes: 5_000_000 } });
    let healed: Promise<void> | undefined;
    let gets = 0;
    const stop = from.side.onAsked(({ method, path }) => {
      const isBig = path.endsWith(made.blobs.at(-1)?.descriptor.digest ?? "");
      if (method === "GET" && path.startsWith(`/v2/${from.repository}/`) && isBig && ++gets === 2) {
        healed = passage.heal();
      }
    });
    await triedAgain(expect, scenario, made, { isResumed: areToolsOfToday });
    stop();
    await healed;
    expect(gets).toBeGreaterThan(1);
  }, 60_000);

  // skopeo has a different message for each.
  test.for<[string, (places: Scenario) => (request: IncomingMessage) => boolean]>([
    ["the source's manifest", ({ from }) => requestOf("GET", from, "manifests/")],
    ["the source's blob", ({ from }) => requestOf("GET", from, "blobs/")],
    ["the check for a blob", ({ to }) => requestOf("HEAD", to, "blobs/")],
    ["a new upload", ({ to }) => requestOf("POST", to, "blobs/uploads/")],
    ["an upload's bytes", ({ to }) => requestOf("PATCH", to, "blobs/uploads/")],
    ["an upload's end", ({ to }) => requestOf("PUT", to, "blobs/uploads/")],
    ["the destination's manifest", ({ to }) => requestOf("PUT", to, "manifests/")],
    ["a bearer token", () => isAuth],
  ])("retries after a single 500: %s", async ([what, requestsOf], { expect }) => {
    const made = makeImage(`network ${what}`);
    const scenario = await withImage(made);
    const isIt = once(fromSkopeo(requestsOf(scenario)));
    const scripts = [world.staging, world.release].flatMap(({ quay }) => [quay.authScript, quay.registryScript]);
    const rules = scripts.map((script) => script.always(answer(500, "<h1>Internal Server Error</h1>"), isIt));
    await triedAgain(expect, scenario, made, { isResumed: areToolsOfToday && what === "the source's blob" });
    for (const takeBack of rules) takeBack();
  });

  // Go's messages; a script on PATH prints one once, and runs skopeo from then on.
  test.for([
    "dial tcp: lookup quay.example.com on 127.0.0.53:53: server misbehaving",
    "dial tcp 10.0.0.3:443: connect: no route to host",
    "stream error: stream ID 7; INTERNAL_ERROR; received from peer",
    "http: server closed idle connection",
    "local error: tls: bad record MAC",
    "received unexpected HTTP status: 520 unknown",
    "toomanyrequests: rate limit exceeded",
    "digest invalid: provided digest did not match uploaded content",
  ])("retries a copy that breaks off once: %s", async (words, { expect }) => {
    const made = makeImage(`network ${words}`);
    const scenario = await withImage(made);
    const { machine, to } = scenario;
    const bin = join(machine.scratch, "once");
    await machine.write(
      join(bin, "skopeo"),
      `#!/bin/sh\nif [ "$1" = copy ] && mkdir '${bin}/failed' 2>/dev/null; then
echo 'time="2026-01-01T00:00:00Z" level=fatal msg="writing blob: uploading layer to https://x509/v2/unauthorized/app: ${words}"' >&2; exit 1; fi
exec '${join(machine.scratch, "tools/skopeo")}' "$@"\n`,
      0o755,
    );
    const env = { PATH: `${bin}:${join(machine.scratch, "tools")}:${systemPath}` };
    const ran = succeeded(expect, await scenario.promote(scenario.args(made, "1.0"), { env }));
    expect(ran.stderr).toContain(`${words}. Retrying`);
    await arrived(expect, to, made, "1.0");
  });

  test("the destination is unreachable for a moment, after the copy", async ({ expect }) => {
    const made = makeImage("network moment");
    const scenario = await withImage(made);
    const { to } = scenario;
    let down: Promise<void> | undefined;
    to.side.quay.registryScript.always({ kind: "reset" }, once(requestOf("PUT", to, "manifests/1.0")));
    const stop = to.side.onAsked(({ method, path }) => {
      if (method !== "PUT" || path !== `/v2/${to.repository}/manifests/1.0`) return;
      down ??= passage
        .shut()
        .then(() => new Promise((resolve) => setTimeout(() => void passage.heal().then(resolve), 700)));
    });
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0", "1.1")));
    stop();
    await down;
    await arrived(expect, to, made, "1.0", "1.1");
  }, 60_000);

  test("gives up in time on an unreachable destination", async ({ expect }) => {
    const made = makeImage("network nobody");
    const scenario = await withImage(made);
    const { to } = scenario;
    // Only after the login.
    const isLook = once(requestOf("HEAD", to));
    let down: Promise<void> | undefined;
    to.side.quay.registryScript.always({ kind: "reset" }, (request) => {
      const matches = isLook(request);
      if (matches) down = passage.shut();
      return matches;
    });
    const ran = await scenario.promote([...scenario.args(made, "1.0"), "--timeout", "4"]);
    await down;
    await passage.heal();
    expect([ran.code, ran.stderr]).toEqual([75, expect.stringContaining(to.side.host)]);
    expect(ran.milliseconds).toBeLessThan(20_000);
    expect(await to.side.tags(to.repository)).toEqual([]);
  }, 60_000);

  const looks = {
    "a tag": (to: Place) => requestOf("HEAD", to, "manifests/1.0"),
    "a blob": (to: Place) => requestOf("HEAD", to, "blobs/"),
  };
  test.for([
    ["a tag", "a blob"],
    ["a blob", "a tag"],
  ] as const)(
    "the look at %s fails beside one at %s that is retried: both end, and nothing is logged afterwards",
    { timeout: 60_000 },
    async ([fails, stumbles], { expect }) => {
      const made = makeImage("network beside");
      const scenario = await withImage(made);
      const { to } = scenario;
      const script = to.side.quay.registryScript;
      script.always(answer(418), looks[fails](to));
      script.always(answer(503), looks[stumbles](to));
      for (const more of [[], ["--dry-run"]]) {
        const ran = await scenario.promote([...scenario.args(made, "1.0"), "--timeout", "60", ...more]);
        const message = refused(expect, ran, "copy-failed");
        expect(message).toContain("answered 418");
        expect(message.split("explain copy-failed")[1]).not.toContain("Retrying");
        expect(ran.milliseconds).toBeLessThan(15_000);
      }
    },
  );

  test("renews the robot tokens during long copies", async ({ expect }) => {
    const life = 5;
    setLife(life);
    const images = [1, 2].map((number) => makeImage(`network slow ${number}`, { size: 6_000_000 }));
    const [first, second] = images as [Made, Made];
    const scenario = await withImage(first, true);
    const { from, to, machine } = scenario;
    await from.side.push(from.repository, second);
    const entry = ({ digest }: Made, tag: string) =>
      `- { source: ${from.path}@${digest}, destination: ${to.path}, tags: [${tag}] }\n`;
    const file = await machine.write(fileOf(machine, "release.yaml"), entry(first, "v1") + entry(second, "v2"));
    // skopeo's bearer token expires with its login, once, in the middle of the first image.
    const began = performance.now();
    const isUpload = requestOf("PUT", to, "blobs/uploads/");
    const refusal = {
      errors: [{ code: "UNAUTHORIZED", detail: {}, message: "access to the requested resource is not authorized" }],
    };
    to.side.quay.registryScript.always(
      answer(401, refusal),
      once((request) => isUpload(request) && performance.now() - began > life * 1000),
    );
    await passage.poison({ type: "bandwidth", attributes: { rate: 1000 } });
    try {
      // The timeout is for logins and requests, not for copies.
      const times = ["--parallel", "1", "--timeout", "10"];
      const args = [...scenario.base, "--output", "json", "--file", file, ...times];
      const ran = succeeded(expect, await scenario.promote(args));
      await arrived(expect, to, first, "v1");
      await arrived(expect, to, second, "v2");
      expect(copies(ran)).toBeGreaterThan(2);
      expect(ran.milliseconds).toBeGreaterThan(2 * life * 1000);
      expect(exchangesOf(from)).toBeGreaterThan(2);
      expect(exchangesOf(to)).toBeGreaterThan(2);
    } finally {
      await passage.heal();
    }
  }, 90_000);

  test("kills a copy without data, and retries", async ({ expect }) => {
    setLife(3600);
    const made = makeImage("network still");
    const scenario = await withImage(made);
    const { to } = scenario;
    to.side.quay.registryScript.always(hang(), once(requestOf("PATCH", to, "blobs/uploads/")));
    const ran = succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--timeout", "2"]));
    expect(ran.stderr).toContain("connection timed out: no data for 10 s. Retrying");
    await arrived(expect, to, made, "1.0");
    expect(copies(ran)).toBe(2);
  });

  test("reports a login that expires during a copy and can't be renewed", async ({ expect }) => {
    const life = 4;
    setLife(life);
    const made = makeImage("network lapsed");
    const scenario = await withImage(made, true);
    const { to } = scenario;
    const isExchange = of({ name: to.robot });
    let exchanges = 0;
    to.side.quay.exchangeScript.always(answer(503, {}), (request) => isExchange(request) && exchanges++ > 0);
    to.side.quay.registryScript.always(slow((life + 2) * 1000), once(requestOf("PATCH", to, "blobs/uploads/")));
    const refusal = { errors: [{ code: "UNAUTHORIZED", detail: {}, message: "authentication required" }] };
    to.side.quay.registryScript.always(answer(401, refusal), requestOf("PUT", to));
    const started = await scenario.start(scenario.args(made, "1.0"));
    const message = `The login of ${to.robot} to ${to.side.host} expired at`;
    await expect.poll(() => started.shown.stderr, { timeout: 30_000 }).toContain(message);
    started.kill("SIGINT");
    expect((await started.ended()).code).toBe(75);
    expect(await to.side.tags(to.repository)).toEqual([]);
  }, 60_000);
});
