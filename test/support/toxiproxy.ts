/**
 * Shopify's Toxiproxy between us and a peer: connections that are refused, reset, cut, starved. Its program is built by
 * `need_go_tool toxiproxy` of script/lib.sh.
 */
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { type ICreateToxicBody, Toxiproxy } from "toxiproxy-node-client";
import { findBuilt } from "../quay-stand-in/built.ts";
import { listen } from "../quay-stand-in/listen.ts";

/** What happens to every connection from now on, from the peer to us. */
export type Toxic =
  /** Forwards nothing; after so many milliseconds (0: never) the connection ends. */
  | { type: "timeout"; attributes: { timeout: number } }
  /** A TCP reset, so many milliseconds after the connection was made. */
  | { type: "reset_peer"; attributes: { timeout: number } }
  /** Ends the connection after so many bytes. */
  | { type: "limit_data"; attributes: { bytes: number } }
  /** Milliseconds. */
  | { type: "latency"; attributes: { latency: number; jitter: number } }
  /** Kilobytes a second. */
  | { type: "bandwidth"; attributes: { rate: number } };

export interface Passage {
  /** On 127.0.0.1, in place of the peer's. */
  port: number;
  /** One chain, in this order. */
  poison(...toxics: Toxic[]): Promise<void>;
  /** Refuses connections. */
  shut(): Promise<void>;
  /** Removes all of these. */
  heal(): Promise<void>;
}

export interface Toxiproxies {
  /** A route to a port of this machine. */
  open(port: number): Promise<Passage>;
  close(): Promise<void>;
}

/** Undefined: `need_go_tool toxiproxy` has not run. */
export const findToxiproxy = (): string | undefined => findBuilt("toxiproxy", "server");

export async function startToxiproxy(): Promise<Toxiproxies> {
  const program = findToxiproxy();
  if (program === undefined) throw new Error("there is no Toxiproxy here: script/test builds it");
  const port = await freePort();
  // The shell runs until our end of its standard input closes: however this process ends, Toxiproxy stops.
  const script = '"$1" -host 127.0.0.1 -port "$2" & cat >/dev/null; kill $!; wait';
  const child = spawn("sh", ["-c", script, "toxiproxy", program, String(port)], {
    stdio: ["pipe", "pipe", "pipe"],
    // A terminal's Ctrl-C must not reach it before its standard input ends.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      log = `${log}${chunk}`.slice(-10_000);
    });
  }
  const api = `http://127.0.0.1:${port}`;
  const isUp = () =>
    fetch(`${api}/version`).then(
      ({ ok }) => ok,
      () => false,
    );
  for (const end = performance.now() + 10_000; !(await isUp()); ) {
    if (performance.now() > end || child.exitCode !== null) throw new Error(`Toxiproxy did not start:\n${log}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const client = new Toxiproxy(api);
  let count = 0;
  return {
    async open(to) {
      const proxy = await client.createProxy({
        name: `passage${++count}`,
        listen: "127.0.0.1:0",
        upstream: `127.0.0.1:${to}`,
        enabled: true,
      });
      const { listen: address, upstream } = proxy;
      let added = 0;
      const names: string[] = [];
      return {
        port: Number(address.split(":").at(-1)),
        async poison(...toxics) {
          for (const toxic of toxics) {
            const name = `toxic${++added}`;
            names.push(name);
            const body = { ...toxic, name, stream: "downstream", toxicity: 1 };
            await proxy.addToxic(body as ICreateToxicBody<typeof toxic.attributes>);
          }
        },
        shut: async () => void (await proxy.update({ enabled: false, listen: address, upstream })),
        async heal() {
          for (const name of names.splice(0)) await (await proxy.getToxic(name)).remove();
          await proxy.update({ enabled: true, listen: address, upstream });
        },
      };
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

/** For a peer whose route is made before it starts. */
export async function freePort(): Promise<number> {
  const listening = await listen(createServer());
  await listening.close();
  return listening.port;
}
