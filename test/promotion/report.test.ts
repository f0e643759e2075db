import { describe, expect, test } from "vitest";
import { promotionOutputs } from "../../src/options/table.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import {
  conclusion,
  failuresOf,
  formatBytes,
  formatPart,
  formatTime,
  namesOf,
  objectOf,
  promotionOutputsOf,
  rowOf,
  shortDigest,
} from "../../src/promotion/report.ts";
import type { TagResult } from "../../src/promotion/result.ts";
import { failureOf } from "../fixtures.ts";
import { artifact, digest, failed, older, promotionOf, resultOf } from "./results.ts";

const done = { dryRun: false, existingTags: "stay" } as const;
const planned = { dryRun: true, existingTags: "stay" } as const;

describe("a row", () => {
  test("describes a promoted image", () => {
    const { promotion } = resultOf("acme/app");
    const result = resultOf("acme/app", {
      promotion: { ...promotion, tags: ["1.4.2", "1.4", "latest"] },
      tags: [
        { tag: "1.4.2", state: "new", before: undefined },
        { tag: "1.4", state: "there", before: digest },
        { tag: "latest", state: "moved", before: older },
      ],
    });
    expect(rowOf(result, done)).toEqual({
      image: "quay.io/acme/app@sha256:0123456789ab…",
      tags: [
        { tag: "1.4.2", state: "new" },
        { tag: "1.4", state: "already there" },
        { tag: "latest", state: "moved from sha256:fedcba987654…" },
      ],
      failure: undefined,
      bytes: "12.3 MB",
      time: "4.1 s",
      reference: `quay.io/acme/app@${digest}`,
      source: "staging.example.com/acme/app:nightly",
      artifacts: [],
    });
  });

  test("of a failure before the first look has the requested tags", () => {
    expect(rowOf(failed("acme/app"), done)).toMatchObject({
      image: "quay.io/acme/app",
      reference: "quay.io/acme/app",
      tags: [{ tag: "1.4.2", state: "not done" }],
      failure: "failed: source-not-found",
      bytes: "-",
      time: "0.2 s",
    });
  });

  test("of a failure half-way has what was done", () => {
    const { failure } = failed("acme/app", "digest-differs");
    expect(rowOf(resultOf("acme/app", { failure }), done)).toMatchObject({
      tags: [{ tag: "1.4.2", state: "new" }],
      failure: "failed: digest-differs",
      bytes: "12.3 MB",
    });
  });

  const stateOf = (tag: Omit<TagResult, "tag">, plan: Parameters<typeof rowOf>[1]) =>
    rowOf(resultOf("acme/app", { tags: [{ tag: "1.4.2", ...tag }] }), plan).tags;

  test.each([
    ["would be new", "planned", undefined, "stay"],
    ["would move from sha256:fedcba987654…", "planned", older, "move"],
    ["already there", "there", digest, "stay"],
    ["refused: it points to sha256:fedcba987654… (no move-tags)", "refused", older, "stay"],
    ["refused: it points to sha256:fedcba987654… and is immutable", "immutable", older, "stay"],
    ["refused: it points to sha256:fedcba987654… and is immutable", "immutable", older, "move"],
    ["refused: it exists (create-only)", "refused", older, "forbidden"],
    ["refused: it exists (create-only)", "refused", digest, "forbidden"],
  ] as const)("of a plan: %s", (state, kind, before, existingTags) => {
    expect(stateOf({ state: kind, before }, { dryRun: true, existingTags })).toEqual([{ tag: "1.4.2", state }]);
  });

  test.each([
    [[artifact("signature"), artifact("signature"), artifact("sbom")], ["2 signatures, 1 SBOM: copied"]],
    [[artifact("sbom"), artifact("sbom"), artifact("signature")], ["1 signature, 2 SBOMs: copied"]],
    [
      [artifact("attestation"), artifact("other", false), artifact("other", false)],
      ["1 attestation: copied", "2 other artifacts: already there"],
    ],
    [[artifact("attestation", false), artifact("attestation", false)], ["2 attestations: already there"]],
    [[artifact("other")], ["1 other artifact: copied"]],
  ])("counts artifacts (%#)", (artifacts, expected) => {
    const counts = rowOf(resultOf("acme/app", { artifacts }), done).artifacts.filter((line) => line.includes(": "));
    expect(counts).toEqual(expected);
  });

  test("lists copied artifacts, but not those already there", () => {
    const under = { ...artifact("signature"), tag: `${digest.replace(":", "-")}.sig` };
    const artifacts = [under, artifact("sbom"), artifact("other", false)];
    expect(rowOf(resultOf("acme/app", { artifacts }), done).artifacts).toEqual([
      "1 signature, 1 SBOM: copied",
      "signature sha256:fedcba987654… of sha256:0123456789ab…, under sha256-0123456789ab….sig",
      "SBOM sha256:fedcba987654… of sha256:0123456789ab…",
      "1 other artifact: already there",
    ]);
  });

  test("does not claim in a plan or a failure that artifacts are already there", () => {
    const artifacts = [artifact("signature", false)];
    const { failure } = failed("acme/app");
    const messages = ["1 signature: found", "signature sha256:fedcba987654… of sha256:0123456789ab…"];
    expect(rowOf(resultOf("acme/app", { artifacts }), planned).artifacts).toEqual(messages);
    expect(rowOf(resultOf("acme/app", { artifacts, failure }), done).artifacts).toEqual(messages);
  });
});

test("the conclusion counts all results in one line", () => {
  const there = resultOf("acme/c", { changed: false, bytes: 0, tags: [{ tag: "1", state: "there", before: digest }] });
  expect(conclusion([resultOf("acme/a"), there, resultOf("acme/b"), failed("acme/d")], done)).toBe(
    "2 promoted, 1 already there, 1 failed.",
  );
  expect(conclusion([there], done)).toBe("1 already there.");
  const plan = resultOf("acme/a", { changed: false, tags: [{ tag: "1", state: "planned", before: undefined }] });
  const refused = resultOf("acme/a", {
    tags: [
      { tag: "1", state: "planned", before: undefined },
      { tag: "2", state: "refused", before: older },
    ],
  });
  const copyOnly = resultOf("acme/a", { tags: [{ tag: "1", state: "there", before: digest }] });
  expect(conclusion([refused, plan, there, copyOnly, failed("acme/d")], planned)).toBe(
    "Plan, nothing was changed: 2 to promote, 1 already there, 1 to be refused, 1 failed.",
  );
});

describe("the JSON object", () => {
  test("has all that is known, and null for the rest", () => {
    const result = resultOf("acme/app", {
      platforms: ["linux/amd64"],
      artifacts: [artifact("signature"), { ...artifact("sbom"), tag: "sha256-0.sbom" }],
    });
    expect(JSON.parse(JSON.stringify(objectOf(result, failureOf)))).toEqual({
      source: "staging.example.com/acme/app:nightly",
      destination: "quay.io/acme/app",
      digest,
      image: `quay.io/acme/app@${digest}`,
      platforms: ["linux/amd64"],
      tags: [{ tag: "1.4.2", state: "new", before: null }],
      artifacts: [
        { kind: "signature", digest: older, subject: digest, tag: null, copied: true },
        { kind: "sbom", digest: older, subject: digest, tag: "sha256-0.sbom", copied: true },
      ],
      changed: true,
      bytes: 12_345_678,
      milliseconds: 4_120,
    });
    expect(objectOf(failed("acme/app"), failureOf)).toMatchObject({
      digest: null,
      image: null,
      tags: [{ tag: "1.4.2", state: "planned", before: null }],
      error: { code: "source-not-found", message: "It is not there.", remedy: ["Look for it."] },
    });
  });
});

describe("outputs", () => {
  const outputsOf = (results: Parameters<typeof promotionOutputsOf>[0], dryRun = false) =>
    promotionOutputsOf(results, { dryRun, toObject: failureOf });

  test("describe one promotion", () => {
    const results = [resultOf("acme/app", { promotion: promotionOf("acme/app", ["1.4.2", "latest"]) })];
    const given = outputsOf(results);
    expect(Object.keys(given)).toEqual(promotionOutputs.map(({ name }) => name));
    expect(given).toMatchObject({
      image: `quay.io/acme/app@${digest}`,
      repository: "quay.io/acme/app",
      digest,
      tags: "quay.io/acme/app:1.4.2\nquay.io/acme/app:latest",
      changed: "true",
    });
    expect(JSON.parse(given.results)).toMatchObject([{ image: given.image }]);
    expect(given.results).not.toContain("\n");
  });

  test("describe several, one per line, and leave those for a single one empty", () => {
    const there = { changed: false, bytes: 0 };
    expect(outputsOf([resultOf("acme/a", there), resultOf("acme/b", there)])).toMatchObject({
      image: `quay.io/acme/a@${digest}\nquay.io/acme/b@${digest}`,
      repository: "",
      digest: "",
      tags: "quay.io/acme/a:1.4.2\nquay.io/acme/b:1.4.2",
      changed: "false",
    });
  });

  test("name the promoted images beside a failure, but not the failed one", () => {
    const given = outputsOf([failed("acme/a"), resultOf("acme/b")]);
    expect(given).toMatchObject({ image: `quay.io/acme/b@${digest}`, tags: "quay.io/acme/b:1.4.2", digest: "" });
    expect(JSON.parse(given.results)).toMatchObject([{ error: { code: "source-not-found" } }, { changed: true }]);
    const halfway = resultOf("acme/a", { failure: failed("acme/a").failure });
    expect(outputsOf([halfway])).toMatchObject({ image: "", repository: "", digest: "", tags: "", changed: "true" });
  });

  test("name planned images in results only, so that no step signs them", () => {
    const plan = resultOf("acme/a", { changed: false, tags: [{ tag: "1.4.2", state: "planned", before: undefined }] });
    const given = outputsOf([plan], true);
    expect(given).toMatchObject({ image: "", repository: "", digest: "", tags: "", changed: "false" });
    expect(JSON.parse(given.results)).toMatchObject([{ digest, tags: [{ state: "planned" }] }]);
  });
});

describe("failures", () => {
  const messages = (...args: Parameters<typeof failuresOf>) => failuresOf(...args).map(({ message }) => message);

  test("of a single promotion are unchanged; those of several begin with its name", () => {
    expect(messages([failed("acme/a")])).toEqual(["It is not there."]);
    expect(messages([resultOf("acme/a"), failed("acme/b"), failed("acme/c", "copy-failed", "Full.")])).toEqual([
      "acme/b: It is not there.",
      "acme/c: Full.",
    ]);
    expect(messages([resultOf("acme/a")])).toEqual([]);
  });

  test("that are the same are reported once", () => {
    const names = ["a", "b", "c", "d", "e"].map((name) => `acme/${name}`);
    expect(messages(names.slice(0, 4).map((name) => failed(name)))).toEqual([
      "acme/a, acme/b, acme/c, acme/d: It is not there.",
    ]);
    expect(messages(names.map((name) => failed(name)))).toEqual([
      "acme/a, acme/b, acme/c and 2 more: It is not there.",
    ]);
    expect(failuresOf(names.map((name) => failed(name)))[0]).toMatchObject({
      code: "source-not-found",
      remedy: ["Look for it."],
    });
  });

  test("keep their parts, and the core's own errors are unchanged", () => {
    const binding = { issuer: "https://i", subject: "s", audience: "quay" };
    const also = [new ExplainedError("timeout", "Late.", { remedy: [] })];
    const cause = new Error("below");
    const failure = new ExplainedError("issuer-not-bound", "M", { remedy: ["R"], binding, cause, also });
    const [first] = failuresOf([resultOf("acme/a", { failure }), resultOf("acme/b")]);
    expect(first).toMatchObject({ message: "acme/a: M", remedy: ["R"], binding, cause });
    expect(first?.also).toMatchObject([{ code: "timeout", message: "acme/a: Late." }]);
    expect(failure.message).toBe("M");
  });
});

test("names make promotions unique, and are no longer than necessary", () => {
  expect(namesOf([promotionOf("acme/a"), promotionOf("acme/b")])).toEqual(["acme/a", "acme/b"]);
  expect(namesOf([promotionOf("acme/a", ["1", "2"]), promotionOf("acme/a", ["3"]), promotionOf("acme/b")])).toEqual([
    "acme/a:1",
    "acme/a:3",
    "acme/b",
  ]);
  expect(namesOf([promotionOf("acme/a"), promotionOf("acme/b", ["1"], "quay.example.com")])).toEqual([
    "quay.io/acme/a",
    "quay.example.com/acme/b",
  ]);
});

describe("numbers", () => {
  test.each([
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [999_949, "999.9 kB"],
    [999_950, "1.0 MB"],
    [45_200_000, "45.2 MB"],
    [999_999_999, "1.0 GB"],
    [12_345_678_901, "12.3 GB"],
    [1.5e12, "1500.0 GB"],
  ])("%d bytes", (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected);
  });

  test("show part and whole in one unit, and never a part larger than the whole", () => {
    expect(formatPart(45_200_000, 120_000_000)).toBe("45.2 of 120.0 MB");
    expect(formatPart(1, 120_000_000)).toBe("0.0 of 120.0 MB");
    expect(formatPart(130, 120)).toBe("120 of 120 B");
    expect(formatPart(0, 0)).toBe("0 of 0 B");
  });

  test.each([
    [0, "0.0 s"],
    [4_120, "4.1 s"],
    [59_949, "59.9 s"],
    [59_950, "1 min 0 s"],
    [192_400, "3 min 12 s"],
    [3_600_000, "60 min 0 s"],
  ])("%d milliseconds", (milliseconds, expected) => {
    expect(formatTime(milliseconds)).toBe(expected);
  });

  test("shorten a digest to its algorithm and 12 digits", () => {
    expect(shortDigest(digest)).toBe("sha256:0123456789ab…");
    expect(shortDigest("missing")).toBe("missing");
  });
});
