/** A whole promotion, in this process, between real registries. As a command: test/e2e/promote. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Workplace } from "../../src/login/workplace.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { formatError } from "../../src/platform/errors.ts";
import { createPlatform } from "../../src/platform/platform.ts";
import { promote } from "../../src/promotion/promote.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";
import type { Progress, PromotionResult } from "../../src/promotion/result.ts";
import {
  createRecorder,
  expectNoSecret,
  failure,
  failureOf,
  fakeTool,
  makeFolder,
  type Recorder,
} from "../fixtures.ts";
import { answer, slow } from "../quay-stand-in/scripted.ts";
import {
  amd64,
  arm64,
  cosignTag,
  fallbackTag,
  type Made,
  makeCosign,
  makeFallbackIndex,
  makeImage,
  makeIndex,
  makeReferrer,
  makeTwoPlatforms,
} from "../support/images.ts";
import { addPlace, bindRobot, type PromotionWorld, type Side, startPromotionWorld } from "../support/promotion.ts";
import { systemPath } from "../support/runner.ts";

let world: PromotionWorld;
let folder: string;
let tokenFile: string;

beforeAll(async () => {
  world = await startPromotionWorld();
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-promote-test-"));
  tokenFile = join(folder, "token");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  await writeFile(tokenFile, await world.peers.issuer.sign({ exp }));
});
afterAll(async () => {
  await world?.close();
  await rm(folder, { recursive: true });
});

let count = 0;

interface Scenario {
  readonly from: string;
  readonly to: string;
  readonly source: Side;
  readonly destination: Side;
  readonly values: OptionValues;
}

/** Two repositories of this test alone, with a robot for each. */
function scenario(source = world.staging, destination = world.release, isPublic = false): Scenario {
  const number = ++count;
  const [from, to] = [`acme/from${number}`, `acme/to${number}`];
  addPlace(world, source, from, { robots: { [`acme+reader${number}`]: "read" }, isPublic });
  addPlace(world, destination, to, { robots: { [`acme+writer${number}`]: "write" } });
  const values: OptionValues = {
    destination: `${destination.host}/${to}`,
    "destination-robot": `acme+writer${number}`,
    ...(!isPublic && { "source-robot": `acme+reader${number}` }),
    tag: "1.0",
    timeout: "20",
  };
  return { from, to, source, destination, values };
}

interface Ran {
  readonly result: PromotionResult;
  readonly reporter: Recorder;
  readonly progress: readonly Progress[];
}

/** @param path PATH for skopeo */
async function run(each: Scenario, values: OptionValues, path = systemPath): Promise<Ran> {
  const folder = await makeFolder();
  const reporter = createRecorder();
  const roots = await readFile(world.peers.caFile, "utf8");
  const env = { PATH: path, HOME: folder, TMPDIR: folder };
  const workplace: Workplace = {
    temporaryFolder: folder,
    sessionFolder: undefined,
    willLogOut: false,
    keepsLogins: "privately",
    workspace: undefined,
    isDisposable: false,
    roots,
    onSession: () => {},
  };
  const progress: Progress[] = [];
  const request = await readPromotionRequest({
    ...each.values,
    "token-file": tokenFile,
    "ca-file": world.peers.caFile,
    ...values,
  });
  const [result] = await promote(request, {
    workplace,
    createPlatform: (timeoutSeconds) => createPlatform({ env, reporter, timeoutSeconds, extraRoots: roots }),
    onProgress: (_, state) => void progress.push(state),
  });
  if (result === undefined) throw new Error("no result");
  return { result, reporter, progress };
}

const byDigest = ({ source, from }: Scenario, made: Pick<Made, "digest">): OptionValues => ({
  source: `${source.host}/${from}@${made.digest}`,
});

async function good(each: Scenario, values: OptionValues): Promise<Ran> {
  const ran = await run(each, values);
  expect(ran.result.failure).toBeUndefined();
  return ran;
}

async function bad(each: Scenario, values: OptionValues, code: string, path?: string): Promise<string> {
  const { result } = await run(each, values, path);
  expect(result.failure?.code).toBe(code);
  return result.failure === undefined ? "" : formatError(failureOf(result.failure));
}

test("copies a whole index, and a second run changes nothing", async () => {
  const each = scenario();
  const made = makeTwoPlatforms("story");
  await each.source.push(each.from, made, ["nightly"]);
  const values = { source: `${each.source.host}/${each.from}:nightly`, platform: "linux/amd64\nlinux/arm64" };
  const first = await good(each, values);
  expect(first.result).toMatchObject({ digest: made.digest, changed: true, tags: [{ tag: "1.0", state: "new" }] });
  expect(first.result.platforms.toSorted()).toEqual(["linux/amd64", "linux/arm64"]);
  expect(first.reporter.text()).toContain(`:nightly is ${made.digest}: this digest is promoted.`);
  expect(first.progress.map(({ phase }) => phase)).toEqual(
    expect.arrayContaining(["resolving", "copying", "tags", "done"]),
  );
  expect(await each.destination.missing(each.to, made)).toEqual([]);
  const second = await good(each, values);
  expect(second.result).toMatchObject({ changed: false, bytes: 0, tags: [{ state: "there" }] });
});

test("copies an index inside an index", async () => {
  const each = scenario();
  const made = makeIndex([[makeTwoPlatforms("story inner"), amd64]]);
  await each.source.push(each.from, made);
  await good(each, byDigest(each, made));
  expect(await each.destination.missing(each.to, made)).toEqual([]);
});

test("counts an image that is listed for two platforms for both", async () => {
  const each = scenario();
  const image = makeImage("story twice");
  const made = makeIndex([
    [image, amd64],
    [image, arm64],
  ]);
  await each.source.push(each.from, made);
  const { result } = await good(each, { ...byDigest(each, made), platform: "linux/amd64\nlinux/arm64" });
  expect(result.platforms.toSorted()).toEqual(["linux/amd64", "linux/arm64"]);
  expect(await each.destination.missing(each.to, made)).toEqual([]);
});

describe("tags", () => {
  test("keeps one that points elsewhere, unless move-tags is set", async () => {
    const each = scenario();
    const [older, newer] = [makeImage("story older"), makeImage("story newer")];
    await each.destination.push(each.to, older, ["1.0"]);
    await each.source.push(each.from, newer);
    const text = await bad(each, byDigest(each, newer), "tag-taken");
    expect(text).toContain(older.digest);
    expect(text).toContain("move-tags");
    const { result } = await good(each, { ...byDigest(each, newer), "move-tags": "true" });
    expect(result.tags).toEqual([{ tag: "1.0", state: "moved", before: older.digest }]);
    expect(await bad(each, { ...byDigest(each, newer), "create-only": "true" }, "tag-taken")).toContain("create-only");
  });

  test("sets more in the source's own repository, with one robot for both endpoints", async () => {
    const each = scenario();
    const made = makeImage("story within");
    await each.destination.push(each.to, made);
    const source = `${each.destination.host}/${each.to}@${made.digest}`;
    const robot = each.values["destination-robot"];
    const { result } = await good(each, { source, "source-robot": robot, tag: "1.0\nlatest" });
    expect(result.tags.map(({ state }) => state)).toEqual(["new", "new"]);
  });

  test("reports one that reads back as another", async () => {
    const each = scenario();
    const made = makeImage("story differs");
    await each.source.push(each.from, made);
    let isSet = false;
    each.destination.quay.registryScript.always(answer(404, {}), ({ method, url }) => {
      const isTag = url === `/v2/${each.to}/manifests/1.0`;
      isSet ||= isTag && method === "PUT";
      return isTag && method === "HEAD" && isSet;
    });
    expect(await bad(each, byDigest(each, made), "digest-differs")).toContain("read back as missing");
  });

  test("rejects one that changes during the copy", async () => {
    const each = scenario();
    const [made, other] = [makeImage("story race"), makeImage("story race other")];
    await each.source.push(each.from, made);
    const stop = each.destination.onAsked(({ method, path }) => {
      if (method === "POST" && path.startsWith(`/v2/${each.to}/`)) {
        stop();
        void each.destination.push(each.to, other, ["1.0"]);
      }
    });
    expect(await bad(each, byDigest(each, made), "tag-taken")).toContain("Another process changed");
  });
});

describe("tags that a registry does not set", () => {
  test("rejects an immutable one before any change, if the repository says so", async () => {
    const each = scenario();
    const [made, other] = [makeImage("story immutable"), makeImage("story immutable other")];
    await each.source.push(each.from, made);
    await each.destination.push(each.to, other, ["1.0"]);
    const repository = each.destination.quay.store.repositories.get(each.to);
    Object.assign(repository ?? {}, { immutable: new Set(["1.0"]), visibility: "public" });
    for (const more of [{}, { "move-tags": "true" }]) {
      const text = await bad(each, { ...byDigest(each, made), ...more, tag: "0.9\n1.0" }, "tag-immutable");
      expect(text).toContain(`No tag was changed. ${each.destination.host}/${each.to}:1.0 points to ${other.digest}`);
    }
    expect(await bad(each, { ...byDigest(each, made), "create-only": "true" }, "tag-taken")).toContain(other.digest);
    expect(await each.destination.tags(each.to)).toEqual(["1.0"]);
  });

  test.each([
    ["1.0", "No tag was changed."],
    ["2.0", "Set before that: 1.0. Not set: 2.0, 3.0."],
  ])("says which tags were set before %s failed", async (refused, expected) => {
    const each = scenario();
    const made = makeImage(`story refused ${refused}`);
    await each.source.push(each.from, made);
    each.destination.quay.registryScript.always(answer(418, { errors: [] }), ({ method, url }) => {
      return method === "PUT" && url === `/v2/${each.to}/manifests/${refused}`;
    });
    expect(await bad(each, { ...byDigest(each, made), tag: "1.0\n2.0\n3.0" }, "copy-failed")).toContain(expected);
  });
});

describe("a dry run", () => {
  test("plans for a repository that exists, and for a missing one", async () => {
    const each = scenario();
    const made = makeImage("story dry");
    await each.source.push(each.from, made);
    const values = { ...byDigest(each, made), "dry-run": "true" };
    expect((await good(each, values)).result).toMatchObject({ changed: false, tags: [{ state: "planned" }] });
    const nowhere = { ...values, destination: `${each.destination.host}/acme/nowhere` };
    const { result, reporter } = await good(each, nowhere);
    expect(result.bytes).toBeGreaterThan(0);
    expect(reporter.text()).toContain("does not exist yet");
    expect(await each.destination.tags(each.to)).toEqual([]);
  });
});

describe("rejects before anything is copied", () => {
  test("a missing source", async () => {
    const each = scenario();
    await each.source.push(each.from, makeImage("story some"), ["some"]);
    await bad(each, { source: `${each.source.host}/${each.from}:none` }, "source-not-found");
    await bad(each, byDigest(each, { digest: `sha256:${"0".repeat(64)}` }), "source-not-found");
  });

  test("a missing platform, of an index and of a single image", async () => {
    const each = scenario();
    const [index, single] = [makeIndex([[makeImage("story amd"), amd64]]), makeImage("story arm", { platform: arm64 })];
    await each.source.push(each.from, index);
    await each.source.push(each.from, single);
    const text = await bad(each, { ...byDigest(each, index), platform: "linux/s390x" }, "platform-missing");
    expect(text).toContain("It is available for linux/amd64");
    await bad(each, { ...byDigest(each, single), platform: "linux/amd64" }, "platform-missing");
    await good(each, { ...byDigest(each, single), platform: "linux/arm64" });
  });

  test("an image that verify-command rejects", async () => {
    const each = scenario(world.staging, world.release, true);
    const made = makeImage("story verify");
    await each.source.push(each.from, made);
    const refuse = { ...byDigest(each, made), "verify-command": "echo no good >&2; false" };
    expect(await bad(each, refuse, "verify-failed")).toContain("no good");
    await bad(each, { ...byDigest(each, made), "verify-command": "kill -9 $$; true" }, "verify-failed");
    expect(await each.destination.tags(each.to)).toEqual([]);
    const { reporter } = await good(each, { ...byDigest(each, made), "verify-command": "test -n" });
    expect(reporter.text()).toContain("accepts");
  });

  test("by a command that prints its login, and hides that in the error", async () => {
    const each = scenario();
    const made = makeImage("story shown");
    await each.source.push(each.from, made);
    const shows = `show() { cat "$REGISTRY_AUTH_FILE"; cat '${tokenFile}'; false; }; show`;
    const { result, reporter } = await run(each, { ...byDigest(each, made), "verify-command": shows });
    expect(result.failure?.code).toBe("verify-failed");
    const text = JSON.stringify(result.failure?.remedy);
    expect(text).toContain("***");
    expect(text).toContain(each.source.host);
    expect(reporter.secrets.length).toBeGreaterThan(3);
    expectNoSecret(text, reporter.secrets);
  });

  test("an endpoint that can't log in, and names it and its option", async () => {
    const each = scenario();
    const values = { ...byDigest(each, makeImage("story login")), "source-robot": "acme+nobody" };
    const error = await failure(run(each, values));
    expect(error.message).toContain("The login to the source failed.");
    expect(error.remedy.join()).toContain("option source-robot:");
  });

  test("a robot without permission to push", async () => {
    const each = scenario();
    const made = makeImage("story rights");
    await each.source.push(each.from, made);
    bindRobot(world, each.destination, "acme+idle");
    const text = await bad(each, { ...byDigest(each, made), "destination-robot": "acme+idle" }, "access-missing");
    expect(text).toContain("acme+idle");
  });
});

describe("signatures", () => {
  const signed = async (made: Made, side: Side, repository: string, signers?: string[]) => {
    const signature = makeCosign(made, "sig", signers);
    await side.push(repository, signature, [cosignTag(made, "sig")]);
    return signature;
  };

  test("are copied by cosign's tags and by referrers, to a registry without the API", async () => {
    const each = scenario(world.modern, world.release);
    const made = makeTwoPlatforms("story signed");
    await each.source.push(each.from, made);
    const signature = await signed(made, each.source, each.from);
    await each.source.push(each.from, makeCosign(made, "att"), [cosignTag(made, "att")]);
    const types = ["application/spdx+json", "application/vnd.in-toto+json", "application/vnd.cncf.notary.signature"];
    const referrers = [...types, "text/plain"].map((type, index) => makeReferrer(made, `story ${index}`, type));
    for (const referrer of referrers) await each.source.push(each.from, referrer);
    const values = { ...byDigest(each, made), "with-signatures": "true" };
    const { result } = await good(each, values);
    expect(result.artifacts.map(({ kind }) => kind).toSorted()).toEqual(
      ["attestation", "attestation", "other", "sbom", "signature", "signature"].toSorted(),
    );
    expect(result.artifacts.every(({ copied }) => copied)).toBe(true);
    expect(await each.destination.digest(each.to, cosignTag(made, "sig"))).toBe(signature.digest);
    const list = JSON.parse((await each.destination.manifest(each.to, fallbackTag(made)))?.text ?? "{}");
    expect(list.manifests).toHaveLength(referrers.length);
    const again = await good(each, values);
    expect(again.result).toMatchObject({ changed: false });
  });

  test("are copied from a registry without the API", async () => {
    const each = scenario(world.staging, world.modern);
    const made = makeImage("story listed");
    await each.source.push(each.from, made);
    const referrer = makeReferrer(made, "story listed");
    await each.source.push(each.from, makeFallbackIndex([referrer]), [fallbackTag(made)]);
    await good(each, { ...byDigest(each, made), "with-signatures": "true" });
    expect(await each.destination.referrers(each.to, made.digest)).toEqual([referrer.digest]);
  });

  test("are required: none is an error", async () => {
    const each = scenario();
    const made = makeImage("story unsigned");
    await each.source.push(each.from, made);
    const text = await bad(each, { ...byDigest(each, made), "with-signatures": "true" }, "signatures-missing");
    expect(text).toContain("has no signature");
    expect(await each.destination.tags(each.to)).toEqual([]);
  });

  test("at the destination are kept if they hold the source's, else rejected unless move-tags is set", async () => {
    const each = scenario();
    const made = makeImage("story others");
    await each.source.push(each.from, made);
    await signed(made, each.source, each.from);
    const both = await signed(made, each.destination, each.to, ["one", "two"]);
    const values = { ...byDigest(each, made), "with-signatures": "true" };
    await good(each, values);
    expect(await each.destination.digest(each.to, cosignTag(made, "sig"))).toBe(both.digest);
    await signed(made, each.destination, each.to, ["two"]);
    expect(await bad(each, values, "tag-taken")).toContain("lacks some of what the source has");
    await good(each, { ...values, "move-tags": "true" });
  });
});

describe("false signatures", () => {
  test("of another image are left out, with a warning", async () => {
    const each = scenario();
    const [made, other] = [makeImage("story impostor"), makeImage("story impostor other")];
    await each.source.push(each.from, made);
    await each.source.push(each.from, makeCosign(other, "sig"), [cosignTag(made, "sig")]);
    await each.source.push(each.from, makeCosign(made, "att"), [cosignTag(made, "att")]);
    const { result, reporter } = await good(each, { ...byDigest(each, made), "with-signatures": "true" });
    expect(result.artifacts).toMatchObject([{ kind: "attestation", copied: true }]);
    expect(reporter.warnings.join("\n")).toMatch(/\.sig is left out: its layer .* is not a signature of this image/);
    expect(await each.destination.digest(each.to, cosignTag(made, "sig"))).toBeUndefined();
  });

  test("do not count at the destination: an index", async () => {
    const each = scenario();
    const made = makeImage("story index");
    await each.source.push(each.from, made);
    await each.source.push(each.from, makeCosign(made, "sig"), [cosignTag(made, "sig")]);
    await each.destination.push(each.to, makeTwoPlatforms("story in its place"), [cosignTag(made, "sig")]);
    const values = { ...byDigest(each, made), "with-signatures": "true" };
    expect(await bad(each, values, "tag-taken")).toContain("lacks some of what the source has");
  });

  test.each<[string, (made: Made) => Made, (made: Made) => string | undefined]>([
    ["under cosign's tag", (made) => makeCosign(made, "sig"), (made) => cosignTag(made, "sig")],
    ["that refers to the image", (made) => makeReferrer(made, "story gone"), () => undefined],
  ])("reports one %s that disappears while the tags are set", async (_, make, tagOf) => {
    const { modern } = world;
    const each = scenario(modern, modern);
    const made = makeImage("story gone");
    const [signature, tag] = [make(made), tagOf(made)];
    await each.destination.push(each.to, made);
    await each.destination.push(each.to, signature, tag === undefined ? [] : [tag]);
    const path = `/v2/${each.to}/manifests/1.0`;
    modern.quay.registryScript.always(slow(500), ({ method, url }) => method === "PUT" && url === path);
    const stop = modern.onAsked(({ method, path: asked }) => {
      if (method === "PUT" && asked === path) {
        stop();
        void each.destination.remove(each.to, tag ?? signature.digest);
      }
    });
    const values = {
      source: `${modern.host}/${each.to}@${made.digest}`,
      "source-robot": each.values["destination-robot"],
      "with-signatures": "true",
    };
    const text = await bad(each, values, "signatures-missing");
    expect(text).toContain(`${tag ?? signature.digest} (signature) disappeared during the promotion. The tags are set`);
  });
});

describe("skopeo fails", () => {
  /** It logs in like the real one, and prints this for a copy. */
  async function saying(words: string, times = 99): Promise<string> {
    const folder = await makeFolder();
    const script = `if [ "$1" = copy ] && [ "$(cat ${folder}/times 2>/dev/null | wc -l)" -lt ${times} ]; then
  echo >>${folder}/times
  ${words}
fi
PATH=${systemPath} exec skopeo "$@"`;
    return `${await fakeTool(folder, "skopeo", script)}:${systemPath}`;
  }

  test.each<[string, string, string]>([
    ["echo 'unknown flag: --preserve-digests' >&2; exit 1", "copy-failed", "older than 1.6"],
    ["echo 'x509: certificate signed by unknown authority' >&2; exit 1", "tls-untrusted", "ca-file"],
    ["echo 'unauthorized: authentication required' >&2; exit 1", "copy-failed", "check the permissions of both robots"],
    ["echo 'the disk is made of cheese' >&2; exit 1", "copy-failed", "cheese"],
    ["echo 'blob of 7 bytes, wanted: 512 bytes' >&2; exit 1", "copy-failed", "by hand"],
    ["exit 3", "copy-failed", "no output"],
    ["kill -9 $$", "copy-failed", "it was killed"],
  ])("%s", async (words, code, expected) => {
    const each = scenario();
    const made = makeImage(`story ${words}`);
    await each.source.push(each.from, made);
    expect(await bad(each, byDigest(each, made), code, await saying(words))).toContain(expected);
    expect(await each.destination.tags(each.to)).toEqual([]);
  });

  // The texts for a status come from several versions; test/e2e/promote/network.test.ts has the installed one's.
  test.each([
    "unexpected EOF",
    "received unexpected HTTP status: 500 Internal Server Error",
    'StatusCode: 520, "a page"',
    'error fetching external blob from "https://example.com/a": 500 (Internal Server Error)',
    "error parsing HTTP 429 response body: no error details found in HTTP response body",
  ])("once, and is retried: %s", async (words) => {
    const each = scenario();
    const made = makeImage(`story ${words}`);
    await each.source.push(each.from, made);
    const path = await saying(`sleep 0.7; echo '${words}' >&2; exit 1`, 1);
    const { result, reporter } = await run(each, byDigest(each, made), path);
    expect(result).toMatchObject({ failure: undefined, changed: true });
    expect(reporter.text()).toContain(`${words}. Retrying`);
  });
});
