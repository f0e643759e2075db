/** Proves the images and registries of a promotion with real skopeo: it copies every form, and finds what was pushed by hand. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, test } from "vitest";
import {
  allOf,
  amd64,
  cosignTag,
  fallbackTag,
  type Made,
  makeBuildAttestation,
  makeCosign,
  makeFallbackIndex,
  makeImage,
  makeIndex,
  makeReferrer,
  makeTwoPlatforms,
} from "./images.ts";
import { addPlace, type PromotionWorld, type Side, startPromotionWorld } from "./promotion.ts";

const run = promisify(execFile);
let world: PromotionWorld;
beforeAll(async () => {
  world = await startPromotionWorld();
});
afterAll(() => world.close());

const one = makeImage("one");
const forms: Record<string, Made> = {
  "an OCI image": one,
  "a Docker image": makeImage("docker", { form: "docker" }),
  "a layer of zstd": makeImage("zstd", { compression: "zstd" }),
  "an OCI index": makeTwoPlatforms("index"),
  "a Docker list": makeTwoPlatforms("list", "docker"),
  "an index with an attestation of BuildKit": makeIndex([[one, amd64]], "oci", [makeBuildAttestation(one)]),
  "cosign's signature": makeCosign(one, "sig", ["one", "two"]),
  "cosign's attestation": makeCosign(one, "att"),
  "cosign's SBOM": makeCosign(one, "sbom"),
};

const credentials = (side: Side, robot: string) => `${robot}:${side.quay.store.robots.get(robot)?.token}`;

describe.concurrent("images made by hand", () => {
  for (const [index, [name, made]] of Object.entries(forms).entries()) {
    test(`skopeo copies ${name} with its digest`, async ({ expect }) => {
      const [from, to] = [`acme/from${index}`, `acme/to${index}`];
      const [reader, writer] = [`acme+reader${index}`, `acme+writer${index}`];
      const { staging, release, peers } = world;
      addPlace(world, staging, from, { robots: { [reader]: "read" } });
      addPlace(world, release, to, { robots: { [writer]: "write" } });
      await staging.push(from, made, ["v1"]);
      expect(await staging.missing(from, made)).toEqual([]);
      const before = await release.missing(to, made);
      expect(before).toContain(made.digest);
      await run("skopeo", [
        ...["copy", "--all", "--preserve-digests"],
        ...["--src-cert-dir", peers.certDir, "--src-creds", credentials(staging, reader)],
        ...["--dest-cert-dir", peers.certDir, "--dest-creds", credentials(release, writer)],
        ...[`docker://${staging.host}/${from}:v1`, `docker://${release.host}/${to}:v1`],
      ]);
      expect(await release.missing(to, made)).toEqual([]);
      expect([await release.digest(to, "v1"), await release.tags(to)]).toEqual([made.digest, ["v1"]]);
      const puts = release.asked.filter(({ method, path }) => method === "PUT" && path.includes(`/${to}/manifests/`));
      expect([puts.length, puts.every(({ user }) => user === writer)]).toEqual([allOf(made).length, true]);
      const scopes = release.asked.flatMap(({ query }) => query.getAll("scope"));
      expect(scopes).toContain(`repository:${to}:pull,push`);
    });
  }

  test("the same name makes the same image, another name another one", ({ expect }) => {
    expect(makeTwoPlatforms("index").digest).toBe(forms["an OCI index"]?.digest);
    const digests = Object.values(forms).flatMap((made) => allOf(made).map(({ digest }) => digest));
    expect(new Set(digests).size).toBe(digests.length - 1); // the image "one" is there twice
  });

  test("finds a referrer by its subject, if the registry can", async ({ expect }) => {
    const { modern, staging } = world;
    const [bundle, sbom] = [makeReferrer(one, "bundle"), makeReferrer(one, "sbom", "application/spdx+json")];
    for (const made of [one, bundle, sbom]) await modern.push("acme/referred", made);
    const found = await modern.referrers("acme/referred", one.digest);
    expect(found).toEqual([bundle.digest, sbom.digest].toSorted());
    for (const made of [one, bundle, sbom]) await staging.push("acme/referred", made);
    expect(await staging.referrers("acme/referred", one.digest)).toBe(undefined);
    await staging.push("acme/referred", makeFallbackIndex([bundle, sbom]), [fallbackTag(one)]);
    expect(await staging.tags("acme/referred")).toEqual([fallbackTag(one)]);
  });

  test("makes cosign's tags from the digest", ({ expect }) => {
    expect(cosignTag(one, "sig")).toMatch(/^sha256-[0-9a-f]{64}\.sig$/);
  });
});
