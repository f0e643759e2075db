/** The registry client over real TLS, with real registries behind the stand-in. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { createClient } from "../../src/registry/client.ts";
import { addToFallback, listReferrers } from "../../src/registry/referrers.ts";
import { assertMayPush } from "../../src/registry/rights.ts";
import { createTransport, granted } from "../../src/registry/transport.ts";
import { failure, fakeClock, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { client, count, describeManifest, digestOf, made, peers, push, script, types, useRegistries } from "./world.ts";

const kinds = ["2.8.2", "referrers"] as const;
const worlds = useRegistries(...kinds);

describe.each(kinds)("a real registry (%s)", (kind) => {
  test("stores manifests byte for byte, under digest and tags", async () => {
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

  test("lists referrers of a manifest", async () => {
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

  test("needs one token for each repository and permission", async () => {
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

  test("reads a public repository without a login, and is refused a private one", async () => {
    const world = worlds[kind];
    const { image } = await push(world, "acme/public");
    world.quay.requests.length = 0;
    const anonymous = await client({ world, robot: undefined });
    const both = [
      anonymous.in("acme/public").manifest(image.digest),
      anonymous.in("acme/public").digestOf(image.digest),
    ];
    expect(await Promise.all(both)).toEqual([expect.objectContaining({ text: image.text }), image.digest]);
    expect(world.quay.requests.filter(({ scheme }) => scheme === "basic")).toEqual([]);
    for (const repository of ["acme/app", "acme/nothing"]) {
      const error = await failure(anonymous.in(repository).manifest("v1"));
      expect(error.code).toBe("access-missing");
      expect(error.message).toBe(
        `${world.registryHost}, the source, does not allow reading ${repository} without a login, or it does not exist.`,
      );
      expect(error.remedy[0]).toContain("set the option source-robot");
    }
  });

  test("names the permission that a robot lacks", async () => {
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
    expect(missing.remedy[1]).toContain("add acme+ci to a team with the role Creator");
    const reader = await client({ world, robot: "acme+noperm" });
    const error = await failure(reader.manifest(image.digest));
    expect(error.message).toContain("acme+noperm may not pull from acme/app on");
    expect(error.remedy).toEqual([
      expect.stringMatching(/acme\+noperm, Read\.$/),
      "Quay gives the same answer if the repository does not exist: check the option source.",
    ]);
    // Requested once: the request's own token is reused.
    expect(world.quay.requests.filter(({ path, user }) => path === "/v2/auth" && user === "acme+noperm")).toHaveLength(
      1,
    );
  });
});

describe("granted actions", () => {
  test("of a robot, and without a login", async () => {
    const one = await client({ endpoint: "destination" });
    expect(await granted(one.transport, "acme/app", ["pull", "push"])).toEqual(["push", "pull"]);
    expect(await granted(one.transport, "acme/read", ["pull", "push"])).toEqual(["pull"]);
    await assertMayPush(one);
    const error = await failure(assertMayPush(one.in("acme/read")));
    expect(error.message).toBe(
      `acme+ci may not push to acme/read on ${peers.registryHost}, the destination; it may pull.`,
    );
    const anonymous = await client({ robot: undefined });
    expect(await granted(anonymous.transport, "acme/public", ["pull"])).toEqual(["pull"]);
    expect(await granted(anonymous.transport, "acme/app", ["pull"])).toEqual([]);
    expect((await failure(assertMayPush(anonymous))).message).toContain("without a login");
  });

  test("are requested again each time: the repository may have been created since", async () => {
    const one = await client({ endpoint: "destination" });
    await failure(assertMayPush(one.in("acme/late")));
    addRepository(peers.quay.store, "acme/late", { "acme+ci": "write" });
    await assertMayPush(one.in("acme/late"));
  });

  test("a request for push makes Quay create a repository, a request for pull does not", async () => {
    const { store } = peers.quay;
    addOrganization(store, "beta");
    addRobot(store, "beta+maker");
    store.organizations.get("beta")?.creators.add("beta+maker");
    const maker = await client({ robot: "beta+maker", endpoint: "destination" });
    expect((await failure(maker.in("beta/new").digestOf("v1"))).code).toBe("access-missing");
    expect(store.repositories.has("beta/new")).toBe(false);
    await assertMayPush(maker.in("beta/new"));
    expect(store.repositories.has("beta/new")).toBe(true);
    // The token from before the repository existed is not reused.
    expect(await maker.in("beta/new").digestOf("v1")).toBeUndefined();
  });

  test("are unknown if the token does not list them", async () => {
    const one = await client({ endpoint: "destination" });
    peers.quay.authScript.always(answer(200, { access_token: "opaque-but-long-enough" }));
    expect(await granted(one.transport, "acme/app", ["push"])).toBeUndefined();
    await assertMayPush(one);
  });

  test("rejects a token that is too short to mask", async () => {
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

test("uses docker.io's API host, and the folder library for official images", async () => {
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

  test("is computed from GET's answer if HEAD does not state it", async () => {
    const one = await client();
    for (const head of [answer(200), answer(200, "", { "docker-content-digest": "sha256:short" }), answer(405)]) {
      script(head, served(image.text));
      expect(await one.digestOf("v1")).toBe(image.digest);
    }
    script(answer(200), answer(404));
    expect(await one.digestOf("v1")).toBeUndefined();
  });

  test("that does not match the bytes is an error, requested or stated", async () => {
    const one = await client();
    script(served(`${image.text} `));
    const error = await failure(one.manifest(image.digest));
    expect([error.code, error.message]).toEqual([
      "digest-differs",
      `The manifest ${peers.registryHost}/acme/app@${image.digest} does not match ${image.digest}: its bytes have the digest ${digestOf(`${image.text} `)}.`,
    ]);
    script(served(image.text, { "docker-content-digest": digestOf("x") }));
    expect((await failure(one.manifest("v1"))).code).toBe("digest-differs");
    script(answer(200, "other"));
    expect((await failure(one.blob(digestOf("x")))).code).toBe("digest-differs");
    script(answer(201, "", { "docker-content-digest": digestOf("x") }));
    expect((await failure(one.putManifest("v1", image))).message).toBe(
      `The manifest ${peers.registryHost}/acme/app:v1 was sent as ${image.digest}, but is stored as ${digestOf("x")}.`,
    );
  });

  test("can be SHA-512", async () => {
    const one = await client();
    const digest = `sha512:${createHash("sha512").update(image.text).digest("hex")}`;
    script(served(image.text), served(`${image.text} `));
    expect(await one.manifest(digest)).toEqual({ ...image, digest });
    expect((await failure(one.manifest(digest))).code).toBe("digest-differs");
  });

  test("of Docker's first format is the registry's own", async () => {
    const one = await client();
    const type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    script(served("{}", { "content-type": `${type}; charset=utf-8`, "docker-content-digest": digestOf("x") }));
    expect(await one.manifest("v1")).toEqual({ digest: digestOf("x"), mediaType: type, text: "{}" });
  });
});
