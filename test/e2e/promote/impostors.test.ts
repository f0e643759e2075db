/** `promote --with-signatures`: what is only listed as a signature is not copied. */
import { describe, test } from "vitest";
import {
  content,
  cosignTag,
  fallbackTag,
  type Made,
  makeCosign,
  makeCosignOf,
  makeFallbackIndex,
  makeImage,
  makeReferrer,
  makeTwoPlatforms,
  withSubject,
} from "../../support/images.ts";
import type { Side } from "../../support/promotion.ts";
import { arrived, newScenario, type Place, refused, type Scenario, succeeded, usePromotionWorld } from "./world.ts";

const world = usePromotionWorld();
const args = (scenario: Scenario, made: Made) => [...scenario.args(made, "1.0"), "--with-signatures"];

/** Entries of the list of referrers, and whether a registry with the referrers API lists them too. */
const listed: readonly (readonly [string, (good: Made) => Made, string, boolean?])[] = [
  ["an image", () => makeImage("impostor image"), "does not name it"],
  ["an index", () => makeTwoPlatforms("impostor index"), "it is an index"],
  ["a signature of another image", () => makeReferrer(makeImage("impostor other"), "impostor"), "does not name it"],
  ["an image that says it refers", (good) => withSubject(makeImage("impostor says"), good), "it is an image", true],
  ["an image of Docker's", (good) => withSubject(makeImage("docker's", { form: "docker" }), good), "it is an image"],
  ["an index that says it refers", (good) => withSubject(makeTwoPlatforms("says too"), good), "it is an index", true],
  ["an image without layers", (good) => withSubject(makeCosignOf([]), good), "it is an image", true],
];

const simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json";
const payload = (value: unknown) => content(simpleSigning, Buffer.from(JSON.stringify(value)));

/** Manifests under one of cosign's tags. */
const tagged: readonly (readonly [string, "sig" | "att" | "sbom", (good: Made) => Made, string])[] = [
  ["an image", "sig", () => makeImage("tagged image"), "it is not a signature"],
  ["an index", "sig", () => makeTwoPlatforms("tagged index"), "it is an index"],
  [
    "a signature of another image",
    "sig",
    () => makeCosign(makeImage("tagged other"), "sig"),
    "not a signature of this",
  ],
  ["a payload that says nothing", "sig", () => makeCosignOf([payload({ critical: null })]), "not a signature of this"],
  ["a payload that is a list", "sig", () => makeCosignOf([payload([])]), "not a signature of this image"],
  [
    "a payload that is not JSON",
    "sig",
    () => makeCosignOf([content(simpleSigning, Buffer.from("\0"))]),
    "not a signature of",
  ],
  ["nothing", "sig", () => makeCosignOf([]), "it is empty"],
  [
    "one more layer",
    "sig",
    (good) => makeCosignOf([...layersOf(good), ...makeImage("x").blobs]),
    "it is not a signature",
  ],
  ["an SBOM", "att", (good) => makeCosign(good, "sbom"), "it is not an attestation"],
  ["an image", "att", () => makeImage("tagged att"), "it is not an attestation"],
  ["an image", "sbom", () => makeImage("tagged sbom"), "it is not an SBOM"],
];

const layersOf = (good: Made) => makeCosign(good, "sig").blobs.slice(1);

async function list({ side, repository }: Place, good: Made, referrers: readonly Made[]): Promise<void> {
  for (const each of referrers) await side.push(repository, each);
  if (side !== world().modern) await side.push(repository, makeFallbackIndex(referrers), [fallbackTag(good)]);
}

/** Those of these digests that the destination has. */
async function cameOver({ side, repository }: Place, mades: readonly Made[]): Promise<string[]> {
  const found = await Promise.all(mades.map(({ digest }) => side.digest(repository, digest)));
  return found.filter((digest) => digest !== undefined);
}

describe.concurrent("promote --with-signatures", { timeout: 60_000 }, () => {
  test.for<[string, () => Side]>([
    ["a list that every user can write", () => world().staging],
    ["the referrers API", () => world().modern],
  ])("copies only what refers to the image, from %s", async ([, from], { expect }) => {
    const scenario = await newScenario(world(), { from: from() });
    const good = makeImage(`impostors ${scenario.from.path}`);
    const own = makeReferrer(good, "true");
    const impostors = listed.filter(([, , , isInApi]) => isInApi || from() !== world().modern);
    const others = impostors.map(([, make]) => make(good));
    await scenario.from.side.push(scenario.from.repository, good);
    await list(scenario.from, good, [...others, own]);
    const ran = succeeded(expect, await scenario.promote(args(scenario, good)));
    await arrived(expect, scenario.to, good, "1.0");
    expect(await cameOver(scenario.to, [...others, own])).toEqual([own.digest]);
    expect(ran.promotions[0]?.artifacts).toMatchObject([{ digest: own.digest, copied: true }]);
    expect(ran.stderr).toContain("is left out: ");
  });

  test.for(listed)("leaves out %s that is listed", async ([, make, why], { expect }) => {
    const scenario = await newScenario(world());
    const good = makeImage("impostor good");
    const other = make(good);
    await scenario.from.side.push(scenario.from.repository, good);
    await list(scenario.from, good, [other]);
    const message = refused(expect, await scenario.promote(args(scenario, good)), "signatures-missing");
    expect(message).toContain(`${scenario.from.path}@${other.digest} is left out: `);
    expect(message).toContain(why);
    expect(await cameOver(scenario.to, [good, other])).toEqual([]);
  });

  test.for(tagged)("leaves out %s under .%s", async ([, kind, make, why], { expect }) => {
    const scenario = await newScenario(world());
    const good = makeImage("tagged good");
    const other = make(good);
    await scenario.from.side.push(scenario.from.repository, good);
    await scenario.from.side.push(scenario.from.repository, other, [cosignTag(good, kind)]);
    const message = refused(expect, await scenario.promote(args(scenario, good)), "signatures-missing");
    expect(message).toContain(`${scenario.from.path}:${cosignTag(good, kind)} is left out: `);
    expect(message).toContain(why);
    expect(await cameOver(scenario.to, [good, other])).toEqual([]);
  });

  test("finds a signature of one of its images that the list of the index names too", async ({ expect }) => {
    const scenario = await newScenario(world());
    const good = makeTwoPlatforms("impostor whole");
    const child = good.children[0] as Made;
    const signature = makeReferrer(child, "of the child");
    await scenario.from.side.push(scenario.from.repository, good);
    await list(scenario.from, good, [signature]);
    await list(scenario.from, child, [signature]);
    const ran = succeeded(expect, await scenario.promote(args(scenario, good)));
    expect(ran.promotions[0]?.artifacts).toMatchObject([{ digest: signature.digest, subject: child.digest }]);
  });
});
