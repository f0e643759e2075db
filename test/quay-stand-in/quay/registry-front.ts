/**
 * `/v2/…` except `/v2/auth`: a real registry (registry.ts) does the work and decides by the bearer token. Its refusals get
 * Quay's wording (quay-answers.md section C): clients print the same as with Quay.
 */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { addLogEntry, used } from "./log.ts";
import {
  bearerRefused,
  challenge,
  compactJson,
  NOT_AUTHORIZED,
  pong,
  QUOTA_EXCEEDED,
  REGISTRY_READ_ONLY,
  type Reply,
  registryError,
  tagImmutable,
} from "./pages.ts";
import type { Settings } from "./settings.ts";
import type { Store } from "./store.ts";
import type { Access, Tokens } from "./tokens.ts";

/** A real registry on loopback. */
export interface Upstream {
  port: number;
  /** Whether it verifies bearer tokens and their grants. If not, this file does. */
  checksTokens: boolean;
}

/** @param registry undefined: only `/v2/` and refusals work. */
export async function answerRegistry(
  request: IncomingMessage,
  response: ServerResponse,
  context: { store: Store; tokens: Tokens; settings: Settings; registry: Upstream | undefined },
): Promise<Reply | undefined> {
  const { store, tokens, settings, registry } = context;
  const { pathname } = new URL(request.url ?? "/", "https://localhost");
  const [, repository, what] = /^\/v2\/(.+?)\/((?:manifests|blobs|tags|referrers)\/.*)$/.exec(pathname) ?? [];
  const reads = request.method === "GET" || request.method === "HEAD";
  const scope = repository && `repository:${repository}:${reads ? "pull" : "pull,push"}`;
  const headers = challenge(settings.host, scope);

  const { authorization } = request.headers;
  if (authorization) {
    const problem = await bearerProblem(authorization, tokens, settings);
    if (problem !== undefined) return { ...bearerRefused(problem), headers };
  }
  if (pathname === "/v2/") {
    const reply = pong(authorization ? 200 : 401);
    return { ...reply, headers: { ...reply.headers, ...headers } };
  }
  const unauthorized = { ...registryError(401, "UNAUTHORIZED", NOT_AUTHORIZED), headers };
  if (registry === undefined) return unauthorized;
  if (!registry.checksTokens && !(await mayDo(authorization, repository, reads ? "pull" : "push", tokens, settings))) {
    return unauthorized;
  }

  const suspended = reads ? undefined : refusedWrite(request, repository, what, store, settings);
  if (suspended !== undefined) {
    request.resume();
    return suspended;
  }
  const upstream = await forward(request, registry.port, settings.host);
  const status = upstream.statusCode ?? 502;
  if (status < 400) {
    if (repository !== undefined) await logUse(request, upstream, { repository, what }, tokens, store);
    // Quay's answer to an upload has no body, but a content type.
    const type = status === 202 ? { "content-type": "text/html; charset=utf-8" } : {};
    response.writeHead(status, { ...upstream.headers, ...type });
    upstream.pipe(response);
    return undefined;
  }
  if (status === 401 || status === 403) {
    upstream.resume();
    return unauthorized;
  }
  const empty = what?.startsWith("tags/list") && repository !== undefined && store.repositories.has(repository);
  const reply = await reword(upstream);
  return empty ? compactJson(200, { name: repository, tags: [] }) : reply;
}

/** "pull_repo: every GET and HEAD of a manifest; push_repo: every PUT of one." Lists and blobs are not logged. */
async function logUse(
  { method = "", headers }: IncomingMessage,
  upstream: IncomingMessage,
  { repository, what }: { repository: string; what: string | undefined },
  tokens: Tokens,
  store: Store,
): Promise<void> {
  const [, reference] = /^manifests\/([^/]+)$/.exec(what ?? "") ?? [];
  if (reference === undefined || !["GET", "HEAD", "PUT"].includes(method)) return;
  const token = headers.authorization?.replace(/^Bearer /, "") ?? "";
  const verified = await tokens.verify(token, { offset: 0, leeway: Number.MAX_SAFE_INTEGER });
  const account = (verified.ok ? (verified.claims.context as { user?: string }).user : undefined) ?? undefined;
  const mediaType = method === "PUT" ? headers["content-type"] : upstream.headers["content-type"];
  const manifest = {
    ...(reference.startsWith("sha256:") ? { manifest_digest: reference } : { tag: reference }),
    ...{ userAgent: headers["user-agent"] ?? "", mediaType: mediaType ?? "" },
  };
  if (method !== "PUT") addLogEntry(store, used.pull(account, repository, manifest));
  else if (account !== undefined) addLogEntry(store, used.push(account, repository, manifest));
}

/** What Quay refuses regardless of permissions: everything, the start of an upload, a mount and a manifest, or one tag. */
function refusedWrite(
  { method }: IncomingMessage,
  repository: string | undefined,
  what: string | undefined,
  store: Store,
  settings: Settings,
): Reply | undefined {
  if (settings.registryReadOnly) return REGISTRY_READ_ONLY;
  const organization = store.organizations.get(repository?.split("/")[0] ?? "");
  const isNew = method === "POST" || what?.startsWith("manifests/");
  if (organization?.quotaIsReached && isNew) return QUOTA_EXCEEDED;
  const tag = method === "PUT" ? /^manifests\/([^:]+)$/.exec(what ?? "")?.[1] : undefined;
  const isImmutable = tag !== undefined && store.repositories.get(repository ?? "")?.immutable?.has(tag);
  return isImmutable ? tagImmutable(tag) : undefined;
}

async function mayDo(
  authorization: string | undefined,
  repository: string | undefined,
  action: string,
  tokens: Tokens,
  settings: Settings,
): Promise<boolean> {
  const verified = await tokens.verify(String(authorization).replace(/^Bearer /, ""), {
    offset: 0,
    leeway: settings.leeway,
  });
  const access = (verified.ok ? verified.claims.access : []) as Access[];
  return access.some(({ name, actions }) => name === repository && actions.includes(action));
}

async function bearerProblem(authorization: string, tokens: Tokens, settings: Settings): Promise<string | undefined> {
  // The pattern of Quay's util/security/jwtutil.py, TOKEN_REGEX.
  const [, token] = /^Bearer ((?:[a-zA-Z0-9+\-_/]+\.)+[a-zA-Z0-9+\-_/]+)$/.exec(authorization) ?? [];
  if (token === undefined) return "Invalid bearer token format";
  const verified = await tokens.verify(token, { offset: 0, leeway: settings.leeway });
  if (!verified.ok) return verified.reason === "expired" ? "Signature has expired" : "Invalid bearer token format";
  return Array.isArray(verified.claims.access) ? undefined : "Token contained invalid or malformed access grants";
}

function forward(request: IncomingMessage, port: number, host: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method = "GET", url = "/" } = request;
    const headers = { ...request.headers, host };
    const upstream = httpRequest({ host: "127.0.0.1", port, method, path: url, headers, agent: false }, resolve);
    upstream.on("error", reject);
    request.pipe(upstream);
  });
}

/** distribution's error in Quay's form: `detail` is always empty. */
async function reword(upstream: IncomingMessage): Promise<Reply> {
  let body = "";
  for await (const chunk of upstream.setEncoding("utf8")) body += chunk;
  const status = upstream.statusCode ?? 500;
  try {
    const [{ code, message }] = JSON.parse(body).errors;
    return registryError(status, code, message);
  } catch {
    return { status, type: upstream.headers["content-type"] ?? "text/plain", body };
  }
}
