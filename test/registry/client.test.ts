/** The registry client over real TLS: with real registries behind the stand-in, and with answers that only a test gives. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { RobotToken } from "../../src/quay/exchange.ts";
import { createClient } from "../../src/registry/client.ts";
import type { Descriptor } from "../../src/registry/manifest.ts";
import { addToFallback, listReferrers } from "../../src/registry/referrers.ts";
import { assertMayPush } from "../../src/registry/rights.ts";
import { createTransport, granted, type TransportOptions } from "../../src/registry/transport.ts";
import type { Manifest } from "../../src/registry/types.ts";
import { ask } from "../contract/ask.ts";
import { failure, fakeClock, testPlatform, unsignedJwt } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { INTERNAL_ERROR } from "../quay-stand-in/quay/pages.ts";
import { addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import type { RegistryKind } from "../quay-stand-in/registry.ts";
import { answer, cut, hang, huge, notJson, play, redirect, reset, type Scripted } from "../quay-stand-in/scripted.ts";

const kinds = ["2.8.2", "referrers"] as const;
const worlds = {} as Record<RegistryKind, Peers>;
/** The one whose answers are scripted. */
let peers: Peers;
beforeAll(async () => {
  await Promise.all(
    kinds.map(async (kind) => {
      worlds[kind] = await startPeers({ registry: kind });
      addRepository(worlds[kind].quay.store, "acme/public", { "acme+ci": "write" }, "public");
      addRepository(worlds[kind].quay.store, "acme/read", { "acme+ci": "read" });
    }),
  );
  peers = worlds["2.8.2"];
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

async function tokenOf(world: Peers, robot: string, expiresAt = Date.now() / 1000 + 3600): Promise<RobotToken> {
  return { robot, token: await world.quay.tokens.robotToken(robot), expiresAt, lifeSeconds: 3600 };
}

interface Options extends Partial<TransportOptions> {
  world?: Peers;
  signal?: AbortSignal;
}

/** Of acme/app, or `in` another repository; with a robot, unless `robot` is undefined. */
async function client({ world = peers, signal = new AbortController().signal, ...more }: Options = {}) {
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

const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const types = {
  image: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
};
const made = (mediaType: string, content: object): Manifest => {
  const text = JSON.stringify({ schemaVersion: 2, mediaType, ...content });
  return { mediaType, text, digest: digestOf(text) };
};
const describeManifest = ({ mediaType, digest, text }: Manifest): Descriptor => ({
  mediaType,
  digest,
  size: text.length,
});

let count = 0;
/** An image without layers whose config says something new, and what refers to `subject`. */
function makeImage(subject?: Manifest): Manifest & { config: string } {
  const config = JSON.stringify({ os: "linux", architecture: "amd64", number: ++count });
  const descriptor = { mediaType: types.config, digest: digestOf(config), size: config.length };
  const image = { config: descriptor, layers: [], ...(subject && { subject: describeManifest(subject) }) };
  return { ...made(types.image, image), config };
}

/** By plain HTTP, as the specification has it: in one piece, then closed with its digest. */
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

async function push(world: Peers, repository: string, subject?: Manifest) {
  const image = makeImage(subject);
  await upload(world, repository, image.config);
  const writer = await client({ world, endpoint: "destination" });
  const { indexesSubject } = await writer.in(repository).putManifest(image.digest, image);
  return { image, indexesSubject };
}

describe.each(kinds)("a real registry (%s)", (kind) => {
  test("has what was put there, byte for byte, under digest and tags", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/app");
    const { mediaType, text, digest } = image;
    const one = await client({ world });
    expect(await one.manifest(digest)).toEqual({ mediaType, text, digest });
    expect(await one.digestOf(digest)).toBe(digest);
    expect(await one.digestOf(`v${count}`)).toBeUndefined();
    expect(await one.manifest(`v${count}`)).toBeUndefined();
    await one.putManifest(`v${count}`, image);
    expect(await one.digestOf(`v${count}`)).toBe(digest);
    expect(await one.manifest(`v${count}`)).toEqual({ mediaType, text, digest });
  });

  test("indexes", async () => {
    const world = worlds[kind];
    const [{ image: first }, { image: second }] = [await push(world, "acme/app"), await push(world, "acme/app")];
    const index = made(types.index, { manifests: [first, second].map(describeManifest) });
    const one = await client({ world });
    await one.putManifest("all", index);
    expect(await one.manifest("all")).toEqual(index);
  });

  test("blobs", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/app");
    const one = await client({ world });
    const blob = digestOf(image.config);
    expect(await one.blob(blob)).toBe(image.config);
    expect(await one.hasBlob(blob)).toBe(true);
    const none = digestOf("nothing");
    expect([await one.blob(none), await one.hasBlob(none)]).toEqual([undefined, false]);
  });

  test("who refers to a manifest", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/app");
    const one = await client({ world });
    expect(await listReferrers(one, image.digest)).toEqual([]);
    const { image: signature, indexesSubject } = await push(world, "acme/app", image);
    expect(indexesSubject).toBe(kind === "referrers");
    if (!indexesSubject) await addToFallback(one, image.digest, [describeManifest(signature)]);
    const found = await listReferrers(one, image.digest);
    expect(found).toEqual([expect.objectContaining(describeManifest(signature))]);
    const tag = image.digest.replace(":", "-");
    expect((await one.digestOf(tag)) === undefined).toBe(indexesSubject);
  });

  test("is asked with one token for each repository and right", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/app");
    const one = await client({ world });
    world.quay.requests.length = 0;
    await Promise.all(["a", "b", "c", image.digest].map((reference) => one.digestOf(reference)));
    await one.putManifest("v1", image);
    await one.putManifest("v2", image);
    const asked = world.quay.requests.filter(({ path }) => path === "/v2/auth");
    expect(asked.map(({ user }) => user)).toEqual(["acme+ci", "acme+ci"]);
    const secrets = one.reporter.secrets;
    expect(secrets).toHaveLength(4);
    expect(secrets.every((secret) => world.quay.seen(secret).length > 0)).toBe(true);
    expect(one.reporter.debugs.some((line) => line.startsWith("PUT "))).toBe(true);
  });

  test("what is public is read without a login, what is not is refused", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/public");
    world.quay.requests.length = 0;
    const nobody = await client({ world, robot: undefined });
    const both = [nobody.in("acme/public").manifest(image.digest), nobody.in("acme/public").digestOf(image.digest)];
    expect(await Promise.all(both)).toEqual([expect.objectContaining({ text: image.text }), image.digest]);
    expect(world.quay.requests.filter(({ scheme }) => scheme === "basic")).toEqual([]);
    for (const repository of ["acme/app", "acme/nothing"]) {
      const error = await failure(nobody.in(repository).manifest("v1"));
      expect(error.code).toBe("access-missing");
      expect(error.message).toBe(
        `${world.registryHost}, the source, does not let ${repository} be read without a login, or it does not exist.`,
      );
      expect(error.remedy[0]).toContain("set the option source-robot");
    }
  });

  test("what a robot may not do is told with the permission to give", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/app");
    const writer = await client({ world, endpoint: "destination" });
    const read = await failure(writer.in("acme/read").putManifest("v1", image));
    expect([read.code, read.message]).toEqual([
      "access-missing",
      `acme+ci may not push to acme/read on ${world.registryHost}, the destination; it may pull.`,
    ]);
    expect(read.remedy).toEqual([
      expect.stringMatching(/Repositories > acme\/read > .*: acme\+ci, Write\.$/),
      expect.stringContaining("If it has Write already"),
    ]);
    const missing = await failure(writer.in("acme/nothing").digestOf("v1"));
    expect(missing.message).toContain("acme+ci may not pull from acme/nothing on");
    expect(missing.remedy[0]).toMatch(/acme\+ci, Write\.$/);
    expect(missing.remedy[1]).toContain("a team with the role Creator have acme+ci as a member");
    const reader = await client({ world, robot: "acme+noperm" });
    const error = await failure(reader.manifest(image.digest));
    expect(error.message).toContain("acme+noperm may not pull from acme/app on");
    expect(error.remedy).toEqual([
      expect.stringMatching(/acme\+noperm, Read\.$/),
      "Quay answers the same way where the repository does not exist: check the option source.",
    ]);
    // Asked once: a token that was got for the question itself is not got again.
    expect(world.quay.requests.filter(({ path, user }) => path === "/v2/auth" && user === "acme+noperm")).toHaveLength(
      1,
    );
  });
});

describe("what is granted", () => {
  test("to a robot, and to nobody", async () => {
    const one = await client({ endpoint: "destination" });
    expect(await granted(one.transport, "acme/app", ["pull", "push"])).toEqual(["push", "pull"]);
    expect(await granted(one.transport, "acme/read", ["pull", "push"])).toEqual(["pull"]);
    await assertMayPush(one);
    const error = await failure(assertMayPush(one.in("acme/read")));
    expect(error.message).toBe(
      `acme+ci may not push to acme/read on ${peers.registryHost}, the destination; it may pull.`,
    );
    const nobody = await client({ robot: undefined });
    expect(await granted(nobody.transport, "acme/public", ["pull"])).toEqual(["pull"]);
    expect(await granted(nobody.transport, "acme/app", ["pull"])).toEqual([]);
    expect((await failure(assertMayPush(nobody))).message).toContain("without a login");
  });

  test("is asked anew each time: the repository may have been made since", async () => {
    const one = await client({ endpoint: "destination" });
    await failure(assertMayPush(one.in("acme/late")));
    addRepository(peers.quay.store, "acme/late", { "acme+ci": "write" });
    await assertMayPush(one.in("acme/late"));
  });

  test("asking for push has Quay make a repository, asking for pull does not", async () => {
    const { store } = peers.quay;
    addOrganization(store, "beta");
    addRobot(store, "beta+maker");
    store.organizations.get("beta")?.creators.add("beta+maker");
    const maker = await client({ robot: "beta+maker", endpoint: "destination" });
    expect((await failure(maker.in("beta/new").digestOf("v1"))).code).toBe("access-missing");
    expect(store.repositories.has("beta/new")).toBe(false);
    await assertMayPush(maker.in("beta/new"));
    expect(store.repositories.has("beta/new")).toBe(true);
    // The token from before the repository was there is not kept.
    expect(await maker.in("beta/new").digestOf("v1")).toBeUndefined();
  });

  test("where the token tells nothing", async () => {
    const one = await client({ endpoint: "destination" });
    peers.quay.authScript.always(answer(200, { access_token: "opaque-but-long-enough" }));
    expect(await granted(one.transport, "acme/app", ["push"])).toBeUndefined();
    await assertMayPush(one);
  });

  test("a token that could not be hidden is not used", async () => {
    const one = await client({ endpoint: "destination" });
    peers.quay.authScript.always(answer(200, { token: "fifteen-letters" }));
    const error = await failure(granted(one.transport, "acme/app", ["push"]));
    expect([error.code, error.message]).toEqual(["quay-answer-unusable", expect.stringContaining("fewer than 16")]);
    expect(error.message).not.toContain("fifteen-letters");
    expect(one.reporter.secrets).not.toContain("fifteen-letters");
  });

  test.each(["", "two words", "line\nline", "\u0000", "ümlaut", '"', 5, null])(
    "%j is no bearer token",
    async (token) => {
      const one = await client({ endpoint: "destination" });
      peers.quay.authScript.always(answer(200, { token }));
      expect((await failure(granted(one.transport, "acme/app", ["push"]))).code).toBe("quay-answer-unusable");
    },
  );
});

const script = (...answers: Scripted[]) => peers.quay.registryScript.next(...answers);
const denial = () => answer(401, { errors: [{ code: "UNAUTHORIZED", message: "no" }] });
const registryPaths = () => peers.quay.requests.map(({ method, path }) => `${method} ${path}`);
const auths = () => peers.quay.requests.filter(({ path }) => path === "/v2/auth").length;

describe("tokens", () => {
  test("one that has ended is replaced, once", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    await one.digestOf(image.digest);
    peers.quay.requests.length = 0;
    script(denial());
    expect(await one.digestOf(image.digest)).toBe(image.digest);
    expect(auths()).toBe(1);
    // And never again and again.
    peers.quay.requests.length = 0;
    peers.quay.registryScript.always(denial());
    expect((await failure(one.digestOf(image.digest))).code).toBe("copy-failed");
    expect(auths()).toBe(1);
  });

  test("one that has ended is replaced once for all that are asked at the same time", async () => {
    const one = await client();
    await one.digestOf("none");
    const ended = one.reporter.secrets.at(-1);
    peers.quay.requests.length = 0;
    peers.quay.registryScript.always(denial(), ({ headers }) => headers.authorization === `Bearer ${ended}`);
    // Another second, another token: they are the same to the byte otherwise.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const references = ["a", "b", "c", "d"];
    const found = await Promise.all(references.map((reference) => one.digestOf(reference)));
    expect(found).toEqual(references.map(() => undefined));
    expect(auths()).toBe(1);
  });

  test("are got anew where the login was renewed", async () => {
    const tokens = [await tokenOf(peers, "acme+ci"), { ...(await tokenOf(peers, "acme+ci")), token: "renewed" }];
    const one = await client({ credential: () => tokens[0] });
    await one.digestOf("v1");
    expect(auths()).toBe(1);
    tokens.shift();
    expect((await failure(one.digestOf("v1"))).code).toBe("login-refused");
    expect(auths()).toBe(2);
  });

  test("a login that has ended is called so, not a failure of Quay", async () => {
    const token = await tokenOf(peers, "acme+ci", 1_700_000_000);
    const one = await client({ credential: () => token });
    peers.quay.authScript.always(answer(500, INTERNAL_ERROR.body));
    const error = await failure(one.digestOf("v1"));
    expect([error.code, error.message]).toEqual([
      "login-lapsed",
      `The login of acme+ci to ${peers.registryHost}, the source, ended at 2023-11-14T22:13:20Z.`,
    ]);
  });

  test("the same answer to a login that lives is tried a few times", async () => {
    const one = await client();
    peers.quay.authScript.next(answer(500, INTERNAL_ERROR.body));
    expect(await one.digestOf("none")).toBeUndefined();
    peers.quay.authScript.always(answer(500, INTERNAL_ERROR.body));
    const other = await client();
    const error = await failure(other.digestOf("none"));
    expect(error.code).toBe("registry-unavailable");
    expect(error.message).toContain("it answered 500");
    expect(other.clock.waits).toHaveLength(2);
  });

  test.each([
    ["turned off", answer(401, { errors: [{ message: "Robot account have been disabled." }] }), "robots-disabled"],
    ["refused", answer(401, { errors: [{ message: "Token does not match robot" }] }), "login-refused"],
    ["refused without a word", answer(403, ""), "login-refused"],
    ["not there", answer(404, ""), "quay-answer-unusable"],
    ["a page", notJson(), "quay-answer-unusable"],
    ["no token", answer(200, {}), "quay-answer-unusable"],
    ["an empty token", answer(200, { token: "" }), "quay-answer-unusable"],
    ["too much", huge(), "quay-answer-unusable"],
  ])("%s: %s", async (_, scripted, code) => {
    peers.quay.authScript.next(scripted);
    const one = await client();
    expect((await failure(one.digestOf("v1"))).code).toBe(code);
    expect(one.clock.waits).toEqual([]);
    // A failure is not remembered.
    expect(await one.digestOf("none")).toBeUndefined();
  });

  test("503, a reset and a limit are waited for", async () => {
    peers.quay.authScript.next(answer(503), reset(), answer(429, "", { "retry-after": "7" }));
    const one = await client();
    expect(await one.digestOf("none")).toBeUndefined();
    expect(one.clock.waits).toHaveLength(3);
    expect(one.clock.waits[2]).toBe(7_000);
  });
});

interface Other {
  url: string;
  host: string;
  requests: IncomingMessage[];
}

/** Another host, as far as an origin goes: another port. */
async function startOther(reply: Scripted, secure = true): Promise<Other> {
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

describe("without a login", () => {
  const challenge = (realm: string) =>
    answer(401, "", { "www-authenticate": `Basic realm="x", Bearer realm="${realm}",service="there"` });

  test("the token comes from the realm that the registry names, another host perhaps", async () => {
    const token = unsignedJwt({ access: [{ type: "repository", name: "acme/app", actions: ["pull"] }] });
    const other = await startOther(answer(200, { access_token: token }));
    const one = await client({ robot: undefined });
    script(challenge(`${other.url}/token`), answer(200, "", { "docker-content-digest": digestOf("x") }));
    expect(await one.digestOf("v1")).toBe(digestOf("x"));
    expect(other.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ["/token?service=there&scope=repository%3Aacme%2Fapp%3Apull", undefined],
    ]);
    expect(peers.quay.seen(token)).toHaveLength(1);
    // Everybody gets it: to hide it would make holes in whatever it happens to look like.
    expect(one.reporter.secrets).toEqual([]);
    // The realm is known now.
    script(answer(404));
    expect(await one.in("acme/other").digestOf("v1")).toBeUndefined();
    expect(other.requests).toHaveLength(2);
  });

  test("the first refusal teaches all questions that are asked at the same time", async () => {
    const token = unsignedJwt({ access: [] });
    const other = await startOther(answer(200, { token }));
    const one = await client({ robot: undefined });
    const refusal = challenge(`${other.url}/token`);
    peers.quay.registryScript.always(refusal, ({ headers }) => headers.authorization === undefined);
    peers.quay.registryScript.always(answer(404));
    const references = ["a", "b", "c", "d"];
    const found = await Promise.all(references.map((reference) => one.digestOf(reference)));
    expect(found).toEqual(references.map(() => undefined));
    expect(other.requests).toHaveLength(1);
  });

  test("no token is fetched in the clear", async () => {
    const other = await startOther(answer(200, { token: "x" }), false);
    const one = await client({ robot: undefined });
    peers.quay.registryScript.always(challenge(`${other.url}/token`));
    expect((await failure(one.digestOf("v1"))).code).toBe("access-missing");
    expect(other.requests).toEqual([]);
  });

  test.each([
    ["no challenge", answer(401)],
    ["a password wanted", answer(401, "", { "www-authenticate": 'Basic realm="x"' })],
    ["no address", challenge("nowhere")],
    ["forbidden", answer(403)],
  ])("%s: a robot is needed", async (_, scripted) => {
    const one = await client({ robot: undefined });
    script(scripted);
    const error = await failure(one.digestOf("v1"));
    expect(error.code).toBe("access-missing");
    expect(error.remedy[0]).toContain("source-robot");
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub Actions, to be typed so
    expect(error.remedy[1]).toContain("source-auth-file: ${{ env.REGISTRY_AUTH_FILE }}");
  });

  test("the realm's refusal, and its failure", async () => {
    for (const [reply, code] of [
      [answer(401), "access-missing"],
      [answer(404), "quay-answer-unusable"],
      [answer(503), "registry-unavailable"],
    ] as const) {
      const other = await startOther(reply);
      const one = await client({ robot: undefined, timeoutSeconds: 3 });
      peers.quay.registryScript.clear();
      peers.quay.registryScript.always(challenge(`${other.url}/token`));
      expect((await failure(one.digestOf("v1"))).code).toBe(code);
    }
  });

  test("a registry that asks for no token", async () => {
    const one = await client({ robot: undefined });
    script(answer(200, "", { "docker-content-digest": digestOf("x") }), answer(200, "{}"));
    expect(await one.digestOf("v1")).toBe(digestOf("x"));
    expect(await granted(one.transport, "acme/app", ["pull"])).toBeUndefined();
  });
});

describe("with a login that is no robot's", () => {
  const basic = Buffer.from("somebody:their password").toString("base64");
  const withPassword = () => client({ robot: undefined, basic });
  const bearerAt = (realm: string) => `Bearer realm="${realm}",service="there"`;
  const challenge = (value: string) => answer(401, "", { "www-authenticate": value });
  const there = () => answer(200, "", { "docker-content-digest": digestOf("x") });

  test.each([
    ["alone", (url: string) => bearerAt(url)],
    ["behind a challenge for the password", (url: string) => `Basic realm="x", ${bearerAt(url)}`],
  ])("the realm gets it, on whatever host, and the registry its token alone: %s", async (_, header) => {
    const token = unsignedJwt({ access: [] });
    const other = await startOther(answer(200, { token }));
    const one = await withPassword();
    script(challenge(header(`${other.url}/token`)), there());
    expect(await one.digestOf("v1")).toBe(digestOf("x"));
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([`Basic ${basic}`]);
    expect([peers.quay.seen(token), peers.quay.seen(basic)].map(({ length }) => length)).toEqual([1, 0]);
  });

  test("a registry that asks for the password itself gets it, and no host that it sends on to", async () => {
    const other = await startOther(answer(200, "config"));
    const one = await withPassword();
    script(challenge('Basic realm="x"'), redirect(`${other.url}/blob`, 307));
    expect(await one.blob(digestOf("config"))).toBe("config");
    expect(peers.quay.seen(basic)).toHaveLength(1);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test.each([
    [
      "the realm refuses it",
      (url: string) => [challenge(bearerAt(url))],
      "login-refused",
      /source-auth-file: it answered 401/,
    ],
    [
      "the registry refuses it",
      () => [challenge('Basic realm="x"'), challenge('Basic realm="x"')],
      "access-missing",
      /be read with the login of the option source-auth-file/,
    ],
    [
      "in the clear, nothing is sent",
      () => [challenge(bearerAt("http://localhost:1/token"))],
      "access-missing",
      /source-auth-file/,
    ],
    ["another kind of challenge", () => [challenge("Negotiate")], "access-missing", /source-auth-file/],
  ])("%s", async (_, answers, code, said) => {
    const other = await startOther(answer(401));
    const one = await withPassword();
    script(...answers(`${other.url}/token`));
    const error = await failure(one.digestOf("v1"));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(said);
  });
});

test("docker.io is asked where its API is, and its official images are in library", async () => {
  const paths: string[] = [];
  const api = createSecureServer(await peers.authority.issue(["registry-1.docker.io"]), (request, response) => {
    paths.push(request.url ?? "");
    response.writeHead(404).end();
  });
  const { port, close } = await listen(api);
  const proxy = createServer().on("connect", (_, socket: Socket) => {
    const way = connect(port, "127.0.0.1", () => socket.write("HTTP/1.1 200 Connection established\r\n\r\n"));
    way.pipe(socket).pipe(way);
    way.on("error", () => socket.destroy());
  });
  const way = await listen(proxy);
  onTestFinished(async () => void (await Promise.all([way.close(), close()])));
  const env = { HTTPS_PROXY: `http://127.0.0.1:${way.port}` };
  const platform = testPlatform({ roots: peers.authority.ca, clock: fakeClock(), env });
  const nothing = () => undefined;
  const options = {
    endpoint: "source",
    robot: undefined,
    credential: nothing,
    realm: nothing,
    timeoutSeconds: 9,
  } as const;
  const transport = createTransport({ ...options, registry: "docker.io" }, platform);
  const found = ["alpine", "acme/app"].map((repository) => createClient(transport, repository).digestOf("3"));
  await Promise.all(found);
  expect(paths.toSorted()).toEqual(["/v2/acme/app/manifests/3", "/v2/library/alpine/manifests/3"]);
});

describe("a digest", () => {
  const image = made(types.image, { config: {}, layers: [] });
  const served = (text: string, headers = {}) => answer(200, text, { "content-type": types.image, ...headers });

  test("that HEAD does not tell is computed from what GET gives", async () => {
    const one = await client();
    for (const head of [answer(200), answer(200, "", { "docker-content-digest": "sha256:short" }), answer(405)]) {
      script(head, served(image.text));
      expect(await one.digestOf("v1")).toBe(image.digest);
    }
    script(answer(200), answer(404));
    expect(await one.digestOf("v1")).toBeUndefined();
  });

  test("of other bytes than asked for, or than stated, is an error", async () => {
    const one = await client();
    script(served(`${image.text} `));
    const error = await failure(one.manifest(image.digest));
    expect([error.code, error.message]).toEqual([
      "digest-differs",
      `The manifest ${peers.registryHost}/acme/app@${image.digest} has other bytes than ${image.digest}: they make ${digestOf(`${image.text} `)}.`,
    ]);
    script(served(image.text, { "docker-content-digest": digestOf("x") }));
    expect((await failure(one.manifest("v1"))).code).toBe("digest-differs");
    script(answer(200, "other"));
    expect((await failure(one.blob(digestOf("x")))).code).toBe("digest-differs");
    script(answer(201, "", { "docker-content-digest": digestOf("x") }));
    expect((await failure(one.putManifest("v1", image))).message).toBe(
      `The manifest ${peers.registryHost}/acme/app:v1 was sent as ${image.digest}, and is stored as ${digestOf("x")}.`,
    );
  });

  test("of SHA-512", async () => {
    const one = await client();
    const digest = `sha512:${createHash("sha512").update(image.text).digest("hex")}`;
    script(served(image.text), served(`${image.text} `));
    expect(await one.manifest(digest)).toEqual({ ...image, digest });
    expect((await failure(one.manifest(digest))).code).toBe("digest-differs");
  });

  test("of Docker's first format is the registry's word", async () => {
    const one = await client();
    const type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    script(served("{}", { "content-type": `${type}; charset=utf-8`, "docker-content-digest": digestOf("x") }));
    expect(await one.manifest("v1")).toEqual({ digest: digestOf("x"), mediaType: type, text: "{}" });
  });
});

describe("a manifest", () => {
  test("whose type only the header tells, and text beyond ASCII", async () => {
    const one = await client();
    const text = JSON.stringify({ schemaVersion: 2, annotations: { name: "Größe 🐧" } });
    script(answer(200, text, { "content-type": types.index }));
    expect(await one.manifest("v1")).toEqual({ digest: digestOf(text), mediaType: types.index, text });
  });

  test.each([
    ["a page", notJson(), "answered 200 for the manifest"],
    ["a list", answer(200, []), "answered 200 for the manifest"],
    ["4 MiB and more", huge(4 * 1024 * 1024), "is not usable: the answer is larger than 4194304 bytes"],
    ["400", answer(400, { errors: [{ message: "bad\n::name" }] }), 'It said: "bad ::name"'],
    ["a redirect in the clear", redirect("http://localhost/x"), "answered 302"],
  ])("%s is none", async (_, scripted, said) => {
    const one = await client();
    script(scripted);
    const error = await failure(one.manifest("v1"));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining(said)]);
    expect(one.clock.waits).toEqual([]);
  });

  test("is tried again on what passes", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    script(answer(503), cut(), answer(500), answer(429, "", { "retry-after": "9" }), reset());
    expect((await one.manifest(image.digest))?.text).toBe(image.text);
    expect(one.clock.waits).toHaveLength(5);
    expect(one.clock.waits[3]).toBe(9_000);
    script(answer(502), reset());
    await one.putManifest("again", image);
    expect(await one.digestOf("again")).toBe(image.digest);
  });

  test("until the time is over", async () => {
    const one = await client({ timeoutSeconds: 20 });
    peers.quay.registryScript.always(answer(504));
    const error = await failure(one.manifest("v1"));
    expect([error.code, error.message]).toEqual([
      "registry-unavailable",
      `${peers.registryHost}, the source, is not available at the moment: it answered 504.`,
    ]);
    expect(one.clock.waits.reduce((sum, wait) => sum + wait, 0)).toBeLessThan(20_000);
    expect(one.clock.waits.length).toBeGreaterThan(3);
  });

  test("of a registry that can't be reached, or be trusted", async () => {
    const closed = await client({ registry: "localhost:1", timeoutSeconds: 2 });
    expect(await failure(closed.manifest("v1"))).toMatchObject({
      code: "registry-unavailable",
      message: "localhost:1, the source, is not available at the moment: localhost:1 refuses the connection.",
    });
    const clock = fakeClock();
    const platform = testPlatform({ clock });
    const options = { registry: peers.registryHost, endpoint: "source", robot: undefined, timeoutSeconds: 60 } as const;
    const asker = { ...options, credential: () => undefined, realm: () => undefined };
    const untrusting = createClient(createTransport(asker, platform), "acme/app");
    expect((await failure(untrusting.manifest("v1"))).code).toBe("tls-untrusted");
    expect(clock.waits).toEqual([]);
  });

  test("that does not come in time", async () => {
    const one = await client({ timeoutSeconds: 0.2 });
    peers.quay.registryScript.always(hang());
    expect((await failure(one.manifest("v1"))).message).toContain("no answer within 0.2 s");
  });

  test("is given up at once when the job is cancelled", async () => {
    const cancel = new AbortController();
    const one = await client({ signal: cancel.signal });
    peers.quay.registryScript.always(hang());
    const asked = one.manifest("v1");
    await expect.poll(() => registryPaths().length).toBe(2);
    cancel.abort(new Error("over"));
    await expect(asked).rejects.toThrow("over");
  });

  test("a layer's link that is being written just now, as docker-registry words it: asked again, twice", async () => {
    const errors = [
      { code: "DIGEST_INVALID", message: "provided digest did not match uploaded content" },
      { code: "MANIFEST_BLOB_UNKNOWN", message: "blob unknown to registry", detail: digestOf("layer") },
    ];
    const one = await client({ endpoint: "destination" });
    script(answer(400, { errors }), answer(400, { errors }), answer(201));
    await one.putManifest("v1", makeImage());
    expect(one.clock.waits).toHaveLength(2);
    script(answer(400, { errors }), answer(400, { errors }), answer(400, { errors }));
    const error = await failure(one.putManifest("v1", makeImage()));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining(errors[0]?.message ?? "")]);
  });

  test("a refusal in spite of all rights is told in the registry's words", async () => {
    const one = await client({ endpoint: "destination" });
    script(answer(403, { errors: [{ code: "DENIED", message: "No images on Fridays" }] }));
    const error = await failure(one.putManifest("v1", makeImage()));
    expect([error.code, error.message]).toEqual([
      "copy-failed",
      `${peers.registryHost}, the destination, answered 403 for the manifest ${peers.registryHost}/acme/app:v1. It said: "No images on Fridays"`,
    ]);
  });
});

describe("a redirect to the storage", () => {
  test("is followed without the token", async () => {
    const other = await startOther(answer(200, "config"));
    const one = await client();
    for (const status of [302, 307]) {
      script(redirect(`${other.url}/blob?signature=x`, status));
      expect(await one.blob(digestOf("config"))).toBe("config");
    }
    expect(other.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ["/blob?signature=x", undefined],
      ["/blob?signature=x", undefined],
    ]);
    expect(one.reporter.text()).not.toContain("signature=x");
  });

  test("on the registry itself keeps it", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    script(redirect(`/v2/acme/app/blobs/${digestOf(image.config)}`));
    expect(await one.blob(digestOf(image.config))).toBe(image.config);
  });

  test("is the storage's matter when it refuses", async () => {
    const other = await startOther(answer(403));
    const one = await client();
    // With a token that was kept, which is not the reason.
    await one.hasBlob(digestOf("config"));
    script(redirect(other.url));
    const error = await failure(one.blob(digestOf("config")));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining("answered 403 for the blob")]);
    expect(other.requests).toHaveLength(1);
    expect(auths()).toBe(1);
  });

  test("that leads in a circle ends", async () => {
    const one = await client();
    peers.quay.registryScript.always(redirect("/v2/acme/app/blobs/x"));
    expect((await failure(one.blob(digestOf("config")))).message).toContain("answered 302");
    expect(registryPaths()).toHaveLength(1 + 4);
  });

  test("of a HEAD says that it is there", async () => {
    const one = await client();
    script(redirect("https://nowhere.invalid/"));
    expect(await one.hasBlob(digestOf("config"))).toBe(true);
  });
});

describe("who refers to a manifest", () => {
  const digest = digestOf("subject");
  const entry = (name: string, more = {}): Descriptor => ({
    mediaType: types.image,
    digest: digestOf(name),
    size: 5,
    ...more,
  });
  const list = (manifests: unknown, headers = {}) =>
    answer(200, { schemaVersion: 2, mediaType: types.index, manifests }, headers);
  const path = `/v2/acme/app/referrers/${digest}`;

  test("is on all pages", async () => {
    const one = await client();
    const typed = entry("b", { artifactType: "text/x", annotations: { a: "b" } });
    script(
      list([entry("a")], { link: `<${path}?n=1&last=a>; rel="next"` }),
      list([typed, entry("a")], { link: '<?n=1&last=b>; rel="next"' }),
      list([entry("c")]),
    );
    expect(await listReferrers(one, digest)).toEqual([entry("a"), typed, entry("c")]);
    expect(registryPaths()).toEqual(["GET /v2/auth", ...[1, 2, 3].map(() => `GET ${path}`)]);
  });

  test.each([
    ["a page of HTML", notJson()],
    ["no list", list({})],
    ["nothing", list([null])],
    ["no size", list([{ mediaType: "x", digest: digestOf("x") }])],
    ["a digest that is none", list([{ ...entry("x"), digest: "sha256:../x" }])],
    ["a next page elsewhere", list([], { link: '<https://nowhere.invalid/>; rel="next"' })],
  ])("%s is no answer", async (_, scripted) => {
    const one = await client();
    script(scripted);
    const error = await failure(listReferrers(one, digest));
    expect([error.code, error.message]).toEqual([
      "copy-failed",
      `${peers.registryHost} answered with something else than the list of what refers to ${peers.registryHost}/acme/app@${digest}.`,
    ]);
  });

  test("pages without an end, and one that is missing", async () => {
    const one = await client();
    script(list([], { link: `<${path}?n=1>; rel=next` }), answer(404));
    expect((await failure(listReferrers(one, digest))).message).toContain("answered 404");
    peers.quay.registryScript.always(list([], { link: `<${path}?n=1>; rel="next"` }));
    expect((await failure(listReferrers(one, digest))).code).toBe("copy-failed");
  });

  test.each([400, 404, 405, 406, 308])("an API that answers %d is not there: the tag counts", async (status) => {
    const one = await client();
    const missing = status === 308 ? [redirect(`${path}/`, 308), answer(404)] : [answer(status)];
    script(...missing, list([entry("a")]));
    expect(await listReferrers(one, digest)).toEqual([entry("a")]);
    expect(registryPaths().at(-1)).toBe(`GET /v2/acme/app/manifests/${digest.replace(":", "-")}`);
    script(...missing, answer(404));
    expect(await listReferrers(one, digest)).toEqual([]);
  });

  test("is added to the tag, beside what it holds", async () => {
    const { image } = await push(peers, "acme/app");
    const tag = image.digest.replace(":", "-");
    const signatures = [];
    for (let number = 0; number < 3; number++) signatures.push((await push(peers, "acme/app", image)).image);
    const [first, second, third] = signatures.map(describeManifest) as [Descriptor, Descriptor, Descriptor];
    const one = await client();
    const theirs = made(types.index, { manifests: [first], annotations: { by: "somebody else" } });
    await one.putManifest(tag, theirs);
    const typed = { ...second, artifactType: "application/vnd.example" };
    await Promise.all([addToFallback(one, image.digest, [typed, first]), addToFallback(one, image.digest, [third])]);
    expect(await listReferrers(one, image.digest)).toEqual([first, typed, third]);
    const held = await one.manifest(tag);
    expect(JSON.parse(held?.text ?? "")).toMatchObject({
      mediaType: types.index,
      annotations: { by: "somebody else" },
    });
    // And nothing is written where all is there.
    peers.quay.requests.length = 0;
    await addToFallback(one, image.digest, [third, typed]);
    expect(registryPaths().filter((line) => line.startsWith("PUT"))).toEqual([]);
  });

  test("a tag that holds something else is left alone", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    await one.putManifest(image.digest.replace(":", "-"), image);
    peers.quay.requests.length = 0;
    const error = await failure(addToFallback(one, image.digest, [entry("a")]));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining("holds something else")]);
    expect(registryPaths().filter((line) => line.startsWith("PUT"))).toEqual([]);
    expect(await listReferrers(one, image.digest)).toEqual([]);
    // After a failure the next one has its turn.
    script(list([entry("a")]));
    await addToFallback(one, image.digest, [entry("a")]);
    // Docker's lists know no referrers.
    const theirs = { mediaType: "application/vnd.docker.distribution.manifest.list.v2+json", manifests: [] };
    script(answer(200, theirs));
    expect((await failure(addToFallback(one, digest, [entry("a")]))).message).toContain("holds something else");
  });

  test("somebody else's writing in between is found out, and not overwritten", async () => {
    const one = await client();
    script(
      answer(404), // there is no tag
      answer(201), // ours is written
      list([entry("theirs")]), // and gone
      answer(201),
      list([entry("theirs"), entry("ours")]),
    );
    await addToFallback(one, digest, [entry("ours")]);
    expect(registryPaths().map((line) => line.split(" ")[0])).toEqual([
      "GET",
      "GET",
      "GET",
      "PUT",
      "GET",
      "PUT",
      "GET",
    ]);
    peers.quay.registryScript.always(answer(404), ({ method }) => method === "GET");
    peers.quay.registryScript.always(answer(201));
    const error = await failure(addToFallback(one, digest, [entry("ours")]));
    expect(error.message).toContain("does not keep what is written to it");
  });
});
