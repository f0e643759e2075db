/**
 * The world of a promotion: one authority, one issuer, and Quay stand-ins with a real registry each. A test looks at what
 * a registry holds, and fills it, past the stand-in: what the stand-in has seen comes from the program alone.
 */
import type { IncomingMessage } from "node:http";
import { request as httpRequest } from "node:http";
import { startDelay } from "../quay-stand-in/delay.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { type Quay, type QuayOptions, startQuay } from "../quay-stand-in/quay/server.ts";
import { addOrganization, addRepository, addRobot, type Role } from "../quay-stand-in/quay/store.ts";
import { type RegistryKind, startRegistry } from "../quay-stand-in/registry.ts";
import { pass } from "../quay-stand-in/scripted.ts";
import { allOf, type Content, type Made } from "./images.ts";
import type { Secret } from "./leaks.ts";

/** A request that the stand-in has seen, as it came. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The robot, by Basic or by the bearer token; undefined: anonymous. */
  readonly user: string | undefined;
}

/** A manifest as a registry holds it. */
export interface Held {
  readonly digest: string;
  readonly mediaType: string;
  readonly text: string;
}

/** A Quay stand-in and the registry behind it. */
export interface Side {
  readonly quay: Quay;
  readonly host: string;
  /** Requests under `/v2/`, `/v2/auth` included, in order. */
  readonly asked: Asked[];
  /** Calls a function with each as it comes. @returns a function that stops that */
  onAsked(listener: (asked: Asked) => void): () => void;
  /** Stores an image with all its parts, under its digest and these tags. */
  push(repository: string, made: Made, tags?: readonly string[]): Promise<void>;
  /** Removes a manifest. */
  remove(repository: string, digest: string): Promise<void>;
  manifest(repository: string, reference: string): Promise<Held | undefined>;
  digest(repository: string, reference: string): Promise<string | undefined>;
  tags(repository: string): Promise<string[]>;
  /** Digests of its referrers, sorted, from the registry's API; undefined: it has no such API. */
  referrers(repository: string, digest: string): Promise<string[] | undefined>;
  /** The missing parts of an image: manifests with other bytes, blobs that do not exist. */
  missing(repository: string, made: Made): Promise<string[]>;
}

export interface PromotionWorld {
  /** With `quay` as the source's stand-in: for machines. */
  readonly peers: Peers;
  /** distribution 2.8.2, both: no API for referrers. */
  readonly staging: Side;
  readonly release: Side;
  /** A registry with that API. */
  readonly modern: Side;
  /** The secrets that the stand-ins other than the peers' have given until now: for the leak harness. */
  readonly secrets: readonly Secret[];
  close(): Promise<void>;
}

export interface PromotionWorldOptions {
  /** Of all stand-ins. */
  readonly quay?: QuayOptions;
  /** How long one round trip to staging and release takes, milliseconds. */
  readonly delayMs?: number;
  /** The port to use for the release stand-in, if a proxy is in between. */
  readonly releasePorts?: { readonly port: number; readonly publicPort: number };
}

export async function startPromotionWorld(options: PromotionWorldOptions = {}): Promise<PromotionWorld> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const each of closers.splice(0).toReversed()) await each();
  };
  const { quay: quayOptions = {}, delayMs = 0 } = options;
  let { releasePorts = {} }: { releasePorts?: Partial<NonNullable<PromotionWorldOptions["releasePorts"]>> } = options;
  try {
    const peers = await startPeers({ registry: false, quay: quayOptions, delayMs });
    closers.push(peers.close);
    let releasePort = 0;
    if (delayMs > 0) {
      const delay = await startDelay(() => releasePort, delayMs);
      closers.push(delay.close);
      releasePorts = { publicPort: delay.port };
    }
    const secrets: Secret[] = [];
    const another = async (more: QuayOptions = {}) => {
      const quay = await startQuay(peers.authority, { ...quayOptions, ...more });
      closers.push(quay.close);
      rememberSecrets(quay, secrets);
      addOrganization(quay.store, "acme");
      return quay;
    };
    const side = async (quay: Quay, kind: RegistryKind) => {
      const registry = await startRegistry(quay, kind);
      closers.push(registry.close);
      return openSide(quay, registry.port);
    };
    const [second, third] = await Promise.all([another(releasePorts), another()]);
    releasePort = second.port;
    const [staging, release, modern] = await Promise.all([
      side(peers.quay, "2.8.2"),
      side(second, "2.8.2"),
      side(third, "referrers"),
    ]);
    return { peers, staging, release, modern, secrets, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export interface RepositoryOptions {
  readonly robots?: Readonly<Record<string, Role>>;
  readonly isPublic?: boolean;
}

/** Makes a repository in Quay, and robots bound to the issuer's ordinary identity. */
export function addPlace(world: PromotionWorld, side: Side, repository: string, options: RepositoryOptions = {}): void {
  const { robots = {}, isPublic = false } = options;
  for (const name of Object.keys(robots)) bindRobot(world, side, name);
  addRepository(side.quay.store, repository, robots, isPublic ? "public" : "private");
}

export function bindRobot(world: PromotionWorld, side: Side, name: string): void {
  if (side.quay.store.robots.has(name)) return;
  addRobot(side.quay.store, name, [{ issuer: world.peers.issuer.url, subject: SUBJECT }]);
}

function rememberSecrets({ tokens }: Quay, secrets: Secret[]): void {
  const { robotToken, bearerToken } = tokens;
  tokens.robotToken = async (...args) => {
    const value = await robotToken(...args);
    secrets.push({ kind: "robot", value });
    return value;
  };
  tokens.bearerToken = async (...args) => {
    const value = await bearerToken(...args);
    secrets.push({ kind: "registry", value });
    return value;
  };
}

/** Every form of manifest: a registry only gives the forms that a request names. */
const accept = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
].join(", ");

function openSide(quay: Quay, port: number): Side {
  const asked: Asked[] = [];
  const listeners = new Set<(asked: Asked) => void>();
  const note = (request: IncomingMessage) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", quay.url);
    const user = userOf(request.headers.authorization);
    const entry = { method: request.method ?? "GET", path: pathname, query: searchParams, user };
    asked.push(entry);
    for (const listener of listeners) listener(entry);
    return false; // the rule matches no request: it only observes
  };
  quay.authScript.always(pass(), note);
  quay.registryScript.always(pass(), note);

  const { bearerToken } = quay.tokens;
  const bearers = new Map<string, Promise<string>>();
  /** As the administrator, past the stand-in. */
  async function send(method: string, path: string, repository: string, headers = {}, body?: Buffer) {
    const actions = ["pull", "push", "delete"];
    const bearer =
      bearers.get(repository) ?? bearerToken("admin", [{ type: "repository", name: repository, actions }], quay.host);
    bearers.set(repository, bearer);
    const authorization = `Bearer ${await bearer}`;
    const length = body === undefined ? {} : { "content-length": String(body.length) };
    return exchange(port, { method, path, headers: { host: quay.host, ...length, ...headers, authorization } }, body);
  }
  const good = ({ status, text }: Answer, what: string) => {
    if (status >= 300) throw new Error(`${what}: ${status} ${text}`);
  };

  async function hasBlob(repository: string, digest: string): Promise<boolean> {
    return (await send("HEAD", `/v2/${repository}/blobs/${digest}`, repository)).status === 200;
  }

  async function pushBlob(repository: string, { descriptor, bytes }: Content): Promise<void> {
    if (await hasBlob(repository, descriptor.digest)) return;
    const begun = await send("POST", `/v2/${repository}/blobs/uploads/`, repository, {}, Buffer.alloc(0));
    good(begun, `an upload to ${repository}`);
    // It may be absolute, with the public address.
    const location = new URL(begun.headers.location ?? "", `http://localhost:${port}`);
    location.searchParams.set("digest", descriptor.digest);
    const headers = { "content-type": "application/octet-stream" };
    good(
      await send("PUT", `${location.pathname}${location.search}`, repository, headers, bytes),
      `a blob of ${repository}`,
    );
  }

  async function manifest(repository: string, reference: string): Promise<Held | undefined> {
    const ask = () => send("GET", `/v2/${repository}/manifests/${reference}`, repository, { accept });
    let got = await ask();
    // While 2.8.2 takes a manifest, also under another tag, it rewrites its link, and answers 500 to readers.
    for (let left = 10; got.status === 500 && left > 0; left--) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      got = await ask();
    }
    if (got.status === 404) return undefined;
    good(got, `${repository} ${reference}`);
    const { "docker-content-digest": digest = "", "content-type": mediaType = "" } = got.headers;
    return { digest: String(digest), mediaType, text: got.text };
  }

  async function missingOf(repository: string, made: Made): Promise<string[]> {
    const held = await manifest(repository, made.digest);
    const found = await Promise.all(made.blobs.map(({ descriptor }) => hasBlob(repository, descriptor.digest)));
    return [
      ...(held?.text === made.bytes.toString() && held.mediaType === made.descriptor.mediaType ? [] : [made.digest]),
      ...made.blobs.flatMap(({ descriptor }, index) => (found[index] ? [] : [descriptor.digest])),
    ];
  }

  return {
    quay,
    host: quay.host,
    asked,
    onAsked(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async push(repository, made, tags = []) {
      for (const each of allOf(made)) {
        await Promise.all(each.blobs.map((blob) => pushBlob(repository, blob)));
        for (const reference of each === made && tags.length > 0 ? tags : [each.digest]) {
          const headers = { "content-type": each.descriptor.mediaType };
          const path = `/v2/${repository}/manifests/${reference}`;
          good(await send("PUT", path, repository, headers, each.bytes), `${repository} ${reference}`);
        }
      }
    },
    remove: async (repository, digest) =>
      good(await send("DELETE", `/v2/${repository}/manifests/${digest}`, repository), `${repository} ${digest}`),
    manifest,
    digest: async (repository, reference) => (await manifest(repository, reference))?.digest,
    async tags(repository) {
      const { status, text } = await send("GET", `/v2/${repository}/tags/list`, repository);
      const tags: string[] | null = status === 404 ? [] : JSON.parse(text).tags;
      return (tags ?? []).toSorted();
    },
    async referrers(repository, digest) {
      const got = await send("GET", `/v2/${repository}/referrers/${digest}`, repository);
      if (got.status === 404) return undefined;
      good(got, `the referrers of ${repository}`);
      const { manifests }: { manifests: { digest: string }[] } = JSON.parse(got.text);
      return manifests.map((each) => each.digest).toSorted();
    },
    missing: async (repository, made) =>
      (await Promise.all(allOf(made).map((each) => missingOf(repository, each)))).flat(),
  };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

/** Plain HTTP, as the registry speaks it on loopback. */
function exchange(port: number, options: { method: string; path: string; headers: object }, body?: Buffer) {
  return new Promise<Answer>((resolve, reject) => {
    const { method, path, headers } = options;
    const request = httpRequest({ host: "127.0.0.1", port, method, path, headers: { ...headers }, agent: false });
    request.on("error", reject);
    request.on("response", async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
    });
    request.end(body);
  });
}

/** The user of a password or bearer token. */
function userOf(authorization = ""): string | undefined {
  const [scheme, value = ""] = authorization.split(" ");
  if (scheme === "Basic") return Buffer.from(value, "base64").toString().split(":")[0];
  const payload = value.split(".")[1];
  if (payload === undefined) return undefined;
  const { context } = JSON.parse(Buffer.from(payload, "base64url").toString());
  return context?.user;
}
