import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fetchJwtSvid } from "../../../src/identity/spiffe/workload-api.ts";
import type { ErrorCode } from "../../../src/platform/errors.ts";
import { failureText, fakeClock, makeFolder, testPlatform } from "../../fixtures.ts";
import { encodeResponse, frame, type RawServer, startHttp2, startTcp } from "../../support/workload-api.ts";

const token = "eyJhbGciOiJSUzI1NiJ9.e30.ci";
const good = frame(encodeResponse([{ id: "spiffe://example.org/ci", token }]));

let path: string;
beforeEach(async () => {
  path = join(await makeFolder(), "api.sock");
});

async function keep(starting: Promise<RawServer>): Promise<RawServer> {
  const server = await starting;
  onTestFinished(() => server.close());
  return server;
}

const http2 = (handle: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void) =>
  keep(startHttp2(path, handle));

function local() {
  const clock = fakeClock();
  return { ...testPlatform({ clock }), waits: clock.waits };
}

const ask = (platform = local()) =>
  fetchJwtSvid({ endpoint: { kind: "unix", path }, address: `unix://${path}`, id: undefined }, "quay", platform);

const grpc = { ":status": 200, "content-type": "application/grpc" };

/** Headers, body and trailers of a valid answer, with changes. */
function respond(
  stream: ServerHttp2Stream,
  {
    headers = grpc,
    body = good,
    trailers,
  }: { headers?: OutgoingHttpHeaders; body?: Buffer; trailers?: OutgoingHttpHeaders },
): void {
  stream.respond(headers, { waitForTrailers: trailers !== undefined });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
  stream.end(body);
}

describe("valid gRPC", () => {
  test("sends exactly this request", async () => {
    let seen: IncomingHttpHeaders = {};
    await http2((stream, headers) => {
      seen = headers;
      expect(stream.pushAllowed).toBe(false);
      respond(stream, { trailers: { "grpc-status": "0" } });
    });
    expect(await ask()).toBe(token);
    expect(Object.fromEntries(Object.entries(seen))).toEqual({
      ":authority": "localhost:80",
      ":method": "POST",
      ":path": "/SpiffeWorkloadAPI/FetchJWTSVID",
      ":scheme": "http",
      "content-type": "application/grpc",
      te: "trailers",
      "workload.spiffe.io": "true",
    });
  });

  test("accepts an answer in many small pieces", async () => {
    await http2((stream) => {
      stream.respond({ ...grpc, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "" }));
      for (const byte of good) {
        stream.write(Buffer.of(byte));
      }
      stream.end();
    });
    expect(await ask()).toBe(token);
  });

  test("accepts an informational answer first", async () => {
    await http2((stream) => {
      stream.additionalHeaders({ ":status": 103, "grpc-status": "7" });
      respond(stream, { trailers: { "grpc-status": "0" } });
    });
    expect(await ask()).toBe(token);
  });

  test("accepts a GOAWAY before the answer", async () => {
    await http2((stream) => {
      stream.session?.goaway(0);
      setTimeout(() => respond(stream, { trailers: { "grpc-status": "0" } }), 50);
    });
    expect(await ask()).toBe(token);
  });

  test("closes the connection after the answer", async () => {
    const closed = Promise.withResolvers<void>();
    await http2((stream) => {
      stream.session?.on("close", closed.resolve);
      respond(stream, { trailers: { "grpc-status": "0" } });
    });
    await ask();
    await closed.promise;
  });

  test.each<[string, string, string]>([
    ["no%20identity%20issued%0A%E2%9C%93", "spiffe-no-identity", '"no identity issued ✓"'],
    ["100%", "spiffe-no-identity", '"100%"'],
    ["%ff%00%1b", "spiffe-no-identity", '"%ff%00%1b"'],
    ["%00%1b[2J%E2%80%A8x", "spiffe-no-identity", '"\ufffd x"'],
    ["", "spiffe-no-identity", '""'],
  ])("accepts a status without a body, with the message %j", async (words, code, shown) => {
    await http2((stream) =>
      stream.respond({ ...grpc, "grpc-status": "7", "grpc-message": words }, { endStream: true }),
    );
    expect(await failureText(code as ErrorCode, ask())).toContain(`issues no identity to this process: ${shown}.`);
  });
});

/** With this clock each wait is 0.75 of the longest. */
const settling = [250, 500, 1_000, 2_000, ...Array.from({ length: 7 }, () => 2_500)];

describe("invalid gRPC", () => {
  test.each<[string, Parameters<typeof respond>[1], string]>([
    ["404", { headers: { ":status": 404 } }, "it answers with HTTP status 404 and not as gRPC does"],
    [
      "404, with gRPC's type",
      { headers: { ...grpc, ":status": 404 } },
      "it answers with HTTP status 404 and not as gRPC does",
    ],
    ["a page", { headers: { ":status": 200, "content-type": "text/html" } }, "HTTP status 200 and not as gRPC does"],
    ["a page of 200", { headers: { ":status": 200 } }, "it answers with HTTP status 200 and not as gRPC does"],
    ["a redirect", { headers: { ":status": 302, location: "http://127.0.0.1/" } }, "HTTP status 302"],
    ["a status that is not a number", { trailers: { "grpc-status": "fine" } }, 'its gRPC status is "fine"'],
    ["an empty status", { trailers: { "grpc-status": "" } }, 'its gRPC status is ""'],
    ["an unknown status", { trailers: { "grpc-status": "00" } }, "gRPC status 00"],
    ["two statuses", { trailers: { "grpc-status": ["0", "7"] } }, 'its gRPC status is "0, 7"'],
    ["no message", { body: Buffer.alloc(0), trailers: { "grpc-status": "0" } }, "it holds no message"],
    [
      "two messages",
      { body: Buffer.concat([good, good]), trailers: { "grpc-status": "0" } },
      "does not have the length",
    ],
    [
      "4 GiB, it says",
      { body: frame(good, { length: 2 ** 32 - 1 }), trailers: { "grpc-status": "0" } },
      "does not have the length",
    ],
    ["a compressed message", { body: frame(good, { compressed: 1 }), trailers: { "grpc-status": "0" } }, "compressed"],
  ])("%s", async (name, answer, expected) => {
    const server = await http2((stream) => respond(stream, answer));
    const code = name === "an unknown status" ? "spiffe-refused" : "spiffe-answer-unusable";
    expect(await failureText(code, ask())).toContain(expected);
    expect(server.count()).toBe(1);
  });

  test.each([429, 502, 503, 504])("retries HTTP status %i, a proxy's answer", async (status) => {
    await http2((stream) => respond(stream, { headers: { ":status": status } }));
    const platform = local();
    expect(await failureText("spiffe-unavailable", ask(platform))).toContain(
      `issues no identity at the moment: HTTP status ${status}.`,
    );
    expect(platform.waits).toEqual(settling);
  });

  test("prefers gRPC's status to HTTP's", async () => {
    await http2((stream) => stream.respond({ ":status": 503, "grpc-status": "12" }, { endStream: true }));
    expect(await failureText("spiffe-refused", ask())).toContain("gRPC status 12");
  });

  test.each<[string, (socket: Socket) => void]>([
    ["HTTP/1", (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))],
    ["noise", (socket) => socket.write(Buffer.alloc(1000, 65))],
  ])("rejects a server that speaks %s", async (_, handle) => {
    const server = await keep(startTcp(path, handle));
    const platform = local();
    expect(await failureText("spiffe-answer-unusable", ask(platform))).toContain(
      "the server there does not speak gRPC",
    );
    expect(server.count()).toBe(1);
  });

  test("rejects an endless answer after 1 MiB", async () => {
    const server = await http2((stream) => {
      stream.respond(grpc);
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (!stream.destroyed && stream.write(chunk));
      };
      stream.on("drain", more);
      more();
    });
    expect(await failureText("spiffe-answer-unusable", ask())).toContain("its answer is larger than 1 MiB");
    expect(server.count()).toBe(1);
  });
});

describe("broken off", () => {
  const half = (stream: ServerHttp2Stream) => {
    stream.respond(grpc);
    return new Promise<void>((resolve) => void stream.write(good.subarray(0, 20), () => resolve()));
  };
  const faults: [string, (stream: ServerHttp2Stream) => void][] = [
    ["a reset without a reason", (stream) => stream.close(0)],
    ["a reset, cancelled", (stream) => stream.close(8)],
    ["a reset, internal error", (stream) => stream.close(2)],
    ["a reset, refused", (stream) => stream.close(7)],
    ["a reset in the middle", (stream) => void half(stream).then(() => stream.close(2))],
    ["a reset in the middle, cancelled", (stream) => void half(stream).then(() => stream.close(8))],
    ["the connection, before anything", (stream) => stream.session?.destroy()],
    ["the connection, in the middle", (stream) => void half(stream).then(() => stream.session?.destroy())],
    ["an end in the middle", (stream) => void half(stream).then(() => stream.end())],
    ["the whole message, but no status", (stream) => respond(stream, {})],
    [
      "the whole message of a type that is named, but no status",
      (stream) => respond(stream, { headers: { ...grpc, "content-type": "application/grpc+proto" } }),
    ],
    ["a GOAWAY with a reason", (stream) => stream.session?.goaway(11)],
    [
      "a good-bye that leaves the request out",
      (stream) => {
        stream.session?.goaway(0, 0);
        setTimeout(() => stream.session?.destroy(), 20);
      },
    ],
  ];

  test.each(faults)("%s: the next attempt gets the token", async (_, fault) => {
    let first = true;
    const server = await http2((stream) => {
      if (first) {
        first = false;
        fault(stream);
      } else {
        respond(stream, { trailers: { "grpc-status": "0" } });
      }
    });
    const platform = local();
    expect(await ask(platform)).toBe(token);
    expect(platform.waits).toEqual([250]);
    expect(platform.reporter.infos[0]).toMatch(/issues no identity at the moment: the connection broke off\. Retrying/);
    expect(server.count()).toBe(2);
  });

  test("fails after the last attempt", async () => {
    await http2((stream) => stream.session?.destroy());
    const platform = local();
    const text = await failureText("spiffe-unavailable", ask(platform));
    expect(text).toContain("the connection broke off");
    expect(platform.waits).toEqual(settling);
  });

  test.each<[string, (socket: Socket) => void]>([
    ["at once", (socket) => socket.destroy()],
    ["after the request", (socket) => socket.once("data", () => socket.destroy())],
    ["from its side only", (socket) => socket.end()],
  ])("a connection that is closed %s", async (_, handle) => {
    const server = await keep(startTcp(path, handle));
    expect(await failureText("spiffe-unavailable", ask())).toContain("the connection broke off");
    expect(server.count()).toBe(settling.length + 1);
  });

  test("a connection that is reset, over TCP", async () => {
    const handle = (socket: Socket) => void socket.once("data", () => socket.resetAndDestroy());
    const server = await keep(startTcp("127.0.0.1", handle));
    const port = Number(new URL(server.address).port);
    const request = {
      endpoint: { kind: "tcp", host: "127.0.0.1", port },
      address: server.address,
      id: undefined,
    } as const;
    expect(await failureText("spiffe-unavailable", fetchJwtSvid(request, "quay", local()))).toContain("broke off");
    expect(server.count()).toBe(settling.length + 1);
  });
});
