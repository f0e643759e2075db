/** `promote --with-signatures`: what belongs to an image is copied before any release tag is set. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { describe, type ExpectStatic, test } from "vitest";
import { slow } from "../../quay-stand-in/scripted.ts";
import {
  cosignTag,
  fallbackTag,
  type Made,
  makeCosign,
  makeFallbackIndex,
  makeImage,
  makeReferrer,
  makeTwoPlatforms,
} from "../../support/images.ts";
import type { Side } from "../../support/promotion.ts";
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
  writesTo,
} from "./world.ts";

const world = usePromotionWorld();
const args = (scenario: Scenario, made: Made, ...tags: string[]) => [
  ...scenario.args(made, ...tags),
  "--with-signatures",
];

/** An artifact of an image, with the tag that finds it. */
interface Belonging {
  readonly made: Made;
  readonly tag?: string;
  readonly subject: Made;
}

const tagged = (subject: Made, kind: "sig" | "att" | "sbom", signers?: string[]): Belonging => ({
  made: makeCosign(subject, kind, signers),
  tag: cosignTag(subject, kind),
  subject,
});
const referring = (subject: Made, name: string, type?: string): Belonging => ({
  made: makeReferrer(subject, name, type),
  subject,
});

/** Pushes as signers do: without the referrers API they keep the list themselves. */
async function sign({ side, repository }: Place, belongings: readonly Belonging[], listed: readonly Made[] = []) {
  for (const { made, tag } of belongings) await side.push(repository, made, tag === undefined ? [] : [tag]);
  if (side === world().modern) return;
  for (const subject of new Set(belongings.filter(({ tag }) => tag === undefined).map((each) => each.subject))) {
    const referrers = belongings.filter((each) => each.tag === undefined && each.subject === subject);
    const all = [...listed, ...referrers.map(({ made }) => made)];
    await side.push(repository, makeFallbackIndex(all), [fallbackTag(subject)]);
  }
}

/** What an endpoint has for an image, by tag and in its list of referrers. */
async function listedAt({ side, repository }: Place, subject: Made): Promise<string[]> {
  const fromApi = await side.referrers(repository, subject.digest);
  if (fromApi !== undefined) return fromApi;
  const index = await side.manifest(repository, fallbackTag(subject));
  const { manifests = [] } = index === undefined ? {} : JSON.parse(index.text);
  return manifests.map((each: { digest: string }) => each.digest).toSorted();
}

async function lacking(place: Place, belongings: readonly Belonging[]): Promise<string[]> {
  const { side, repository } = place;
  const lacks = belongings.map(async ({ made, tag, subject }) => {
    const missing = await side.missing(repository, made);
    const found =
      tag === undefined
        ? (await listedAt(place, subject)).includes(made.digest)
        : (await side.digest(repository, tag)) === made.digest;
    return [...missing, ...(found ? [] : [`${tag ?? made.digest} is not found`])];
  });
  return (await Promise.all(lacks)).flat();
}

/** Checks before each release tag is set that all artifacts are there. */
function guardTags({ to }: Scenario, image: Made, belongings: readonly Belonging[], tags: readonly string[]) {
  const looks: Promise<string[]>[] = [];
  const paths = new Set(tags.map((tag) => `/v2/${to.repository}/manifests/${tag}`));
  // The request waits: the check sees the state before it.
  for (const tag of tags) to.side.quay.registryScript.always(slow(400), requestOf("PUT", to, `manifests/${tag}`));
  const stop = to.side.onAsked(({ method, path }) => {
    if (method !== "PUT" || !paths.has(path)) return;
    looks.push(Promise.all([to.side.missing(to.repository, image), lacking(to, belongings)]).then((all) => all.flat()));
  });
  return async (expect: ExpectStatic) => {
    stop();
    expect(await Promise.all(looks)).toEqual(tags.map(() => []));
  };
}

const directions: [string, () => Side, () => Side][] = [
  ["from a registry with the referrers API to one without", () => world().modern, () => world().release],
  ["from a registry without the referrers API to one with it", () => world().staging, () => world().modern],
  ["between two registries without the referrers API", () => world().staging, () => world().release],
];

describe.concurrent("promote --with-signatures", { timeout: 60_000 }, () => {
  test.for(directions)("%s, twice", async ([, from, to], { expect }) => {
    const scenario = await newScenario(world(), { from: from(), to: to() });
    const made = makeTwoPlatforms("signatures everything");
    const [amd64] = made.children;
    if (amd64 === undefined) throw new Error("an index without children");
    const bundle = referring(made, "bundle");
    const belongings = [
      ...[tagged(made, "sig"), tagged(made, "att"), tagged(made, "sbom"), tagged(amd64, "sig")],
      ...[bundle, referring(made, "bill", "application/spdx+json"), referring(amd64, "child")],
      referring(bundle.made, "of the bundle"), // such as a signature of an SBOM
    ];
    await scenario.from.side.push(scenario.from.repository, made);
    await sign(scenario.from, belongings);
    const guard = guardTags(scenario, made, belongings, ["1.0", "latest"]);

    const ran = succeeded(expect, await scenario.promote(args(scenario, made, "1.0", "latest")));
    await guard(expect);
    await arrived(expect, scenario.to, made, "1.0", "latest");
    expect(await lacking(scenario.to, belongings)).toEqual([]);
    const reported = ran.promotions[0]?.artifacts.map(({ digest, subject, tag, copied }) => ({
      ...{ digest, subject, tag, copied },
    }));
    const key = ({ digest }: { digest: string }) => digest;
    expect(reported?.toSorted((a, b) => key(a).localeCompare(key(b)))).toEqual(
      belongings
        .map(({ made: { digest }, subject, tag = null }) => ({ digest, subject: subject.digest, tag, copied: true }))
        .toSorted((a, b) => key(a).localeCompare(key(b))),
    );
    const kinds = ran.promotions[0]?.artifacts.map(({ kind }) => kind) ?? [];
    expect(kinds.filter((kind) => kind === "sbom")).toHaveLength(2);

    if (to() !== world().modern) {
      // By the manifests: the source's list has gaps.
      const index = JSON.parse((await to().manifest(scenario.to.repository, fallbackTag(made)))?.text ?? "{}");
      for (const { made: referrer, tag, subject } of belongings) {
        if (tag !== undefined || subject !== made) continue;
        const { artifactType, annotations, size, mediaType } = referrer.descriptor;
        const entry = { digest: referrer.digest, mediaType, size, artifactType, annotations };
        expect(index.manifests).toContainEqual(entry);
      }
    }

    const writes = writesTo(scenario.to).length;
    const again = succeeded(expect, await scenario.promote(args(scenario, made, "1.0", "latest")));
    expect(again.promotions).toMatchObject([{ changed: false }]);
    expect(again.promotions[0]?.artifacts.some(({ copied }) => copied)).toBe(false);
    expect(writesTo(scenario.to)).toHaveLength(writes);
  });

  test("an entry in the destination's list of referrers is kept", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("signatures kept");
    const own = referring(made, "made there");
    const brought = [referring(made, "brought one"), referring(made, "brought two")];
    await from.side.push(from.repository, made);
    await sign(from, brought);
    await to.side.push(to.repository, made);
    await sign(to, [own]);
    succeeded(expect, await scenario.promote(args(scenario, made, "1.0")));
    expect(await lacking(to, [own, ...brought])).toEqual([]);
    expect(await listedAt(to, made)).toEqual([own, ...brought].map((each) => each.made.digest).toSorted());
    const index = JSON.parse((await to.side.manifest(to.repository, fallbackTag(made)))?.text ?? "{}");
    for (const { made: referrer } of brought) {
      const { artifactType, annotations } = referrer.descriptor;
      expect(index.manifests).toContainEqual(
        expect.objectContaining({ digest: referrer.digest, artifactType, annotations }),
      );
    }
  });

  test("two promotions of one image at once: each entry is in the list, once", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to, machine } = scenario;
    const made = makeImage("signatures at once");
    const brought = ["one", "two", "three"].map((name) => referring(made, `at once ${name}`));
    await from.side.push(from.repository, made);
    await sign(from, brought);
    const entry = (tag: string) =>
      `- { source: ${from.path}@${made.digest}, destination: ${to.path}, tags: [${tag}] }\n`;
    const file = await machine.write(fileOf(machine, "release.yaml"), entry("v1") + entry("v2"));
    succeeded(expect, await scenario.promote([...scenario.base, "--file", file, "--with-signatures"]));
    await arrived(expect, to, made, "v1", "v2");
    expect(await lacking(to, brought)).toEqual([]);
    expect(await listedAt(to, made)).toEqual(brought.map((each) => each.made.digest).toSorted());
  });

  test("the image is already there, and the signature is new", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("signatures later");
    const signature = tagged(made, "sig");
    await from.side.push(from.repository, made);
    await sign(from, [signature]);
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    expect(await lacking(to, [signature])).not.toEqual([]);
    const ran = succeeded(expect, await scenario.promote(args(scenario, made, "1.0")));
    expect(ran.promotions).toMatchObject([{ changed: true, tags: [{ state: "there" }] }]);
    expect(await lacking(to, [signature])).toEqual([]);
  });

  test("within one repository", async ({ expect }) => {
    const scenario = await newScenario(world(), { within: true });
    const { from, to } = scenario;
    const made = makeImage("signatures within");
    await from.side.push(from.repository, made);
    await sign(from, [tagged(made, "sig"), referring(made, "bundle")]);
    const tags = await to.side.tags(to.repository);
    succeeded(expect, await scenario.promote(args(scenario, made, "1.0")));
    await arrived(expect, to, made, "1.0");
    expect(await to.side.tags(to.repository)).toEqual([...tags, "1.0"].toSorted());
  });

  describe.for(["sig", "bundle"] as const)("within one repository, gone with the image's last tag: %s", (kind) => {
    const signed = async (name: string) => {
      const scenario = await newScenario(world(), { within: true });
      const made = makeImage(`signatures ${name} ${kind}`);
      await scenario.from.side.push(scenario.from.repository, made);
      const signature = kind === "sig" ? tagged(made, "sig") : referring(made, "bundle");
      await sign(scenario.from, [signature]);
      const remove = () => scenario.to.side.remove(scenario.to.repository, signature.made.digest);
      return { scenario, made, remove };
    };

    test("before the tags are set", async ({ expect }) => {
      const { scenario, made, remove } = await signed("gone");
      const { to, machine } = scenario;
      const [begun, afterOutput] = [fileOf(machine, "begun"), fileOf(machine, "go-on")];
      const wait = `touch ${begun}; until [ -e ${afterOutput} ]; do sleep 0.05; done; true`;
      const running = await scenario.start([...args(scenario, made, "1.0"), "--verify-command", wait]);
      await eventually(() => existsSync(begun), "the promotion waits");
      await remove();
      await writeFile(afterOutput, "");
      const message = refused(expect, await running.ended(), "signatures-missing");
      expect(message).toContain("disappeared during the promotion. No tag was changed.");
      expect(message).toContain("always keep a version tag");
      expect(await to.side.digest(to.repository, "1.0")).toBeUndefined();
    });

    test("while they are set", async ({ expect }) => {
      const { scenario, made, remove } = await signed("going");
      const { to } = scenario;
      let gone: Promise<void> | undefined;
      to.side.quay.registryScript.always(slow(1_000), (request) => {
        const isTag = requestOf("PUT", to, "manifests/1.0")(request);
        if (isTag) gone ??= remove();
        return isTag;
      });
      const message = refused(expect, await scenario.promote(args(scenario, made, "1.0")), "signatures-missing");
      await gone;
      expect(message).toContain("disappeared during the promotion. The tags are set, on an image without it.");
      await arrived(expect, to, made, "1.0");
    });
  });

  test("none is found: no tag is set, and nothing is copied", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeTwoPlatforms("signatures none");
    await from.side.push(from.repository, made);
    const ran = await scenario.promote(args(scenario, made, "1.0"));
    expect(refused(expect, ran, "signatures-missing")).toContain(made.digest);
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });

  test("the destination has another signature", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("signatures other");
    const [ours, theirs] = [tagged(made, "sig", ["ours"]), tagged(made, "sig", ["theirs"])];
    await from.side.push(from.repository, made);
    await sign(from, [ours]);
    await to.side.push(to.repository, made);
    await sign(to, [theirs]);
    const ran = await scenario.promote(args(scenario, made, "1.0"));
    const message = refused(expect, ran, "tag-taken");
    for (const part of [`${to.path}:${ours.tag}`, ours.made.digest, theirs.made.digest])
      expect(message).toContain(part);
    expect([writesTo(to), await to.side.digest(to.repository, "1.0")]).toEqual([[], undefined]);
  });

  test("the destination has another signature, and --move-tags: it becomes the source's", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("signatures moved");
    const ours = tagged(made, "sig", ["ours"]);
    await from.side.push(from.repository, made);
    await sign(from, [ours]);
    await to.side.push(to.repository, made);
    await sign(to, [tagged(made, "sig", ["theirs"])]);
    succeeded(expect, await scenario.promote([...args(scenario, made, "1.0"), "--move-tags"]));
    expect(await lacking(to, [ours])).toEqual([]);
    await arrived(expect, to, made, "1.0");
  });

  test("the destination has the same signatures, and more", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("signatures more");
    const both = tagged(made, "sig", ["theirs", "ours"]);
    await from.side.push(from.repository, made);
    await sign(from, [tagged(made, "sig", ["ours"])]);
    await to.side.push(to.repository, made);
    await sign(to, [both]);
    const ran = succeeded(expect, await scenario.promote(args(scenario, made, "1.0")));
    await arrived(expect, to, made, "1.0");
    expect(await lacking(to, [both])).toEqual([]);
    expect(ran.promotions[0]?.artifacts).toMatchObject([{ copied: false }]);
  });

  test("--dry-run lists what would be copied", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("signatures plan");
    await from.side.push(from.repository, made);
    await sign(from, [tagged(made, "sig"), tagged(made, "sbom")]);
    const inText = args(scenario, made, "1.0").map((arg) => (arg === "json" ? "text" : arg));
    const { stdout } = succeeded(expect, await scenario.promote([...inText, "--dry-run"]));
    expect(stdout).toContain("1 signature, 1 SBOM");
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });
});
