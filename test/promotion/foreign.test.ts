/** Odd answers of a registry about an image, over real TLS: each ends in an explained error, before it costs much. */
import { createHash } from "node:crypto";
import { createServer } from "node:https";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Artifact, findArtifacts, missingArtifacts } from "../../src/promotion/artifacts.ts";
import { readImage } from "../../src/promotion/image.ts";
import { setTags } from "../../src/promotion/tags.ts";
import { createClient } from "../../src/registry/client.ts";
import { createTransport } from "../../src/registry/transport.ts";
import { failure, type TestPlatform, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";

const types = {
  image: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
};
const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const descriptor = (name: string, more = {}) => ({ mediaType: types.image, digest: digestOf(name), size: 5, ...more });
const image = (more = {}) => ({ config: descriptor("c", { mediaType: types.config }), layers: [], ...more });
const index = (manifests: unknown) => ({ mediaType: types.index, manifests });

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority();
});
afterAll(() => authority.close());

interface Registry {
  readonly host: string;
  /** Paths, in order. */
  readonly asked: string[];
  /** Of requests that had no answer yet. */
  mostAtOnce(): number;
  /** @param name a tag that it has besides @returns its digest */
  put(content: unknown, name?: string): string;
  /** Requests with this method get no answer; `then` is called. */
  hangAt(method: string, then: () => void): void;
  /** The referrers of a manifest. */
  list(digest: string, manifests: unknown): void;
}

/** Without a login. A missing path is answered with 404, after some milliseconds. */
async function startRegistry(): Promise<Registry> {
  const contents = new Map<string, string>();
  const asked: string[] = [];
  const hangs = new Map<string, () => void>();
  let [open, most] = [0, 0];
  const server = createServer(await authority.issue(), (request, response) => {
    asked.push(request.url ?? "");
    const hang = hangs.get(request.method ?? "");
    if (hang) return hang();
    most = Math.max(most, ++open);
    setTimeout(() => {
      open--;
      const content = contents.get(String(request.url?.split("/").slice(4).join("/")));
      response.writeHead(content === undefined ? 404 : 200, { "content-type": types.image });
      response.end(request.method === "HEAD" ? undefined : content);
    }, 1);
  });
  const { port, close } = await listen(server);
  onTestFinished(close);
  return {
    host: `localhost:${port}`,
    asked,
    mostAtOnce: () => most,
    put(content, name) {
      const text = typeof content === "string" ? content : JSON.stringify(content);
      for (const each of [digestOf(text), name ?? digestOf(text)]) contents.set(`manifests/${each}`, text);
      return digestOf(text);
    },
    hangAt: (method, then) => void hangs.set(method, then),
    list: (digest, manifests) => void contents.set(`referrers/${digest}`, JSON.stringify(index(manifests))),
  };
}

function clientOf({ host }: Registry, platform: TestPlatform = testPlatform({ roots: authority.ca })) {
  const options = { registry: host, endpoint: "source", robot: undefined, timeoutSeconds: 60 } as const;
  const transport = createTransport({ ...options, credential: () => undefined, realm: () => undefined }, platform);
  return { client: createClient(transport, "acme/staging"), platform };
}

const read = (registry: Registry, digest: string, wanted: readonly string[] = []) =>
  readImage(clientOf(registry).client, digest, wanted);
const find = (registry: Registry, digest: string) => {
  const { client, platform } = clientOf(registry);
  return findArtifacts(client, [digest], platform.reporter);
};

const digests = [
  ...["", "latest", "../../../../api/v1/user/", "sha256:x/../../../../api/v1/superuser/keys#", "%2e%2e/%2e%2e/x"],
  ...["sha256:", "sha256:abc", `sha256:${"0".repeat(63)}`, `sha256:${"0".repeat(65)}`, `sha256:${"A".repeat(64)}`],
  ...[`sha512:${"0".repeat(64)}`, `md5:${"0".repeat(32)}`, `sha256:${"0".repeat(64)}\n`, ` sha256:${"0".repeat(64)}`],
  ...[null, 1, [], {}, true, [digestOf("x")]],
];
const sizes = [-1, 0.5, 1e300, 2 ** 53, null, "5", [], {}, true];
const texts = [null, 1, [], {}, true];

const oddDescriptors: readonly unknown[] = [
  ...[null, 1, "x", [], {}, true, [descriptor("x")]],
  ...digests.map((digest) => descriptor("x", { digest })),
  ...sizes.map((size) => descriptor("x", { size })),
  ...texts.map((mediaType) => descriptor("x", { mediaType })),
  ...texts.slice(1).map((artifactType) => descriptor("x", { artifactType })),
  ...[1, "x", [], { a: 1 }, { a: null }].map((annotations) => descriptor("x", { annotations })),
  ...[1, "x", [], { os: 1 }, { architecture: [] }, { variant: {} }].map((platform) => descriptor("x", { platform })),
];

const oddManifests: readonly unknown[] = [
  ...["", "x", "null", "[]", "1", '"x"', "{", "\u0000", "{}", '{"__proto__":{"manifests":[]}}'],
  ...oddDescriptors.flatMap((odd) => [index([odd]), image({ config: odd }), image({ layers: [odd] })]),
  ...[null, 1, "x", {}, true].flatMap((odd) => [index(odd), image({ layers: odd })]),
  ...oddDescriptors.slice(1).map((odd) => image({ subject: odd })),
  ...[1, "x", [], { a: 1 }].map((annotations) => image({ annotations })),
  ...[1, [], {}].map((artifactType) => image({ artifactType })),
  // One that can be read in two ways.
  { ...image(), manifests: [] },
];

test("reports each odd manifest as a named error, and requests no more", async () => {
  const registry = await startRegistry();
  for (const odd of oddManifests) {
    const digest = registry.put(odd);
    registry.asked.length = 0;
    const error = await failure(read(registry, digest, ["linux/amd64"]));
    expect([error.code, registry.asked], JSON.stringify(odd)).toEqual([
      "copy-failed",
      [`/v2/acme/staging/manifests/${digest}`],
    ]);
  }
});

test("leaves odd manifests of listed signatures out, or reports a named error", async () => {
  const registry = await startRegistry();
  for (const [number, odd] of oddManifests.entries()) {
    const subject = digestOf(`subject ${number}`);
    registry.list(subject, [descriptor("x", { digest: registry.put(odd), size: 4_000 })]);
    const error = await failure(find(registry, subject));
    expect(["signatures-missing", "copy-failed"], JSON.stringify(odd)).toContain(error.code);
  }
});

test("reports odd entries of the list of referrers as named errors, and requests none of them", async () => {
  const registry = await startRegistry();
  for (const [number, odd] of oddDescriptors.entries()) {
    const subject = digestOf(`listed ${number}`);
    registry.list(subject, [odd]);
    expect((await failure(find(registry, subject))).code, JSON.stringify(odd)).toBe("copy-failed");
  }
  expect(registry.asked.filter((path) => !/\/referrers\/|\.(?:sig|att|sbom)$/.test(path))).toEqual([]);
});

test("leaves out what is listed but missing or another image's, and names a few", async () => {
  const registry = await startRegistry();
  const subject = digestOf("listed subject");
  const artifactOf = (digest: string, name: string) =>
    image({
      config: descriptor(name, { mediaType: "application/vnd.example.sig" }),
      subject: descriptor("", { digest }),
    });
  const own = registry.put(artifactOf(subject, "own"));
  const others = Array.from({ length: 6 }, (_, each) => registry.put(artifactOf(digestOf("other"), `${each}`)));
  const listed = [...others, own, digestOf("deleted")].map((digest) => descriptor("", { digest, size: 4_000 }));
  registry.list(subject, listed);
  const { client, platform } = clientOf(registry);
  const found = await findArtifacts(client, [subject], platform.reporter);
  expect(found).toMatchObject([{ kind: "signature", digest: own, subject, tag: undefined }]);
  const { warnings } = platform.reporter;
  expect(warnings).toHaveLength(4);
  expect(warnings[0]).toContain(
    `${others[0]} is left out: it is listed for ${subject}, but its field subject does not name it`,
  );
  expect(warnings[3]).toBe("And 3 more are left out.");
});

test("does not take a text under the destination's signature tag for the signature", async () => {
  const registry = await startRegistry();
  const [subject, tag] = [digestOf("signed"), "sha256-0.sig"];
  const text = JSON.stringify(image({ layers: [descriptor("signature")] }));
  const manifest = { digest: digestOf(text), mediaType: types.image, text };
  const artifact: Artifact = { kind: "signature", digest: manifest.digest, subject, tag, manifest };
  const { client } = clientOf(registry);
  for (const odd of [{}, index([]), image()]) {
    const there = registry.put(odd, tag);
    const error = await failure(missingArtifacts(client, [artifact], "stay"));
    expect([error.code, error.message]).toEqual(["tag-taken", expect.stringContaining(`${tag} points to ${there}`)]);
    expect(await missingArtifacts(client, [artifact], "move")).toEqual([artifact]);
  }
  registry.put(text, tag);
  expect(await missingArtifacts(client, [artifact], "stay")).toEqual([]);
});

test("passes a failure that stops everything while a tag is set on unchanged", async () => {
  const registry = await startRegistry();
  const [stop, reason] = [new AbortController(), new Error("stopped by hand")];
  registry.hangAt("PUT", () => stop.abort(reason));
  const { client } = clientOf(registry);
  const manifest = { digest: digestOf("{}"), mediaType: types.image, text: "{}" };
  const tags = [{ tag: "1.0", state: "planned", before: undefined }] as const;
  const reported: unknown[] = [];
  const set = setTags(client.until(stop.signal), tags, manifest, (each) => void reported.push(each));
  await expect(set).rejects.toBe(reason);
  expect(reported).toEqual([]);
});

test("treats a platform in an odd config as unknown", async () => {
  const registry = await startRegistry();
  const configs = ["null", "[]", "1", "{}", '{"os":null}', '{"os":["linux"],"architecture":"amd64"}', "x", "\u0000"];
  for (const config of configs) {
    const blob = createHash("sha256").update(config).digest("hex");
    const digest = registry.put(image({ config: descriptor("", { digest: `sha256:${blob}` }) }));
    expect((await failure(read(registry, digest, ["linux/amd64"]))).code).toBe("platform-missing");
  }
});

test("accepts fields that Go programs leave empty", async () => {
  const registry = await startRegistry();
  const empty = { artifactType: null, annotations: null, platform: null };
  const digest = registry.put(image({ ...empty, subject: null, manifests: null, layers: [descriptor("l", empty)] }));
  expect((await read(registry, digest)).blobs).toHaveLength(2);
});

describe("a bound is checked before the work", () => {
  const many = (count: number, more = {}) => Array.from({ length: count }, (_, each) => descriptor(`${each}`, more));

  test.each([
    ["manifests", () => index(many(1_001))],
    ["bytes of manifests", () => index(many(300, { size: 3_900_000 }))],
    ["configs and layers", () => image({ layers: many(10_000) })],
  ])("of an image: %s", async (of, make) => {
    const registry = await startRegistry();
    const digest = registry.put(make());
    const error = await failure(read(registry, digest));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringMatching(`has more than [0-9]+ ${of},`)]);
    expect(registry.asked).toHaveLength(1);
  });

  test("of an image: nested indexes", async () => {
    const registry = await startRegistry();
    let digest = registry.put(image());
    for (let depth = 0; depth < 1_001; depth++) digest = registry.put(index([descriptor("", { digest, size: 999 })]));
    expect((await failure(read(registry, digest))).message).toContain("more than 1000 manifests");
  });

  test("of an image: a manifest that is larger than its index says", async () => {
    const registry = await startRegistry();
    const child = registry.put(image({ annotations: { padding: "x".repeat(10_000) } }));
    const error = await failure(read(registry, registry.put(index([descriptor("", { digest: child, size: 9_999 })]))));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining("larger than the 9999 bytes")]);
  });

  test.each([
    ["1000 artifacts", many(1_001)],
    ["64 MiB of manifests", many(20, { size: 3_900_000 })],
  ])("of its referrers: %s", async (bound, manifests) => {
    const registry = await startRegistry();
    const subject = digestOf("subject");
    registry.list(subject, manifests);
    const error = await failure(find(registry, subject));
    expect([error.code, error.message]).toEqual([
      "copy-failed",
      expect.stringContaining(`More than ${bound} refer to`),
    ]);
    expect(registry.asked.length).toBeLessThanOrEqual(4); // three tags and the list
  });

  test("of the referrers of an image and its platforms: 1000 artifacts in all", async () => {
    const registry = await startRegistry();
    const subjects = ["one", "two"].map(digestOf);
    for (const subject of subjects) registry.list(subject, many(501));
    const { client, platform } = clientOf(registry);
    const error = await failure(findArtifacts(client, subjects, platform.reporter));
    expect(error.message).toContain("More than 1000 artifacts refer to");
    expect(registry.asked.length).toBeLessThanOrEqual(8);
  });

  test("of requests at the same time", async () => {
    const registry = await startRegistry();
    const { client } = clientOf(registry);
    const all = Array.from({ length: 300 }, (_, tag) => client.digestOf(`v${tag}`));
    expect(new Set(await Promise.all(all))).toEqual(new Set([undefined]));
    expect(registry.mostAtOnce()).toBeLessThanOrEqual(32);
  });
});
