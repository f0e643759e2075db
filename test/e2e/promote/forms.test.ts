/** `promote`, for every form of image: the digest is the same at both endpoints, and a second run changes nothing. */
import { readFile } from "node:fs/promises";
import { describe, test } from "vitest";
import { answer, slow } from "../../quay-stand-in/scripted.ts";
import {
  allOf,
  amd64,
  arm,
  arm64,
  type Made,
  makeBuildAttestation,
  makeImage,
  makeIndex,
  makeTwoPlatforms,
} from "../../support/images.ts";
import { arrived, fileOf, newScenario, refused, requestOf, succeeded, usePromotionWorld, writesTo } from "./world.ts";

const world = usePromotionWorld();

const single = makeImage("forms single");
const forms: Record<string, () => Made> = {
  "an OCI image": () => single,
  "a Docker image": () => makeImage("forms docker", { form: "docker" }),
  "an image with a layer of zstd": () => makeImage("forms zstd", { compression: "zstd" }),
  "an OCI index": () => makeTwoPlatforms("forms index"),
  "a Docker manifest list": () => makeTwoPlatforms("forms list", "docker"),
  "an index with BuildKit's attestation": () => makeIndex([[single, amd64]], "oci", [makeBuildAttestation(single)]),
  "an index within an index": () => makeIndex([[single, amd64]], "oci", [makeTwoPlatforms("forms inner")]),
};

describe.concurrent("promote", { timeout: 60_000 }, () => {
  for (const [name, make] of Object.entries(forms)) {
    test(`${name}, twice`, async ({ expect }) => {
      const made = make();
      const scenario = await newScenario(world());
      const { from, to, machine } = scenario;
      await from.side.push(from.repository, made, ["nightly"]);
      const changed = fileOf(machine, "changed");
      const args = [...scenario.args(made, "1.2", "1.2.3"), "--result", `changed=${changed}`];

      const first = succeeded(expect, await scenario.promote(args));
      await arrived(expect, to, made, "1.2", "1.2.3");
      expect(await to.side.tags(to.repository)).toEqual(["1.2", "1.2.3"]);
      expect(first.promotions).toMatchObject([
        {
          source: `${from.path}@${made.digest}`,
          destination: to.path,
          digest: made.digest,
          image: `${to.path}@${made.digest}`,
          tags: [
            { tag: "1.2", state: "new", before: null },
            { tag: "1.2.3", state: "new", before: null },
          ],
          changed: true,
          bytes: sizeOf(made),
        },
      ]);
      expect(await readFile(changed, "utf8")).toBe("true");

      const writes = writesTo(to).length;
      const second = succeeded(expect, await scenario.promote(args));
      expect(second.promotions).toMatchObject([
        { digest: made.digest, tags: [{ state: "there" }, { state: "there" }], changed: false, bytes: 0 },
      ]);
      expect(await readFile(changed, "utf8")).toBe("false");
      expect([writesTo(to).length, writesTo(from)]).toEqual([writes, []]);
    });
  }

  test("sends only the rest of an image that is partly there", async ({ expect }) => {
    const made = makeTwoPlatforms("forms partly");
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const [child] = made.children;
    if (child === undefined) throw new Error("an index without children");
    await from.side.push(from.repository, made);
    await to.side.push(to.repository, child, ["amd64"]);
    const ran = succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
    expect(ran.promotions[0]?.bytes).toBe(sizeOf(made) - sizeOf(child));
  });

  test("resolves a source's tag once and logs the digest; the tag may move meanwhile", async ({ expect }) => {
    const [old, later] = [makeImage("forms tagged"), makeImage("forms tagged later")];
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, old, ["nightly"]);
    // The source's tag moves at the first request to the destination.
    let moved: Promise<void> | undefined;
    const stop = to.side.onAsked(({ path }) => {
      if (path.startsWith(`/v2/${to.repository}/`)) moved ??= from.side.push(from.repository, later, ["nightly"]);
    });
    const ran = succeeded(expect, await scenario.promote(scenario.args("nightly", "1.0")));
    stop();
    await moved;
    expect(await from.side.digest(from.repository, "nightly")).toBe(later.digest);
    await arrived(expect, to, old, "1.0");
    expect(ran.stderr).toContain(`${from.path}:nightly is ${old.digest}`);
    const byTag = from.side.asked.filter(({ path }) => path === `/v2/${from.repository}/manifests/nightly`);
    expect(byTag.map(({ method }) => method)).toEqual(["HEAD"]);
  });

  test("a source whose last tag moves during the copy, so that Quay deletes it: named", async ({ expect }) => {
    const made = makeTwoPlatforms("forms gone");
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made, ["nightly"]);
    let gone: Promise<unknown> | undefined;
    to.side.quay.registryScript.always(slow(1_000), (request) => {
      const isUpload = requestOf("POST", to, "blobs/uploads/")(request);
      if (isUpload) {
        gone ??= Promise.all([made, ...made.children].map(({ digest }) => from.side.remove(from.repository, digest)));
      }
      return isUpload;
    });
    const message = refused(expect, await scenario.promote(scenario.args("nightly", "1.0")), "source-not-found");
    await gone;
    expect(message).toContain(`${from.path}@${made.digest} disappeared during the promotion`);
    expect(message).toContain("always keep a version tag");
    expect(await to.side.tags(to.repository)).toEqual([]);
  });

  test("writes outputs to the files of --result", async ({ expect }) => {
    const made = makeImage("forms results");
    const scenario = await newScenario(world());
    const { from, to, machine } = scenario;
    await from.side.push(from.repository, made);
    const names = ["image", "repository", "digest", "tags", "changed", "results"];
    const asked = names.flatMap((name) => ["--result", `${name}=${fileOf(machine, name)}`]);
    const ran = succeeded(expect, await scenario.promote([...scenario.args(made, "1.0", "1"), ...asked]));
    const written = await Promise.all(names.map((name) => readFile(fileOf(machine, name), "utf8")));
    const [image, repository, digest, tags, changed, results = ""] = written;
    expect({ image, repository, digest, tags, changed }).toEqual({
      image: `${to.path}@${made.digest}`,
      repository: to.path,
      digest: made.digest,
      tags: `${to.path}:1.0\n${to.path}:1`,
      changed: "true",
    });
    expect(JSON.parse(results)).toEqual(ran.promotions);
  });

  test("rejects a source with another digest than named", async ({ expect }) => {
    const [made, other] = [makeImage("forms true"), makeImage("forms false")];
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    const headers = { "content-type": made.descriptor.mediaType, "docker-content-digest": made.digest };
    const wrong = answer(200, other.bytes.toString(), headers);
    from.side.quay.registryScript.always(wrong, requestOf("GET", from, "manifests/"));
    const ran = await scenario.promote(scenario.args(made, "1.0"));
    const message = refused(expect, ran, "digest-differs");
    expect([message, message]).toEqual([expect.stringContaining(made.digest), expect.stringContaining(other.digest)]);
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });

  test("reports a tag that reads back as another digest", async ({ expect }) => {
    const [made, other] = [makeImage("forms set"), makeImage("forms read")];
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    const headers = { "content-type": made.descriptor.mediaType, "docker-content-digest": other.digest };
    let isSet = false;
    to.side.quay.registryScript.always(answer(200, "", headers), (request) => {
      isSet ||= requestOf("PUT", to, "manifests/1.1")(request);
      return isSet && requestOf("HEAD", to, "manifests/1.1")(request);
    });
    const ran = await scenario.promote(scenario.args(made, "1.0", "1.1"));
    const message = refused(expect, ran, "digest-differs");
    for (const part of [`${to.path}:1.1`, made.digest, other.digest]) expect(message).toContain(part);
  });

  test("ignores a tag beside the digest", async ({ expect }) => {
    const made = makeImage("forms comment");
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    const source = `${from.path}:whatever@${made.digest}`;
    const args = [...scenario.base, "--source", source, "--destination", to.path, "--tag", "1.0"];
    succeeded(expect, await scenario.promote(args));
    await arrived(expect, to, made, "1.0");
  });

  test.for(["digest", "tag"] as const)("rejects a missing %s", async (by, { expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    const made = makeImage("forms absent");
    await from.side.push(from.repository, single);
    const ran = await scenario.promote(scenario.args(by === "digest" ? made : "absent", "1.0"));
    expect(refused(expect, ran, "source-not-found")).toContain(
      by === "digest" ? `${from.path}@${made.digest}` : `${from.path}:absent`,
    );
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });
});

describe.concurrent("--platform", { timeout: 60_000 }, () => {
  const index = makeIndex(
    [
      [makeImage("platform amd64"), amd64],
      [makeImage("platform arm64", { platform: arm64 }), arm64],
      [makeImage("platform arm", { platform: arm }), arm],
    ],
    "oci",
    [makeBuildAttestation(makeImage("platform amd64"))],
  );
  const cases: [string, Made, string[], string | undefined][] = [
    ["all of an index's", index, ["linux/amd64", "linux/arm64", "linux/arm/v7"], undefined],
    ["one that an index lacks", index, ["linux/amd64", "linux/s390x"], "linux/s390x"],
    ["another variant", index, ["linux/arm/v6"], "linux/arm/v6"],
    ["a single image's", single, ["linux/amd64"], undefined],
    ["another than a single image's", single, ["linux/arm64"], "linux/arm64"],
  ];
  test.for(cases)("%s", async ([, made, platforms, lacking], { expect }) => {
    const scenario = await newScenario(world());
    const { from, to } = scenario;
    await from.side.push(from.repository, made);
    const ran = await scenario.promote([
      ...scenario.args(made, "1.0"),
      ...platforms.flatMap((platform) => ["--platform", platform]),
    ]);
    if (lacking === undefined) {
      succeeded(expect, ran);
      await arrived(expect, to, made, "1.0"); // whole: no platform is left out
      expect(ran.promotions[0]?.platforms).toEqual(expect.arrayContaining(platforms));
    } else {
      const message = refused(expect, ran, "platform-missing");
      expect([message, message]).toEqual([expect.stringContaining(lacking), expect.stringContaining("linux/amd64")]);
      expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
    }
  });
});

/** The digests of its blobs, each once. */
function sizeOf(made: Made): number {
  const blobs = allOf(made).flatMap((each) => each.blobs.map(({ descriptor }) => descriptor));
  return [...new Map(blobs.map(({ digest, size }) => [digest, size])).values()].reduce((sum, size) => sum + size, 0);
}
