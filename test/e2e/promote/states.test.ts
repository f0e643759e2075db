/** `promote`: states of Quay that reject a push despite all permissions, each with its own error. */
import { describe, expect, test } from "vitest";
import { answer } from "../../quay-stand-in/scripted.ts";
import { makeImage } from "../../support/images.ts";
import type { Side } from "../../support/promotion.ts";
import {
  arrived,
  newScenario,
  refused,
  requestOf,
  type Scenario,
  succeeded,
  usePromotionWorld,
  writesTo,
} from "./world.ts";

const world = usePromotionWorld();

let count = 0;
const newImage = () => makeImage(`states ${++count}`);

/** The image at the source. What `change` does to the destination lasts until the end of `work`. */
async function onSide(
  scenario: Scenario,
  change: (side: Side) => () => void,
  work: () => Promise<void>,
): Promise<void> {
  const undo = change(scenario.to.side);
  try {
    await work();
  } finally {
    undo();
  }
}

const readOnly = ({ quay: { settings } }: Side) => {
  settings.registryReadOnly = true;
  return () => {
    settings.registryReadOnly = false;
  };
};

const withoutQuota = ({ quay: { store } }: Side) => {
  const organization = store.organizations.get("acme");
  if (organization) organization.quotaIsReached = true;
  return () => delete organization?.quotaIsReached;
};

// One after the other: these are states of the whole Quay.
describe("of all of Quay, or an organization", { timeout: 60_000 }, () => {
  test.each([
    ["in read-only mode", readOnly, "quay-read-only", 75, /is in read-only mode and did not accept/],
    ["over its quota", withoutQuota, "quota-exceeded", 1, /the quota of the organization is used up/],
  ] as const)("%s: before the copy, and when only a tag is to be set", async (_, change, code, exitCode, words) => {
    for (const isThere of [false, true]) {
      const scenario = await newScenario(world());
      const { from, to } = scenario;
      const made = newImage();
      await from.side.push(from.repository, made);
      if (isThere) await to.side.push(to.repository, made);
      await onSide(scenario, change, async () => {
        const began = performance.now();
        const message = refused(expect, await scenario.promote(scenario.args(made, "1.0")), code, exitCode);
        expect(message).toMatch(words);
        if (isThere) expect(message).toContain("No tag was changed.");
        expect(message).not.toMatch(/Retrying|login portal/);
        expect(performance.now() - began).toBeLessThan(20_000);
      });
      expect((await to.side.tags(to.repository)).includes("1.0")).toBe(false);
      succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    }
  });
});

describe.concurrent("of a tag", { timeout: 60_000 }, () => {
  /** The image at the source; another one at the destination's `stable`, which is immutable. */
  async function withImmutable({ isPublic = false } = {}) {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const [made, before] = [newImage(), newImage()];
    await from.side.push(from.repository, made);
    await to.side.push(to.repository, before, ["stable"]);
    const repository = to.side.quay.store.repositories.get(to.repository);
    if (repository)
      Object.assign(repository, { immutable: new Set(["stable"]), ...(isPublic && { visibility: "public" }) });
    return { scenario, made, before };
  }

  test("immutable, found out when it is set: the error says which were set before", async ({ expect }) => {
    const { scenario, made, before } = await withImmutable();
    const { to } = scenario;
    const ran = await scenario.promote([...scenario.args(made, "1.0", "1", "stable", "latest"), "--move-tags"]);
    const message = refused(expect, ran, "tag-immutable");
    expect(message).toContain(
      `${to.path}:stable: the tag is immutable. Set before that: 1.0, 1. Not set: stable, latest.`,
    );
    expect(ran.promotions[0]?.tags).toEqual([
      { tag: "1.0", state: "new", before: null },
      { tag: "1", state: "new", before: null },
      { tag: "stable", state: "planned", before: before.digest },
      { tag: "latest", state: "planned", before: null },
    ]);
    await arrived(expect, to, made, "1.0", "1");
    expect(await to.side.digest(to.repository, "stable")).toBe(before.digest);
  });

  test.for([[], ["--move-tags"]])(
    "immutable in a public repository: rejected before any change (%s)",
    async (more, { expect }) => {
      const { scenario, made, before } = await withImmutable({ isPublic: true });
      const { to } = scenario;
      const args = [...scenario.args(made, "1.0", "stable"), ...more];
      const plan = succeeded(expect, await scenario.promote([...args, "--dry-run"]));
      expect(plan.promotions[0]?.tags).toEqual([
        { tag: "1.0", state: "planned", before: null },
        { tag: "stable", state: "immutable", before: before.digest },
      ]);
      const message = refused(expect, await scenario.promote(args), "tag-immutable");
      expect(message).toContain(`No tag was changed. ${to.path}:stable points to ${before.digest}`);
      expect(message).not.toContain("move-tags");
      expect(writesTo(to)).toEqual([]);
    },
  );

  test("a tag that is not immutable moves in such a repository", async ({ expect }) => {
    const { scenario, made } = await withImmutable({ isPublic: true });
    const { to } = scenario;
    await to.side.push(to.repository, newImage(), ["moving"]);
    succeeded(expect, await scenario.promote([...scenario.args(made, "moving"), "--move-tags"]));
    await arrived(expect, to, made, "moving");
  });

  test("another failure to set a tag: the error says which were set before", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = newImage();
    await from.side.push(from.repository, made);
    to.side.quay.registryScript.always(answer(418, { errors: [] }), requestOf("PUT", to, "manifests/2.0"));
    const message = refused(expect, await scenario.promote(scenario.args(made, "1.0", "2.0")), "copy-failed");
    expect(message).toContain("Set before that: 1.0. Not set: 2.0.");
  });
});

describe.concurrent("of a repository", { timeout: 60_000 }, () => {
  test.for(["READ_ONLY", "MIRROR"] as const)(
    "%s: Quay grants pull only, and the message says why that may be",
    async (state, { expect }) => {
      const scenario = await newScenario(world());
      const { from, to } = scenario;
      const made = newImage();
      await from.side.push(from.repository, made);
      Object.assign(to.side.quay.store.repositories.get(to.repository) ?? {}, { state });
      const message = refused(expect, await scenario.promote(scenario.args(made, "1.0")), "access-missing");
      expect(message).toMatch(/it may pull\.[\s\S]*If it has Write already: .*mirror or read-only.*proxy cache/);
      expect(writesTo(to)).toEqual([]);
    },
  );
});
