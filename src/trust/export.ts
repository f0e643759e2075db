/** Writes what an organization trusts today as a quay-trust.yaml. Pure. */
import { fileUrl } from "../platform/project.ts";
import type { Binding } from "../quay/binding.ts";
import type { Role } from "../quay/management.ts";
import { formKeys, formOf } from "./binding-forms.ts";
import { defaultAudience } from "./trust.ts";
import { escapedJson, yamlPair, yamlText } from "./yaml-text.ts";

/** A robot as Quay has it. */
export interface FoundRobot {
  /** `acme+ci` */
  readonly name: string;
  readonly description: string;
  readonly bindings: readonly Binding[];
  /** `repository` as `acme/app` */
  readonly permissions: readonly { readonly repository: string; readonly role: Role }[];
}

export interface FoundOrganization {
  readonly registry: string;
  readonly organization: string;
  readonly robots: readonly FoundRobot[];
}

/** The address of the file's JSON Schema. Editors read it from the file's first line. */
export const schemaUrl = fileUrl("docs/quay-trust.schema.json");

/**
 * The text of a quay-trust.yaml that says what is there today, sorted by name. The same state gives the same text. Keys of bindings that
 * the file can't have become comments.
 */
export function writeTrustFile({ registry, organization, robots }: FoundOrganization): string {
  const own = robots.filter(({ name }) => name.startsWith(`${organization}+`)).sort(byName(({ name }) => name));
  const lines = [
    `# yaml-language-server: $schema=${schemaUrl}`,
    yamlPair("registry", registry),
    yamlPair("organization", organization),
    own.length === 0 ? "robots: {}" : "robots:",
    ...own.flatMap((robot) => robotLines(robot, organization)),
  ];
  return `${lines.join("\n")}\n`;
}

/** By code units: the order must not depend on the machine's language. */
const byName =
  <T>(nameOf: (value: T) => string) =>
  (a: T, b: T): number =>
    nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0;

function robotLines({ name, description, bindings, permissions }: FoundRobot, organization: string): readonly string[] {
  const short = yamlText(name.slice(organization.length + 1));
  const lines = [
    ...(description === "" ? [] : [`    ${yamlPair("description", description)}`]),
    ...(permissions.length === 0 ? [] : ["    permissions:"]),
    ...[...permissions]
      .sort(byName(({ repository }) => repository))
      .map(({ repository, role }) => `      ${repositoryKey(repository, organization)}: ${role}`),
    ...(bindings.length === 0 ? [] : ["    bindings:"]),
    ...bindings.flatMap(bindingLines),
  ];
  return lines.length === 0 ? [`  ${short}: {}`] : [`  ${short}:`, ...lines];
}

/** `app` for `acme/app`. A name that itself begins with the organization stays whole: the file's reader takes it for the whole. */
function repositoryKey(repository: string, organization: string): string {
  const short = repository.slice(organization.length + 1);
  return yamlText(short.startsWith(`${organization}/`) ? repository : short);
}

function bindingLines({ issuer, subject, ...more }: Binding): readonly string[] {
  const form = formOf({ issuer, subject });
  const { audiences, ...unknown } = more;
  const isKnown = isAudiences(audiences);
  const rest = isKnown || audiences === undefined ? unknown : more;
  const pairs: readonly (readonly [key: string, value: string])[] = [
    ...formKeys.flatMap((key) => {
      const value = form[key];
      return value === undefined ? [] : [[key, key === "pull-request" ? value : yamlText(value)] as const];
    }),
    ...(isKnown && !isDefault(audiences) ? [["audience", `[${audiences.map(yamlText).join(", ")}]`] as const] : []),
  ];
  return [
    ...pairs.map(([key, value], index) => `      ${index === 0 ? "- " : "  "}${key}: ${value}`),
    ...(Object.keys(rest).length === 0 ? [] : [`        # Also in Quay: ${escapedJson(rest)}`]),
  ];
}

/** What the file's key audience can say. */
const isAudiences = (value: unknown): value is readonly string[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  new Set(value).size === value.length &&
  value.every((each) => typeof each === "string" && each !== "" && each.trim() === each);

const isDefault = (audiences: readonly string[]): boolean => audiences.length === 1 && audiences[0] === defaultAudience;
