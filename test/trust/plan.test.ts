/** The comparison of what is wanted with what is there. */
import { describe, expect, test } from "vitest";
import type { Binding } from "../../src/quay/binding.ts";
import { mergeBindings } from "../../src/trust/bindings.ts";
import type { Found } from "../../src/trust/find.ts";
import { isDifferent, planTrust } from "../../src/trust/plan.ts";
import { countsOf } from "../../src/trust/report.ts";
import type { Trust, WantedBinding, WantedPermission, WantedRobot } from "../../src/trust/trust.ts";
import { failure, inWorkflow } from "../fixtures.ts";

const issuer = "https://issuer.example.com";
const want = (subject: string, audiences: readonly string[] = ["quay"]): WantedBinding => ({
  ...{ issuer, subject, audiences },
  from: "line 1",
});
const has = (subject: string, more: object = {}): Binding => ({ issuer, subject, ...more });
const may = (repository: string, role: WantedPermission["role"], create = false): WantedPermission => ({
  ...{ repository, role, create },
  from: "line 2",
});

const robot = (more: Partial<WantedRobot> = {}): WantedRobot => ({
  ...{ name: "acme+ci", create: false, promotes: false, bindings: [], permissions: [], from: "line 3" },
  ...more,
});
const trust = (...robots: WantedRobot[]): Trust => ({ registry: "quay.io", organization: "acme", robots });

interface There {
  bindings?: readonly Binding[];
  permissions?: Record<string, WantedPermission["role"]>;
  description?: string;
  keepsAudiences?: boolean;
  missing?: readonly string[];
}

function found({
  bindings = [],
  permissions = {},
  description = "",
  keepsAudiences = false,
  missing = [],
}: There = {}): Found {
  const roles = Object.entries(permissions).map(([repository, role]) => ({ repository, role }));
  return {
    owner: { kind: "organization", name: "acme" },
    keepsAudiences,
    robots: new Map([["acme+ci", { name: "acme+ci", description, bindings, permissions: roles }]]),
    missingRepositories: new Set(missing),
  };
}

/** The changes of one robot, as `change what`. */
function changes(want: WantedRobot, there: There, prune = false): string[] {
  const { robots } = planTrust(trust(want), found(there), prune);
  return robots.flatMap(({ bindings, permissions }) => [
    ...bindings.map(({ change, subject, audiences }) => `${change} ${subject} ${audiences.join("+")}`),
    ...permissions.map(({ change, repository, role, before = "" }) => `${change} ${repository} ${before}>${role}`),
  ]);
}

describe("bindings", () => {
  test.each<[string, WantedBinding[], Binding[], There, prune: boolean, string[]]>([
    ["a new one", [want("a")], [], {}, false, ["added a quay"]],
    ["one that is there", [want("a")], [has("a")], {}, false, ["unchanged a quay"]],
    ["one beyond: kept", [want("a")], [has("b")], {}, false, ["kept b quay", "added a quay"]],
    ["one beyond, with prune", [want("a")], [has("b")], {}, true, ["removed b quay", "added a quay"]],
    ["all, with an empty list and prune", [], [has("b")], {}, true, ["removed b quay"]],
    ["a blank makes another", [want("a")], [has("a ")], {}, false, ["kept a  quay", "added a quay"]],
    ["dropped audiences are no difference", [want("a", ["x"])], [has("a")], {}, false, ["unchanged a quay"]],
    [
      "kept ones are",
      [want("a", ["x"])],
      [has("a", { audiences: ["quay"] })],
      { keepsAudiences: true },
      false,
      ["changed a quay+x"],
    ],
    [
      "named ones replace others with prune",
      [want("a", ["x"])],
      [has("a", { audiences: ["quay", "x"] })],
      { keepsAudiences: true },
      true,
      ["changed a x"],
    ],
    [
      "named ones of those that are there: no difference",
      [want("a", ["sts"])],
      [has("a", { audiences: ["quay", "sts"] })],
      { keepsAudiences: true },
      false,
      ["unchanged a quay+sts"],
    ],
    ...[false, true].flatMap((prune): [string, WantedBinding[], Binding[], There, boolean, string[]][] => [
      [
        `unnamed, with the default there (prune: ${prune}): all stay`,
        [want("a", [])],
        [has("a", { audiences: ["quay", "sts"] })],
        { keepsAudiences: true },
        prune,
        ["unchanged a quay+sts"],
      ],
      [
        `unnamed, without the default there (prune: ${prune}): it is added`,
        [want("a", [])],
        [has("a", { audiences: ["sts"] })],
        { keepsAudiences: true },
        prune,
        ["changed a sts+quay"],
      ],
    ]),
    ["unnamed, of a new one: the default", [want("a", [])], [], { keepsAudiences: true }, false, ["added a quay"]],
    [
      "in another order: none",
      [want("a", ["x", "y"])],
      [has("a", { audiences: ["y", "x"] })],
      { keepsAudiences: true },
      false,
      ["unchanged a y+x"],
    ],
    ["none there is the default", [want("a")], [has("a")], { keepsAudiences: true }, false, ["unchanged a quay"]],
    [
      "an empty list there is the default",
      [want("a")],
      [has("a", { audiences: [] })],
      { keepsAudiences: true },
      false,
      ["unchanged a quay"],
    ],
  ])("%s", (_, bindings, there, more, prune, expected) => {
    expect(changes(robot({ bindings }), { ...more, bindings: there }, prune)).toEqual(expected);
  });

  test("what is written keeps the entries of others as they are, in their order", () => {
    const theirs = [has("b", { id: "1", version: 3, api_scopes: ["x"] }), has("a", { id: "2", audiences: ["y"] })];
    const { next } = mergeBindings(theirs, [want("c"), want("a")], { prune: false, keepsAudiences: true });
    expect(next[0]).toBe(theirs[0]);
    expect(next.slice(1)).toEqual([
      { issuer, subject: "a", id: "2", audiences: ["y", "quay"] },
      { issuer, subject: "c", audiences: ["quay"] },
    ]);
  });

  test("audiences that an older Quay would drop do not make a write of an entry that is there", () => {
    const theirs = [has("a")];
    const { next } = mergeBindings(theirs, [want("a", ["x"])], { prune: false, keepsAudiences: false });
    expect(next).toEqual(theirs);
  });
});

describe("permissions", () => {
  test.each<[string, WantedPermission[], Record<string, WantedPermission["role"]>, prune: boolean, string[]]>([
    ["a new one", [may("acme/app", "write")], {}, false, ["added acme/app >write"]],
    ["the same", [may("acme/app", "write")], { "acme/app": "write" }, false, ["unchanged acme/app >write"]],
    ["a higher one", [may("acme/app", "write")], { "acme/app": "read" }, false, ["changed acme/app read>write"]],
    ["a lower one", [may("acme/app", "read")], { "acme/app": "admin" }, false, ["changed acme/app admin>read"]],
    [
      "one beyond",
      [may("acme/app", "read")],
      { "acme/x": "admin" },
      false,
      ["added acme/app >read", "kept acme/x >admin"],
    ],
    ["one beyond, with prune", [], { "acme/x": "admin" }, true, ["removed acme/x >admin"]],
  ])("%s", (_, permissions, there, prune, expected) => {
    expect(changes(robot({ permissions }), { permissions: there }, prune)).toEqual(expected);
  });
});

test("prune leaves alone what the file says nothing about", () => {
  const there = { bindings: [has("b")], permissions: { "acme/x": "admin" } as const };
  expect(changes(robot({ unlisted: ["bindings", "permissions"] }), there, true)).toEqual([
    "kept b quay",
    "kept acme/x >admin",
  ]);
});

test("what is kept is no difference", () => {
  const there = { bindings: [has("a"), has("b")], permissions: { "acme/x": "admin" } as const };
  expect(isDifferent(planTrust(trust(robot({ bindings: [want("a")] })), found(there), false))).toBe(false);
  expect(isDifferent(planTrust(trust(robot({ bindings: [want("a")] })), found(there), true))).toBe(true);
});

describe("robots and repositories", () => {
  test("a missing robot and a missing repository are made where that is asked for", () => {
    const wanted = robot({
      ...{ name: "acme+new", create: true, description: "Builds" },
      ...{ permissions: [may("acme/new", "write", true)], bindings: [want("a")] },
    });
    const plan = planTrust(trust(wanted), found({ missing: ["acme/new"] }), false);
    expect(plan.repositories).toEqual(["acme/new"]);
    expect(plan.robots[0]).toMatchObject({ name: "acme+new", change: "added", description: "Builds" });
    expect(countsOf(plan)).toEqual({ added: 4, changed: 0, removed: 0 });
  });

  test("otherwise each missing one is named, once, with what makes it", async () => {
    const permissions = [may("acme/new", "write")];
    const wanted = [robot({ permissions }), robot({ name: "acme+a1", permissions }), robot({ name: "acme+a2" })];
    const error = await failure(() => planTrust(trust(...wanted), found({ missing: ["acme/new"] }), false));
    expect([error, ...error.also].map(({ code, message }) => `${code} ${message}`)).toEqual([
      "robot-not-found There is no robot acme+a1 on quay.io (line 3).",
      "robot-not-found There is no robot acme+a2 on quay.io (line 3).",
      "repository-not-found There is no repository acme/new on quay.io (line 2).",
    ]);
    expect(error.remedy.join(" ")).toContain("create-robot: true");
    expect(error.also.at(-1)?.remedy.join(" ")).toContain("create-repository: true");
  });

  test("another description is a warning, not a difference", () => {
    const plan = planTrust(trust(robot({ description: "new" })), found({ description: "old" }), false);
    expect(plan.warnings.map(inWorkflow)).toEqual([
      'line 3: the description of acme+ci differs, and Quay can\'t change it: it is "old".',
    ]);
    expect(isDifferent(plan)).toBe(false);
  });

  test.each<[string, audiences: string[], keepsAudiences: boolean, warnings: number]>([
    ["another audience than the default, which this Quay drops", ["x"], false, 1],
    ["the default", ["quay"], false, 0],
    ["another one, which this Quay keeps", ["x"], true, 0],
  ])("warns about %s: %j", (_, audiences, keepsAudiences, warnings) => {
    const bindings = [want("a", audiences), want("b", audiences)];
    const plan = planTrust(trust(robot({ bindings })), found({ keepsAudiences }), false);
    expect(plan.warnings).toHaveLength(warnings);
  });

  test("a Quay that does not say whether it keeps audiences: does not claim that it drops them", () => {
    const there = { ...found(), keepsAudiences: undefined };
    const plan = planTrust(trust(robot({ bindings: [want("a", ["x"])] })), there, false);
    expect(plan.warnings.map(inWorkflow)).toEqual([
      expect.stringContaining("quay.io does not say whether it keeps audiences. If it drops them"),
    ]);
    expect(plan.keepsAudiences).toBeUndefined();
  });

  test("the ids of GitHub are mentioned once for each repository whose binding is new", () => {
    const github = (subject: string) => ({ ...want(subject), issuer: "https://token.actions.githubusercontent.com" });
    const bindings = [
      github("repo:acme/app:environment:a"),
      github("repo:acme/app:environment:b"),
      github("repo:acme@1/x@2:environment:b"),
    ];
    const { notes } = planTrust(trust(robot({ bindings })), found(), false);
    expect(notes.map(inWorkflow)).toEqual([expect.stringContaining("gh api repos/acme/app")]);
  });
});
