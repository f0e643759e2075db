/**
 * A client of Quay's management API, `/api/v1`. Small operations, plain data. It follows no redirect, asks at most 8 things at the same
 * time, retries what can be repeated, and never asks for a robot's static token where a query leaves it out.
 */
import { isObject } from "../platform/json.ts";
import type { Platform } from "../platform/platform.ts";
import type { Binding } from "./binding.ts";
import { createLogs, type Logs } from "./management/logs.ts";
import {
  type Ask,
  createAsk,
  listIn,
  type ManagementOptions,
  type Owner,
  objectIn,
  part,
} from "./management/questions.ts";
import { type Need, organizationNotFound, rightsMissing, unusable, withoutFederation } from "./management/refusals.ts";
import { createRepositories, type Repositories } from "./management/repositories.ts";
import { createTeams, type Teams } from "./management/teams.ts";

export type { LogEntry, LogPage, LogWindow } from "./management/logs.ts";
export { type ManagementOptions, maxConcurrentRequests, type Owner } from "./management/questions.ts";
export { type Role, roles } from "./management/repositories.ts";

export interface Robot {
  /** `acme+ci` */
  readonly name: string;
  readonly description: string;
  /** As Quay writes it (RFC 5322). null: never, or this Quay does not keep it */
  readonly lastAccessed: string | null;
}

export interface RobotWithRights extends Robot {
  /** Repositories with a permission of its own, without the organization and without the role; sorted. */
  readonly repositories: readonly string[];
  readonly teams: readonly string[];
}

/** Every function throws ExplainedError: see `explainAnswer` (management/refusals.ts), and `explainFailure` for what is below HTTP. */
export interface Management extends Repositories, Logs, Teams {
  readonly registry: string;
  /** See `Asking`. */
  quaysTime(): number;
  /**
   * The organization, or the token's own user. The first request: it tells whether the token is good, before anything is written.
   * @throws ExplainedError `organization-not-found`, `api-token-refused`, `api-rights-missing`
   */
  owner(name: string): Promise<Owner>;
  /** All robots of the owner, by name. */
  robots(owner: Owner): Promise<readonly Robot[]>;
  robotsWithRights(owner: Owner): Promise<readonly RobotWithRights[]>;
  /** @returns false: there is one already, which is unchanged */
  createRobot(owner: Owner, name: string, description: string): Promise<boolean>;
  /** Regenerates the static token and drops the new one unseen. Bindings and exchanged robot tokens stay good. */
  regenerate(owner: Owner, name: string): Promise<void>;
  /** In Quay's order, each with all keys as Quay has them. */
  federation(owner: Owner, name: string): Promise<readonly Binding[]>;
  /** Replaces all bindings. Never repeated by itself: in the meantime another may have written. */
  setFederation(owner: Owner, name: string, bindings: readonly Binding[]): Promise<void>;
  /**
   * Whether this Quay keeps the audiences of a binding; older ones drop them. undefined: it does not say
   * @throws ExplainedError `quay-without-federation` if it says that it has none
   */
  keepsAudiences(owner: Owner): Promise<boolean | undefined>;
}

/** Masks the token. Sends nothing yet. */
export function openManagement(options: ManagementOptions, platform: Platform): Management {
  const { registry } = options;
  const { ask, quaysTime } = createAsk(options, platform);
  return {
    registry,
    quaysTime,
    owner: (name) => findOwner(ask, registry, name),
    ...robotOperations(ask, registry),
    ...createRepositories(ask, registry),
    ...createLogs(ask, registry),
    ...createTeams(ask, registry),
    keepsAudiences: (owner) => readDiscovery(ask, registry, owner),
  };
}

/** Quay describes its API to everyone: the routes, and the body of the federation, which names audiences in newer releases. */
async function readDiscovery(ask: Ask, registry: string, owner: Owner): Promise<boolean | undefined> {
  const what = "the description of its API";
  const answered = await ask({
    ...{ what, path: "discovery", needs: needOf(owner) },
    expects: [
      [404, /.*/],
      [308, /.*/],
    ],
  });
  if (answered.status !== 200) {
    return undefined;
  }
  const { paths, definitions } = objectIn(answered, what, registry);
  const routes = Object.keys(Object(paths)).filter((path) => path.endsWith("/federation"));
  if (isObject(paths) && !routes.some((path) => path.includes(`/${owner.kind}/`))) {
    throw withoutFederation(registry);
  }
  const { CreateRobotFederation: form } = Object(definitions) as Record<string, unknown>;
  return form === undefined ? undefined : JSON.stringify(form).includes('"audiences"');
}

/** 404 is the one answer that tells that there is no such organization; `is_admin` is false also for an unknown token. */
async function findOwner(ask: Ask, registry: string, name: string): Promise<Owner> {
  const what = `the organization ${name}`;
  const needs: Need = { scope: "org:admin", owner: name };
  const found = await ask({ what, path: `organization/${part(name)}`, needs, expects: [[404, /^Not Found/i]] });
  if (found.status !== 404) {
    if (objectIn(found, what, registry).is_admin === true) {
      return { kind: "organization", name };
    }
    await assertKnown(ask, name);
    throw rightsMissing({ registry, what: `the robots of ${name}`, needs });
  }
  // 401 has two meanings here: no such token, and no such scope.
  const user = await ask({
    what: "the token's user",
    path: "user/",
    needs: { scope: "user:admin", owner: name },
    expects: [[401, /.*/]],
  });
  if (user.status === 401) {
    await assertKnown(ask, name);
    throw organizationNotFound(registry, name);
  }
  const { username, is_me } = objectIn(user, "the token's user", registry);
  if (username !== name) {
    throw organizationNotFound(registry, name);
  }
  if (is_me === undefined) {
    throw rightsMissing({
      registry,
      what: `the robots of the user ${name}`,
      needs: { scope: "user:admin", owner: name },
    });
  }
  return { kind: "user", name };
}

/** The list of robots answers 401 only to a token that Quay does not know. @throws ExplainedError `api-token-refused` */
async function assertKnown(ask: Ask, name: string): Promise<void> {
  await ask({
    what: `the robots of ${name}`,
    path: `organization/${part(name)}/robots`,
    query: { token: "false", limit: "1" },
    needs: { scope: "org:admin", owner: name },
    expects: [[403, /.*/]],
  });
}

const needOf = ({ kind, name }: Owner): Need => ({ scope: kind === "user" ? "user:admin" : "org:admin", owner: name });

const pathOf = ({ kind, name }: Owner): string =>
  kind === "user" ? "user/robots" : `organization/${part(name)}/robots`;

/** The part of a robot's name after its owner's. */
const shortOf = (robot: string): string => robot.slice(robot.indexOf("+") + 1);

type RobotOperations = Pick<
  Management,
  "robots" | "robotsWithRights" | "createRobot" | "regenerate" | "federation" | "setFederation"
>;

function robotOperations(ask: Ask, registry: string): RobotOperations {
  const pathTo = (owner: Owner, robot: string, more = "") => `${pathOf(owner)}/${part(shortOf(robot))}${more}`;
  const list = async (owner: Owner, query: Readonly<Record<string, string>>) => {
    const what = `the robots of ${owner.name}`;
    const answered = await ask({ what, path: pathOf(owner), query, needs: needOf(owner) });
    const { robots } = objectIn(answered, what, registry);
    return (
      listIn(robots, what, registry)
        // The list may hold others.
        .filter(({ name }) => typeof name === "string" && name.startsWith(`${owner.name}+`))
        .sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1))
    );
  };
  return {
    robots: async (owner) => (await list(owner, { token: "false" })).map(robotIn),
    async robotsWithRights(owner) {
      const robots = await list(owner, { permissions: "true", token: "false" });
      // A token without the scope gets the same list without these keys.
      if (robots.some(({ repositories }) => !Array.isArray(repositories))) {
        throw rightsMissing({ registry, what: `the permissions of the robots of ${owner.name}`, needs: needOf(owner) });
      }
      return robots.map((robot) => ({
        ...robotIn(robot),
        repositories: (robot.repositories as unknown[]).map(String).sort(),
        teams: Array.isArray(robot.teams) ? robot.teams.map((team) => String(Object(team).name)) : [],
      }));
    },
    async createRobot(owner, name, description) {
      const { status } = await ask({
        what: `the new robot ${name}`,
        path: pathTo(owner, name),
        method: "PUT",
        body: { description },
        needs: needOf(owner),
        expects: [[400, /^Existing robot with name/]],
        repeatable: true,
      });
      return status !== 400;
    },
    async regenerate(owner, name) {
      const what = `a new static token of ${name}`;
      await ask({ what, path: pathTo(owner, name, "/regenerate"), method: "POST", body: {}, needs: needOf(owner) });
    },
    async federation(owner, name) {
      const what = `the bindings of ${name}`;
      const { value } = await ask({ what, path: pathTo(owner, name, "/federation"), needs: needOf(owner) });
      return bindingsIn(value, what, registry);
    },
    async setFederation(owner, name, bindings) {
      const what = `the new bindings of ${name}`;
      await ask({
        what,
        path: pathTo(owner, name, "/federation"),
        method: "POST",
        body: bindings,
        needs: needOf(owner),
      });
    },
  };
}

const robotIn = ({ name, description, last_accessed }: Readonly<Record<string, unknown>>): Robot => ({
  name: String(name),
  description: typeof description === "string" ? description : "",
  lastAccessed: typeof last_accessed === "string" ? last_accessed : null,
});

function bindingsIn(value: unknown, what: string, registry: string): readonly Binding[] {
  return listIn(value, what, registry).map((binding) => {
    const { issuer, subject } = binding;
    if (typeof issuer !== "string" || typeof subject !== "string") {
      throw unusable(registry, what, "an entry is without an issuer or a subject");
    }
    return { ...binding, issuer, subject };
  });
}
