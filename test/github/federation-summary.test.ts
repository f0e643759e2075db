/** The summary page: what another program says can't end the block, begin markup, or exceed GitHub's limit. */
import { expect, test } from "vitest";
import { federationSummary } from "../../src/github/federation-summary.ts";
import { noProgress } from "../../src/trust/apply.ts";
import type { Federation } from "../../src/trust/federate.ts";

const plan = {
  registry: "quay.io",
  organization: "acme",
  keepsAudiences: true,
  repositories: [],
  robots: [],
  notes: [],
};
const federation = (more: Partial<Federation> = {}): Federation => ({
  ...{ plan: { ...plan, warnings: [] }, mode: "check", findings: [], ...noProgress, failure: undefined },
  ...more,
});
const shown = (lines: readonly string[]) => ({ file: "a|b<i>.yaml", lines, say: String });

test("escapes the file's name, warnings and findings", () => {
  const finding = {
    rule: "wildcard",
    level: "warning",
    robot: "acme+ci",
    says: "a | b <img>",
    remedy: [],
    from: "[x](y)",
  } as const;
  const summary = federationSummary(
    federation({ plan: { ...plan, warnings: ["# <b>"] }, findings: [finding] }),
    shown(["one"]),
  );
  expect(summary).not.toMatch(/<(?!br>)|\]\(|a \| b|^# /m);
  expect(summary).toContain("### Quay trusts what a&#124;b&#60;i&#62;&#46;yaml".replace("&#46;", "."));
});

test("ends before GitHub's limit, and says what is missing", () => {
  const lines = Array.from({ length: 9000 }, (_, index) => `+   binding ${index} ${"x".repeat(90)}`);
  const summary = federationSummary(federation(), shown(lines));
  expect(summary.length).toBeLessThan(500_000);
  expect(summary).toMatch(/… and \d{4} more lines, in the log of this step\n```\n/);
});
