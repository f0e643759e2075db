/** The job's summary page about promotions: a table in which text from outside stays text. */
import { expect, test } from "vitest";
import { promotionFailureSummary, promotionSummary } from "../../src/github/promotion-summary.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { failuresOf } from "../../src/promotion/report.ts";
import { failureOf } from "../fixtures.ts";
import { address } from "../support/project.ts";
import { artifact, digest, failed, older, promotionOf, resultOf } from "./results.ts";

/** As a reader sees it. */
const shown = (markdown: string) =>
  markdown.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));

test("lists promoted images, with a line for each tag", () => {
  const result = resultOf("acme/app", {
    promotion: promotionOf("acme/app", ["1.4.2", "latest"]),
    tags: [
      { tag: "1.4.2", state: "new", before: undefined },
      { tag: "latest", state: "moved", before: older },
    ],
    artifacts: [artifact("signature")],
  });
  const summary = promotionSummary([result], [], { dryRun: false, existingTags: "move" });
  expect(shown(summary).split("\n")).toEqual([
    "### Promotion",
    "",
    "1 promoted.",
    "",
    "| Image | From | Tags | New bytes | Time |",
    "| --- | --- | --- | --- | --- |",
    `| quay.io/acme/app@${digest}<br>1 signature: copied<br>signature sha256:fedcba987654… of sha256:0123456789ab… | staging.example.com/acme/app:nightly | 1.4.2 new<br>latest moved from sha256:fedcba987654… | 12.3 MB | 4.1 s |`,
    "",
  ]);
});

test("shows whole failures below", () => {
  const results = [resultOf("acme/a"), failed("acme/b"), failed("acme/c", "copy-failed", "<b>Full</b> & over.")];
  const summary = promotionSummary(results, failuresOf(results).map(failureOf), {
    dryRun: false,
    existingTags: "stay",
  });
  expect(summary).toMatch(/^### Not all is promoted\n\n1 promoted, 2 failed\.\n/);
  expect(shown(summary)).toContain(
    "| quay.io/acme/b | staging.example.com/acme/b:nightly | 1.4.2 not done<br>failed: source-not-found | - | 0.2 s |",
  );
  expect(summary).toContain(
    `<pre>acme/b: It is not there.\n  Look for it.\n  More: ${address("/blob/main/docs/troubleshooting.md#source-not-found")}</pre>`,
  );
  expect(summary).toContain("<pre>acme/c: &lt;b&gt;Full&lt;/b&gt; &amp; over.");
});

test("says that it is a plan", () => {
  const plan = resultOf("acme/a", { changed: false, tags: [{ tag: "1.4.2", state: "planned", before: undefined }] });
  const summary = promotionSummary([plan], [], { dryRun: true, existingTags: "stay" });
  expect(summary).toMatch(/^### What would be promoted\n\nPlan, nothing was changed/);
});

test("escapes markup from outside", () => {
  const odd = resultOf("acme/a|b<img>`*_[x](y)", { tags: [{ tag: "a|b\n<br>", state: "new", before: undefined }] });
  const summary = promotionSummary([odd], [], { dryRun: false, existingTags: "stay" });
  const row = summary.split("\n").find((line) => line.includes("12.3 MB")) ?? "";
  expect(row.split("|")).toHaveLength(7);
  expect(row.replaceAll("<br>", "")).not.toMatch(/[<>`*_[\]()]/);
});

test("has only the error if nothing was promoted", () => {
  const error = failureOf(new ExplainedError("tool-not-found", "There is no <skopeo>.", { remedy: ["Install it."] }));
  expect(promotionFailureSummary(error)).toBe(
    `### Nothing is promoted\n\n<pre>There is no &lt;skopeo&gt;.\n  Install it.\n  More: ${address("/blob/main/docs/troubleshooting.md#tool-not-found")}</pre>\n\n`,
  );
});
