/** What `federate` prints: the plan as a diff, counts, and what was done. */
import { expect, test } from "vitest";
import { ExplainedError } from "../../src/platform/errors.ts";
import { noProgress } from "../../src/trust/apply.ts";
import type { Plan, PlannedRobot } from "../../src/trust/plan.ts";
import { effectOf, objectOf, reportOf } from "../../src/trust/report.ts";
import { inWorkflow } from "../fixtures.ts";

const robot = (name: string, more: Partial<PlannedRobot> = {}): PlannedRobot => ({
  ...{ name, change: "unchanged", description: "", bindings: [], permissions: [] },
  ...more,
});
const plan = (robots: readonly PlannedRobot[], more: Partial<Plan> = {}): Plan => ({
  ...{ registry: "quay.io", organization: "acme", keepsAudiences: true, repositories: [], warnings: [], notes: [] },
  ...{ robots, ...more },
});
const federation = { mode: "apply", findings: [], ...noProgress, failure: undefined } as const;
const binding = { issuer: "https://i.example", subject: "s", audiences: ["quay"] };

const changed = robot("acme+a", {
  bindings: [
    { ...binding, change: "added" },
    { ...binding, change: "changed", before: ["old", "older"] },
    { ...binding, change: "removed" },
    { ...binding, change: "kept" },
  ],
  permissions: [{ change: "changed", repository: "acme/app", role: "write", before: "read" }],
});

test("one line for each entry, with a sign; other robots are counted", () => {
  const made = robot("acme+b", { change: "added", description: "Builds" });
  const shown = plan([changed, made, robot("acme+c")], { repositories: ["acme/new"] });
  expect(reportOf({ ...federation, plan: shown, done: new Set(["acme+a", "acme+b"]) }, inWorkflow)).toEqual([
    "acme on quay.io",
    "+ repository acme/new (private)",
    "  robot acme+a",
    "~   permission acme/app write (was read)",
    "+   binding s of https://i.example for quay",
    "~   binding s of https://i.example for quay, was old older",
    "-   binding s of https://i.example for quay",
    "    binding s of https://i.example for quay (kept)",
    '+ robot acme+b ("Builds")',
    "  1 robot more as wanted",
    "3 added, 2 changed, 1 removed, and read back.",
  ]);
});

test("a Quay that drops audiences: none is shown", () => {
  const { 4: line } = reportOf({ ...federation, plan: plan([changed], { keepsAudiences: false }) }, inWorkflow);
  expect(line).toBe("~   binding s of https://i.example");
});

test("of many notes, three; programs get all", () => {
  const noted = { ...federation, plan: plan([], { notes: ["1", "2", "3", "4", "5"] }) };
  expect(reportOf(noted, inWorkflow).filter((line) => line.startsWith("  Note"))).toEqual([
    "  Note: 1",
    "  Note: 2",
    "  Note: 3",
    "  Note: the same for 2 other repositories",
  ]);
  expect(objectOf(noted, inWorkflow).notes).toHaveLength(5);
});

test("text from outside stays within its line", () => {
  const evil = robot("acme+a", {
    change: "added",
    bindings: [{ ...binding, change: "kept", subject: "x\n+ robot \u001b[2Kacme+b" }],
  });
  expect(reportOf({ ...federation, plan: plan([evil]) }, inWorkflow)).toContain(
    "    binding x + robot acme+b of https://i.example for quay (kept)",
  );
});

test.each([
  ["check", "1 to add, 0 to change, 0 to remove. Nothing was changed."],
  ["dry-run", "1 to add, 0 to change, 0 to remove. Nothing was changed."],
] as const)("%s: the last line says that nothing was changed", (mode, last) => {
  const shown = plan([robot("acme+a", { change: "added" })]);
  expect(reportOf({ ...federation, mode, plan: shown }, inWorkflow).at(-1)).toBe(last);
  expect(objectOf({ ...federation, mode, plan: shown }, inWorkflow)).toMatchObject({ drift: true, changed: false });
});

test("after a failure: what was changed, what may be, and what not", () => {
  const robots = ["a", "b", "c"].map((name) => robot(`acme+${name}`, { change: "added" }));
  const failed = {
    ...{ ...federation, plan: plan([...robots, robot("acme+same")], { repositories: ["acme/x", "acme/y"] }) },
    ...{ done: new Set(["acme/x", "acme+a"]), sent: new Set(["acme/x", "acme+a", "acme+b"]) },
    failure: new ExplainedError("timeout", "too slow", { remedy: [] }),
  };
  expect(reportOf(failed, inWorkflow).slice(-4)).toEqual([
    "Changed, as wanted: acme/x, acme+a",
    "Changed in part, or not known: acme+b",
    "Not changed: acme/y, acme+c",
    "1 of 3 robots changed and read back.",
  ]);
  expect(objectOf(failed, inWorkflow)).toMatchObject({
    changed: true,
    repositories: [
      { repository: "acme/x", done: true, sent: true },
      { repository: "acme/y", done: false, sent: false },
    ],
    robots: [
      { name: "acme+a", done: true, sent: true },
      { name: "acme+b", done: false, sent: true },
      { name: "acme+c", done: false, sent: false },
      { name: "acme+same", done: true, sent: false },
    ],
  });
  expect(effectOf(failed)).toBe("Quay was changed: acme/x, acme+a, acme+b (in part, or not known).");
  expect(effectOf({ ...failed, ...noProgress })).toBe("Quay was not changed.");
  expect(effectOf({ ...failed, mode: "check" })).toBeUndefined();
  expect(objectOf({ ...failed, ...noProgress }, inWorkflow)).toMatchObject({ changed: false });
});

test("a Quay of which it is unknown whether it keeps audiences: null", () => {
  const unknown = { ...federation, plan: plan([], { keepsAudiences: undefined }) };
  expect(objectOf(unknown, inWorkflow)).toMatchObject({ "keeps-audiences": null });
});

test("permissions that are removed or stay say no earlier role; programs get the findings", () => {
  const permission = { repository: "acme/app", role: "write" } as const;
  const permissions = [
    { ...permission, change: "removed" },
    { ...permission, change: "kept" },
  ] as const;
  const shown = { ...federation, plan: plan([robot("acme+a", { permissions })]) };
  expect(reportOf(shown, inWorkflow).slice(2, 4)).toEqual([
    "-   permission acme/app write",
    "    permission acme/app write (kept)",
  ]);
  const finding = {
    rule: "wildcard",
    level: "warning",
    robot: "acme+a",
    says: "It has a *.",
    remedy: [],
    from: "",
  } as const;
  expect(objectOf({ ...shown, findings: [finding] }, inWorkflow).findings).toEqual([
    { rule: "wildcard", level: "warning", robot: "acme+a", message: "It has a *." },
  ]);
});

test("after a failure of which all is known, no line is empty", () => {
  const failure = new ExplainedError("timeout", "too slow", { remedy: [] });
  const shown = { ...federation, plan: plan([robot("acme+a", { change: "added" })]), failure };
  expect(reportOf(shown, inWorkflow).slice(-2)).toEqual(["Not changed: acme+a", "0 of 1 robot changed and read back."]);
});
