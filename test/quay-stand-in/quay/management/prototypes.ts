/** Default permissions of an organization: `/organization/ORG/prototypes`. */
import { randomUUID } from "node:crypto";
import { type Reply, spacedJson } from "../pages.ts";
import { isMember } from "../rights.ts";
import type { Prototype, Role } from "../store.ts";
import {
  administers,
  avatar,
  type Call,
  forbidden,
  type Handler,
  invalid,
  isRobot,
  NOTHING,
  notFound,
  type Route,
  readBody,
  record,
} from "./call.ts";

const ROLE = { enum: ["read", "write", "admin"], description: "Role that should be applied to the delegate" } as const;
const DELEGATE = {
  type: "object",
  description: "Information about the user or team to which the rule grants access",
  required: ["kind", "name"],
  properties: { name: { type: "string" }, kind: { enum: ["user", "team"] } },
} as const;
const NEW_PROTOTYPE = {
  type: "object",
  description: "Description of a new prototype",
  required: ["role", "delegate"],
  properties: { role: ROLE, delegate: DELEGATE, activating_user: { type: "object" } },
} as const;
const CHANGED = { type: "object", required: ["role"], properties: { role: ROLE } } as const;

type Prototypes = Map<string, Prototype>;

const administered =
  (handle: (call: Call, organization: string, prototypes: Prototypes, id: string) => Reply): Handler =>
  (call, organization = "", id = "") => {
    const { prototypes } = call.store.organizations.get(organization) ?? {};
    if (prototypes === undefined || !administers(call, organization)) return forbidden(call);
    return handle(call, organization, prototypes, id);
  };

export const prototypeRoutes: Route[] = [
  {
    path: "organization/{org}/prototypes",
    GET: administered((call, organization, prototypes) =>
      spacedJson(200, { prototypes: [...prototypes].map(([id, each]) => describe(call, organization, id, each)) }),
    ),
    POST: create,
  },
  { path: "organization/{org}/prototypes/{id}", PUT: change, DELETE: administered(remove) },
];

/** "Not idempotent: the same again makes a second one." */
function create(call: Call, ...parts: string[]): Reply {
  type New = Pick<Prototype, "role" | "delegate"> & { activating_user?: { name: string } };
  const body = readBody<New>(call, NEW_PROTOTYPE);
  if (!body.ok) return body.reply;
  const { role, delegate, activating_user } = body.value;
  return administered((_, organization, prototypes) => {
    const { store } = call;
    const isThere =
      delegate.kind === "team"
        ? store.organizations.get(organization)?.teams.has(delegate.name)
        : store.robots.has(delegate.name) || store.users.has(delegate.name);
    if (!isThere) return invalid(call, "Missing delegate user or team");
    const prototype: Prototype = { role, delegate, activatingUser: activating_user?.name ?? null };
    const id = randomUUID();
    prototypes.set(id, prototype);
    record(call, "create_prototype_permission", organization, logged(call, id, prototype));
    return spacedJson(200, describe(call, organization, id, prototype));
  })(call, ...parts);
}

function change(call: Call, ...parts: string[]): Reply {
  const body = readBody<{ role: Role }>(call, CHANGED);
  if (!body.ok) return body.reply;
  return administered((_, organization, prototypes, id) => {
    const known = prototypes.get(id);
    if (known === undefined) return notFound(call);
    const original_role = known.role;
    known.role = body.value.role;
    record(call, "modify_prototype_permission", organization, { ...logged(call, id, known), original_role });
    return spacedJson(200, describe(call, organization, id, known));
  })(call, ...parts);
}

function remove(call: Call, organization: string, prototypes: Prototypes, id: string): Reply {
  const known = prototypes.get(id);
  if (known === undefined) return notFound(call);
  prototypes.delete(id);
  record(call, "delete_prototype_permission", organization, logged(call, id, known));
  return NOTHING;
}

function logged({ token }: Call, prototypeid: string, { role, delegate, activatingUser }: Prototype) {
  const to = delegate.kind === "team" ? { delegate_team: delegate.name } : { delegate_user: delegate.name };
  return { prototypeid, username: token.user, activating_username: activatingUser, role, ...to };
}

function describe({ store }: Call, organization: string, id: string, prototype: Prototype): object {
  const user = (name: string) => ({
    ...{ name, is_robot: isRobot(name), kind: "user", is_org_member: isMember(store, name, organization) },
    avatar: avatar(name),
  });
  const { role, delegate, activatingUser } = prototype;
  const team = { name: delegate.name, kind: "team", avatar: avatar(delegate.name, "team") };
  return {
    activating_user: activatingUser === null ? null : user(activatingUser),
    ...{ delegate: delegate.kind === "team" ? team : user(delegate.name), role, id },
  };
}
