/**
 * A TCP proxy that adds network latency to a loopback server: one round trip costs `ms` milliseconds, half of it each way.
 * The TCP handshake is one round trip as well, so the first bytes of a client leave one round trip after it connected.
 */
import { connect, createServer, type Socket } from "node:net";
import { listen } from "./listen.ts";

export interface Delay {
  port: number;
  close(): Promise<void>;
}

/** @param target gives the port on 127.0.0.1 at each connection: it may become known after the proxy has started. */
export async function startDelay(target: () => number, ms: number): Promise<Delay> {
  const server = createServer((client) => {
    client.setNoDelay(true);
    const upstream = connect(target(), "127.0.0.1").setNoDelay(true);
    carry(client, upstream, ms / 2, performance.now() + ms);
    carry(upstream, client, ms / 2, 0);
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
    client.on("close", () => setTimeout(() => upstream.destroy(), ms / 2));
  });
  return listen(server);
}

/** Forwards the data of `from` in order, `ms` later, or `ms` after `notBefore` if that is later. */
function carry(from: Socket, to: Socket, ms: number, notBefore: number): void {
  let last = 0;
  const later = (action: () => void) => {
    last = Math.max(last, Math.max(performance.now(), notBefore) + ms);
    setTimeout(action, last - performance.now());
  };
  from.on("data", (chunk) => later(() => void (to.destroyed || to.write(chunk))));
  from.on("end", () => later(() => void to.end()));
}
