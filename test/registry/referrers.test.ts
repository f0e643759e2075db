/** The referrers of a manifest, by the API and by the fallback tag. */
import { describe, expect, test } from "vitest";
import type { Descriptor } from "../../src/registry/manifest.ts";
import { addToFallback, listReferrers } from "../../src/registry/referrers.ts";
import { failure } from "../fixtures.ts";
import { answer, notJson, redirect } from "../quay-stand-in/scripted.ts";
import {
  client,
  describeManifest,
  digestOf,
  made,
  peers,
  push,
  registryPaths,
  script,
  types,
  useRegistries,
} from "./world.ts";

useRegistries("2.8.2");

describe("the referrers of a manifest", () => {
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

  test("are read from all pages", async () => {
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
    ["an invalid digest", list([{ ...entry("x"), digest: "sha256:../x" }])],
    ["a next page on another host", list([], { link: '<https://nowhere.invalid/>; rel="next"' })],
  ])("rejects %s", async (_, scripted) => {
    const one = await client();
    script(scripted);
    const error = await failure(listReferrers(one, digest));
    expect([error.code, error.message]).toEqual([
      "copy-failed",
      `${peers.registryHost} did not answer with the list of referrers of ${peers.registryHost}/acme/app@${digest}.`,
    ]);
  });

  test("rejects endless pages, and a missing one", async () => {
    const one = await client();
    script(list([], { link: `<${path}?n=1>; rel=next` }), answer(404));
    expect((await failure(listReferrers(one, digest))).message).toContain("answered 404");
    peers.quay.registryScript.always(list([], { link: `<${path}?n=1>; rel="next"` }));
    expect((await failure(listReferrers(one, digest))).code).toBe("copy-failed");
  });

  test.each([400, 404, 405, 406, 308])("falls back to the tag if the API answers %d", async (status) => {
    const one = await client();
    const missing = status === 308 ? [redirect(`${path}/`, 308), answer(404)] : [answer(status)];
    script(...missing, list([entry("a")]));
    expect(await listReferrers(one, digest)).toEqual([entry("a")]);
    expect(registryPaths().at(-1)).toBe(`GET /v2/acme/app/manifests/${digest.replace(":", "-")}`);
    script(...missing, answer(404));
    expect(await listReferrers(one, digest)).toEqual([]);
  });

  test("are added to the tag's other entries", async () => {
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
    // Nothing is written if all entries exist.
    peers.quay.requests.length = 0;
    await addToFallback(one, image.digest, [third, typed]);
    expect(registryPaths().filter((line) => line.startsWith("PUT"))).toEqual([]);
  });

  test("leaves a tag with other content unchanged", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    await one.putManifest(image.digest.replace(":", "-"), image);
    peers.quay.requests.length = 0;
    const error = await failure(addToFallback(one, image.digest, [entry("a")]));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining("holds something else")]);
    expect(registryPaths().filter((line) => line.startsWith("PUT"))).toEqual([]);
    expect(await listReferrers(one, image.digest)).toEqual([]);
    // After a failure the next one runs.
    script(list([entry("a")]));
    await addToFallback(one, image.digest, [entry("a")]);
    // Docker's lists have no referrers.
    const theirs = { mediaType: "application/vnd.docker.distribution.manifest.list.v2+json", manifests: [] };
    script(answer(200, theirs));
    expect((await failure(addToFallback(one, digest, [entry("a")]))).message).toContain("holds something else");
  });

  test("detects another writer, and does not overwrite its entries", async () => {
    const one = await client();
    script(
      answer(404), // the tag does not exist
      answer(201), // the first write succeeds
      list([entry("theirs")]), // but another writer has replaced it
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
