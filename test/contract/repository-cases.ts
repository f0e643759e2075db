/** Repositories and their permissions. */

import { expect } from "vitest";
import {
  anonymous,
  anything,
  avatar,
  csrf,
  forbidden,
  internalError,
  misfit,
  noAuth,
  noJsonType,
  notAllowed,
  notFound,
  nothing,
  ok,
  raw,
  refusal,
  type Step,
  sending,
  slashAdded,
  step,
  without,
  wrong,
} from "./management-steps.ts";
import type { World } from "./target.ts";

const NEW = { namespace: "", repository: "", visibility: "private", description: "made by a test" };
const create = (change: object, expected: Step["expected"], name: string): Step => ({
  ...{ name: `POST, ${name}`, method: "POST", path: () => "repository", expected, body: {} },
  change: (question, { org, prefix }) => ({
    ...question,
    body: JSON.stringify({ ...NEW, namespace: org, repository: `${prefix}new`, ...change }),
  }),
});

export const repositorySteps: Step[] = [
  create(
    {},
    ok(({ org, prefix }) => ({ namespace: org, name: `${prefix}new`, kind: "image" }), 201),
    "new",
  ),
  create({}, wrong("Repository already exists"), "again"),
  create({ visibility: "secret" }, misfit("'secret' is not one of ['public', 'private']", "enum"), "visibility"),
  create({ visibility: undefined }, misfit("'visibility' is a required property", "required"), "no visibility"),
  create({ description: undefined }, misfit("'description' is a required property", "required"), "no description"),
  create({ repo_kind: "x" }, misfit("'x' is not one of ['image', None]", "enum"), "kind"),
  ...["Upper", "-x", ""].map((name) =>
    create({ repository: name }, wrong("Invalid repository name"), `name '${name}'`),
  ),
  create({ namespace: "no-such-namespace-of-ours" }, forbidden, "another namespace"),
  step("POST repository/", notAllowed, { body: {} }),
  step("POST repository", csrf, { name: "POST, no auth", body: {}, change: noAuth }),
  step(
    "GET repository/{O}/{P}new?includeTags=false",
    ok(({ org, prefix }) => ({
      ...{ namespace: org, name: `${prefix}new`, kind: "image", description: "made by a test", is_public: false },
      ...{ is_organization: true, is_starred: false, status_token: expect.stringMatching(/^[0-9a-f-]{36}$/) },
      ...{ trust_enabled: false, tag_expiration_s: expect.any(Number), is_free_account: true, state: "NORMAL" },
      ...{ can_write: true, can_admin: true },
    })),
  ),
  step("GET repository/{O}/{P}none", notFound),
  step("GET repository/{O}/{P}new", anonymous, { name: "GET, no auth", change: noAuth }),
  step("GET repository/no-such-namespace-of-ours/x", forbidden),
  step(
    "GET repository/{O}/{P}new/tag/?onlyActiveTags=true",
    ok(() => ({ tags: [], page: 1, has_additional: false })),
  ),
  step("GET repository/{O}/{P}new/tag/", anonymous, { name: "tags, no auth", change: noAuth }),
  step("GET repository/{O}/{P}new/tag", slashAdded("repository/{O}/{P}new/tag")),
  step("GET repository?namespace={O}", ({ org, prefix }) => ({
    ...{ status: 200, type: "application/json" },
    body: new RegExp(
      `\\{"namespace": "${org}", "name": "${prefix}new", "description": "made by a test", "is_public": false, "kind": "image", "state": "NORMAL", "is_starred": false\\}`,
    ),
  })),
  step(
    "GET repository?namespace={P}",
    ok(() => ({ repositories: [] })),
  ),
  step("GET repository", wrong("namespace, starred or public are required for this API call")),
  step("DELETE repository/{O}/{P}new", nothing),
  step("DELETE repository/{O}/{P}new", notFound, { name: "DELETE again" }),
];

const U = "repository/{O}/{P}secret/permissions/user";
const T = "repository/{O}/{P}secret/permissions/team";
const permission = (role: string) => (world: World) => ({
  ...{ role, name: world.other, is_robot: true, avatar: avatar(world.other, "robot"), is_org_member: true },
});
const ofTeam =
  (role: string) =>
  ({ prefix }: World) => ({ role, name: `${prefix}team`, avatar: avatar(`${prefix}team`, "team") });
const NONE = "User does not have permission for repo.";

export const permissionSteps: Step[] = [
  step(
    `GET ${U}/`,
    ok(() => ({ permissions: expect.any(Object) })),
  ),
  step(`GET ${U}`, slashAdded(U)),
  step(`GET ${U}/{O}+{P}other`, refusal(NONE)),
  step(`GET ${U}/{O}+{P}other/transitive`, notFound),
  ...["read", "write", "write", "admin"].map((role) =>
    sending(`PUT ${U}/{O}+{P}other`, { role }, ok(permission(role))),
  ),
  step(`GET ${U}/{O}%2B{P}other`, ok(permission("admin"))),
  step(
    `GET ${U}/`,
    ok((world) => ({
      permissions: expect.objectContaining({ [world.other]: permission("admin")(world) }),
    })),
  ),
  sending(
    `PUT ${U}/{O}+{P}other`,
    { role: "owner" },
    misfit("'owner' is not one of ['read', 'write', 'admin']", "enum"),
  ),
  sending(`PUT ${U}/{O}+{P}other`, { role: "Read" }, misfit("'Read' is not one of ['read', 'write', 'admin']", "enum")),
  sending(`PUT ${U}/{O}+{P}other`, {}, misfit("'role' is a required property", "required")),
  step(`PUT ${U}/{O}+{P}other`, noJsonType, {
    name: "PUT, no body",
    change: (question) => without(raw(undefined)(question), "content-type"),
  }),
  sending(`PUT ${U}/{O}+{P}none`, { role: "read" }, wrong("Invalid username: {O}+{P}none")),
  sending("PUT repository/{O}/{P}none/permissions/user/{O}+{P}other", { role: "read" }, internalError),
  step(
    "GET repository/{O}/{P}none/permissions/user/",
    ok(() => ({ permissions: {} })),
  ),
  step("GET repository/{O}/{P}none/permissions/user/{O}+{P}other", refusal(NONE)),
  sending("PUT repository/no-such-namespace-of-ours/x/permissions/user/{O}+{P}other", { role: "read" }, forbidden),
  step(
    `GET ${U}/{O}+{P}other/transitive`,
    ok(() => ({ permissions: [{ role: "admin" }] })),
    { name: "transitive" },
  ),
  step(`DELETE ${U}/{O}+{P}other`, nothing),
  step(`DELETE ${U}/{O}+{P}other`, wrong(NONE), { name: "DELETE again" }),
  step("DELETE repository/{O}/{P}none/permissions/user/{O}+{P}other", wrong(NONE)),
  sending(`PUT ${T}/{P}team`, { role: "write" }, wrong("No team {P}team in organization {O}")),
  sending("PUT organization/{O}/team/{P}team", { role: "member" }, anything(200)),
  sending(`PUT ${T}/{P}team`, { role: "write" }, ok(ofTeam("write"))),
  step(
    `GET ${T}/`,
    ok((world) => ({ permissions: { [`${world.prefix}team`]: ofTeam("write")(world) } })),
  ),
  step(
    `GET ${T}/{P}team`,
    ok(() => ({ role: "write" })),
  ),
  step(
    "GET organization/{O}/team/{P}team/permissions",
    ok(({ prefix }) => ({
      permissions: [{ repository: { name: `${prefix}secret`, is_public: false }, role: "write" }],
    })),
  ),
  sending("PUT organization/{O}/team/{P}team/members/{O}+{P}other", {}, anything(200)),
  step(
    `GET ${U}/{O}+{P}other/transitive`,
    ok(() => ({ permissions: [{ role: "write" }] })),
    { name: "transitive, by team" },
  ),
  step(
    "GET organization/{O}/robots/{P}other/permissions",
    ok(() => ({ permissions: [] })),
    { name: "a robot's permissions: not those by team" },
  ),
  step(`DELETE ${T}/{P}team`, nothing),
  step(`DELETE ${T}/{P}team`, wrong("Team does not have permission for repo."), { name: "DELETE again, team" }),
  step("DELETE organization/{O}/team/{P}team", nothing),
];
