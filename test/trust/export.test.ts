/** The file that says what an organization trusts today, and that it says the same when it is read. */
import fc from "fast-check";
import { expect, test } from "vitest";
import * as yaml from "yaml";
import { roles } from "../../src/quay/management.ts";
import { type FoundOrganization, type FoundRobot, schemaUrl, writeTrustFile } from "../../src/trust/export.ts";

import { parseTrustFile } from "../../src/trust/trust-file.ts";
import { yamlText } from "../../src/trust/yaml-text.ts";
import { forAll } from "../fuzz/property.ts";
import { address } from "../support/project.ts";

const robot = (name: string, change: Partial<FoundRobot> = {}): FoundRobot => ({
  ...{ name, description: "", bindings: [], permissions: [] },
  ...change,
});
const github = "https://token.actions.githubusercontent.com";

test("writes short forms, sorted, with what the file can't say as comments", () => {
  const found: FoundOrganization = {
    registry: "quay.example.com:8443",
    organization: "acme",
    robots: [
      robot("acme+release", {
        description: 'Releases: "all"',
        permissions: [
          { repository: "acme/worker", role: "read" },
          { repository: "acme/app", role: "write" },
          { repository: "acme/acme/app", role: "admin" },
        ],
        bindings: [
          { issuer: github, subject: "repo:acme/app:environment:release", id: "b1", audiences: ["quay"] },
          { issuer: github, subject: "repo:acme@1/app@2:pull_request", audiences: ["quay", "other"] },
          { issuer: "https://oidc.example.com", subject: "system:serviceaccount:team:deployer", audiences: [] },
          { issuer: "https://spire.example.com", subject: "spiffe://example.com/ci " },
        ],
      }),
      robot("acme+bare"),
      robot("acme+null"),
      robot("acmes+other"),
    ],
  };
  expect(writeTrustFile(found)).toBe(`# yaml-language-server: $schema=${schemaUrl}
registry: quay.example.com:8443
organization: acme
robots:
  bare: {}
  "null": {}
  release:
    description: "Releases: \\"all\\""
    permissions:
      acme/acme/app: admin
      app: write
      worker: read
    bindings:
      - github: acme/app
        environment: release
        # Also in Quay: {"id":"b1"}
      - github: acme@1/app@2
        pull-request: true
        audience: [quay, other]
      - service-account: team/deployer
        issuer: https://oidc.example.com
        # Also in Quay: {"audiences":[]}
      - subject: "spiffe://example.com/ci "
        issuer: https://spire.example.com
`);
  expect(schemaUrl).toBe(address("/raw/main/docs/quay-trust.schema.json"));
});

test("an organization without robots is a file, too", () => {
  expect(writeTrustFile({ registry: "quay.io", organization: "acme", robots: [] })).toMatch(/\nrobots: \{\}\n$/);
});

const texts = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 20 }),
  fc.constantFrom(
    "yes",
    "no",
    "null",
    "~",
    "1.10",
    "0x1f",
    "1:30",
    "2026-11-28",
    "- a",
    "a: b",
    "a #b",
    "'",
    '"',
    "%",
    "@",
    "`",
    "<<",
    "=",
    "!x",
    "&a",
    "*a",
    "|",
    ">",
    "\u2028",
    "\ufeff",
    "\u0085",
    "\0",
    "\ud800",
    " a ",
    "\n",
    "a\r\nb",
    "\t",
    "---",
    "...",
    "😀",
  ),
);

test("any text is the same again for YAML 1.1 and 1.2, alone, in a list and as a key", () => {
  forAll(
    texts,
    (text) => {
      for (const version of ["1.1", "1.2"] as const) {
        const written = `${yamlText(text)}: [${yamlText(text)}, x]\nlast: ${yamlText(text)}\n`;
        expect(yaml.parse(written, { version, uniqueKeys: false })).toEqual({
          last: text,
          [text]: text === "last" ? text : [text, "x"],
        });
      }
    },
    1000,
  );
});

test.each(["a\u2028b", "a\u0085b", "a\u202eb", "\ufeffa", "a\u200bb", "\ud800"])("hides no character: %j", (text) => {
  expect(yamlText(text)).toMatch(/^"[\x20-\x7e]+"$/);
});

const isDefault = (audiences: readonly string[] = ["quay"]) => audiences.length === 1 && audiences[0] === "quay";

test("reading the file gives what was there", () => {
  const name = fc.stringMatching(/^[a-z0-9]{2,5}(?:[._-][a-z0-9]{1,4})?$/);
  const subject = fc.oneof(
    texts,
    fc
      .tuple(
        fc.constantFrom("acme/app", "acme@1/app@2", "a b"),
        fc.constantFrom(":environment:", ":ref:refs/heads/", ":ref:refs/tags/"),
        texts,
      )
      .map((parts) => `repo:${parts.join("")}`),
    fc.constantFrom("repo:a/b:pull_request", "project_path:a/b:ref_type:branch:ref:main", "system:serviceaccount:a:b"),
  );
  const issuer = fc.constantFrom(
    github,
    "https://gitlab.com",
    "https://a.example/_services/token",
    "http://a",
    "https://b ",
  );
  const audiences = fc.option(fc.uniqueArray(fc.constantFrom("quay", "no", "a:b", "x y"), { minLength: 1 }), {
    nil: undefined,
  });
  const binding = fc
    .tuple(issuer, subject, audiences, fc.dictionary(fc.constantFrom("id", "version", "api_scopes"), fc.jsonValue()))
    .map(([issuer, subject, audiences, more]) => ({ issuer, subject, ...(audiences && { audiences }), ...more }));
  const found = fc.record({
    registry: fc.constantFrom("quay.io", "localhost:8443"),
    organization: name,
    robots: fc.uniqueArray(
      fc.record({
        name,
        description: fc.oneof(fc.constant(""), texts),
        bindings: fc.uniqueArray(binding, { selector: ({ issuer, subject }) => `${issuer} ${subject}`, maxLength: 4 }),
        permissions: fc.uniqueArray(fc.record({ repository: name, role: fc.constantFrom(...roles) }), {
          selector: ({ repository }) => repository,
          maxLength: 3,
        }),
      }),
      { selector: (one) => one.name, maxLength: 4 },
    ),
  });
  forAll(found, ({ organization, robots, registry }) => {
    const full = robots.map((one) => ({
      ...one,
      name: `${organization}+${one.name}`,
      permissions: one.permissions.map((each) => ({ ...each, repository: `${organization}/${each.repository}` })),
    }));
    const text = writeTrustFile({ organization, registry, robots: full });
    const read = parseTrustFile(yaml, text, "quay-trust.yaml", {
      ...{ registry: undefined, prune: full.length === 0, createRobots: false, createRepositories: false },
    });
    expect(read).toMatchObject({ organization, registry });
    expect(new Map(read.robots.map((one) => [one.name, one])).size).toBe(full.length);
    for (const one of full) {
      const again = read.robots.find(({ name }) => name === one.name);
      expect(again?.description ?? "").toBe(one.description);
      expect(again?.bindings.map(({ issuer, subject, audiences }) => ({ issuer, subject, audiences }))).toEqual(
        one.bindings.map(({ issuer, subject, audiences }) => ({
          issuer,
          subject,
          audiences: isDefault(audiences) ? [] : audiences,
        })),
      );
      expect(new Map(again?.permissions.map(({ repository, role }) => [repository, role]))).toEqual(
        new Map(one.permissions.map(({ repository, role }) => [repository, role])),
      );
    }
  });
});
