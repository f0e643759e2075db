/**
 * Requests over node:https: roots, proxy, limits, and a connection that can be opened before the request is known.
 * (Why not a client library: docs/decisions/0001-node-https.md.)
 */
import http from "node:http";
import https from "node:https";
import tls from "node:tls";
import { orAborted } from "./abort.ts";
import { systemClock } from "./clock.ts";
import type { Environment } from "./environment.ts";
import { codeOf, invalidInput } from "./errors.ts";
import { variable } from "./wording.ts";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** What went wrong below HTTP: `untrusted` is TLS, `without-tls` a port that does not speak it, `cut` an incomplete answer. */
export type FailureKind = "unreachable" | "unknown-name" | "untrusted" | "without-tls" | "timeout" | "cut" | "too-big";

/** Its message is a phrase that can follow a colon, and contains no secret. */
export class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

export interface Limits {
  /** Milliseconds from `send` until the answer is complete. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Aborts this request alone. */
  readonly signal?: AbortSignal;
}

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "DELETE";

/** Which root certificates verify a server: the machine's (Node.js's, that is) alone, or the extra ones as well. */
export type Trust = "machine" | "extra-roots";

export interface PendingRequest {
  /** @throws HttpFailure; the platform's abort reason if it aborts first */
  send(headers?: Readonly<Record<string, string>>, body?: string): Promise<HttpAnswer>;
  abandon(): void;
}

export interface Http {
  /**
   * Opens the connection now; nothing is sent before `send`. Redirects are not followed: they are answers like any other, and so
   * is a 101, which ends HTTP on its connection.
   */
  open(url: URL, limits: Limits, method?: Method, trust?: Trust): PendingRequest;
  close(): void;
}

export interface HttpOptions {
  readonly env: Environment;
  readonly extraRoots: string | undefined;
  readonly signal: AbortSignal;
  /** Called with the outcome of each request; never with a secret. */
  readonly debug?: (message: string) => void;
}

/** A connection is reused only by requests that trust the same roots. */
function createConnections({ env, extraRoots }: HttpOptions) {
  const options = { keepAlive: true, proxyEnv: proxyEnvironment(env) };
  // Without `rejectUnauthorized`, NODE_TLS_REJECT_UNAUTHORIZED would count.
  const secure = () => new https.Agent({ ...options, rejectUnauthorized: true });
  const agents = { plain: new http.Agent(options), machine: secure(), "extra-roots": secure() };
  const secureContext = extraRoots === undefined ? undefined : contextWith(extraRoots);

  return {
    begin(url: URL, method: Method, trust: Trust, signal: AbortSignal): http.ClientRequest {
      if (url.protocol !== "https:") {
        return http.request(url, { method, agent: agents.plain, signal });
      }
      const roots = trust === "extra-roots" && secureContext !== undefined && { secureContext };
      return https.request(url, { method, agent: agents[trust], rejectUnauthorized: true, signal, ...roots });
    },
    close() {
      for (const agent of Object.values(agents)) {
        agent.destroy();
      }
    },
  };
}

export function createHttp(options: HttpOptions): Http {
  const { signal, debug = () => {} } = options;
  const { begin, close } = createConnections(options);
  return {
    close,
    open(address, limits, method = "GET", trust = "extra-roots") {
      const url = withoutUserinfo(address);
      const ends = limits.signal ? AbortSignal.any([signal, limits.signal]) : signal;
      let current = openRequest(() => begin(url, method, trust, ends));
      return {
        abandon: () => void current.request.destroy(),
        async send(headers = {}, body) {
          let isOver = false;
          const late = Promise.withResolvers<never>();
          const timer = setTimeout(
            () => late.reject(new HttpFailure("timeout", `no answer within ${limits.timeoutMs / 1000} s`)),
            limits.timeoutMs,
          );
          const began = systemClock.elapsed();
          const note = (how: string) =>
            debug(`${method} ${url.host}${url.pathname}: ${how}, ${Math.round(systemClock.elapsed() - began)} ms`);
          try {
            const sent = (): Promise<HttpAnswer> => {
              const { request, failed } = current;
              for (const [name, value] of Object.entries(headers)) {
                request.setHeader(name, value);
              }
              const received = receive(request, body, limits.maxBytes);
              return Promise.race([failed, received]).catch((error) => {
                if (isOver || !wasIdle(request, error) || !(method === "GET" || method === "HEAD")) {
                  throw error;
                }
                current = openRequest(() => begin(url, method, trust, ends));
                return sent();
              });
            };
            const answer = await orAborted(Promise.race([late.promise, sent()]), ends);
            note(`${answer.status}${requestId(answer)}`);
            return answer;
          } catch (error) {
            ends.throwIfAborted();
            const failure = error instanceof HttpFailure ? error : failureOf(error, url);
            note(failure.message);
            throw failure;
          } finally {
            isOver = true;
            clearTimeout(timer);
            current.request.destroy();
          }
        },
      };
    },
  };
}

/** A request and its failure, which is kept until it is sent, not left as an unhandled error. */
function openRequest(begin: () => http.ClientRequest) {
  const request = begin();
  request.setHeader("user-agent", "quay-keyless-login");
  const failed = new Promise<never>((_, reject) => request.on("error", reject));
  failed.catch(() => {});
  return { request, failed };
}

/** Whether the server has closed a connection that was open from an earlier request, as it may at any time (RFC 9112, 9.5). */
const wasIdle = ({ reusedSocket }: http.ClientRequest, error: unknown): boolean =>
  reusedSocket && ["ECONNRESET", "EPIPE"].includes(codeOf(error));

/** An address may come from a registry or an issuer. Its user and password are never sent, and a malformed one (`%zz`) is harmless. */
function withoutUserinfo(address: URL): URL {
  const url = new URL(address);
  url.username = "";
  url.password = "";
  return url;
}

/** A failure before the answer begins is the request's own `error` event. */
function receive(request: http.ClientRequest, body: string | undefined, maxBytes: number): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > maxBytes) {
          reject(new HttpFailure("too-big", `the answer is larger than ${maxBytes} bytes`));
        }
      });
      response.on("error", (error) => reject(new HttpFailure("cut", "the answer broke off", error)));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString("utf8"),
        }),
      );
    });
    request.on("upgrade", ({ statusCode = 0, headers }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, headers, body: "" });
    });
    // In one piece, so Node.js sends Content-Length.
    request.end(body);
  });
}

/** The id by which the server's administrators find this request in their logs. */
function requestId({ headers }: HttpAnswer): string {
  const id = headers["x-request-id"] ?? headers["x-correlation-id"] ?? headers["x-amzn-requestid"];
  return typeof id === "string" && /^[\w.:=-]{1,100}$/.test(id) ? `, request ${id}` : "";
}

/** Node's own roots and `pem`. The option `ca` would replace the roots, and parsing all of them again costs 20 ms. */
function contextWith(pem: string): tls.SecureContext {
  const context = tls.createSecureContext();
  (context.context as { addCACert(pem: string): void }).addCACert(pem);
  return context;
}

const unknownAuthority = "its certificate is signed by an authority that this machine does not know";

const untrusted: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed, and this machine does not know it",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

function failureOf(error: unknown, url: URL): HttpFailure {
  const code = codeOf(error);
  const at = url.host;
  // Node tries all addresses of a name, and reports the one that it really asked: perhaps a proxy.
  const asked = ((error as AggregateError).errors?.[0] ?? error) as Partial<Asked>;
  const certificate = untrusted[code];
  if (certificate) {
    return new HttpFailure("untrusted", `${at} cannot be trusted: ${certificate}`, error);
  }
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new HttpFailure("unknown-name", `the name ${asked.hostname ?? url.hostname} cannot be resolved`, error);
    case "ECONNREFUSED":
      return new HttpFailure("unreachable", `${refusing(asked, url)} refuses the connection`, error);
    case "ECONNRESET":
    case "EPIPE":
      return new HttpFailure("unreachable", `${at} closed the connection`, error);
    case "ERR_PROXY_TUNNEL": // whose message has the proxy's password, before Node 24.17
      return new HttpFailure("unreachable", `the proxy made no tunnel to ${at}`);
    case "EPROTO":
      return tlsFailure(error as Error, at);
    default:
      return new HttpFailure("unreachable", `${at} cannot be reached (${code || "no code"})`, error);
  }
}

/** OpenSSL's reason is the fifth part: `…:error:0A00010B:SSL routines:FUNCTION:wrong version number:…` */
function tlsFailure(error: Error, at: string): HttpFailure {
  const [, reason = "no reason"] = /:SSL routines:[^:]*:([\w /-]+):/.exec(error.message) ?? [];
  // The second one is of Node before 24.16.
  return reason === "wrong version number" || reason === "packet length too long"
    ? new HttpFailure("without-tls", `${at} answers without TLS, as a port for plain http does`, error)
    : new HttpFailure("unreachable", `the TLS handshake with ${at} failed (${reason})`, error);
}

interface Asked {
  readonly hostname: string;
  readonly address: string;
  readonly port: number;
}

function refusing({ address, port }: Partial<Asked>, url: URL): string {
  const expected = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  return port === undefined || port === expected ? url.host : `the proxy at ${address}:${port}`;
}

function proxyEnvironment(env: Environment): Record<string, string> {
  const pick = (name: string) => env[name.toLowerCase()] || env[name] || "";
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY"].map((name) => [name, proxyAddress(name, pick(name))] as const);
  return { ...Object.fromEntries(proxies), NO_PROXY: noProxy(pick("NO_PROXY")) };
}

/** Node's agent silently ignores a proxy whose address it cannot parse; curl and the Go tools accept `host:port` too. */
function proxyAddress(name: string, value: string): string {
  if (value === "") {
    return "";
  }
  const address = value.includes("://") ? value : `http://${value}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const fail = (problem: string) => invalidInput(variable(name), "…", problem, `${name}=http://proxy.example.com:3128`);
  // The value may contain the proxy's password: it is not shown.
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw fail("the proxy variable is not an http address");
  }
  try {
    decodeURIComponent(url.username + url.password); // as Node does (RFC 3986, 2.1)
  } catch {
    throw fail("the proxy variable's user or password has a % that encodes nothing: write it as %25");
  }
  return address;
}

/** For curl and the Go tools `example.com` includes its subdomains; Node's agent needs `.example.com` for that. */
function noProxy(value: string): string {
  return value
    .split(",")
    .map((entry) => entry.trim())
    .flatMap((entry) => (/^[a-z][a-z0-9.-]*$/i.test(entry) ? [entry, `.${entry}`] : [entry]))
    .filter(Boolean)
    .join(",");
}
