/** Reads quay-trust.yaml. docs/quay-trust.schema.json says the same for editors; a test compares the two. */
import { closest } from "../options/closest.ts";
import { readOptions } from "../options/reader.ts";
import { mention, text } from "../platform/wording.ts";
import { readYamlText, type Yaml, type YamlKind } from "../platform/yaml.ts";
import { roles } from "../quay/management.ts";
import { isHost, isRepository, quayName } from "../quay/scope.ts";
import { readBindings } from "./bindings-in-file.ts";
import type { Trust, WantedPermission, WantedRobot } from "./trust.ts";
import { assertKnown, lastKey, type Nodes, readNodes, type Spot, shown } from "./yaml-nodes.ts";
import { yamlPair, yamlText } from "./yaml-text.ts";

export interface TrustFileWanted {
  /** The option registry as given; undefined: the file names it, or it is the option's default. */
  readonly registry: string | undefined;
  /** Whether an empty list removes what is there. Otherwise it is an error. */
  readonly prune: boolean;
  /** The option create-robot: makes every robot that is missing. */
  readonly createRobots: boolean;
  /** The option create-repository. */
  readonly createRepositories: boolean;
}

const kind: YamlKind = {
  name: "quay-trust.yaml",
  holds: "a mapping with organization, and robots by name",
  smaller: "a file for some of the robots, and others for the rest",
};

/**
 * @param signal ends the wait for a pipe without a writer
 * @throws ExplainedError `invalid-input`, naming file, line and key
 */
export async function readTrustFile(path: string, wanted: TrustFileWanted, signal: AbortSignal): Promise<Trust> {
  const content = await readYamlText(path, kind, signal);
  const yaml = await import(/* webpackMode: "eager" */ "yaml");
  return parseTrustFile(yaml, content, path, wanted);
}

/**
 * @param yaml the library, which only this needs
 * @throws ExplainedError `invalid-input`, naming file, line and key
 */
export function parseTrustFile(yaml: Yaml, content: string, path: string, wanted: TrustFileWanted): Trust {
  const nodes = readNodes(yaml, content, path, kind);
  const { root, fail } = nodes;
  const entries = nodes.entries(root, `Write in the file ${kind.holds}.`);
  assertKnown(entries, ["registry", "organization", "robots"], fail);
  const need = (key: string, example: string): Spot => {
    const spot = entries.get(key);
    if (!spot) {
      throw fail(root, `has no ${key}`, `Write, for example, ${example}`);
    }
    return spot;
  };
  const organization = readOrganization(nodes, need("organization", "organization: acme"));
  const registry = readRegistry(nodes, entries.get("registry"), wanted);
  const robotsSpot = need("robots", robotsExample);
  const robots = nodes.entries(robotsSpot, `Write, for example, ${robotsExample}`);
  if (robots.size === 0 && !wanted.prune) {
    throw fail(robotsSpot, "is empty", `Write, for example, ${robotsExample}`);
  }
  return {
    registry,
    organization,
    robots: [...robots].map(([name, spot]) => readRobot(nodes, { name, spot, organization, wanted })),
  };
}

const robotsExample = "robots: { ci: { permissions: { app: write } } }";

function readOrganization({ text: textOf, fail }: Nodes, spot: Spot): string {
  const name = textOf(spot, "organization: acme");
  if (!quayName.test(name)) {
    const lower = name.toLowerCase();
    const example = quayName.test(lower) ? lower : "acme";
    throw fail(
      spot,
      `is ${shown(name)}: it is not the name of an organization or a user in Quay`,
      `Write, for example, ${yamlPair("organization", example)}`,
    );
  }
  return name;
}

const registryExample = yamlPair("registry", "quay.io");

function readRegistry({ text: textOf, fail }: Nodes, spot: Spot | undefined, { registry }: TrustFileWanted): string {
  if (spot === undefined) {
    return registry ?? readOptions({}).text("registry");
  }
  const value = textOf(spot, registryExample);
  const host = value.toLowerCase();
  if (!isHost(host)) {
    throw fail(
      spot,
      `is ${shown(value)}: it is not a host with an optional port`,
      `Write, for example, ${registryExample}`,
    );
  }
  // The API token goes to this host: a file must not send it elsewhere than the option says.
  if (registry !== undefined && registry !== host) {
    throw fail(
      spot,
      text`is ${shown(value)}, but ${mention("registry", registry)} is another host`,
      "Leave one of the two out.",
    );
  }
  return host;
}

interface RobotText {
  readonly name: string;
  readonly spot: Spot;
  readonly organization: string;
  readonly wanted: TrustFileWanted;
}

const robotKeys = ["description", "create", "promotes", "permissions", "bindings"] as const;

function readRobot(nodes: Nodes, robot: RobotText): WantedRobot {
  const { name, spot, organization, wanted } = robot;
  const { fail } = nodes;
  assertRobotName(nodes, robot);
  const entries = nodes.entries(
    spot,
    `A robot has ${robotKeys.join(", ")}, each of which can be left out. For none of them: { }`,
  );
  assertKnown(entries, robotKeys, fail);
  const flag = (key: "create" | "promotes"): boolean => {
    const value = entries.get(key);
    return value !== undefined && nodes.boolean(value);
  };
  const description = readDescription(nodes, entries.get("description"));
  const permissions = entries.get("permissions");
  const bindings = entries.get("bindings");
  const unlisted = (["bindings", "permissions"] as const).filter((key) => !entries.has(key));
  return {
    name: `${organization}+${name}`,
    ...(description !== undefined && { description }),
    create: flag("create") || wanted.createRobots,
    promotes: flag("promotes"),
    bindings: bindings ? notEmpty(nodes, bindings, wanted, readBindings(nodes, bindings)) : [],
    permissions: permissions ? notEmpty(nodes, permissions, wanted, readPermissions(nodes, permissions, robot)) : [],
    ...(unlisted.length > 0 && { unlisted }),
    from: nodes.place(spot),
  };
}

function notEmpty<T>({ fail }: Nodes, spot: Spot, { prune }: TrustFileWanted, list: readonly T[]): readonly T[] {
  if (list.length === 0 && !prune) {
    const what = lastKey(spot);
    throw fail(
      spot,
      "is empty, and that would remove nothing",
      `To keep what the robot has, leave ${what} out.`,
      text`To remove all of them: ${mention("prune", "true")}`,
    );
  }
  return list;
}

function assertRobotName({ fail }: Nodes, { name, spot, organization }: RobotText): void {
  const [, short = name] = /^[^+]*\+(.*)$/s.exec(name) ?? [];
  const example = quayName.test(short.toLowerCase()) ? short.toLowerCase() : "ci";
  const remedy = `Write, for example, ${yamlText(example)}:`;
  if (name.includes("+")) {
    throw fail(spot, `has an organization in front; the key organization names it (${organization})`, remedy);
  }
  if (name !== name.toLowerCase()) {
    throw fail(spot, "is not lower case; names in Quay are", remedy);
  }
  if (!quayName.test(name) || name.length + organization.length > 254) {
    throw fail(
      spot,
      "is not a robot's name: 2 to 255 lower-case letters and digits with single . _ - between them, the organization included",
      remedy,
    );
  }
}

const descriptionExample = yamlPair("description", "Builds for acme");

function readDescription({ text: textOf, fail }: Nodes, spot: Spot | undefined): string | undefined {
  const value = spot && textOf(spot, descriptionExample);
  if (spot && [...(value ?? "")].length > 255) {
    throw fail(spot, "has more than 255 characters, Quay's limit", `Write, for example, ${descriptionExample}`);
  }
  return value;
}

function readPermissions(nodes: Nodes, spot: Spot, { organization, wanted }: RobotText): readonly WantedPermission[] {
  const { fail } = nodes;
  const seen = new Map<string, Spot>();
  const example = "Write, for example, permissions: { app: write }";
  return [...nodes.entries(spot, example)].map(([name, inner]) => {
    const repository = name.startsWith(`${organization}/`) ? name : `${organization}/${name}`;
    if (!isRepository(repository)) {
      throw fail(inner, "is not the name of a repository in Quay", example);
    }
    const other = seen.get(repository);
    if (other) {
      throw fail(inner, `is ${repository}, as in line ${other.line}`, "Leave one of the two out.");
    }
    seen.set(repository, inner);
    const { role, create } = readRole(nodes, inner);
    return { repository, role, create: create || wanted.createRepositories, from: nodes.place(inner) };
  });
}

/** `write`, or `{ role: write, create: true }` */
function readRole(nodes: Nodes, spot: Spot): Pick<WantedPermission, "role" | "create"> {
  const { fail } = nodes;
  const example = `${yamlText(lastKey(spot))}: write`;
  const entries = nodes.isMapping(spot) ? nodes.entries(spot, example) : undefined;
  if (entries) {
    assertKnown(entries, ["role", "create"], fail);
  }
  const given = entries ? entries.get("role") : spot;
  if (!given) {
    throw fail(spot, "has no role", "Write, for example, role: write");
  }
  const value = nodes.text(given, entries ? "role: write" : example);
  const role = roles.find((candidate) => candidate === value);
  if (!role) {
    const near = closest(value, roles);
    throw fail(
      given,
      `is ${shown(value)}: a role is one of ${roles.join(", ")}`,
      near ? `Did you mean: ${near}` : "Write, for example, write",
    );
  }
  const create = entries?.get("create");
  return { role, create: create !== undefined && nodes.boolean(create) };
}
