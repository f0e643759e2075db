/** All the peers of a login, connected to each other, for tests, the demo and the benchmark. */
import { type Delay, startDelay } from "./delay.ts";
import { type Github, startGithub } from "./github.ts";
import { type IssuerServer, SUBJECT, startIssuer } from "./issuer.ts";
import { type Quay, type QuayOptions, startQuay } from "./quay/server.ts";
import { addApiToken, addOrganization, addRepository, addRobot, addUser } from "./quay/store.ts";
import { type RegistryKind, startRegistry } from "./registry.ts";
import { type Authority, createAuthority, trustAsMachine } from "./tls.ts";

export interface PeersOptions {
  quay?: QuayOptions;
  /** Default `2.8.2`; `false`: no registry behind the stand-in (logins work, pushes don't). */
  registry?: false | RegistryKind;
  /** Milliseconds of one round trip to Quay and to GitHub's endpoint. */
  delayMs?: number;
  /** The number of further robots: acme+ci1 … acme+ciN, bound and with write to acme/app, like acme+ci. */
  robots?: number;
  /** Claims of GitHub's tokens, over the issuer's defaults. */
  claims?: Record<string, unknown>;
}

export interface Peers {
  authority: Authority;
  issuer: IssuerServer;
  github: Github;
  /** The root of GitHub's endpoint alone: the machine trusts it, ca-file does not contain it. */
  githubAuthority: Authority;
  quay: Quay;
  /** `localhost:PORT`, or `quay.name`. */
  registryHost: string;
  /** The root that all of them are verified with. */
  caFile: string;
  /** A folder with it, for `--cert-dir`. */
  certDir: string;
  githubEnv: Record<string, string>;
  /** An OAuth application's token of the organization's admin. */
  oauthToken: string;
  close(): Promise<void>;
}

/** The subject of acme+release's binding: a job of the environment `production`. */
export const RELEASE_SUBJECT = "repo:acme/app:environment:production";

/**
 * Organization acme with robots acme+ci (bound to the main branch's jobs, write to acme/app), acme+release (bound to
 * another subject, write to acme/app), acme+bare (no binding), acme+noperm (bound, no permissions); repositories
 * acme/app and acme/private (no permissions); user admin, password `password`.
 */
export async function startPeers(options: PeersOptions = {}): Promise<Peers> {
  const { delayMs = 0 } = options;
  const closers: (() => Promise<unknown>)[] = [];
  const keep = <T extends { close(): Promise<unknown> }>(peer: T): T => {
    closers.unshift(() => peer.close());
    return peer;
  };
  const close = async () => {
    for (const each of closers.splice(0)) await each();
  };
  try {
    const [authority, githubAuthority] = (await Promise.all([createAuthority(), createAuthority()])).map(keep) as [
      Authority,
      Authority,
    ];
    await authority.issue();
    trustAsMachine(githubAuthority);
    let quayPort = 0;
    let githubPort = 0;
    const delayed = async (target: () => number): Promise<Delay | undefined> =>
      delayMs > 0 ? keep(await startDelay(target, delayMs)) : undefined;
    const quayDelay = await delayed(() => quayPort);
    const githubDelay = await delayed(() => githubPort);
    const quayOptions = quayDelay === undefined ? {} : { publicPort: quayDelay.port };
    const [issuer, quay] = await Promise.all([
      startIssuer(authority).then(keep),
      startQuay(authority, { ...quayOptions, ...options.quay }).then(keep),
    ]);
    quayPort = quay.port;
    const [github] = await Promise.all([
      startGithub(githubAuthority, issuer, options.claims ? { claims: options.claims } : {}).then(keep),
      options.registry === false ? undefined : startRegistry(quay, options.registry).then(keep),
    ]);
    const githubUrl = new URL(github.env.ACTIONS_ID_TOKEN_REQUEST_URL);
    githubPort = Number(githubUrl.port);
    if (githubDelay !== undefined) githubUrl.port = String(githubDelay.port);
    return {
      authority,
      issuer,
      github,
      githubAuthority,
      quay,
      registryHost: quay.host,
      caFile: authority.caFile,
      certDir: authority.certDir,
      githubEnv: {
        ...github.env,
        ACTIONS_ID_TOKEN_REQUEST_URL: githubUrl.href,
        NODE_EXTRA_CA_CERTS: githubAuthority.caFile,
      },
      oauthToken: furnish(quay, issuer.url, options.robots ?? 0),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @returns the admin's OAuth token. */
function furnish({ store }: Quay, issuer: string, robots: number): string {
  addUser(store, "admin");
  addOrganization(store, "acme", ["admin"]);
  const binding = { issuer, subject: SUBJECT };
  addRobot(store, "acme+ci", [binding]);
  addRobot(store, "acme+release", [{ issuer, subject: RELEASE_SUBJECT }]);
  addRobot(store, "acme+bare");
  addRobot(store, "acme+noperm", [binding]);
  addRepository(store, "acme/app", { "acme+ci": "write", "acme+release": "write" });
  addRepository(store, "acme/private");
  for (let number = 1; number <= robots; number++) {
    const { name } = addRobot(store, `acme+ci${number}`, [binding]);
    addRepository(store, "acme/app", { [name]: "write" });
  }
  return addApiToken(store, { user: "admin" });
}
