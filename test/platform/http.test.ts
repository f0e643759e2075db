/** Over real sockets: TLS servers with a new root, proxies, and connections that break. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createNetServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Environment } from "../../src/platform/environment.ts";
import {
  createHttp,
  type FailureKind,
  type Http,
  HttpFailure,
  type PendingRequest,
  type Trust,
} from "../../src/platform/http.ts";
import { failure, makeFolder } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { answer, cut, hang, huge, play, redirect, reset, type Scripted } from "../quay-stand-in/scripted.ts";
import { type Authority, type Certificate, createAuthority } from "../quay-stand-in/tls.ts";
import { type ProxyOptions, startProxy } from "../support/proxy.ts";

let authority: Authority;
let stranger: Authority;
beforeAll(async () => {
  [authority, stranger] = await Promise.all([createAuthority(), createAuthority()]);
});
afterAll(() => Promise.all([authority.close(), stranger.close()]));

const limits = { timeoutMs: 5_000, maxBytes: 100_000 };

interface Server {
  url: URL;
  connections: number;
  /** Path and headers of each request. */
  requests: { path: string; headers: Record<string, unknown> }[];
  answer: Scripted;
}

const untimed = (line: string): string => line.replace(/\d+ ms$/, "N ms");

/** A client that records its log lines. */
function listening(): { http: Http; logged: string[] } {
  const logged: string[] = [];
  const http = createHttp({
    env: {},
    extraRoots: authority.ca,
    signal: new AbortController().signal,
    debug: (message) => logged.push(message),
  });
  onTestFinished(http.close);
  return { http, logged };
}

async function serve(certificate?: Certificate): Promise<Server> {
  const state: Server = { url: new URL("https://localhost/"), connections: 0, requests: [], answer: answer(200, "ok") };
  const handle: RequestListener = (request, response) => {
    state.requests.push({ path: request.url ?? "", headers: request.headers });
    void play(state.answer, response);
  };
  const server = createHttpsServer(certificate ?? (await authority.issue()), handle);
  server.on("secureConnection", () => state.connections++);
  const { port, close } = await listen(server);
  onTestFinished(close);
  state.url = new URL(`https://localhost:${port}/path?a=b`);
  return state;
}

async function serveRaw(talk: (socket: Socket) => void): Promise<number> {
  const { port, close } = await listen(createNetServer(talk));
  onTestFinished(close);
  return port;
}

function client(
  env: Environment = {},
  signal = new AbortController().signal,
  extraRoots: string | null = authority.ca,
) {
  const http = createHttp({ env, extraRoots: extraRoots ?? undefined, signal });
  onTestFinished(http.close);
  return http;
}

async function httpFailure(work: Promise<unknown>): Promise<HttpFailure> {
  const error = await work.then(
    (value) => expect.unreachable(`no failure but ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HttpFailure);
  return error as HttpFailure;
}

describe("an answer", () => {
  test("has status, headers and body; the request arrives unchanged", async () => {
    const server = await serve();
    server.answer = answer(418, "kettle", { "retry-after": "5", "set-cookie": "a=1" });
    const got = await client().open(server.url, limits).send({ authorization: "Basic eDp5", accept: "text/plain" });
    expect(got).toMatchObject({ status: 418, body: "kettle", headers: { "retry-after": "5", "set-cookie": ["a=1"] } });
    expect(server.requests).toEqual([
      {
        path: "/path?a=b",
        headers: {
          authorization: "Basic eDp5",
          accept: "text/plain",
          "user-agent": "quay-keyless-login",
          host: server.url.host,
          connection: "keep-alive",
        },
      },
    ]);
  });

  test("is logged with address, status, request id and duration, without the request's headers", async () => {
    const server = await serve();
    const { http, logged } = listening();
    server.answer = answer(200, "ok", { "x-request-id": "4f2a:9-b" });
    const before = performance.now();
    await http.open(server.url, limits).send({ authorization: "Basic c2VjcmV0" });
    expect(Number(/(\d+) ms$/.exec(logged[0] ?? "")?.[1])).toBeLessThanOrEqual(performance.now() - before + 1);
    server.answer = answer(503, "", { "x-request-id": "not\tone" });
    await http.open(server.url, limits).send();
    await http
      .open(new URL("https://localhost:1/x?y"), limits)
      .send()
      .catch(() => {});
    const { host } = server.url;
    expect(logged.map(untimed)).toEqual([
      `GET ${host}/path: 200, request 4f2a:9-b, N ms`,
      `GET ${host}/path: 503, N ms`,
      "GET localhost:1/x: localhost:1 refuses the connection, N ms",
    ]);
  });

  test.each([
    [{ "x-request-id": "a=1_b", "x-correlation-id": "other" }, ", request a=1_b"],
    [{ "x-correlation-id": "corr.1" }, ", request corr.1"],
    [{ "x-amzn-requestid": "amzn-1" }, ", request amzn-1"],
    [{ "x-request-id": "x".repeat(100) }, `, request ${"x".repeat(100)}`],
    [{ "x-request-id": "x".repeat(101) }, ""],
    [{ "x-request-id": "with a blank" }, ""],
    [{ "x-request-id": "" }, ""],
  ])("is logged with the request id of %j", async (headers, suffix) => {
    const server = await serve();
    const { http, logged } = listening();
    server.answer = answer(200, "ok", headers);
    await http.open(server.url, limits).send();
    expect(logged.map(untimed)).toEqual([`GET ${server.url.host}/path: 200${suffix}, N ms`]);
  });

  test("to a HEAD has headers and no body, even if it states a length", async () => {
    const server = await serve();
    server.answer = answer(200, "", { "content-length": "5000000" });
    const http = client();
    for (let count = 0; count < 2; count++) {
      const got = await http.open(server.url, limits, "HEAD").send({ accept: "text/plain" });
      expect(got).toMatchObject({ status: 200, body: "", headers: { "content-length": "5000000" } });
    }
    expect(server.connections).toBe(1);
  });

  test("to a PUT, whose body is sent with its length in bytes", async () => {
    const got: { method: string | undefined; headers: Record<string, unknown>; body: string }[] = [];
    const { port, close } = await listen(
      createHttpsServer(await authority.issue(), async (request, response) => {
        let body = "";
        for await (const chunk of request.setEncoding("utf8")) body += chunk;
        got.push({ method: request.method, headers: request.headers, body });
        response.writeHead(201, { location: "/there" }).end();
      }),
    );
    onTestFinished(close);
    const { http, logged } = listening();
    const url = new URL(`https://localhost:${port}/x`);
    const text = JSON.stringify({ name: "Größe 🐧", filling: "x".repeat(300_000) });
    for (const body of [text, ""]) {
      const reply = await http.open(url, limits, "PUT").send({ "content-type": "application/json" }, body);
      expect(reply).toMatchObject({ status: 201, headers: { location: "/there" } });
    }
    expect(got.map(({ method, body }) => [method, body])).toEqual([
      ["PUT", text],
      ["PUT", ""],
    ]);
    expect(got.map(({ headers }) => headers["content-length"])).toEqual([String(Buffer.byteLength(text)), "0"]);
    expect(logged.map(untimed)).toEqual([`PUT localhost:${port}/x: 201, N ms`, `PUT localhost:${port}/x: 201, N ms`]);
  });

  test("can come over plain http, as from the endpoint of a local runner", async () => {
    const { port, close } = await listen(createHttpServer((_, response) => void response.end("plain")));
    onTestFinished(close);
    const got = await client()
      .open(new URL(`http://localhost:${port}/`), limits)
      .send();
    expect(got).toMatchObject({ status: 200, body: "plain" });
  });

  test("is the redirect itself, not its target", async () => {
    const [server, other] = [await serve(), await serve()];
    server.answer = redirect(other.url.href, 307);
    const got = await client().open(server.url, limits).send({ authorization: "Basic eDp5" });
    expect(got.status).toBe(307);
    expect(got.headers.location).toBe(other.url.href);
    expect(other.requests).toEqual([]);
  });

  test.each(["HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade", "HTTP/1.1 101 x\r\nconnection: upgrade"])(
    "that ends HTTP is one all the same, and ends the wait: %j",
    async (head) => {
      const switching = (socket: Socket) => socket.once("data", () => socket.write(`${head}\r\n\r\n`));
      const url = new URL(`http://localhost:${await serveRaw(switching)}/`);
      const sent = client()
        .open(url, { ...limits, timeoutMs: 500 })
        .send();
      expect(await sent).toMatchObject({ status: 101, body: "" });
    },
  );

  test("may be exactly as large as the limit", async () => {
    const server = await serve();
    server.answer = answer(200, "é".repeat(500));
    const sized = (maxBytes: number) =>
      client()
        .open(server.url, { ...limits, maxBytes })
        .send();
    expect((await sized(1000)).body).toBe("é".repeat(500));
    const error = await httpFailure(sized(999));
    expect([error.kind, error.message]).toEqual(["too-big", "the answer is larger than 999 bytes"]);
  });

  test("of 10 MB is abandoned at the limit", async () => {
    const server = await serve();
    server.answer = huge(10 * 1024 * 1024);
    const before = performance.now();
    expect((await httpFailure(client().open(server.url, limits).send())).kind).toBe("too-big");
    expect(performance.now() - before).toBeLessThan(2_000);
  });
});

describe("the connection", () => {
  test("is open before anything is sent", async () => {
    const server = await serve();
    const pending = client().open(server.url, limits);
    await expect.poll(() => server.connections).toBe(1);
    await sleep(20);
    expect(server.requests).toEqual([]);
    expect((await pending.send()).status).toBe(200);
    expect(server.connections).toBe(1);
  });

  test("is reused for further requests", async () => {
    const server = await serve();
    const http = client();
    for (let count = 0; count < 3; count++) {
      await http.open(server.url, limits).send();
    }
    expect(server.requests).toHaveLength(3);
    expect(server.connections).toBe(1);
  });

  describe("that the server closes once it is idle, as it may at any time", () => {
    /** A server that answers the first request of each connection, and treats a further one as told. */
    async function impatient(further: (socket: Socket) => void) {
      const seen: string[] = [];
      const used = new WeakSet<object>();
      const server = createHttpsServer(await authority.issue(), ({ method = "", socket }, response) => {
        const isFirst = !used.has(socket);
        seen.push(`${method} ${isFirst ? "first" : "further"}`);
        used.add(socket);
        return isFirst ? void response.end("ok") : further(socket);
      });
      const { port, close } = await listen(server);
      onTestFinished(close);
      return { seen, url: new URL(`https://localhost:${port}/`) };
    }

    test("is replaced at once and silently, for a request that changes nothing", async () => {
      const { seen, url } = await impatient((socket) => socket.destroy());
      const { http, logged } = listening();
      await http.open(url, limits).send();
      const answer = await http.open(url, limits).send({ authorization: "Basic eDp5" });
      expect([answer.status, answer.body]).toEqual([200, "ok"]);
      expect(seen).toEqual(["GET first", "GET further", "GET first"]);
      expect(logged.map(untimed)).toEqual(Array(2).fill(`GET ${url.host}/: 200, N ms`));
    });

    test("is a failure for another request", async () => {
      const { seen, url } = await impatient((socket) => socket.destroy());
      const http = client();
      await http.open(url, limits).send();
      expect((await httpFailure(http.open(url, limits, "POST").send({}, "{}"))).kind).toBe("unreachable");
      expect(seen).toEqual(["GET first", "POST further"]);
    });

    test("is not replaced after the time is over", async () => {
      const { seen, url } = await impatient(() => {});
      const http = client();
      await http.open(url, limits).send();
      expect((await httpFailure(http.open(url, { ...limits, timeoutMs: 50 }).send())).kind).toBe("timeout");
      await sleep(50);
      expect(seen).toEqual(["GET first", "GET further"]);
    });
  });

  test("is closed if no answer arrives in time", async () => {
    let closed = 0;
    const port = await serveRaw((socket) => void socket.resume().on("close", () => closed++));
    const pending = client().open(new URL(`http://localhost:${port}/`), { ...limits, timeoutMs: 100 });
    expect((await httpFailure(pending.send())).kind).toBe("timeout");
    await expect.poll(() => closed).toBe(1);
  });

  test("is closed when it is abandoned, without an error", async () => {
    let closed = 0;
    const port = await serveRaw((socket) => void socket.resume().on("close", () => closed++));
    const pending = client().open(new URL(`https://localhost:${port}/`), limits);
    await sleep(30);
    pending.abandon();
    await expect.poll(() => closed).toBe(1);
  });
});

describe("failures", () => {
  const cases: [string, FailureKind, RegExp, () => Promise<PendingRequest>][] = [
    [
      "no server listens",
      "unreachable",
      /^localhost:\d+ refuses the connection$/,
      async () => {
        const { port, close } = await listen(createNetServer());
        await close();
        return client().open(new URL(`https://localhost:${port}/`), limits);
      },
    ],
    [
      "no such name",
      "unknown-name",
      /^the name nothing\.invalid cannot be resolved$/,
      async () => client().open(new URL("https://nothing.invalid/"), limits),
    ],
    [
      "no answer in time",
      "timeout",
      /^no answer within 0\.1 s$/,
      async () => {
        const server = await serve();
        server.answer = hang();
        return client().open(server.url, { ...limits, timeoutMs: 100 });
      },
    ],
    [
      "no TLS in time",
      "timeout",
      /^no answer within 0\.1 s$/,
      async () =>
        client().open(new URL(`https://localhost:${await serveRaw(() => {})}/`), { ...limits, timeoutMs: 100 }),
    ],
    [
      "an answer that breaks off",
      "cut",
      /^the answer broke off$/,
      async () => {
        const server = await serve();
        server.answer = cut();
        return client().open(server.url, limits);
      },
    ],
    [
      "a connection that breaks off",
      "unreachable",
      /^localhost:\d+ closed the connection$/,
      async () => {
        const server = await serve();
        server.answer = reset();
        return client().open(server.url, limits);
      },
    ],
    [
      "a server without TLS",
      "without-tls",
      /^localhost:\d+ answers without TLS, as a port for plain http does$/,
      async () => {
        const port = await serveRaw((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
        return client().open(new URL(`https://localhost:${port}/`), limits);
      },
    ],
    [
      "a server that refuses the handshake",
      "unreachable",
      /^the TLS handshake with localhost:\d+ failed \(ssl\/tls alert handshake failure\)$/,
      async () => {
        const alert = Buffer.from([21, 3, 1, 0, 2, 2, 40]);
        const port = await serveRaw((socket) => socket.once("data", () => socket.end(alert)));
        return client().open(new URL(`https://localhost:${port}/`), limits);
      },
    ],
    [
      "a server that speaks no HTTP",
      "unreachable",
      /^localhost:\d+ cannot be reached \(HPE_\w+\)$/,
      async () => {
        const port = await serveRaw((socket) => socket.once("data", () => socket.end("220 smtp.example.com\r\n")));
        return client().open(new URL(`http://localhost:${port}/`), limits);
      },
    ],
    [
      "an expired certificate",
      "untrusted",
      /^localhost:\d+ cannot be trusted: its certificate has expired$/,
      async () => client().open((await serve(await authority.issueFlawed("expired"))).url, limits),
    ],
    [
      "a certificate for another name",
      "untrusted",
      /^localhost:\d+ cannot be trusted: its certificate is for another name$/,
      async () => client().open((await serve(await authority.issueFlawed("other-name"))).url, limits),
    ],
    [
      "a certificate of an unknown authority",
      "untrusted",
      /^localhost:\d+ cannot be trusted: its certificate is signed by an authority that this machine does not know$/,
      async () => client().open((await serve(await authority.issueFlawed("other-root"))).url, limits),
    ],
    [
      "a private authority without its root",
      "untrusted",
      /signed by an authority that this machine does not know$/,
      async () => client({}, undefined, null).open((await serve()).url, limits),
    ],
  ];

  test.each(cases)("%s", async (_, kind, message, open) => {
    const error = await httpFailure((await open()).send({ authorization: "Basic c2VjcmV0" }));
    expect(error.kind).toBe(kind);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("c2VjcmV0");
  });

  test.each(["https://127.0.0.77/", "http://127.0.0.77/"])("no process listens at the usual port: %s", async (url) => {
    const error = await httpFailure(client().open(new URL(url), limits).send());
    expect([error.kind, error.message]).toEqual(["unreachable", "127.0.0.77 refuses the connection"]);
  });

  test.each(cases.slice(0, 1))("keeps a failure before anything is sent until then (%s)", async (_, kind, __, open) => {
    const pending = await open();
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    await sleep(30);
    const before = timers();
    expect((await httpFailure(pending.send())).kind).toBe(kind);
    // A timer left behind would keep the process alive for the whole limit.
    expect(timers()).toBe(before);
  });
});

describe("roots", () => {
  const run = promisify(execFile);

  test("uses extra roots only for requests that ask for them, also with a kept connection", async () => {
    const server = await serve();
    const http = client();
    const trusting = (trust?: Trust) => http.open(server.url, limits, "GET", trust).send();
    expect((await trusting()).body).toBe("ok");
    const error = await httpFailure(trusting("machine"));
    expect([error.kind, server.requests.length]).toEqual(["untrusted", 1]);
    expect((await trusting("extra-roots")).body).toBe("ok");
  });

  test("adds extra roots to the default ones; NODE_TLS_REJECT_UNAUTHORIZED changes nothing", async () => {
    const [ours, theirs] = [await serve(), await serve(await stranger.issue())];
    const script = join(await makeFolder(), "fetch.mjs");
    const module = join(import.meta.dirname, "../../src/platform/http.ts");
    await writeFile(
      script,
      `import { createHttp } from ${JSON.stringify(module)};
       import { readFileSync } from "node:fs";
       const [rootFile, ...urls] = process.argv.slice(2);
       const extraRoots = rootFile === "none" ? undefined : readFileSync(rootFile, "utf8");
       const http = createHttp({ env: {}, extraRoots, signal: new AbortController().signal });
       for (const url of urls) {
         const request = http.open(new URL(url), { timeoutMs: 5000, maxBytes: 1000 });
         console.log(await request.send().then(({ body }) => body, ({ kind }) => kind));
       }
       http.close();`,
    );
    const fetchBoth = async (root: string) => {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: stranger.caFile, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
      const { stdout } = await run(process.execPath, [script, root, ours.url.href, theirs.url.href], { env });
      return stdout.trim().split("\n");
    };
    expect(await fetchBoth("none")).toEqual(["untrusted", "ok"]);
    expect(await fetchBoth(authority.caFile)).toEqual(["ok", "ok"]);
  });

  test("accepts a file with several", async () => {
    const both = `${stranger.ca}\n${authority.ca}`;
    for (const server of [await serve(), await serve(await stranger.issue())]) {
      const got = await client({}, undefined, both).open(server.url, limits).send();
      expect(got.status).toBe(200);
    }
  });
});

describe("proxies", () => {
  /** Node before 24.16 goes directly to every name that ends as the entry does. */
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const takesSuffixes = major === 24 && minor < 16;

  const proxied = async (options?: ProxyOptions) => {
    const proxy = await startProxy(options);
    onTestFinished(proxy.close);
    return proxy;
  };
  const fetchBy = (env: Environment, url: URL) => client(env).open(url, limits).send();

  test.each(["HTTPS_PROXY", "https_proxy"])("%s, with a root of its own for the server behind", async (name) => {
    const [server, proxy] = [await serve(), await proxied()];
    expect((await fetchBy({ [name]: proxy.url }, server.url)).body).toBe("ok");
    expect(proxy.targets).toEqual([server.url.host]);
  });

  test("accepts an address without a scheme, as curl and the Go tools do", async () => {
    const [server, proxy] = [await serve(), await proxied()];
    await fetchBy({ HTTPS_PROXY: new URL(proxy.url).host }, server.url);
    expect(proxy.targets).toEqual([server.url.host]);
  });

  test("uses HTTP_PROXY for http only; the lower-case name comes first", async () => {
    const asked: string[] = [];
    const { port, close } = await listen(
      createHttpServer((request, response) => {
        asked.push(request.url ?? "");
        response.end("by proxy");
      }),
    );
    onTestFinished(close);
    const env = { HTTP_PROXY: "http://127.0.0.1:1", http_proxy: `http://127.0.0.1:${port}` };
    expect((await fetchBy(env, new URL("http://runner.invalid/token"))).body).toBe("by proxy");
    expect(asked).toEqual(["http://runner.invalid/token"]);
    expect((await fetchBy(env, (await serve()).url)).body).toBe("ok");
  });

  test("sends the credentials of its address", async () => {
    const server = await serve();
    const proxy = await proxied({ credentials: { user: "me", password: "p@ss:word" } });
    expect((await fetchBy({ HTTPS_PROXY: proxy.url }, server.url)).body).toBe("ok");
    const wrong = proxy.url.replace("me:", "you:");
    const error = await httpFailure(fetchBy({ HTTPS_PROXY: wrong }, server.url));
    expect([error.kind, error.message]).toEqual(["unreachable", `the proxy made no tunnel to ${server.url.host}`]);
    expect(`${error.message}${error.cause}`).not.toMatch(/word/);
  });

  test("names a proxy that refuses the connection, not the server behind it", async () => {
    const url = new URL("https://quay.invalid/");
    const refused = await httpFailure(fetchBy({ HTTPS_PROXY: "http://127.0.0.1:1" }, url));
    expect(refused.message).toBe("the proxy at 127.0.0.1:1 refuses the connection");
    const unknown = await httpFailure(fetchBy({ HTTPS_PROXY: "http://me:secret@proxy.invalid:3128" }, url));
    expect(unknown.message).toBe("the name proxy.invalid cannot be resolved");
  });

  test.each<[string, string, boolean]>([
    ["quay.invalid", "quay.invalid", false],
    ["quay.invalid", "cdn.quay.invalid", false],
    ["a.invalid , quay.invalid,", "cdn.quay.invalid", false],
    [".quay.invalid", "cdn.quay.invalid", false],
    ["quay.invalid", "myquay.invalid", !takesSuffixes],
    ["quay", "quay.invalid", true],
    ["QUAY.invalid", "quay.invalid", false],
    ["*", "quay.invalid", false],
    ["127.0.0.1", "quay.invalid", true],
    ["", "quay.invalid", true],
  ])("NO_PROXY=%s: %s goes by the proxy: %s", async (list, host, byProxy) => {
    const proxy = await proxied();
    await httpFailure(fetchBy({ HTTPS_PROXY: proxy.url, NO_PROXY: list }, new URL(`https://${host}/`)));
    expect(proxy.targets).toEqual(byProxy ? [`${host}:443`] : []);
  });

  test("accepts an address with a port in NO_PROXY", async () => {
    const [server, proxy] = [await serve(), await proxied()];
    await fetchBy({ HTTPS_PROXY: proxy.url, no_proxy: `localhost:${server.url.port}` }, server.url);
    expect(proxy.targets).toEqual([]);
  });

  test.each([
    ["HTTPS_PROXY", "http://"],
    ["HTTPS_PROXY", "not an address"],
    ["HTTPS_PROXY", "shttp://proxy.example.com"],
    ["HTTPS_PROXY", "socks5://me:secret@proxy.example.com"],
    ["HTTP_PROXY", "http://me:secret@proxy.example.com:99999"],
  ])("rejects %s=%s, and does not show it", async (name, value) => {
    const error = await failure(() => client({ [name]: value }));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(`The option "${name}" is "…": the proxy variable is not an http address.`);
    expect(error.remedy).toEqual([`Write, for example, ${name}=http://proxy.example.com:3128`]);
  });
});

describe("an abort", () => {
  const reason = new Error("the time is over");

  test("ends a running request, with the abort's reason", async () => {
    const server = await serve();
    server.answer = hang();
    const controller = new AbortController();
    const sent = client({}, controller.signal).open(server.url, limits).send();
    await expect.poll(() => server.requests.length).toBe(1);
    controller.abort(reason);
    await expect(sent).rejects.toBe(reason);
  });

  test("works before the sending, and before the opening", async () => {
    const server = await serve();
    const controller = new AbortController();
    const http = client({}, controller.signal);
    const pending = http.open(server.url, limits);
    controller.abort(reason);
    await expect(pending.send()).rejects.toBe(reason);
    await expect(http.open(server.url, limits).send()).rejects.toBe(reason);
    expect(server.requests).toEqual([]);
  });
});

test("close ends the kept connections", async () => {
  const server = createHttpsServer(await authority.issue(), (_, response) => void response.end("ok"));
  server.keepAliveTimeout = 60_000; // it is not the server that closes
  const { port, close } = await listen(server);
  onTestFinished(close);
  const socket = once(server, "secureConnection");
  const http = client();
  await http.open(new URL(`https://localhost:${port}/`), limits).send();
  const connection = (await socket)[0] as Socket;
  http.close();
  await expect.poll(() => connection.closed).toBe(true);
  expect(await promisify(server.getConnections.bind(server))()).toBe(0);
});
