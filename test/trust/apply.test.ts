/** Plans that are applied to the stand-in over real TLS: what is written, what others write at the same time, what is left after a failure. */
import type { IncomingMessage } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { type Management, openManagement } from "../../src/quay/management.ts";
import { applyPlan } from "../../src/trust/apply.ts";
import { findTrust } from "../../src/trust/find.ts";
import { isDifferent, planTrust } from "../../src/trust/plan.ts";
import type { Trust, WantedRobot } from "../../src/trust/trust.ts";
import { once } from "../e2e/world.ts";
import { failureOf, type TestPlatform, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { INTERNAL_ERROR } from "../quay-stand-in/quay/pages.ts";
import { addRepository, addRobot, type Binding } from "../quay-stand-in/quay/store.ts";
import { answer, lost, page } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.managementScript.clear();
  peers.quay.settings.release = "main";
});

const issuer = "https://issuer.example.com";
let count = 0;
const newName = () => `acme+t${++count}`;

const want = (name: string, subjects: readonly string[], more: Partial<WantedRobot> = {}): WantedRobot => ({
  ...{ name, create: true, promotes: false, permissions: [], from: name },
  bindings: subjects.map((subject) => ({ issuer, subject, audiences: ["quay"], from: name })),
  ...more,
});

interface How {
  prune?: boolean;
  /** Called between the plan and its application. */
  between?: () => unknown;
  /** Instead of some operations. */
  instead?: (management: Management) => Partial<Management>;
  signal?: AbortSignal;
}

async function federate(robots: readonly WantedRobot[], { prune = false, between, instead, signal }: How = {}) {
  // The wait for other writers is real: they run at the same time.
  const platform: TestPlatform = testPlatform({
    roots: peers.authority.ca,
    ...(signal && { signal }),
    clock: { ...systemClock, random: () => 0 },
  });
  const real = openManagement({ registry: peers.registryHost, token: peers.oauthToken }, platform);
  const management = { ...real, ...instead?.(real) };
  const trust: Trust = { registry: peers.registryHost, organization: "acme", robots };
  const found = await findTrust(management, trust, prune);
  const plan = planTrust(trust, found, prune);
  await between?.();
  const applied = await applyPlan({ management, platform, trust, found, plan, prune });
  return { ...applied, plan, failure: applied.failure && failureOf(applied.failure) };
}

const bindingsOf = (name: string) => peers.quay.store.robots.get(name)?.bindings;
const subjectsOf = (name: string) => bindingsOf(name)?.map(({ subject }) => subject);
const posts = (name: string) =>
  peers.quay.requests.filter(
    ({ method, path }) => method === "POST" && path.includes(`/robots/${name.split("+")[1]}/`),
  );

test("makes repository, robot, permission and binding; again, it changes nothing", async () => {
  const name = newName();
  const permissions = [{ repository: `acme/${name.slice(5)}`, role: "write", create: true, from: "" }] as const;
  const robots = [want(name, ["a", "b"], { permissions, description: "made" })];
  expect(await federate(robots)).toMatchObject({ done: new Set([`acme/${name.slice(5)}`, name]), failure: undefined });
  expect(bindingsOf(name)).toEqual([
    { issuer, subject: "a" },
    { issuer, subject: "b" },
  ]);
  expect(peers.quay.store.robots.get(name)?.description).toBe("made");
  expect(peers.quay.store.repositories.get(`acme/${name.slice(5)}`)?.permissions.get(name)).toBe("write");
  peers.quay.requests.length = 0;
  const again = await federate(robots);
  expect([isDifferent(again.plan), again.done.size]).toEqual([false, 0]);
  expect(peers.quay.requests.every(({ method }) => method === "GET")).toBe(true);
});

test("with prune, removes bindings and permissions that are not wanted, and nothing else", async () => {
  const name = newName();
  addRobot(peers.quay.store, name, [
    { issuer, subject: "old" },
    { issuer, subject: "a" },
  ]);
  addRepository(peers.quay.store, `acme/x${name.slice(5)}`, { [name]: "admin", "acme+ci": "read" });
  await federate([want(name, ["a"])], { prune: true });
  expect(subjectsOf(name)).toEqual(["a"]);
  expect([...(peers.quay.store.repositories.get(`acme/x${name.slice(5)}`)?.permissions ?? [])]).toEqual([
    ["acme+ci", "read"],
  ]);
});

describe("entries of others", () => {
  const theirs: Binding[] = [
    { issuer, subject: "theirs", id: "1f", version: 4, api_scopes: ["org:admin"], audiences: ["y"], later: { n: 1.5 } },
    { issuer, subject: "mine", id: "2f", version: 1, audiences: ["other"] },
  ];

  test("go back byte for byte on a newer Quay; only an audience of the wanted one is added", async () => {
    peers.quay.settings.release = "newer";
    const name = newName();
    addRobot(peers.quay.store, name, structuredClone(theirs));
    const sent: unknown[] = [];
    const instead = ({ setFederation }: Management): Partial<Management> => ({
      setFederation: (owner, robot, bindings) => {
        sent.push(bindings);
        return setFederation(owner, robot, bindings);
      },
    });
    expect(await federate([want(name, ["mine", "new"])], { instead })).toMatchObject({ failure: undefined });
    expect(sent).toEqual([
      [theirs[0], { ...theirs[1], audiences: ["other", "quay"] }, { issuer, subject: "new", audiences: ["quay"] }],
    ]);
    expect(JSON.stringify((sent[0] as Binding[])[0])).toBe(JSON.stringify(theirs[0]));
  });

  test("that came after the plan stay", async () => {
    const name = newName();
    const robot = addRobot(peers.quay.store, name);
    const between = () => robot.bindings.push({ issuer, subject: "meanwhile" });
    expect(await federate([want(name, ["a"])], { between })).toMatchObject({ failure: undefined });
    expect(subjectsOf(name)).toEqual(["meanwhile", "a"]);
  });
});

test.each<[Binding[], boolean | undefined]>([
  [[], undefined],
  [[{ issuer, subject: "a" }], undefined],
  [[{ issuer, subject: "a", audiences: ["quay"] }], true],
])("a Quay that does not describe its API is known by what it keeps: %j", async (before, keeps) => {
  peers.quay.settings.release = "newer";
  const name = newName();
  addRobot(peers.quay.store, name);
  const known = peers.quay.store.robots.get(name);
  if (known) known.bindings = before;
  peers.quay.managementScript.always(answer(404), ({ url = "" }) => url.endsWith("/discovery"));
  expect((await federate([want(name, ["a", "b"])])).plan.keepsAudiences).toBe(keeps);
});

test("what another entered since the plan is not written again", async () => {
  const name = newName();
  const robot = addRobot(peers.quay.store, name);
  const between = () => robot.bindings.push({ issuer, subject: "a" });
  expect(await federate([want(name, ["a"])], { between })).toMatchObject({ failure: undefined, done: new Set([name]) });
  expect([subjectsOf(name), posts(name)]).toEqual([["a"], []]);
});

describe("a lost race", () => {
  /** Another program, which overwrites our first `times` writes with what it has read before. */
  const overwriting = (name: string, times: number) => {
    let left = times;
    return ({ setFederation }: Management): Partial<Management> => ({
      async setFederation(owner, robot, bindings) {
        await setFederation(owner, robot, bindings);
        const known = peers.quay.store.robots.get(name);
        if (known && left-- > 0) known.bindings = [{ issuer, subject: `theirs${left}` }];
      },
    });
  };

  test("is tried once more, and keeps what the other wrote", async () => {
    const name = newName();
    addRobot(peers.quay.store, name);
    expect(await federate([want(name, ["a"])], { instead: overwriting(name, 1) })).toMatchObject({
      done: new Set([name]),
      failure: undefined,
    });
    expect(subjectsOf(name)).toEqual(["theirs0", "a"]);
  });

  test("lost twice, says what is missing", async () => {
    const name = newName();
    addRobot(peers.quay.store, name);
    const { failure, done } = await federate([want(name, ["a"])], { instead: overwriting(name, 2) });
    expect([failure?.code, done.size]).toEqual(["trust-overwritten", 0]);
    expect(failure?.message).toContain(`the binding a of ${issuer} is missing`);
    expect(failure?.remedy.join(" ")).toContain("Usage Logs");
    expect(posts(name)).toHaveLength(2);
  });

  test("a permission that another changes is tried once more, too", async () => {
    const name = newName();
    const repository = `acme/${name.slice(5)}`;
    addRobot(peers.quay.store, name);
    const { permissions: stored } = addRepository(peers.quay.store, repository, { [name]: "read" });
    let left = 1;
    const instead = ({ setPermission }: Management): Partial<Management> => ({
      async setPermission(...args) {
        await setPermission(...args);
        if (left-- > 0) stored.set(name, "read");
      },
    });
    const permissions = [{ repository, role: "write", create: false, from: "" }] as const;
    expect(await federate([want(name, [], { permissions })], { instead })).toMatchObject({ failure: undefined });
    expect(stored.get(name)).toBe("write");
  });

  test("a permission that another takes away twice: says that it is missing", async () => {
    const name = newName();
    const repository = `acme/${name.slice(5)}`;
    addRobot(peers.quay.store, name);
    const { permissions: stored } = addRepository(peers.quay.store, repository);
    const instead = ({ setPermission }: Management): Partial<Management> => ({
      async setPermission(...args) {
        await setPermission(...args);
        stored.delete(name);
      },
    });
    const permissions = [{ repository, role: "write", create: false, from: "" }] as const;
    const { failure } = await federate([want(name, [], { permissions })], { instead });
    expect(failure).toMatchObject({ code: "trust-overwritten" });
    expect(failure?.message).toContain(`the permission on ${repository} is missing`);
  });

  test("to a program that read before our write and writes 200 ms after it", async () => {
    const name = newName();
    const robot = addRobot(peers.quay.store, name);
    const overwrite = () => {
      robot.bindings = [{ issuer, subject: "theirs" }];
    };
    let isFirst = true;
    const instead = ({ setFederation }: Management): Partial<Management> => ({
      async setFederation(...args) {
        await setFederation(...args);
        if (isFirst) setTimeout(overwrite, 200);
        isFirst = false;
      },
    });
    expect(await federate([want(name, ["a"])], { instead })).toMatchObject({ failure: undefined });
    expect(subjectsOf(name)).toEqual(["theirs", "a"]);
  });

  test("of two at the same time: both entries are there in the end", async () => {
    for (let round = 0; round < 3; round++) {
      const name = newName();
      addRobot(peers.quay.store, name, [{ issuer, subject: "before" }]);
      const results = await Promise.all(["a", "b"].map((subject) => federate([want(name, [subject])])));
      expect(results.map(({ failure }) => failure)).toEqual([undefined, undefined]);
      expect(subjectsOf(name)?.sort()).toEqual(["a", "b", "before"]);
    }
  });
});

describe("a failure", () => {
  const federationOf =
    (name: string, methods: readonly string[]) =>
    ({ url = "", method = "" }: IncomingMessage) =>
      methods.includes(method) && url.includes(`/robots/${name.slice(5)}/federation`);

  test("of an answer that is lost: what is read back counts, and nothing is written twice", async () => {
    const name = newName();
    addRobot(peers.quay.store, name);
    peers.quay.managementScript.always(lost(), once(federationOf(name, ["POST"])));
    expect(await federate([want(name, ["a"])])).toMatchObject({ failure: undefined });
    expect(subjectsOf(name)).toEqual(["a"]);
    expect(posts(name)).toHaveLength(1);
  });

  test("of one robot does not stop the others, and a second run does what is left", async () => {
    const [bad, good] = [newName(), newName()];
    for (const name of [bad, good]) addRobot(peers.quay.store, name);
    const robots = [want(bad, ["a"]), want(good, ["a"])];
    const undo = peers.quay.managementScript.always(page(INTERNAL_ERROR), federationOf(bad, ["POST"]));
    const { done, failure } = await federate(robots);
    expect([[...done], failure?.code]).toEqual([[good], "quay-unavailable"]);
    undo();
    const again = await federate(robots);
    expect([[...again.done], again.failure]).toEqual([[bad], undefined]);
    expect([subjectsOf(bad), subjectsOf(good)]).toEqual([["a"], ["a"]]);
  });

  test("of a robot whose new bindings Quay refuses is its own, and nothing is read back", async () => {
    const name = newName();
    addRobot(peers.quay.store, name);
    peers.quay.managementScript.always(answer(400, { detail: "too long" }), federationOf(name, ["POST"]));
    const { done, failure } = await federate([want(name, ["a"])]);
    expect([[...done], failure?.code]).toEqual([[], "quay-refused"]);
    expect(failure?.message).toContain("too long");
  });

  const needing = (name: string, repository: string) =>
    want(name, ["a"], { permissions: [{ repository, role: "write", create: true, from: "" }] });
  const repositoriesOf = (...names: string[]) =>
    names.map((name) => peers.quay.store.repositories.has(`acme/${name.slice(5)}`));

  test("of a repository stops neither other repositories nor robots, and the rest of its own robot is done", async () => {
    const [bad, good] = [newName(), newName()];
    for (const name of [bad, good]) addRobot(peers.quay.store, name);
    const robots = [bad, good].map((name) => needing(name, `acme/${name.slice(5)}`));
    const refused = new ExplainedError("quay-refused", "too many", { remedy: [] });
    const instead = ({ createRepository }: Management): Partial<Management> => ({
      createRepository: (repository) =>
        repository === `acme/${bad.slice(5)}` ? Promise.reject(refused) : createRepository(repository),
    });
    const { done, sent, failure } = await federate(robots, { instead });
    expect(failure).toMatchObject({ code: "quay-refused" });
    expect(done).toEqual(new Set([`acme/${good.slice(5)}`, good]));
    expect(sent).toEqual(new Set([...done, bad]));
    expect([subjectsOf(bad), subjectsOf(good)]).toEqual([["a"], ["a"]]);
    expect(await federate(robots)).toMatchObject({ failure: undefined });
    expect(repositoriesOf(bad, good)).toEqual([true, true]);
  });

  test("of a repository whose answer is lost: it is there", async () => {
    const name = newName();
    const unreachable = new ExplainedError("quay-unreachable", "gone", { remedy: [] });
    const instead = ({ createRepository }: Management): Partial<Management> => ({
      createRepository: async (repository) => {
        await createRepository(repository);
        throw unreachable;
      },
    });
    expect(await federate([needing(name, `acme/${name.slice(5)}`)], { instead })).toMatchObject({ failure: undefined });
  });

  test("an end before all is done: what was sent and what was not", async () => {
    const [first, second] = [newName(), newName()];
    addRobot(peers.quay.store, first);
    addRobot(peers.quay.store, second);
    const timeout = new ExplainedError("timeout", "too slow", { remedy: [] });
    const ended = new AbortController();
    const instead = ({ setFederation, federation }: Management): Partial<Management> => ({
      federation: async (owner, name) => {
        if (name === second && !ended.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 2000));
        ended.signal.throwIfAborted();
        return federation(owner, name);
      },
      async setFederation(...args) {
        await setFederation(...args);
        ended.abort(timeout);
      },
    });
    const robots = [want(first, ["a"]), want(second, ["a"])];
    const { done, sent, failure } = await federate(robots, { instead, signal: ended.signal });
    expect([[...done], [...sent], failure?.code]).toEqual([[], [first], "timeout"]);
    expect([subjectsOf(first), subjectsOf(second)]).toEqual([["a"], []]);
  });
});
