/** `promote`: images that Quay would delete after a while. */
import { describe, test } from "vitest";
import {
  amd64,
  arm64,
  type Form,
  type ImageOptions,
  makeImage,
  makeIndex,
  makeTwoPlatforms,
} from "../../support/images.ts";
import { arrived, newScenario, refused, succeeded, usePromotionWorld, writesTo } from "./world.ts";

const world = usePromotionWorld();
const label = "quay.expires-after";
const expiring = (value: unknown, form?: Form): ImageOptions => ({ labels: { [label]: value }, ...(form && { form }) });

describe.concurrent("an image that expires", { timeout: 60_000 }, () => {
  const single = makeImage("expiry single", expiring("2w"));
  const ordinary = makeImage("expiry ordinary", { platform: arm64 });
  const child = makeIndex([
    [ordinary, arm64],
    [makeImage("expiry child", expiring("1h")), amd64],
  ]);
  test.for([
    ["a label of an OCI image", single, "2w"],
    ["a label of a Docker image", makeImage("expiry docker", expiring("30d", "docker")), "30d"],
    ["an annotation", makeImage("expiry annotated", { annotations: { [label]: "12h" } }), "12h"],
    ["a child of an index", child, "1h"],
    ["a child of an index in an index", makeIndex([[child, amd64]]), "1h"],
    ["blanks around", makeImage("expiry blanks", expiring(" 5m")), "5m"],
  ] as const)("%s: refused, in a dry run too, unless it is allowed", async ([, made, after], { expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    for (const more of [[], ["--dry-run"]]) {
      const message = refused(
        expect,
        await scenario.promote([...scenario.args(made, "1.0"), ...more]),
        "image-expires",
      );
      expect(message).toContain(`has the label ${label}=${after}: Quay deletes each tag`);
      expect(message).toContain("--allow-expiring");
    }
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
    succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--allow-expiring"]));
    await arrived(expect, to, made, "1.0");
  });

  test.for([
    ["never", "Never"],
    ["nothing", ""],
    ["a fraction", "1.5d"],
    ["a month", "1M"],
    ["no text", 14],
    ["a negative time", "-1d"],
  ])("is promoted with a label that Quay can't read: %s", async ([, value], { expect }) => {
    const made = makeImage(`expiry ${value}`, expiring(value));
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
  });

  test("has each config read once, and only if it counts", async ({ expect }) => {
    const made = makeTwoPlatforms("expiry ordinary two");
    const configs = made.children.map(({ blobs: [config] }) => config?.descriptor.digest);
    const scenario = await newScenario(world());
    const { from } = scenario;
    await from.side.push(from.repository, made);
    const plan = [...scenario.args(made, "1.0"), "--dry-run"];
    const asked = () =>
      from.side.asked.filter(
        ({ method, path }) =>
          method === "GET" && configs.some((digest) => path === `/v2/${from.repository}/blobs/${digest}`),
      ).length;
    succeeded(expect, await scenario.promote([...plan, "--allow-expiring"]));
    expect(asked()).toBe(0);
    succeeded(expect, await scenario.promote(plan));
    expect(asked()).toBe(2);
  });
});
