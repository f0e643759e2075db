/**
 * A real SPIRE on loopback: server, agent and OIDC discovery provider. It attests workloads by their uid. Its programs are
 * built by `need_spire` of script/lib.sh.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import type { Authority } from "../quay-stand-in/tls.ts";
import { fetchOk, freePorts, launch, type Program, until } from "./program.ts";

const run = promisify(execFile);

export interface SpireOptions {
  /** Signs the discovery provider's certificate. */
  authority: Authority;
  /** What signs JWT-SVIDs. Default: SPIRE's own, ec-p256, which Quay refuses. */
  jwtKeyType?: "rsa-2048";
  /** Whether JWT-SVIDs have an `iss`; then there is a discovery provider at it. Default: yes. SPIRE's own is no. */
  issuer?: boolean;
  /** How long a JWT-SVID lives. */
  ttlSeconds?: number;
}

export interface Entry {
  id: string;
  /** The uid of the process that is to get it; default: this one's. */
  uid?: number;
  hint?: string;
}

export interface Spire {
  /** `https://localhost:PORT`, where the discovery provider is if there is one. */
  issuer: string;
  /** Of the agent's Workload API: `unix:///path`. */
  address: string;
  /** The server's socket for administrators, which is not a Workload API. */
  adminAddress: string;
  /** The JWT-SVID that the agent gives to this process now; it gives the same one for half of its life. */
  token(audience: string, id: string): Promise<string>;
  /** Makes a registration entry; the agent knows it a second or two later. @returns its name, for `unregister` */
  register(entry: Entry): Promise<string>;
  unregister(entryId: string): Promise<void>;
  stopAgent(): Promise<void>;
  startAgent(): Promise<void>;
  close(): Promise<void>;
}

const trustDomain = "example.org";
const node = `spiffe://${trustDomain}/node`;

/** Where the three programs are: $SPIRE_BIN, the PATH, or where `need_spire` puts them. */
function findSpire(): string | undefined {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const folders = [
    process.env.SPIRE_BIN ?? "",
    ...(process.env.PATH ?? "").split(delimiter),
    join(cache, "quay-keyless-login", "spire@v1.13.3"),
  ];
  return folders.find((folder) => folder !== "" && existsSync(join(folder, "spire-server")));
}

export async function startSpire(options: SpireOptions): Promise<Spire> {
  const bin = findSpire();
  if (bin === undefined) throw new Error("SPIRE's programs are not there: see need_spire in script/lib.sh");
  // Short, since a socket's path has at most 107 bytes; open to all, since a workload may be another user.
  const folder = await mkdtemp(join(tmpdir(), "spire-"));
  await chmod(folder, 0o755);
  const at = (name: string) => join(folder, name);
  const [serverPort = 0, issuerPort = 0] = await freePorts(2);
  const issuer = `https://localhost:${issuerPort}`;
  const running = new Map<string, Program>();

  const start = async (name: string, program: string, args: string[], ready: () => Promise<unknown>) => {
    const started = await launch(join(bin, program), args, at(`${name}.log`));
    running.set(name, started);
    await until(ready, started, `SPIRE's ${name}`);
  };
  const stop = async (name: string) => {
    await running.get(name)?.stop();
    running.delete(name);
  };
  const server = (...args: string[]) => run(join(bin, "spire-server"), [...args, "-socketPath", at("server.sock")]);

  const startAgent = async (...token: string[]) => {
    const healthy = () => run(join(bin, "spire-agent"), ["healthcheck", "-socketPath", at("agent.sock")]);
    await start("agent", "spire-agent", ["run", "-config", at("agent.conf"), ...token], healthy);
  };
  const close = async () => {
    for (const name of ["provider", "agent", "server"]) await stop(name);
    await rm(folder, { recursive: true, force: true });
  };

  try {
    await mkdir(at("server"), { mode: 0o700 });
    await mkdir(at("agent"), { mode: 0o700 });
    await writeFile(at("server.conf"), serverConfig(folder, serverPort, issuer, options));
    await start("server", "spire-server", ["run", "-config", at("server.conf")], () => server("healthcheck"));
    const [bundle, token] = await Promise.all([
      server("bundle", "show"),
      server("token", "generate", "-spiffeID", node, "-output", "json"),
    ]);
    await writeFile(at("bundle.pem"), bundle.stdout);
    await writeFile(at("agent.conf"), agentConfig(folder, serverPort));
    const provider = async () => {
      if (options.issuer === false) return;
      const { key, cert } = await options.authority.issue();
      await writeFile(at("tls.pem"), cert);
      await writeFile(at("tls.key"), key, { mode: 0o600 });
      await writeFile(at("provider.conf"), providerConfig(folder, issuer, issuerPort));
      const published = () => fetchOk(`${issuer}/keys`, options.authority.ca);
      await start("provider", "oidc-discovery-provider", ["-config", at("provider.conf")], published);
    };
    await Promise.all([startAgent("-joinToken", JSON.parse(token.stdout).value), provider()]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    issuer,
    address: `unix://${at("agent.sock")}`,
    adminAddress: `unix://${at("server.sock")}`,
    async token(audience, id) {
      const args = ["api", "fetch", "jwt", "-audience", audience, "-spiffeID", id, "-output", "json"];
      const { stdout } = await run(join(bin, "spire-agent"), [...args, "-socketPath", at("agent.sock")]);
      return JSON.parse(stdout)[0].svids[0].svid;
    },
    async register({ id, uid = process.getuid?.() ?? 0, hint }) {
      const { stdout } = await server(
        ...["entry", "create", "-parentID", node, "-spiffeID", id, "-selector", `unix:uid:${uid}`, "-output", "json"],
        ...(hint === undefined ? [] : ["-hint", hint]),
      );
      return JSON.parse(stdout).results[0].entry.id;
    },
    unregister: async (entryId) => void (await server("entry", "delete", "-entryID", entryId)),
    stopAgent: () => stop("agent"),
    // Its keys are on disk: it needs no second token.
    startAgent: () => startAgent(),
    close,
  };
}

function serverConfig(folder: string, port: number, issuer: string, options: SpireOptions): string {
  const { jwtKeyType, ttlSeconds = 300 } = options;
  return `server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${folder}/server.sock"
  trust_domain = "${trustDomain}"
  data_dir = "${folder}/server"
  log_level = "INFO"
  ${jwtKeyType === undefined ? "" : `jwt_key_type = "${jwtKeyType}"`}
  ${options.issuer === false ? "" : `jwt_issuer = "${issuer}"`}
  default_jwt_svid_ttl = "${ttlSeconds}s"
  # How often it looks for new entries; 5 s by default.
  experimental { cache_reload_interval = "500ms" }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${folder}/server/db.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
}
`;
}

function agentConfig(folder: string, serverPort: number): string {
  return `agent {
  data_dir = "${folder}/agent"
  log_level = "INFO"
  server_address = "127.0.0.1"
  server_port = "${serverPort}"
  socket_path = "${folder}/agent.sock"
  trust_domain = "${trustDomain}"
  trust_bundle_path = "${folder}/bundle.pem"
  experimental { sync_interval = "1s" }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "disk" { plugin_data { directory = "${folder}/agent" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;
}

function providerConfig(folder: string, issuer: string, port: number): string {
  return `log_level = "info"
domains = ["localhost"]
jwt_issuer = "${issuer}"
jwks_uri = "${issuer}/keys"
set_key_use = true
serving_cert_file { cert_file_path = "${folder}/tls.pem" key_file_path = "${folder}/tls.key" addr = "127.0.0.1:${port}" }
server_api { address = "unix://${folder}/server.sock" poll_interval = "1s" }
`;
}
