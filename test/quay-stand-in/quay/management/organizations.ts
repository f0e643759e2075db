/** `/organization/ORG` and `/user/`: what tells a token's user, rights and scopes. */
import { apiError, type Reply, spacedJson } from "../pages.ts";
import { isMember } from "../rights.ts";
import type { Organization, Store } from "../store.ts";
import { administers, avatar, type Call, has, notFound, type Route } from "./call.ts";

export const organizationRoutes: Route[] = [
  { path: "organization/{org}", open: true, GET: organization },
  { path: "user/", open: true, GET: user },
];

/** Without the scope, the right or a good token: 200 with less in it. A missing one: 404, "the only place that tells". */
function organization(call: Call, name = ""): Reply {
  const { store, token } = call;
  const known = store.organizations.get(name);
  if (known === undefined) return notFound(call);
  const is_admin = administers(call, name);
  const is_member = is_admin || (has(call, "org:admin", "repo:create") && isMember(store, token.user, name));
  const ordered = [...known.teams.keys()].sort((a, b) => Number(b === "owners") - Number(a === "owners"));
  return spacedJson(200, {
    ...{ name, email: is_admin ? `${name}@example.com` : "", avatar: avatar(name), is_admin, is_member },
    ...(is_member && { teams: teamsOf(store, name, known, ordered), ordered_teams: ordered }),
    ...(is_admin && { invoice_email: false, invoice_email_address: null, ...LIMITS }),
  });
}

const LIMITS = { tag_expiration_s: 1209600, is_free_account: true };

function teamsOf(store: Store, organizationName: string, { teams }: Organization, ordered: string[]): object {
  const described = ordered.map((name) => {
    const team = teams.get(name);
    const repositories = [...store.repositories].filter(
      ([repository, { teamPermissions }]) =>
        repository.startsWith(`${organizationName}/`) && teamPermissions?.has(name),
    );
    const counts = { repo_count: repositories.length, member_count: team?.members.size ?? 0 };
    const { description, role } = team ?? {};
    return [
      name,
      { name, description, role, avatar: avatar(name, "team"), can_view: true, ...counts, is_synced: false },
    ] as const;
  });
  return Object.fromEntries(described);
}

/** "401 when the scope is missing although the token is fine." */
function user(call: Call): Reply {
  const { store, token, settings } = call;
  const isAdmin = has(call, "user:admin");
  if (!isAdmin && !has(call, "user:read")) {
    const { body, ...reply } = apiError(settings.host, 401, "invalid_token", "Requires authentication");
    return { ...reply, body: body.replace("{", '{"session_required": false, ') };
  }
  const name = token.user;
  const organizations = [...store.organizations.keys()].filter((each) => isMember(store, name, each));
  return spacedJson(200, {
    ...{ anonymous: false, username: name, avatar: avatar(name) },
    ...(isAdmin && {
      ...{ can_create_repo: true, is_me: true, verified: true, email: `${name}@example.com`, logins: [] },
      ...{ invoice_email: false, invoice_email_address: null, preferred_namespace: false, ...LIMITS, prompts: [] },
      ...{ company: null, family_name: null, given_name: null, location: null, has_password_set: true },
    }),
    organizations: organizations.map((each) => ({
      ...{ name: each, avatar: avatar(each), can_create_repo: false, public: false },
      ...(isAdmin && { is_org_admin: false, preferred_namespace: false }),
    })),
  });
}
