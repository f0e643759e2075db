/** Repositories: made, listed, described, deleted; and a tag of one. */
import { randomUUID } from "node:crypto";
import { type Reply, spacedJson } from "../pages.ts";
import { mayCreate, roleOf } from "../rights.ts";
import { addRepository, type Repository, type Store } from "../store.ts";
import { type Call, forbidden, has, invalid, NOTHING, notFound, type Route, readBody, record, split } from "./call.ts";
import { openPage, sealPage } from "./page-token.ts";

export const repositoryRoutes: Route[] = [
  { path: "repository", open: true, GET: list, POST: create },
  { path: "repository/{repository}/tag/", open: true, GET: tag },
  { path: "repository/{repository}", open: true, GET: one, PUT: describe, DELETE: remove },
];

const NEW_REPOSITORY = {
  type: "object",
  description: "Describes a new repository",
  required: ["repository", "visibility", "description"],
  properties: {
    repository: { type: "string", description: "Repository name" },
    visibility: { enum: ["public", "private"], description: "Visibility which the repository will start with" },
    namespace: { type: "string", description: "Namespace in which the repository should be created." },
    description: { type: "string", description: "Markdown encoded description for the repository" },
    repo_kind: { enum: ["image", null], description: "The kind of repository" },
  },
} as const;
const DESCRIPTION = {
  type: "object",
  description: "Fields which can be updated in a repository.",
  required: ["description"],
  properties: { description: NEW_REPOSITORY.properties.description },
} as const;

function create(call: Call): Reply {
  const { store, token } = call;
  const body = readBody<Record<"repository" | "visibility" | "description", string> & { namespace?: string }>(
    call,
    NEW_REPOSITORY,
  );
  if (!body.ok) return body.reply;
  const { namespace = token.user, repository, visibility, description } = body.value;
  if (!has(call, "repo:create", "org:admin") || !mayCreate(store, token.user, namespace)) return forbidden(call);
  if (!/^[a-z0-9]+(?:(?:[._-]+|\/)[a-z0-9]+)*$/.test(repository)) return invalid(call, "Invalid repository name");
  const name = `${namespace}/${repository}`;
  if (store.repositories.has(name)) return invalid(call, "Repository already exists");
  const made = addRepository(store, name, {}, visibility === "public" ? "public" : "private");
  made.description = description;
  applyPrototypes(store, namespace, token.user, made);
  record(call, "create_repo", namespace, { repo: repository, namespace }, repository);
  return spacedJson(201, { namespace, name: repository, kind: "image" });
}

/** Default permissions, of repositories made by one user or by anybody. */
function applyPrototypes(store: Store, namespace: string, user: string, repository: Repository): void {
  for (const { role, delegate, activatingUser } of store.organizations.get(namespace)?.prototypes.values() ?? []) {
    if (activatingUser !== null && activatingUser !== user) continue;
    if (delegate.kind === "user") repository.permissions.set(delegate.name, role);
    else {
      repository.teamPermissions ??= new Map();
      repository.teamPermissions.set(delegate.name, role);
    }
  }
}

/** "The user's private ones too, whatever the scope." */
function list(call: Call): Reply {
  const { store, token, request } = call;
  const { query } = request;
  const namespace = query.get("namespace");
  if (namespace === null && !query.has("public") && !query.has("starred")) {
    return invalid(call, "namespace, starred or public are required for this API call");
  }
  const visible = [...store.repositories].filter(([name, { visibility }]) => {
    if (namespace !== null && split(name)[0] !== namespace) return false;
    return visibility === "public" || roleOf(store, token.user, name) !== undefined;
  });
  const start = openPage(query.get("next_page"))?.[0] ?? 0;
  const end = start + 100;
  return spacedJson(200, {
    repositories: visible.slice(start, end).map(([name, repository]) => ({
      ...naming(name),
      description: repository.description ?? null,
      ...{ is_public: repository.visibility === "public", kind: "image" },
      ...{ state: repository.state ?? "NORMAL", is_starred: false },
    })),
    ...(visible.length > end && { next_page: sealPage(end) }),
  });
}

function one(call: Call, name = ""): Reply {
  const { store, token } = call;
  const known = store.repositories.get(name);
  if (!mayRead(call, name)) return forbidden(call);
  if (known === undefined) return notFound(call);
  const { namespace, name: short } = naming(name);
  const role = roleOf(store, token.user, name);
  const writes = (role === "write" || role === "admin") && known.state === undefined;
  return spacedJson(200, {
    ...{
      namespace,
      name: short,
      kind: "image",
      description: known.description ?? null,
      is_public: known.visibility === "public",
    },
    ...{ is_organization: store.organizations.has(namespace), is_starred: false, status_token: randomUUID() },
    ...{ trust_enabled: false, tag_expiration_s: 1209600, is_free_account: true, state: known.state ?? "NORMAL" },
    can_write: writes && has(call, "repo:write", "repo:admin"),
    can_admin: role === "admin" && has(call, "repo:admin"),
    ...(call.request.query.get("includeTags") !== "false" && { tags: {} }),
  });
}

function describe(call: Call, name = ""): Reply {
  const body = readBody<{ description: string }>(call, DESCRIPTION);
  if (!body.ok) return body.reply;
  const known = administered(call, name);
  if ("status" in known) return known;
  known.description = body.value.description;
  return spacedJson(200, { success: true });
}

function remove(call: Call, name = ""): Reply {
  const known = administered(call, name);
  if ("status" in known) return known;
  call.store.repositories.delete(name);
  const { namespace, name: short } = naming(name);
  record(call, "delete_repo", namespace, { repo: short, namespace }, short);
  return NOTHING;
}

function administered(call: Call, name: string): Repository | Reply {
  const isAdmin = roleOf(call.store, call.token.user, name) === "admin";
  if (!has(call, "repo:admin") || !isAdmin) return forbidden(call);
  return call.store.repositories.get(name) ?? notFound(call);
}

function naming(full: string): { namespace: string; name: string } {
  const [namespace, name] = split(full);
  return { namespace, name };
}

/** Storage is the registry's, so the stand-in has no list: it answers with the tag that is asked for, as if it was there. */
function tag(call: Call, repository = ""): Reply {
  if (!mayRead(call, repository)) return forbidden(call);
  const known = call.store.repositories.get(repository);
  if (known === undefined) return notFound(call);
  const name = call.request.query.get("specificTag");
  // The key exists if the feature is on.
  const found = { name, reversion: false, ...(known.immutable && { immutable: known.immutable.has(name ?? "") }) };
  return spacedJson(200, { tags: name === null ? [] : [found], page: 1, has_additional: false });
}

/** Its namespace's owner may read a missing one as well: what says that it is missing. */
function mayRead(call: Call, repository: string): boolean {
  const { store, token } = call;
  if (store.repositories.get(repository)?.visibility === "public") return true;
  const role = roleOf(store, token.user, repository);
  return has(call, "repo:read", "repo:write", "repo:admin") && role !== undefined;
}
