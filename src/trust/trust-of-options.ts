/** The trust that options describe, without a file. Pure. */
import { parseAudience } from "../identity/source.ts";
import { closest } from "../options/closest.ts";
import { type OptionReader, readOptions, requireOptions } from "../options/reader.ts";
import type { OptionValues } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import { joined, mention, text } from "../platform/wording.ts";
import { type Role, roles } from "../quay/management.ts";
import { isRepository, parseRegistry, parseRobot } from "../quay/scope.ts";
import { bindingOfForm, type Form, type FormKey, type FormWriter, formKeys } from "./binding-forms.ts";
import type { Trust, WantedBinding, WantedPermission } from "./trust.ts";

/**
 * The binding that the options name.
 * @returns undefined if there is none of them: the binding is this place's own
 * @throws ExplainedError `invalid-input`
 */
export function bindingOfOptions(values: OptionValues): WantedBinding | undefined {
  const reader = readOptions(values);
  // Blanks at the ends stay: the lint reports them.
  const asGiven = (key: FormKey) => (values[key]?.trim() ? values[key] : undefined);
  const form: Form = {
    ...Object.fromEntries(formKeys.map((key) => [key, asGiven(key)])),
    "pull-request": reader.boolean("pull-request") ? "true" : undefined,
  };
  const given = formKeys.filter((key) => form[key] !== undefined);
  if (given.length === 0) {
    return undefined;
  }
  const binding = bindingOfForm(form, writerOf(form));
  return { ...binding, audiences: [parseAudience(reader.text("audience"))], from: asOptions(form) };
}

/** The options of a binding that can be given several times: each value is a binding. */
const several = ["environment", "branch", "tag", "subject"] as const;

/**
 * The bindings that the options name: more than one if an option is given several times.
 * @throws ExplainedError `invalid-input`
 */
export function bindingsOfOptions(values: OptionValues): readonly WantedBinding[] {
  const name = several.find((option) => values[option]?.trim());
  const given = name ? readOptions(values).list(name) : [];
  const twice = given.find((value, index) => given.indexOf(value) < index);
  if (name && twice) {
    throw invalidInput(name, twice, "it is given twice", mention(name, twice));
  }
  // One alone stays as it is, with the blanks at its ends.
  const lines = name && given.length > 1 ? given.map((value) => ({ ...values, [name]: value })) : [values];
  return lines.flatMap((line) => bindingOfOptions(line) ?? []);
}

/** A form as options, for messages. */
export const asOptions = (form: Form) =>
  joined(
    formKeys.flatMap((key) => (form[key] === undefined ? [] : [mention(key, form[key])])),
    " ",
  );

const writerOf = (form: Form): FormWriter => ({
  wrong: (key, problem, example) => invalidInput(key, form[key] ?? "", problem, asOptions(example)),
  name: (key) => mention(key),
});

/**
 * The trust that options describe, without `file`: one robot or several, each with the same binding and permissions.
 * @param bindings of `bindingsOfOptions`; empty: this place's own comes later
 * @throws ExplainedError `invalid-input`
 */
export function trustOfOptions(values: OptionValues, bindings: readonly WantedBinding[]): Trust {
  const reader = readOptions(values);
  if (reader.boolean("prune")) {
    throw invalidInput("prune", "true", text`it needs ${mention("file")}`, mention("file", "quay-trust.yaml"));
  }
  requireOptions(reader, { robot: "acme+ci" });
  const names = reader.list("robot").map((robot) => parseRobot(robot));
  const [organization = ""] = names[0]?.split("+") ?? [];
  const seen = new Set<string>();
  for (const name of names) {
    if (!name.startsWith(`${organization}+`)) {
      throw invalidInput(
        "robot",
        name,
        `the robots before it belong to ${organization}`,
        mention("robot", `${organization}+ci`),
      );
    }
    if (seen.has(name)) {
      throw invalidInput("robot", name, "it is given twice", mention("robot", name));
    }
    seen.add(name);
  }
  const permissions = permissionsOf(reader, organization);
  const description = parseDescription(reader);
  return {
    registry: parseRegistry(reader.text("registry")),
    organization,
    robots: names.map((name) => ({
      name,
      ...(description !== undefined && { description }),
      create: reader.boolean("create-robot"),
      promotes: false,
      bindings,
      permissions,
      from: mention("robot", name),
    })),
  };
}

function parseDescription({ optional }: OptionReader): string | undefined {
  const description = optional("description");
  if (description !== undefined && [...description].length > 255) {
    const problem = "it has more than 255 characters, Quay's limit";
    throw invalidInput("description", description, problem, mention("description", "Builds of acme/app"));
  }
  return description;
}

function permissionsOf(reader: OptionReader, organization: string): readonly WantedPermission[] {
  const create = reader.boolean("create-repository");
  const seen = new Set<string>();
  return reader.list("permission").map((entry) => {
    const [repository = "", given = "", ...rest] = entry.split("=");
    const role = roles.find((candidate) => candidate === given);
    const fail = (problem: string, path = `${organization}/app`, like: Role = role ?? "write") =>
      invalidInput("permission", entry, problem, mention("permission", `${path}=${like}`));
    if (!isRepository(repository) || rest.length > 0) {
      const inside = `${organization}/${repository}`;
      throw fail("it is not organization/repository=role", isRepository(inside) ? inside : undefined);
    }
    if (!repository.startsWith(`${organization}/`)) {
      throw fail(`the robot belongs to ${organization}; Quay gives it no permission elsewhere`);
    }
    if (role === undefined) {
      throw fail(
        given === "" ? "it has no role" : `its role is none of ${roles.join(", ")}`,
        repository,
        closest(given, roles),
      );
    }
    if (seen.has(repository)) {
      throw fail("the repository is given twice", repository);
    }
    seen.add(repository);
    return { repository, role, create, from: mention("permission", entry) };
  });
}
