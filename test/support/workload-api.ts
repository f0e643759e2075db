/**
 * The tests' SPIFFE Workload API, with gRPC's own library for Node: it answers as an agent does, or as none would.
 * `startHttp2` and `startTcp` do what that library can't (a stream reset, a broken frame).
 */
import { createServer as createHttp2, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { createServer as createTcp, type Server, type Socket } from "node:net";
import {
  Server as GrpcServer,
  Metadata,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";

export interface Svid {
  id: string;
  token: string;
  hint?: string;
}

export type WorkloadAnswer =
  | { svids: readonly Svid[] }
  /** A gRPC status, its name as gRPC's documents have it only by number. */
  | { status: number; message?: string }
  /** Instead of a JWTSVIDResponse. */
  | { bytes: Buffer }
  | "hang";

export interface WorkloadCall {
  audience: string[];
  id: string;
  /** All values of the header `workload.spiffe.io`. */
  security: string[];
}

export interface WorkloadApi {
  /** `unix:///path` or `tcp://ip:port`. */
  address: string;
  calls: WorkloadCall[];
  /** For the next calls, one each. */
  next(...answers: WorkloadAnswer[]): void;
  /** For all calls after those. */
  always(answer: WorkloadAnswer): void;
  close(): Promise<void>;
}

/** @param at the path of a socket to make, or an IP address to listen at */
export async function startWorkloadApi(at: string, answer: WorkloadAnswer): Promise<WorkloadApi> {
  const calls: WorkloadCall[] = [];
  let defaultAnswer = answer;
  let queue: WorkloadAnswer[] = [];

  function handle(call: ServerUnaryCall<WorkloadCall, Buffer>, reply: sendUnaryData<Buffer>): void {
    const security = call.metadata.get("workload.spiffe.io").map(String);
    calls.push({ ...call.request, security });
    const refuse = (code: number, details: string) => reply({ code, details, metadata: new Metadata() });
    if (security.join() !== "true") {
      refuse(3, "security header missing from request");
      return;
    }
    const next = queue.shift() ?? defaultAnswer;
    if (next === "hang") return;
    if ("status" in next) refuse(next.status, next.message ?? "");
    else reply(null, "bytes" in next ? next.bytes : encodeResponse(next.svids));
  }

  const server = new GrpcServer();
  server.addService(service, { fetch: handle });
  const unix = at.startsWith("/");
  const port = await new Promise<number>((resolve, reject) => {
    const where = unix ? `unix:${at}` : `${at.includes(":") ? `[${at}]` : at}:0`;
    const bound = (error: Error | null, number: number) => (error ? reject(error) : resolve(number));
    server.bindAsync(where, ServerCredentials.createInsecure(), bound);
  });
  return {
    address: unix ? `unix://${at}` : `tcp://${at.includes(":") ? `[${at}]` : at}:${port}`,
    calls,
    next: (...answers) => void queue.push(...answers),
    always(answer) {
      defaultAnswer = answer;
      queue = [];
    },
    close: async () => server.forceShutdown(),
  };
}

const service: ServiceDefinition = {
  fetch: {
    path: "/SpiffeWorkloadAPI/FetchJWTSVID",
    requestStream: false,
    responseStream: false,
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: decodeRequest,
    responseSerialize: (message: Buffer) => message,
    responseDeserialize: (message: Buffer) => message,
  },
};

/** A JWTSVIDResponse, as Protocol Buffers encode it. */
export function encodeResponse(svids: readonly Svid[]): Buffer {
  return Buffer.concat(
    svids.map(({ id, token, hint = "" }) =>
      field(
        1,
        Buffer.concat([[1, id] as const, [2, token] as const, [3, hint] as const].map(([n, text]) => field(n, text))),
      ),
    ),
  );
}

/** A field with a length; an empty one is left out, as version 3 does. */
export function field(number: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  return bytes.length === 0 ? bytes : Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function varint(value: number): Buffer {
  return value < 128
    ? Buffer.of(value)
    : Buffer.concat([Buffer.of((value % 128) + 128), varint(Math.floor(value / 128))]);
}

/** A JWTSVIDRequest, which has fields 1 and 2, both text. */
function decodeRequest(bytes: Buffer): Omit<WorkloadCall, "security"> {
  const request = { audience: [] as string[], id: "" };
  const read = (at: number): [value: number, next: number] => {
    const byte = bytes.readUInt8(at);
    if (byte < 128) return [byte, at + 1];
    const [rest, next] = read(at + 1);
    return [byte - 128 + rest * 128, next];
  };
  for (let at = 0; at < bytes.length; ) {
    const [tag, afterTag] = read(at);
    const [length, start] = read(afterTag);
    at = start + length;
    if (at > bytes.length) throw new Error("the request is cut off");
    const text = bytes.toString("utf8", start, at);
    if (tag === 10) request.audience.push(text);
    else if (tag === 18) request.id = text;
    else throw new Error(`the request has a field ${tag >> 3} of type ${tag % 8}`);
  }
  return request;
}

/** gRPC's frame around a message. */
export function frame(message: Buffer, { compressed = 0, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5, compressed);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

export interface RawServer {
  address: string;
  /** How many streams, or connections, were opened. */
  count(): number;
  close(): Promise<void>;
}

/** HTTP/2 by hand: `handle` gets each stream. */
export function startHttp2(
  at: string,
  handle: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<RawServer> {
  const server = createHttp2();
  let count = 0;
  server.on("sessionError", () => {});
  server.on("stream", (stream, headers) => {
    count++;
    stream.on("error", () => {});
    handle(stream, headers);
  });
  return listenAt(server, at, () => count);
}

/** Bytes by hand: `handle` gets each connection. */
export function startTcp(at: string, handle: (socket: Socket) => void): Promise<RawServer> {
  let count = 0;
  const server = createTcp((socket) => {
    count++;
    handle(socket);
  });
  return listenAt(server, at, () => count);
}

async function listenAt(server: Server | ReturnType<typeof createHttp2>, at: string, count: () => number) {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.startsWith("/") ? { path: at } : { host: at, port: 0 }, resolve);
  });
  const where = server.address();
  return {
    address: typeof where === "object" && where ? `tcp://${where.address}:${where.port}` : `unix://${at}`,
    count,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
