/** `promote`: existing tags, and dry runs. */
import { describe, test } from "vitest";
import { makeImage, makeTwoPlatforms } from "../../support/images.ts";
import {
  arrived,
  newScenario,
  refused,
  type Scenario,
  scopesOf,
  succeeded,
  usePromotionWorld,
  writesTo,
} from "./world.ts";

const world = usePromotionWorld();
const made = makeTwoPlatforms("tags made");
const other = makeImage("tags other");

/** The image at the source; at the destination `latest` is another one, and `1.0` is already this one. */
async function withTags(): Promise<Scenario> {
  const scenario = await newScenario(world());
  const { from, to } = scenario;
  await from.side.push(from.repository, made);
  await to.side.push(to.repository, other, ["latest"]);
  await to.side.push(to.repository, made, ["1.0"]);
  return scenario;
}

const tagsOf = async ({ to }: Scenario) => {
  const tags = await to.side.tags(to.repository);
  return Object.fromEntries(
    await Promise.all(tags.map(async (tag) => [tag, await to.side.digest(to.repository, tag)])),
  );
};
const untouched = { latest: other.digest, "1.0": made.digest };

describe.concurrent("a tag that exists", { timeout: 60_000 }, () => {
  test("one of three points elsewhere: rejected with both digests, and no tag is set", async ({ expect }) => {
    const scenario = await withTags();
    const { to } = scenario;
    const ran = await scenario.promote(scenario.args(made, "1.1", "1.0", "latest"));
    const message = refused(expect, ran, "tag-taken");
    for (const part of [`${to.path}:latest`, other.digest, made.digest, "move-tags"]) expect(message).toContain(part);
    expect([writesTo(to), await tagsOf(scenario)]).toEqual([[], untouched]);
    expect(ran.promotions[0]?.tags).toEqual([
      { tag: "1.1", state: "planned", before: null },
      { tag: "1.0", state: "there", before: made.digest },
      { tag: "latest", state: "refused", before: other.digest },
    ]);
  });

  test("--move-tags moves all, and reports from where", async ({ expect }) => {
    const scenario = await withTags();
    const { to } = scenario;
    const ran = succeeded(
      expect,
      await scenario.promote([...scenario.args(made, "1.1", "1.0", "latest"), "--move-tags"]),
    );
    expect(await tagsOf(scenario)).toEqual({ "1.1": made.digest, "1.0": made.digest, latest: made.digest });
    expect(ran.promotions[0]?.tags).toEqual([
      { tag: "1.1", state: "new", before: null },
      { tag: "1.0", state: "there", before: made.digest },
      { tag: "latest", state: "moved", before: other.digest },
    ]);
    // Only the two tags: the image was there.
    const paths = writesTo(to).map(({ method, path }) => `${method} ${path}`);
    expect(paths).toEqual(["1.1", "latest"].map((tag) => `PUT /v2/${to.repository}/manifests/${tag}`));
  });

  test("--move-tags in text prints a table", async ({ expect }) => {
    const scenario = await withTags();
    const args = scenario.args(made, "1.1", "1.0", "latest").map((arg) => (arg === "json" ? "text" : arg));
    const { stdout } = succeeded(expect, await scenario.promote([...args, "--move-tags"]));
    expect(stdout).toMatch(/1\.1\s+new/);
    expect(stdout).toMatch(/1\.0\s+already there/);
    expect(stdout).toContain(`moved from ${other.digest.slice(0, 19)}`);
    expect(stdout).toContain(made.digest);
  });

  test("--create-only rejects even this very image", async ({ expect }) => {
    const scenario = await withTags();
    const { to } = scenario;
    const ran = await scenario.promote([...scenario.args(made, "1.1", "1.0"), "--create-only"]);
    expect(refused(expect, ran, "tag-taken")).toContain(`${to.path}:1.0 already exists`);
    expect([writesTo(to), await tagsOf(scenario)]).toEqual([[], untouched]);
  });

  test("--create-only sets new tags", async ({ expect }) => {
    const scenario = await withTags();
    succeeded(expect, await scenario.promote([...scenario.args(made, "1.1", "1.2"), "--create-only"]));
    await arrived(expect, scenario.to, made, "1.1", "1.2");
  });

  test("is not moved if it changes during the copy", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    let pushed: Promise<void> | undefined;
    const stop = to.side.onAsked(({ method, path }) => {
      if (method === "POST" && path.startsWith(`/v2/${to.repository}/`)) {
        pushed ??= to.side.push(to.repository, other, ["1.1"]);
      }
    });
    const ran = await scenario.promote(scenario.args(made, "1.0", "1.1"));
    stop();
    await pushed;
    expect(refused(expect, ran, "tag-taken")).toContain(`${to.path}:1.1`);
    expect(await tagsOf(scenario)).toEqual({ "1.1": other.digest });
    expect(await to.side.missing(to.repository, made)).toEqual([]);
  });
});

describe.concurrent("--dry-run", { timeout: 60_000 }, () => {
  test("prints the plan, and changes nothing", async ({ expect }) => {
    const scenario = await withTags();
    const { to } = scenario;
    const args = scenario.args(made, "1.1", "1.0", "latest").map((arg) => (arg === "json" ? "text" : arg));
    const { stdout } = succeeded(expect, await scenario.promote([...args, "--dry-run"]));
    expect(stdout).toContain("nothing was changed");
    expect(stdout).toMatch(/1\.1\s+would be new/);
    expect(stdout).toMatch(/1\.0\s+already there/);
    expect(stdout).toContain(`latest`);
    expect(stdout).toContain(`refused: it points to ${other.digest.slice(0, 19)}`);
    expect([writesTo(to), await tagsOf(scenario)]).toEqual([[], untouched]);
    const moving = succeeded(expect, await scenario.promote([...args, "--dry-run", "--move-tags"]));
    expect(moving.stdout).toContain(`would move from ${other.digest.slice(0, 19)}`);
    expect([writesTo(to), await tagsOf(scenario)]).toEqual([[], untouched]);
    expect(scopesOf(to).filter((scope) => scope.includes("push"))).toEqual([]);
  });

  test("plans for an image that the destination lacks", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    const ran = succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--dry-run"]));
    expect(ran.promotions).toMatchObject([
      { digest: made.digest, tags: [{ tag: "1.0", state: "planned" }], changed: false },
    ]);
    expect(ran.promotions[0]?.bytes).toBeGreaterThan(0);
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });

  test("does not make Quay create a missing repository", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    const { store } = to.side.quay;
    store.repositories.delete(to.repository);
    store.organizations.get("acme")?.creators.add(to.robot);
    const ran = succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--dry-run"]));
    expect(ran.promotions).toMatchObject([{ tags: [{ tag: "1.0", state: "planned" }] }]);
    expect(store.repositories.has(to.repository)).toBe(false);
    expect(scopesOf(to).filter((scope) => scope.includes("push"))).toEqual([]);
  });

  test("fails if no plan can be made", async ({ expect }) => {
    const scenario = await newScenario(world());
    const ran = await scenario.promote([...scenario.args("absent", "1.0"), "--dry-run"]);
    refused(expect, ran, "source-not-found");
  });
});
