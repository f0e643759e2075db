/** Teams, default permissions, the organization itself, the token's user, and what answers without a token. */
import { expect } from "vitest";
import {
  anonymous,
  anything,
  avatar,
  forbidden,
  misfit,
  noAuth,
  notAllowed,
  notFound,
  nothing,
  ok,
  refusal,
  type Step,
  sending,
  slashAdded,
  step,
  uiNotFound,
  withAuth,
  wrong,
  wrongBearer,
} from "./management-steps.ts";
import type { World } from "./target.ts";
import type * as say from "./wording.ts";

const TEAM = "organization/{O}/team/{P}makers";
const MEMBER = `${TEAM}/members/{O}+{P}ci`;
const team = (role: string, isNew: boolean) =>
  ok(({ prefix }) => ({
    ...{ name: `${prefix}makers`, description: "may create", can_view: true, role, new_team: isNew },
    avatar: avatar(`${prefix}makers`, "team"),
  }));
const member = ({ robot }: World) => ({
  ...{ name: robot, kind: "user", is_robot: true, avatar: avatar(robot, "robot"), invited: false },
});

export const teamSteps: Step[] = [
  sending(`PUT ${TEAM}`, { role: "creator", description: "may create" }, team("creator", true)),
  sending(`PUT ${TEAM}`, { role: "member" }, team("member", false)),
  sending(`PUT ${TEAM}`, { role: "creator" }, team("creator", false)),
  sending(`PUT ${TEAM}`, { role: "owner" }, misfit("'owner' is not one of ['member', 'creator', 'admin']", "enum")),
  sending(`PUT ${TEAM}`, {}, misfit("'role' is a required property", "required")),
  sending(
    "PUT organization/{O}/team/Up",
    { role: "member" },
    refusal("Invalid team name Up: Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$"),
  ),
  step(`GET ${TEAM}`, slashAdded(TEAM)),
  step(`PUT ${MEMBER}`, ok(member)),
  step(`PUT ${MEMBER}`, refusal("User {O}+{P}ci is already a member of team {P}makers"), { name: "PUT again" }),
  step(`PUT ${TEAM}/members/{O}+{P}none`, wrong("Unknown user")),
  step("PUT organization/{O}/team/{P}ghost/members/{O}+{P}ci", notFound),
  step(
    `GET ${TEAM}/members`,
    ok((world) => ({ name: `${world.prefix}makers`, members: [member(world)], can_edit: true })),
  ),
  step("GET organization/{O}/team/{P}ghost/members", notFound),
  step(
    `GET ${TEAM}/permissions`,
    ok(() => ({ permissions: [] })),
  ),
  step("GET organization/{O}", ({ org, prefix }) => ({
    ...{ status: 200, type: "application/json" },
    body: {
      json: expect.objectContaining({
        ...{ name: org, email: expect.any(String), avatar: expect.any(Object), is_admin: true, is_member: true },
        teams: expect.objectContaining({
          [`${prefix}makers`]: {
            ...{ name: `${prefix}makers`, description: "may create", role: "creator", can_view: true, repo_count: 0 },
            ...{ avatar: avatar(`${prefix}makers`, "team"), member_count: 1, is_synced: false },
          },
        }),
        ordered_teams: expect.arrayContaining(["owners", `${prefix}makers`]),
        invoice_email: false,
      }),
    },
  })),
  step("GET organization/{O}/robots?permissions=true&token=false", ({ org, prefix }) => ({
    ...{ status: 200, type: "application/json" },
    body: new RegExp(
      `"name": "${org}\\+${prefix}ci", "created": "[^"]+", "last_accessed": [^,]+(?:, \\d\\d [^"]+")?, "teams": \\[\\{"name": "${prefix}makers", "avatar": \\{"name": "${prefix}makers", "hash": "[0-9a-f]{64}", "color": "#[0-9a-f]{6}", "kind": "team"\\}\\}\\], "repositories": \\["${prefix}app"\\], "description"`,
    ),
  })),
  step(`DELETE ${MEMBER}`, nothing),
  step(`DELETE ${MEMBER}`, refusal("User {O}+{P}ci does not belong to team {P}makers"), { name: "DELETE again" }),
  step(`DELETE ${TEAM}/members/{O}+{P}none`, notFound),
  step(`DELETE ${TEAM}`, nothing),
  step(`DELETE ${TEAM}`, refusal("Team '{P}makers' is not a team in org '{O}'"), { name: "DELETE the team again" }),
  sending("PUT organization/{P}/team/x1", { role: "member" }, forbidden),
];

const PROTOTYPES = "organization/{O}/prototypes";
const delegate = (kind: string, name: string): NonNullable<Step["change"]> => {
  return (question, { org, prefix }) => ({
    ...question,
    body: JSON.stringify({ role: "write", delegate: { kind, name: `${org}+${prefix}${name}` } }),
  });
};

export const prototypeSteps: Step[] = [
  step(`POST ${PROTOTYPES}`, wrong("Missing delegate user or team"), { body: {}, change: delegate("user", "none") }),
  step(`POST ${PROTOTYPES}`, misfit("'robot' is not one of ['user', 'team']", "enum"), {
    ...{ name: "kind", body: {}, change: delegate("robot", "ci") },
  }),
  step(
    `GET ${PROTOTYPES}`,
    ok(() => ({ prototypes: expect.any(Array) })),
  ),
  sending(`PUT ${PROTOTYPES}/00000000-0000-0000-0000-000000000000`, { role: "read" }, notFound),
  step(`DELETE ${PROTOTYPES}/00000000-0000-0000-0000-000000000000`, notFound),
];

const bare = ({ org }: World) => ({
  ...{ name: org, email: "", avatar: expect.any(Object), is_admin: false, is_member: false },
});

/** What tells a token's rights, and the version. */
export const probeSteps: Step[] = [
  step("GET organization/{O}", ok(bare), { name: "an organization, no auth", change: noAuth }),
  step("GET organization/{O}", ok(bare), { name: "an organization, wrong bearer", change: wrongBearer }),
  step("GET organization/{P}", notFound),
  step("GET organization/{O}/robots?token=false&limit=1", anonymous, {
    name: "robots, wrong bearer",
    change: wrongBearer,
  }),
  step("GET organization/{O}/robots?token=false&limit=1", anonymous, {
    name: "robots, the token as Token",
    change: (question, world) => withAuth(`Token ${world.oauthToken}`)(question),
  }),
  step("GET organization/{O}/robots?token=false&limit=1", anything(200), {
    name: "robots, bearer in small letters",
    change: (question, world) => withAuth(`bearer ${world.oauthToken}`)(question),
  }),
  step(
    "GET user/",
    ok(() =>
      expect.objectContaining({
        ...{
          anonymous: false,
          username: expect.any(String),
          avatar: expect.any(Object),
          organizations: expect.any(Array),
        },
        ...{ email: expect.any(String), is_me: true, verified: true, logins: expect.any(Array) },
      }),
    ),
  ),
  step("GET user", slashAdded("user")),
  step(
    "GET user/",
    ({ host }) => ({
      ...anonymous({ host } as World),
      body: {
        json: expect.objectContaining({ session_required: false, error_type: "invalid_token", status: 401 }),
      },
    }),
    { name: "user, no auth", change: noAuth },
  ),
  step("GET nonsense", slashAdded("nonsense")),
  step("HEAD nonsense", (world) => ({ ...slashAdded("nonsense")(world), body: "" })),
  step("GET nonsense/", uiNotFound),
  ...["POST", "PUT", "DELETE"].map((method) => step(`${method} nonsense`, notAllowed)),
  step(
    "GET error/insufficient_scope",
    ({ host }) => ({
      ...{ status: 200, type: "application/json" },
      body: {
        json: expect.objectContaining({
          type: `https://${host}/api/v1/error/insufficient_scope`,
          description: "The access token did not have sufficient scope to access the requested resource.",
        }),
      },
    }),
    { change: noAuth },
  ),
  step(
    "GET discovery",
    () => ({
      ...{ status: 200, type: "application/json" },
      body: {
        json: expect.objectContaining({
          swagger: "2.0",
          paths: expect.objectContaining({
            "/api/v1/organization/{orgname}/robots/{robot_shortname}/federation": expect.objectContaining({
              post: expect.objectContaining({
                operationId: "createOrgRobotFederation",
                security: [{ oauth2_implicit: ["org:admin"] }],
              }),
            }),
          }),
          definitions: expect.objectContaining({ CreateRobotFederation: expect.any(Object) }),
        }),
      },
    }),
    { change: noAuth },
  ),
];

export const configuration: say.Expected = {
  ...{ status: 200, type: "application/json" },
  body: {
    json: expect.objectContaining({
      config: expect.objectContaining({ SERVER_HOSTNAME: expect.any(String) }),
      features: expect.objectContaining({ ACTION_LOG_ROTATION: expect.any(Boolean) }),
      registry_state: "normal",
      version_number: expect.stringMatching(/^Quay v/),
    }),
  },
};
