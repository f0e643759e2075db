/** An HTTP proxy that supports only CONNECT, for `HTTPS_PROXY`. It records the targets of clients. */
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, type Socket } from "node:net";
import { listen } from "../quay-stand-in/listen.ts";
import type { Certificate } from "../quay-stand-in/tls.ts";

export interface Proxy {
  /** With the credentials, if they are required. */
  url: string;
  /** `host:port` of every CONNECT, the refused ones included. */
  targets: string[];
  close(): Promise<void>;
}

export interface ProxyOptions {
  /** Required as `Proxy-Authorization: Basic`; without it 407. */
  credentials?: { user: string; password: string };
  /** Then it speaks TLS itself. */
  certificate?: Certificate;
}

export async function startProxy(options: ProxyOptions = {}): Promise<Proxy> {
  const { credentials, certificate } = options;
  const expected = credentials && `Basic ${btoa(`${credentials.user}:${credentials.password}`)}`;
  const targets: string[] = [];
  const refuse: RequestListener = (_request, response) => void response.writeHead(405).end();
  const server = certificate ? createSecureServer(certificate, refuse) : createServer(refuse);
  server.on("connect", (request: IncomingMessage, client: Socket, head: Buffer) => {
    targets.push(request.url ?? "");
    if (expected && request.headers["proxy-authorization"] !== expected) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\n\r\n');
      return;
    }
    const { hostname, port } = new URL(`tcp://${request.url}`);
    const upstream = connect(Number(port), hostname, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    upstream.on("close", () => client.destroy());
    client.on("error", () => upstream.destroy());
    client.on("close", () => upstream.destroy());
  });
  const listening = await listen(server);
  const userinfo = credentials
    ? `${encodeURIComponent(credentials.user)}:${encodeURIComponent(credentials.password)}@`
    : "";
  const scheme = certificate ? "https" : "http";
  return { url: `${scheme}://${userinfo}127.0.0.1:${listening.port}`, targets, close: listening.close };
}
