/** A plan for a checkout that exists in memory only. */
import { flagSyntax } from "../../src/cli/syntax.ts";
import { applyEdits } from "../../src/migration/edits.ts";
import type { Finding } from "../../src/migration/finding.ts";
import { type Checkout, type Plan, planMigration } from "../../src/migration/plan.ts";

const action = "acme/quay-keyless-login@v1";

export function planFor(files: Record<string, string>, more: Partial<Checkout> & { registry?: string } = {}): Plan {
  const { registry = "quay.io", ...checkout } = more;
  return planMigration(
    {
      texts: new Map(Object.entries(files)),
      skipped: new Map(),
      isSelected: () => true,
      remote: { host: "github.com", path: "acme/app" },
      defaultBranch: "main",
      ...checkout,
    },
    { registry, action },
  );
}

export const workflow = ".github/workflows/ci.yml";

/** The text of each changed file after the change. */
export const changed = ({ files }: Plan): Record<string, string> =>
  Object.fromEntries(files.map(({ path, text, edits }) => [path, applyEdits(text, edits)]));

/** `rewritten`, or why not. */
export const outcome = ({ change }: Finding): string => (change.kind === "listed" ? change.why : "rewritten");

export const outcomes = ({ findings }: Plan): readonly string[] =>
  findings.map((each) => `${each.line} ${each.what}: ${outcome(each)}`);

export const commands = ({ findings }: Plan): readonly string[] => [
  ...new Set(
    findings.flatMap(({ federate }) => federate.map((options) => options.map(flagSyntax("federate").write).join(" "))),
  ),
];

/** A workflow with one job of these steps, each a YAML text without its dash. */
export const withSteps = (...steps: readonly string[]): string =>
  [
    "on: {push: {branches: [main]}}",
    "permissions:",
    "  contents: read",
    "jobs:",
    "  push:",
    "    runs-on: ubuntu-latest",
    "    steps:",
    ...steps.map((step) => `      - ${step.replaceAll("\n", "\n        ")}`),
    "",
  ].join("\n");

/** The step of a script. */
export const script = (...lines: readonly string[]): string =>
  ["run: |", ...lines.map((line) => `  ${line}`)].join("\n");
