/**
 * A real Keycloak on loopback, an issuer of identity tokens. `need_keycloak` of script/lib.sh has unpacked and built it. Its
 * realm acme has these clients: ci (a mapper adds the audience quay), es256 (signs with ES256), short (tokens of 5 s).
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findBuilt } from "../quay-stand-in/built.ts";
import type { Authority } from "../quay-stand-in/tls.ts";
import { fetchOk, freePorts, launch, type Program, until } from "./program.ts";

export interface Keycloak {
  /** `https://localhost:PORT/realms/acme` */
  issuer: string;
  /** The service account of client ci. */
  subject: string;
  /** The whole answer of the token endpoint (RFC 6749, 4.4.3). */
  answer(client: "ci" | "es256" | "short"): Promise<string>;
  /** The access token in it. */
  token(client: "ci" | "es256" | "short"): Promise<string>;
  /** Makes a new key sign, and stops publishing the old one. */
  replaceKey(): Promise<void>;
  stop(): Promise<void>;
  /** As it was before `stop`, its keys too. Resolves as soon as it starts: it answers seconds later. */
  start(): Promise<void>;
  ready(): Promise<void>;
  close(): Promise<void>;
}

const subject = "11111111-1111-4111-8111-111111111111";

const account = (clientId: string, more: object) => ({
  clientId,
  secret: `secret-of-${clientId}`,
  serviceAccountsEnabled: true,
  standardFlowEnabled: false,
  publicClient: false,
  ...more,
});

const audienceMapper = {
  name: "audience quay",
  protocol: "openid-connect",
  protocolMapper: "oidc-audience-mapper",
  config: { "included.custom.audience": "quay", "access.token.claim": "true" },
};

const realm = {
  realm: "acme",
  enabled: true,
  clients: [
    account("ci", { protocolMappers: [audienceMapper] }),
    account("es256", { attributes: { "access.token.signed.response.alg": "ES256" } }),
    account("short", { attributes: { "access.token.lifespan": "5" } }),
  ],
  // A service account's id is its tokens' subject: a fixed one is known beforehand.
  users: [{ username: "service-account-ci", enabled: true, serviceAccountClientId: "ci", id: subject }],
};

export async function startKeycloak(authority: Authority): Promise<Keycloak> {
  const script = findBuilt("keycloak", "bin/kc.sh");
  if (script === undefined) throw new Error("Keycloak is not there: see need_keycloak in script/lib.sh");
  const folder = await mkdtemp(join(tmpdir(), "keycloak-"));
  const at = (name: string) => join(folder, name);
  // It writes into its own folder: each instance gets a separate one.
  await cp(dirname(dirname(script)), at("server"), { recursive: true });
  await mkdir(at("server/data/import"), { recursive: true });
  await writeFile(at("server/data/import/acme-realm.json"), JSON.stringify(realm));
  const { key, cert } = await authority.issue();
  await writeFile(at("tls.pem"), cert);
  await writeFile(at("tls.key"), key, { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  const server = `https://localhost:${port}`;
  const issuer = `${server}/realms/acme`;
  const tls = [`--https-certificate-file=${at("tls.pem")}`, `--https-certificate-key-file=${at("tls.key")}`];
  const where = [`--http-host=127.0.0.1`, `--https-port=${port}`, `--hostname=${server}`];
  const env = {
    KC_BOOTSTRAP_ADMIN_USERNAME: "admin",
    KC_BOOTSTRAP_ADMIN_PASSWORD: "admin",
    JAVA_OPTS_KC_HEAP: "-Xms64m -Xmx256m",
  };
  let program: Program | undefined;

  const start = async () => {
    const args = ["start", "--optimized", "--import-realm", "--cache=local", ...where, ...tls];
    program = await launch(at("server/bin/kc.sh"), args, at("keycloak.log"), env);
  };
  const stop = async () => {
    await program?.stop();
    program = undefined;
  };
  const ready = async () => {
    if (program === undefined) throw new Error("Keycloak does not run");
    await until(() => fetchOk(issuer, authority.ca), program, "Keycloak", 120);
  };
  const close = async () => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  };

  const ask = (method: string, path: string, headers: Record<string, string>, body?: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const sent = request(`${server}${path}`, { method, headers, ca: authority.ca, agent: false }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part) => {
          text += part;
        });
        answer.on("end", () => {
          if ((answer.statusCode ?? 0) < 300) resolve(text);
          else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  const tokenOf = (realmName: string, parameters: Record<string, string>) =>
    ask(
      "POST",
      `/realms/${realmName}/protocol/openid-connect/token`,
      { "content-type": "application/x-www-form-urlencoded" },
      new URLSearchParams(parameters).toString(),
    );
  const answer = (client: string) =>
    tokenOf("acme", { grant_type: "client_credentials", client_id: client, client_secret: `secret-of-${client}` });

  try {
    await start();
    await ready();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    issuer,
    subject,
    answer,
    token: async (client) => JSON.parse(await answer(client)).access_token,
    async replaceKey() {
      const login = { grant_type: "password", client_id: "admin-cli", username: "admin", password: "admin" };
      const headers = {
        authorization: `Bearer ${JSON.parse(await tokenOf("master", login)).access_token}`,
        "content-type": "application/json",
      };
      const components = "/admin/realms/acme/components";
      const kinds = `${components}?type=org.keycloak.keys.KeyProvider`;
      const [old] = JSON.parse(await ask("GET", kinds, headers)).filter(
        ({ providerId }: { providerId: string }) => providerId === "rsa-generated",
      );
      const config = {
        priority: ["200"],
        enabled: ["true"],
        active: ["true"],
        keySize: ["2048"],
        algorithm: ["RS256"],
      };
      const { providerId, providerType, parentId } = old;
      const fresh = { name: "fresh", providerId, providerType, parentId, config };
      await ask("POST", components, headers, JSON.stringify(fresh));
      const disabled = { ...old, config: { ...old.config, enabled: ["false"], active: ["false"] } };
      await ask("PUT", `${components}/${old.id}`, headers, JSON.stringify(disabled));
    },
    start,
    stop,
    ready,
    close,
  };
}
