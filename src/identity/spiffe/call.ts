/** One unary gRPC call over node:http2, without TLS, within limits. */
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { codeOf } from "../../platform/errors.ts";
import type { Endpoint } from "./endpoint.ts";

/** Milliseconds: the longest call. An agent answers immediately, or asks its server first. */
export const maxCallMs = 10_000;

/** Bytes. */
const maxAnswer = 1024 * 1024;

export interface Answer {
  /** `:status`, and gRPC's `grpc-status` and `grpc-message`, which come before or after the body. Empty: nothing arrived. */
  readonly fields: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * `code` is the system's. A failure outside the system has the closest one: `ETIMEDOUT`, `ECONNRESET` (broken off), `EMSGSIZE`
 * (larger than 1 MiB), `EPROTO` (not HTTP/2).
 */
export interface NoAnswer {
  readonly code: string;
  readonly cause?: unknown;
}

/**
 * Calls FetchJWTSVID. An answer that broke off may look complete, but has no status.
 * @param message framed
 * @throws the signal's reason once it aborts
 */
export async function callWorkloadApi(
  endpoint: Endpoint,
  message: Buffer,
  signal: AbortSignal,
): Promise<Answer | NoAnswer> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Answer | NoAnswer>();
  const session = openSession(endpoint);
  const stream = session.request({
    ":method": "POST",
    ":path": "/SpiffeWorkloadAPI/FetchJWTSVID",
    "content-type": "application/grpc",
    te: "trailers",
    // Required: a server that is tricked into a request cannot set it (SPIFFE Workload Endpoint, section 3).
    "workload.spiffe.io": "true",
  });
  const late = setTimeout(() => resolve({ code: "ETIMEDOUT" }), maxCallMs);
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  const fields: IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  let size = 0;
  const add = (received: IncomingHttpHeaders) => Object.assign(fields, received);
  const fail = (error: Error) => resolve({ code: failureCodeOf(error), cause: error });
  // The stream gets its session's errors too, but an error without a listener would end the process.
  session.on("error", fail);
  stream
    .on("response", add)
    .on("trailers", add)
    .on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxAnswer) {
        resolve({ code: "EMSGSIZE" });
      }
    })
    .on("error", fail)
    .on("close", () => resolve({ fields, body: Buffer.concat(chunks) }))
    .end(message);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    signal.removeEventListener("abort", abort);
    session.destroy();
  }
}

function openSession(endpoint: Endpoint): ClientHttp2Session {
  const unix = endpoint.kind === "unix";
  const host = unix ? "localhost" : endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return connect(`http://${host}${unix ? "" : `:${endpoint.port}`}`, {
    settings: { enablePush: false },
    ...(unix && { path: endpoint.path }),
  });
}

/** A stream that never got a connection has the connection's error as its cause. */
function failureCodeOf(error: Error): string {
  const code = codeOf(error.cause ?? error);
  if (code === "ERR_HTTP2_ERROR") {
    return "EPROTO";
  }
  // The server reset the stream, or closed the session with a reason (GOAWAY).
  return code.startsWith("ERR_HTTP2") ? "ECONNRESET" : code;
}
