/** Short forms of bindings: the way back, the note about ids, and the options. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as yaml from "yaml";
import { flagSyntax } from "../../src/cli/syntax.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { written } from "../../src/platform/wording.ts";
import { type Form, formOf, idsNote } from "../../src/trust/binding-forms.ts";
import { bindingOfOptions, bindingsOfOptions, trustOfOptions } from "../../src/trust/trust-of-options.ts";
import { failure, inWorkflow, thrown } from "../fixtures.ts";
import { forAll } from "../fuzz/property.ts";
import { goodBindings } from "./cases.ts";

const github = "https://token.actions.githubusercontent.com";

describe("the short form of a binding", () => {
  test.each(goodBindings.filter(({ isOther }) => !isOther))("$entry", ({ entry, issuer, subject }) => {
    const form = yaml.parse(entry);
    expect(formOf({ issuer, subject })).toEqual("pull-request" in form ? { ...form, "pull-request": "true" } : form);
  });

  test.each([
    ["a colon that GitHub does not write", github, "repo:acme/app:environment:a:b"],
    ["another issuer than GitHub's", "https://a.example", "repo:acme/app:environment:release"],
    ["GitHub's issuer with a slash at its end", `${github}/`, "repo:acme/app:environment:release"],
    ["a customized subject", github, "repo:acme/app:environment:release:job_workflow_ref:acme/ci/.github/a.yml@main"],
    ["a wildcard", github, "repo:acme/app:environment:*"],
    ["an id alone", github, "repo:acme@1/app:environment:release"],
    ["a blank at the end", github, "repo:acme/app:environment:release "],
    ["a ref in a ref", github, "repo:acme/app:ref:refs/heads/refs/heads/main"],
    ["capitals", "https://a.example", "system:serviceaccount:Team:deployer"],
    ["GitLab's other types of ref", "https://gitlab.com", "project_path:a/b:ref_type:merge_request:ref:main"],
  ])("does not exist for %s", (_, issuer, subject) => {
    expect(formOf({ issuer, subject })).toEqual({ issuer, subject });
  });

  test("gives the same binding again", () => {
    const parts = fc.constantFrom(
      "repo:",
      "acme",
      "/",
      "app",
      ":",
      "environment:",
      "ref:refs/heads/",
      "pull_request",
      "@1",
      "%3A",
      " ",
      "main",
      "project_path:",
      "ref_type:branch:ref:",
      "system:serviceaccount:",
    );
    const issuers = fc.constantFrom(
      github,
      "https://gitlab.com",
      "https://a.example/_services/token",
      "https://a.example",
    );
    let short = 0;
    forAll(
      fc.tuple(
        issuers,
        fc
          .oneof(
            fc.array(parts, { minLength: 1, maxLength: 9 }).map((all) => all.join("")),
            fc.string({ unit: "binary" }).map((name) => `repo:acme/app:environment:${name}`),
            // A blank option is none.
          )
          .filter((subject) => subject.trim() !== ""),
      ),
      ([issuer, subject]) => {
        const form: Form = formOf({ issuer, subject });
        short += form.subject === undefined ? 1 : 0;
        expect(bindingOfOptions(form)).toMatchObject({ issuer, subject });
      },
      1000,
    );
    expect(short).toBeGreaterThan(20);
  });
});

describe("the note about GitHub's ids", () => {
  test("says how to get them", () => {
    expect(inWorkflow(idsNote({ issuer: github, subject: "repo:acme/app:environment:release" }) ?? "")).toBe(
      `If acme/app was made, renamed or transferred since 2026-07-15, its subjects hold GitHub's ids: acme@OWNER_ID/app@ID. This prints both: gh api repos/acme/app --jq '"\\(.owner.id) \\(.id)"'`,
    );
  });

  test.each([
    ["with ids", github, "repo:acme@1/app@2:environment:release"],
    ["of GitHub Enterprise Server", "https://github.example.com/_services/token", "repo:acme/app:environment:release"],
    ["of GitLab", "https://gitlab.com", "project_path:a/b:ref_type:branch:ref:main"],
    ["with what a shell would run", github, "repo:acme/$(id):environment:release"],
  ])("is not for a subject %s", (_, issuer, subject) => {
    expect(idsNote({ issuer, subject })).toBeUndefined();
  });
});

describe("options", () => {
  test("without any, the binding is this place's own", () => {
    expect(bindingOfOptions({ audience: "x", robot: "acme+ci", github: " ", "pull-request": "false" })).toBeUndefined();
  });

  test.each<[string, OptionValues, object]>([
    [
      "github",
      { github: "acme/app", environment: "release" },
      { issuer: github, subject: "repo:acme/app:environment:release", audiences: ["quay"] },
    ],
    ["a pull request", { github: "acme/app", "pull-request": "true" }, { subject: "repo:acme/app:pull_request" }],
    [
      "a service account",
      { "service-account": "a/b", issuer: "https://a.example", audience: "other" },
      { subject: "system:serviceaccount:a:b", audiences: ["other"] },
    ],
    ["gitlab", { gitlab: "a/b", tag: "v1" }, { subject: "project_path:a/b:ref_type:tag:ref:v1" }],
    [
      "SPIFFE",
      { issuer: "https://a.example", subject: "spiffe://example.com/ci" },
      { subject: "spiffe://example.com/ci" },
    ],
    ["blanks, for the lint", { issuer: "https://a.example", subject: "ci " }, { subject: "ci " }],
  ])("%s", (_, values, binding) => {
    expect(bindingOfOptions(values)).toMatchObject(binding);
  });

  const syntax = { ...flagSyntax(undefined), has: () => true };
  test.each<[OptionValues, string, string]>([
    [
      { github: "acme/app" },
      'The option "--github" is "acme/app": it needs --environment, --branch, --tag or --pull-request.',
      "Write, for example, --github acme/app --environment release",
    ],
    [
      { github: "acme/app", environment: "a", branch: "b" },
      'The option "--branch" is "b": it can\'t be combined with --environment: GitHub\'s subject then names the environment alone, and its settings say which branches and tags may use it.',
      "Write, for example, --github acme/app --environment a",
    ],
    [
      { github: "acme/app", issuer: "https://a.example", subject: "x" },
      'The option "--subject" is "x": it can\'t be combined with --github: both say who is trusted.',
      "Write, for example, --subject spiffe://example.com/ci --issuer https://spire.example.com",
    ],
    [
      { github: "acme/app", branch: "x", issuer: "https://a.example" },
      'The option "--issuer" is "https://a.example": with --github it is the address of a GitHub Enterprise; others go with --subject.',
      "Write, for example, --issuer https://github.example.com/_services/token",
    ],
    [
      { "pull-request": "true" },
      'The option "--pull-request" is "true": it needs --github.',
      "Write, for example, --github acme/app --pull-request",
    ],
    [
      { github: "acme/app", branch: "x", "pull-request": "true" },
      'The option "--pull-request" is "true": it can\'t be combined with --branch: a subject names one of them.',
      "Write, for example, --github acme/app --branch x",
    ],
    [
      { "pull-request": "maybe" },
      'The option "--pull-request" is "maybe": it must be one of true, false.',
      "Write, for example, --pull-request=false",
    ],
    [
      { github: "acme/app", tag: "v1\nv2" },
      'The option "--tag" is "v1\\nv2": it has blanks.',
      "Write, for example, --tag v1.0",
    ],
    [
      { "service-account": "a/b" },
      'The option "--service-account" is "a/b": it needs --issuer, the cluster\'s.',
      "Write, for example, --service-account a/b --issuer https://oidc.example.com/cluster",
    ],
  ])("rejects %j", async (values, message, remedy) => {
    const error = await thrown(() => bindingOfOptions(values));
    expect(written(error.headline, syntax)).toBe(message);
    expect(error.remedy.map((words) => written(words, syntax))).toEqual([remedy]);
  });

  test("say where they were given", () => {
    expect(written(bindingOfOptions({ github: "acme/app", branch: "main" })?.from ?? "", syntax)).toBe(
      "--github acme/app --branch main",
    );
  });
});

describe("the trust of options", () => {
  const bindings = bindingsOfOptions({ github: "acme/app", environment: "release" });

  test("has robots with the same binding and permissions", () => {
    const trust = trustOfOptions(
      {
        ...{ registry: "Quay.example.com", robot: "acme+ci\nacme+other", description: "Builds" },
        ...{ "create-robot": "true", permission: "acme/app=write\nacme/a/b=read" },
      },
      bindings,
    );
    expect(trust).toMatchObject({ registry: "quay.example.com", organization: "acme" });
    expect(trust.robots.map(({ name }) => name)).toEqual(["acme+ci", "acme+other"]);
    expect(trust.robots[1]).toMatchObject({
      ...{ description: "Builds", create: true, promotes: false, bindings },
      permissions: [
        { repository: "acme/app", role: "write", create: false },
        { repository: "acme/a/b", role: "read", create: false },
      ],
    });
  });

  test("has no binding, and repositories to make, where that is said", () => {
    const values = { robot: "acme+ci", permission: "acme/app=write", "create-repository": "true" };
    expect(trustOfOptions(values, []).robots[0]).toMatchObject({
      bindings: [],
      permissions: [{ create: true }],
    });
    expect(trustOfOptions({ robot: "acme+ci" }, bindings).robots[0]).not.toHaveProperty("description");
  });

  test.each<[OptionValues, string, string]>([
    [{}, "Missing required option robot.", "Write, for example, robot: acme+ci"],
    [
      { robot: "ci" },
      'The option "robot" is "ci": a robot\'s full name has a +: organization+name.',
      "Write, for example, robot: ci+ci",
    ],
    [
      { robot: "acme+ci\nother+ci" },
      'The option "robot" is "other+ci": the robots before it belong to acme.',
      "Write, for example, robot: acme+ci",
    ],
    [
      { robot: "acme+ci\nacme+ci" },
      'The option "robot" is "acme+ci": it is given twice.',
      "Write, for example, robot: acme+ci",
    ],
    [
      { robot: "acme+ci", permission: "acme/app" },
      'The option "permission" is "acme/app": it has no role.',
      "Write, for example, permission: acme/app=write",
    ],
    [
      { robot: "acme+ci", permission: "acme/app=owner" },
      'The option "permission" is "acme/app=owner": its role is none of read, write, admin.',
      "Write, for example, permission: acme/app=write",
    ],
    [
      { robot: "acme+ci", permission: "acme/app=Admin" },
      'The option "permission" is "acme/app=Admin": its role is none of read, write, admin.',
      "Write, for example, permission: acme/app=admin",
    ],
    [
      { robot: "acme+ci", permission: "app=read" },
      'The option "permission" is "app=read": it is not organization/repository=role.',
      "Write, for example, permission: acme/app=read",
    ],
    [
      { robot: "acme+ci", permission: "other/app=read" },
      'The option "permission" is "other/app=read": the robot belongs to acme; Quay gives it no permission elsewhere.',
      "Write, for example, permission: acme/app=read",
    ],
    [
      { robot: "acme+ci", permission: "acme/app=read\nacme/app=write" },
      'The option "permission" is "acme/app=write": the repository is given twice.',
      "Write, for example, permission: acme/app=write",
    ],
    [
      { robot: "acme+ci", prune: "true" },
      'The option "prune" is "true": it needs file.',
      "Write, for example, file: quay-trust.yaml",
    ],
  ])("rejects %j", async (values, message, remedy) => {
    const error = await failure(() => trustOfOptions(values, bindings));
    expect(error.message).toBe(message);
    expect(error.remedy).toEqual([remedy]);
  });
});
