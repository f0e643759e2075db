import { expect, test } from "vitest";
import { reportOf } from "../../src/cli/promotion-report.ts";
import { artifact, digest, failed, older, promotionOf, resultOf } from "../promotion/results.ts";

test("prints a line for each tag, the whole references, and a conclusion", () => {
  const results = [
    resultOf("acme/app", {
      promotion: promotionOf("acme/app", ["1.4.2", "latest"]),
      tags: [
        { tag: "1.4.2", state: "new", before: undefined },
        { tag: "latest", state: "moved", before: older },
      ],
      artifacts: [artifact("signature"), artifact("signature"), artifact("sbom"), artifact("attestation", false)],
    }),
    resultOf("acme/long-name", {
      tags: [{ tag: "1.4.2", state: "there", before: digest }],
      changed: false,
      bytes: 0,
      milliseconds: 412,
    }),
    failed("acme/web"),
  ];
  expect(reportOf(results, { dryRun: false, existingTags: "move" })).toEqual([
    "image                                        tag     state                            new bytes  time",
    "quay.io/acme/app@sha256:0123456789ab…        1.4.2   new                              12.3 MB    4.1 s",
    "                                             latest  moved from sha256:fedcba987654…",
    "quay.io/acme/long-name@sha256:0123456789ab…  1.4.2   already there                    0 B        0.4 s",
    "quay.io/acme/web                             1.4.2   not done                         -          0.2 s",
    "                                                     failed: source-not-found",
    "",
    `quay.io/acme/app@${digest}  from staging.example.com/acme/app:nightly`,
    "  2 signatures, 1 SBOM: copied",
    "  signature sha256:fedcba987654… of sha256:0123456789ab…",
    "  signature sha256:fedcba987654… of sha256:0123456789ab…",
    "  SBOM sha256:fedcba987654… of sha256:0123456789ab…",
    "  1 attestation: already there",
    `quay.io/acme/long-name@${digest}  from staging.example.com/acme/long-name:nightly`,
    "quay.io/acme/web  from staging.example.com/acme/web:nightly",
    "",
    "1 promoted, 1 already there, 1 failed.",
  ]);
});

test("prints a plan", () => {
  const plan = resultOf("acme/app", {
    promotion: promotionOf("acme/app", ["1.4.2", "latest"]),
    tags: [
      { tag: "1.4.2", state: "planned", before: undefined },
      { tag: "latest", state: "refused", before: older },
    ],
    changed: false,
  });
  const lines = reportOf([plan], { dryRun: true, existingTags: "stay" });
  expect(lines.join("\n")).toMatch(/1\.4\.2 +would be new +12\.3 MB/);
  expect(lines.join("\n")).toMatch(/latest +refused: it points to sha256:fedcba987654… \(no move-tags\)\n/);
  expect(lines.at(-1)).toBe("Plan, nothing was changed: 1 to be refused.");
});
