/** Shared by the tests of the registry client: registries behind the stand-in, images, answers for tests. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { afterAll, afterEach, beforeAll, expect, onTestFinished } from "vitest";
import type { RobotToken } from "../../src/quay/exchange.ts";
import { createClient } from "../../src/registry/client.ts";
import type { Descriptor } from "../../src/registry/manifest.ts";
import { createTransport, type TransportOptions } from "../../src/registry/transport.ts";
import type { Manifest } from "../../src/registry/types.ts";
import { ask } from "../contract/ask.ts";
import { fakeClock, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addRepository } from "../quay-stand-in/quay/store.ts";
import type { RegistryKind } from "../quay-stand-in/registry.ts";
import { answer, play, type Scripted } from "../quay-stand-in/scripted.ts";

/** The peers with scripted answers. */
export let peers: Peers;

/** A stand-in in front of each of these registries; `peers` has the first. */
export function useRegistries<Kind extends RegistryKind>(...kinds: readonly [Kind, ...Kind[]]): Record<Kind, Peers> {
  const worlds = {} as Record<Kind, Peers>;
  beforeAll(async () => {
    await Promise.all(
      kinds.map(async (kind) => {
        worlds[kind] = await startPeers({ registry: kind });
        addRepository(worlds[kind].quay.store, "acme/public", { "acme+ci": "write" }, "public");
        addRepository(worlds[kind].quay.store, "acme/read", { "acme+ci": "read" });
      }),
    );
    peers = worlds[kinds[0]];
  });
  afterAll(() => Promise.all(kinds.map((kind) => worlds[kind]?.close())));
  afterEach(() => {
    for (const kind of kinds) {
      const { quay } = worlds[kind];
      quay.authScript.clear();
      quay.registryScript.clear();
      quay.requests.length = 0;
    }
  });
  return worlds;
}

export async function tokenOf(world: Peers, robot: string, expiresAt = Date.now() / 1000 + 3600): Promise<RobotToken> {
  return { robot, token: await world.quay.tokens.robotToken(robot), expiresAt, lifeSeconds: 3600 };
}

interface Options extends Partial<TransportOptions> {
  world?: Peers;
  signal?: AbortSignal;
}

/** A client of acme/app, or of the repository `in`; with a robot unless `robot` is undefined. */
export async function client({ world = peers, signal = new AbortController().signal, ...more }: Options = {}) {
  const robot = "robot" in more ? more.robot : "acme+ci";
  const token = robot === undefined ? undefined : await tokenOf(world, robot);
  const clock = fakeClock();
  const platform = testPlatform({ roots: world.authority.ca, clock, signal });
  const options = {
    registry: world.registryHost,
    endpoint: "source",
    credential: () => token,
    realm: () => ({
      url: new URL(`https://${more.registry ?? world.registryHost}/v2/auth`),
      service: world.registryHost,
    }),
    timeoutSeconds: 60,
  } as const;
  const transport = createTransport({ ...options, ...more, robot }, platform);
  const inRepository = (repository: string) => createClient(transport, repository);
  return { ...inRepository("acme/app"), in: inRepository, clock, reporter: platform.reporter };
}

export const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

export const types = {
  image: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
};

export const made = (mediaType: string, content: object): Manifest => {
  const text = JSON.stringify({ schemaVersion: 2, mediaType, ...content });
  return { mediaType, text, digest: digestOf(text) };
};

export const describeManifest = ({ mediaType, digest, text }: Manifest): Descriptor => ({
  mediaType,
  digest,
  size: text.length,
});

export let count = 0;

/** An image without layers whose config is unique, with `subject` if given. */
export function makeImage(subject?: Manifest): Manifest & { config: string } {
  const config = JSON.stringify({ os: "linux", architecture: "amd64", number: ++count });
  const descriptor = { mediaType: types.config, digest: digestOf(config), size: config.length };
  const image = { config: descriptor, layers: [], ...(subject && { subject: describeManifest(subject) }) };
  return { ...made(types.image, image), config };
}

/** Uploads over plain HTTP as in the specification: in one piece, then closed with its digest. */
async function upload(world: Peers, repository: string, blob: string): Promise<void> {
  const access = { type: "repository", name: repository, actions: ["pull", "push"] } as const;
  const bearer = await world.quay.tokens.bearerToken(
    "acme+ci",
    [{ ...access, actions: ["pull", "push"] }],
    world.quay.host,
  );
  const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/octet-stream" };
  const send = (method: string, path: string, body: string) =>
    ask(world.quay.url, world.authority.ca, { method, path, headers, body });
  const begun = await send("POST", `/v2/${repository}/blobs/uploads/`, "");
  const to = new URL(String(begun.headers.location), world.quay.url);
  to.searchParams.set("digest", digestOf(blob));
  expect(await send("PUT", `${to.pathname}${to.search}`, blob)).toMatchObject({ status: 201 });
}

export async function push(world: Peers, repository: string, subject?: Manifest) {
  const image = makeImage(subject);
  await upload(world, repository, image.config);
  const writer = await client({ world, endpoint: "destination" });
  const { indexesSubject } = await writer.in(repository).putManifest(image.digest, image);
  return { image, indexesSubject };
}

export const script = (...answers: Scripted[]) => peers.quay.registryScript.next(...answers);

export const denial = () => answer(401, { errors: [{ code: "UNAUTHORIZED", message: "no" }] });

export const registryPaths = () => peers.quay.requests.map(({ method, path }) => `${method} ${path}`);

export const auths = () => peers.quay.requests.filter(({ path }) => path === "/v2/auth").length;

interface Other {
  url: string;
  host: string;
  requests: IncomingMessage[];
}

/** Another origin: the same host with another port. */
export async function startOther(reply: Scripted, secure = true): Promise<Other> {
  const requests: IncomingMessage[] = [];
  const handle = (request: IncomingMessage, response: Parameters<typeof play>[1]) => {
    requests.push(request);
    void play(reply, response);
  };
  const server = secure ? createSecureServer(await peers.authority.issue(), handle) : createServer(handle);
  const { port, close } = await listen(server);
  onTestFinished(close);
  return { url: `${secure ? "https" : "http"}://localhost:${port}`, host: `localhost:${port}`, requests };
}
