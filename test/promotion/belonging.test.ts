/** An artifact belongs to an image only if its own content names it. Between registries: test/e2e/promote/impostors.test.ts. */
import { describe, expect, test } from "vitest";
import { judgeReferrer, judgeTagged } from "../../src/promotion/belonging.ts";
import {
  type Content,
  type CosignKind,
  content,
  type Made,
  makeCosign,
  makeCosignOf,
  makeImage,
  makeReferrer,
  makeTwoPlatforms,
  withSubject,
} from "../support/images.ts";

const good = makeImage("belonging good");
const another = makeImage("belonging another");
const simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json";

/** The same manifest with other fields. */
function changed(made: Made, fields: object): Made {
  const bytes = Buffer.from(JSON.stringify({ ...JSON.parse(made.bytes.toString()), ...fields }));
  const { descriptor } = content(made.descriptor.mediaType, bytes);
  return { ...made, bytes, descriptor, digest: descriptor.digest };
}

describe("an entry in the list of referrers", () => {
  const judge = (made: Made, listedSize = made.bytes.length) =>
    judgeReferrer(
      { mediaType: made.descriptor.mediaType, digest: made.digest, text: made.bytes.toString() },
      listedSize,
      good.digest,
    );
  const withConfig = (mediaType: string, layers: readonly Content[] = makeImage("belonging config").blobs.slice(1)) => {
    const made = makeCosignOf(layers);
    const [config] = made.blobs;
    return withSubject(changed(made, { config: { ...config?.descriptor, mediaType } }), good);
  };

  test.each<[string, Made, string]>([
    ["an image", another, "its field subject does not name it"],
    ["a signature of another image", makeReferrer(another, "other"), `it is listed for ${good.digest}`],
    ["an index", makeTwoPlatforms("belonging index"), "it is an index, not a signature"],
    ["an index that says it refers", withSubject(makeTwoPlatforms("belonging says"), good), "it is an index"],
    ["an image that says it refers", withSubject(another, good), "it is an image, not a signature"],
    ["a Docker image", withSubject(makeImage("belonging docker", { form: "docker" }), good), "it is an image"],
    ["an image without layers", withSubject(makeCosignOf([]), good), "it is an image"],
    ["an image whose config has no type", withConfig(""), "it is an image"],
    ["an image whose config is a page", withConfig("text/html"), "it is an image"],
    ["a text without a manifest's fields", changed(another, { config: null }), "it is not a manifest"],
  ])("rejects %s", (_, made, why) => {
    expect(judge(made)).toEqual({ why: expect.stringContaining(why) });
  });

  test("rejects one that is larger than the list says", () => {
    const made = makeReferrer(good, "large");
    const listed = made.bytes.length - 1;
    expect(judge(made, listed).why).toBe(`it is larger than the listed ${listed} bytes`);
    expect(judge(made, listed + 1).why).toBeUndefined();
  });

  const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const predicate = (predicateType: string) => ({ "dev.sigstore.bundle.predicateType": predicateType });
  test.each<[string, string, object]>([
    ["signature", bundle, {}],
    ["signature", bundle, predicate("https://sigstore.dev/cosign/sign/v1")],
    ["attestation", bundle, predicate("https://slsa.dev/provenance/v1")],
    ["sbom", bundle, predicate("https://spdx.dev/Document")],
    ["sbom", "application/vnd.cyclonedx+json", {}],
    ["sbom", "application/spdx+json", {}],
    ["attestation", "application/vnd.in-toto+json", {}],
    ["attestation", "application/vnd.dsse.envelope.v1+json", {}],
    ["signature", "application/vnd.cncf.notary.signature", {}],
    ["other", "application/vnd.example.notes", {}],
  ])("reads the kind %s from the type %s and %j", (kind, type, annotations) => {
    const made = changed(makeReferrer(good, "kind", type), { annotations });
    expect(judge(made).artifact).toMatchObject({ kind, digest: made.digest, subject: good.digest, tag: undefined });
  });

  test("keeps only what its manifest says for the new list", () => {
    const made = makeReferrer(good, "descriptor");
    const { mediaType, size } = made.descriptor;
    expect(judge(made, size + 1_000).artifact?.referrer).toEqual({
      ...{ mediaType, size, digest: made.digest, artifactType: bundle },
      annotations: { "org.example.name": "descriptor" },
    });
  });

  test("takes the type of the config if there is no artifact type, and allows no annotations", () => {
    const made = withConfig("application/vnd.cncf.notary.signature");
    const { artifact } = judge(made);
    expect(artifact?.kind).toBe("signature");
    expect(artifact?.referrer).toEqual({
      ...{ mediaType: made.descriptor.mediaType, digest: made.digest, size: made.bytes.length },
      artifactType: "application/vnd.cncf.notary.signature",
    });
  });

  test("accepts an image's config with layers that are only signatures", () => {
    const made = withSubject(makeCosign(good, "att"), good);
    expect(judge(made).artifact?.digest).toBe(made.digest);
  });
});

describe("a manifest under cosign's tag", () => {
  /** A registry with the blobs of `made`. */
  function judge(kind: "signature" | "attestation" | "sbom", made: Pick<Made, "bytes" | "blobs">) {
    const asked: string[] = [];
    const blob = async (digest: string) => {
      asked.push(digest);
      return made.blobs.find(({ descriptor }) => descriptor.digest === digest)?.bytes.toString();
    };
    const why = judgeTagged({ blob }, good.digest, kind, made.bytes.toString());
    return { why, asked };
  }
  const kinds: Record<CosignKind, "signature" | "attestation" | "sbom"> = {
    sig: "signature",
    att: "attestation",
    sbom: "sbom",
  };
  const payload = (text: string) => makeCosignOf([content(simpleSigning, Buffer.from(text))]);
  const signs = (digest: string) =>
    JSON.stringify({ critical: { image: { "docker-manifest-digest": digest }, type: "x" } });

  test.each<[CosignKind, Made]>([
    ["sig", makeCosign(good, "sig")],
    ["sig", payload(signs(good.digest))],
    ["att", makeCosign(good, "att")],
    ["sbom", makeCosign(good, "sbom")],
    ["sbom", makeCosignOf([content("application/vnd.cyclonedx+json", Buffer.from("{}"))])],
  ])("accepts .%s", async (kind, made) => {
    expect(await judge(kinds[kind], made).why).toBeUndefined();
  });

  test.each<[string, CosignKind, Made, string]>([
    ["a text without a manifest's fields", "sig", changed(another, { layers: "none" }), "it is not a manifest"],
    ["an index", "sig", makeTwoPlatforms("tagged"), "it is an index, not a signature"],
    ["an image", "sig", another, "it is not a signature: it contains "],
    ["an image", "att", another, 'it is not an attestation: it contains "application/vnd.oci.image.layer.v1.tar+gzip"'],
    ["an image", "sbom", another, "it is not an SBOM: it contains "],
    ["an SBOM", "att", makeCosign(good, "sbom"), 'it contains "text/spdx+json"'],
    ["nothing", "sig", makeCosignOf([]), "it is not a signature: it is empty"],
    [
      "a type that is very long",
      "sbom",
      makeCosignOf([content("x".repeat(500), Buffer.from("{}"))]),
      `${"x".repeat(9)}"`,
    ],
    ["a signature of another image", "sig", makeCosign(another, "sig"), "is not a signature of this image"],
    ["a payload that says nothing", "sig", payload('{"critical":null}'), "is not a signature of this image"],
    [
      "a payload with a text in place of an object",
      "sig",
      payload('{"critical":"image"}'),
      "is not a signature of this",
    ],
    ["a payload that is a list", "sig", payload("[]"), "is not a signature of this image"],
    ["a payload that is not JSON", "sig", payload("\0"), "is not a signature of this image"],
    ["a missing payload", "sig", { ...makeCosign(good, "sig"), blobs: [] }, "is not a signature of this image"],
  ])("rejects %s under .%s", async (_, kind, made, why) => {
    const said = await judge(kinds[kind], made).why;
    expect(said).toContain(why);
    expect(said?.length).toBeLessThan(200);
  });

  test("reads a payload that two keys have signed once", async () => {
    const { why, asked } = judge("signature", makeCosign(good, "sig", ["one", "two", "three"]));
    expect(await why).toBeUndefined();
    expect(asked).toHaveLength(1);
  });

  test("rejects a signature of another image beside a true one", async () => {
    const layers = [good, another].flatMap((subject) => makeCosign(subject, "sig").blobs.slice(1));
    const { why } = judge("signature", makeCosignOf(layers));
    expect(await why).toBe(`its layer ${layers[1]?.descriptor.digest} is not a signature of this image`);
  });

  test("does not request payloads beyond the bounds", async () => {
    const [one] = makeCosign(good, "sig").blobs.slice(1);
    const huge = { ...one, descriptor: { ...one?.descriptor, size: 1024 * 1024 + 1 } } as Content;
    const many = Array.from({ length: 1_001 }, (_, each) => content(simpleSigning, Buffer.from(`${each}`)));
    for (const [layers, expected] of [
      [[huge], "is not a signature of this image"],
      [many, "it holds more than 1000 signatures"],
    ] as const) {
      const { why, asked } = judge("signature", makeCosignOf(layers));
      expect(await why).toContain(expected);
      expect(asked).toEqual([]);
    }
  });
});
