#!/usr/bin/env node
/**
 * The stand-in in a process of its own, for the shell (README.md):
 * `node test/quay-stand-in/serve.ts [--delay MS] [--robots N] [--exchange-ms MS]` prints one line of JSON with the
 * addresses, and runs until its standard input closes or a signal ends it.
 */
import { parseArgs } from "node:util";
import { startPeers } from "./peers.ts";

const { values } = parseArgs({
  options: {
    /** Milliseconds of a round trip to Quay and GitHub. */
    delay: { type: "string", default: "0" },
    robots: { type: "string", default: "0" },
    /** Milliseconds that an exchange takes on Quay's side, in addition to the stand-in's own time. */
    "exchange-ms": { type: "string", default: "0" },
  },
});
const robots = Number(values.robots);
const peers = await startPeers({
  delayMs: Number(values.delay),
  robots,
  quay: { exchangeMs: Number(values["exchange-ms"]) },
});

const addresses = {
  registry: peers.registryHost,
  caFile: peers.caFile,
  certDir: peers.certDir,
  githubEnv: peers.githubEnv,
  issuer: peers.issuer.url,
  oauthToken: peers.oauthToken,
  robots: ["acme+ci", ...Array.from({ length: robots }, (_, index) => `acme+ci${index + 1}`)],
};
process.stdout.write(`${JSON.stringify(addresses)}\n`);

let ending = false;
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await peers.close();
  process.exit(0);
}
process.stdin.on("end", end).on("close", end).resume();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
