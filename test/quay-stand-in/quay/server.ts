/**
 * The Quay stand-in: everything that this project uses of a Quay, over TLS, with the answers of a real one
 * (docs/quay.md). This file starts it and routes requests.
 */
import { createHash } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import { createServer as createNetServer, type Socket } from "node:net";
import { listen } from "../listen.ts";
import { createScript, play, type Script } from "../scripted.ts";
import type { Authority, Certificate } from "../tls.ts";
import { parseBasic } from "./basic.ts";
import { exchange } from "./exchange.ts";
import { manage } from "./management/api.ts";
import { config } from "./management/discovery.ts";
import {
  BODY_TOO_LARGE,
  compactJson,
  HEADERS_TOO_LARGE,
  INTERNAL_ERROR,
  MOVED,
  methodNotAllowed,
  NGINX_METHOD_NOT_ALLOWED,
  notFound,
  options as optionsReply,
  PLAIN_HTTP,
  REQUEST_TOO_LARGE,
  type Reply,
  slashRedirect,
  UI,
  V1_PING,
} from "./pages.ts";
import { createRegistryAuth } from "./registry-auth.ts";
import { answerRegistry, type Upstream } from "./registry-front.ts";
import { DEFAULTS, type Settings } from "./settings.ts";
import { createStore, type Store } from "./store.ts";
import { createTokens, type Tokens } from "./tokens.ts";

/** An invalid credential that the exchange returns. */
export type BadToken = { kind: "token"; claims?: Record<string, unknown>; text?: string };
/** The exchange answers with a robot token with other claims (`{sub}`, `{exp: undefined}`). */
export const tokenWith = (claims: Record<string, unknown>): BadToken => ({ kind: "token", claims });
/** The exchange answers with this text as the token. */
export const tokenText = (text: string): BadToken => ({ kind: "token", text });

export interface LoggedRequest {
  method: string;
  /** Path without the query. */
  path: string;
  /** `basic`, `bearer`, or none; the user name of Basic. */
  scheme: string | undefined;
  user: string | undefined;
}

export interface Quay {
  /** `localhost:PORT` (or another name), as a user would name the registry. */
  host: string;
  url: string;
  /** Where it listens, also if clients use another port. */
  port: number;
  /** Plain http, which only answers with a 301. */
  httpUrl: string;
  store: Store;
  /** May be changed while it runs. */
  settings: Settings;
  tokens: Tokens;
  /** Scripted answers of `/oauth2/federation/robot/token`, of `/v2/auth`, of the rest under `/v2/`, of `/api/v1/`. */
  exchangeScript: Script<BadToken>;
  authScript: Script;
  registryScript: Script;
  managementScript: Script;
  requests: LoggedRequest[];
  /** The requests that carried this secret as a password or bearer. */
  seen(secret: string): LoggedRequest[];
  /** Puts a real registry behind `/v2/`. */
  attachRegistry(registry: Upstream): void;
  close(): Promise<void>;
}

export interface QuayOptions extends Partial<Omit<Settings, "host" | "ca">> {
  certificate?: Certificate;
  port?: number;
  /** The port that clients use, if it is another one (a delaying proxy). */
  publicPort?: number;
  /** The address to listen at, for clients on other hosts (pods); default 127.0.0.1. */
  listen?: string;
  /** The host name that clients use; default `localhost`. */
  name?: string;
  /** Roots that issuers are verified with in addition to the authority's, PEM. */
  trust?: string;
  /** Called with every password and bearer that a request carries, for a leak check. */
  onSecret?(value: string): void;
}

const EXCHANGE = "/oauth2/federation/robot/token";
/** nginx's client_max_body_size for the API. */
const MEGABYTE = 1024 * 1024;
const GET_ONLY = "GET, OPTIONS, HEAD";

export async function startQuay(authority: Authority, options: QuayOptions = {}): Promise<Quay> {
  const { port, publicPort, listen: address, name = "localhost", trust = "", onSecret, ...others } = options;
  const names = address === undefined ? undefined : [name, address, "localhost", "127.0.0.1"];
  const { certificate = await authority.issue(names), ...rest } = others;
  const store = createStore();
  const requests: LoggedRequest[] = [];
  /** Hashes of the credentials of each request: no secret is kept. */
  const carried = new WeakMap<LoggedRequest, string[]>();
  const exchangeScript = createScript<BadToken>();
  const authScript = createScript();
  const registryScript = createScript();
  const managementScript = createScript();
  let registry: Upstream | undefined;

  const secure = createServer({ ...certificate, maxHeaderSize: 256 * 1024 }, (request, response) => {
    const sent = handle(request, response).catch(() => INTERNAL_ERROR);
    void sent.then((reply) => reply && send(reply, request, response));
  });
  // nginx's answer to plain http on the https port: the first byte of a TLS connection is 22.
  const front = await listen(
    createNetServer({ noDelay: true }, (socket) => splitByFirstByte(socket, secure)),
    port,
    address,
  );
  const plain = await listen(
    createHttpServer((request, response) => {
      send({ ...MOVED, headers: { location: `https://localhost${request.url}` } }, request, response);
    }),
  );
  const host = `${name}:${publicPort ?? front.port}`;
  const settings: Settings = { ...DEFAULTS, ...rest, host, ca: `${authority.ca}\n${trust}` };
  const tokens = await createTokens(settings);
  const auth = createRegistryAuth(store, tokens, settings);

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const url = new URL(request.url ?? "/", `https://${host}`);
    const path = url.pathname;
    const { authorization = "" } = request.headers;
    log(request, path, authorization);
    // "Authorization: " and the line's end count as well: nginx has 8192 bytes for a line, gunicorn 8190.
    if (authorization.length + 17 > 8192) return REQUEST_TOO_LARGE;
    if (authorization.length + 17 > 8190) return HEADERS_TOO_LARGE;

    if (path === EXCHANGE && settings.release !== "without-federation") return answerExchange(request, response);
    if (path === "/v2/auth") {
      const scripted = authScript.take(request);
      if (scripted && (await play(scripted, response))) return undefined;
      return onlyGet(request, () => auth.authorize(authorization, url.searchParams, request.headers["user-agent"]));
    }
    if (path.startsWith("/v2/")) {
      const scripted = registryScript.take(request);
      if (scripted && (await play(scripted, response))) return undefined;
      return answerRegistry(request, response, { store, tokens, settings, registry });
    }
    if (path.startsWith("/api/v1/")) {
      const { method = "GET" } = request;
      const contentType = request.headers["content-type"];
      const body = await readBody(request);
      const scripted = managementScript.take(request);
      if (scripted && (await play(scripted, response))) return undefined;
      if (Buffer.byteLength(body) > MEGABYTE) return BODY_TOO_LARGE;
      const query = url.searchParams;
      const reply = manage({ method, path, query, authorization, contentType, body }, store, settings);
      if (reply) return reply;
    }
    return answerPage(request, path);
  }

  async function answerExchange(request: IncomingMessage, response: ServerResponse): Promise<Reply | undefined> {
    const { authorization } = request.headers;
    const scripted = exchangeScript.take(request);
    if (scripted?.kind === "token") {
      const credentials = parseBasic(authorization ?? "");
      const robot = credentials.ok ? credentials.user : "";
      return compactJson(200, { token: scripted.text ?? (await tokens.robotToken(robot, scripted.claims)) });
    }
    if (scripted && (await play(scripted, response))) return undefined;
    return onlyGet(request, async () => {
      const [reply] = await Promise.all([exchange(authorization, store, tokens, settings), wait(settings.exchangeMs)]);
      return reply;
    });
  }

  function answerPage(request: IncomingMessage, path: string): Reply {
    if (path === "/v1/_ping") return V1_PING;
    if (path === "/config") return compactJson(200, config(settings));
    if (path === "/keys/services/quay/keys") return compactJson(200, tokens.publicKeys);
    if (path === "/health/instance") return compactJson(200, { data: { services: {} }, status_code: 200 });
    const flask = /^\/(oauth2|api|v2|\.well-known)(\/|$)/i.test(path);
    const asks = ["GET", "HEAD", "OPTIONS"].includes(request.method ?? "");
    if (path.startsWith("/api/") && !asks) return methodNotAllowed(GET_ONLY);
    // A path that the web app lacks is redirected to itself with a slash, which does not exist either.
    if (flask && !path.endsWith("/")) return slashRedirect(`https://${host}${path}/`);
    if (flask) return notFound(settings.release === "3.17" ? 65_907 : 67_919);
    return request.method === "GET" || request.method === "HEAD" ? UI : NGINX_METHOD_NOT_ALLOWED;
  }

  function log(request: IncomingMessage, path: string, authorization: string): void {
    const basic = parseBasic(authorization);
    const [scheme, value = ""] = authorization.split(" ");
    const user = basic.ok ? basic.user : undefined;
    const entry = { method: request.method ?? "GET", path, scheme: scheme?.toLowerCase() || undefined, user };
    const secrets = [value, basic.ok ? basic.password : ""];
    carried.set(entry, secrets.map(hash));
    if (onSecret) secrets.forEach(onSecret);
    requests.push(entry);
  }

  return {
    host,
    port: front.port,
    url: `https://${host}`,
    httpUrl: `http://localhost:${plain.port}`,
    store,
    settings,
    tokens,
    exchangeScript,
    authScript,
    registryScript,
    managementScript,
    requests,
    seen: (secret) => requests.filter((entry) => carried.get(entry)?.includes(hash(secret))),
    attachRegistry: (to) => {
      registry = to;
    },
    close: async () => void (await Promise.all([front.close(), plain.close()])),
  };
}

/** As Flask handles a route for GET: HEAD does the same work, OPTIONS none. */
async function onlyGet(request: IncomingMessage, get: () => Promise<Reply>): Promise<Reply> {
  if (request.method === "OPTIONS") return optionsReply(GET_ONLY);
  return request.method === "GET" || request.method === "HEAD" ? get() : methodNotAllowed(GET_ONLY);
}

function send(reply: Reply, request: IncomingMessage, response: ServerResponse): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(reply.body);
  // nginx adds these two to 2xx and 3xx only.
  const secure = reply.status < 400 && {
    "x-frame-options": "DENY",
    "strict-transport-security": "max-age=63072000; preload",
  };
  response.writeHead(reply.status, {
    server: "nginx",
    ...(reply.type && { "content-type": reply.type }),
    ...(reply.status === 204 ? {} : { "content-length": body.length }),
    ...secure,
    ...reply.headers,
  });
  response.end(request.method === "HEAD" ? undefined : body);
  request.resume();
}

function splitByFirstByte(socket: Socket, secure: ReturnType<typeof createServer>): void {
  socket.once("data", (first) => {
    socket.pause();
    socket.unshift(first);
    if (first[0] === 22) {
      secure.emit("connection", socket);
      process.nextTick(() => socket.resume());
      return;
    }
    const { status, type, body } = PLAIN_HTTP;
    const head = [`HTTP/1.1 ${status} Bad Request`, `Content-Type: ${type}`, `Content-Length: ${body.length}`];
    socket.end(`${head.join("\r\n")}\r\nConnection: close\r\n\r\n${body}`);
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function wait(ms: number): Promise<void> {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();
}
