/** A registry's answers to a single request, and their handling: retries, redirects. */
import { describe, expect, test } from "vitest";
import { createClient } from "../../src/registry/client.ts";
import { createTransport } from "../../src/registry/transport.ts";
import { failure, fakeClock, testPlatform } from "../fixtures.ts";
import { answer, cut, hang, huge, notJson, redirect, reset } from "../quay-stand-in/scripted.ts";
import {
  auths,
  client,
  digestOf,
  makeImage,
  peers,
  push,
  registryPaths,
  script,
  startOther,
  types,
  useRegistries,
} from "./world.ts";

useRegistries("2.8.2");

describe("a manifest", () => {
  test("with its type only in the header, and text outside ASCII", async () => {
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
    ["a redirect without TLS", redirect("http://localhost/x"), "answered 302"],
  ])("rejects %s", async (_, scripted, expected) => {
    const one = await client();
    script(scripted);
    const error = await failure(one.manifest("v1"));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining(expected)]);
    expect(one.clock.waits).toEqual([]);
  });

  test("is retried after a temporary failure", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    script(answer(503), cut(), answer(500), answer(429, "", { "retry-after": "9" }), reset());
    expect((await one.manifest(image.digest))?.text).toBe(image.text);
    // The last connection was open already: its reset alone costs no wait.
    expect(one.clock.waits).toHaveLength(4);
    expect(one.clock.waits[3]).toBe(9_000);
    script(answer(502), reset());
    await one.putManifest("again", image);
    expect(await one.digestOf("again")).toBe(image.digest);
  });

  test("is retried until the timeout", async () => {
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

  test("of an unreachable or untrusted registry", async () => {
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

  test("that does not arrive in time", async () => {
    const one = await client({ timeoutSeconds: 0.2 });
    peers.quay.registryScript.always(hang());
    expect((await failure(one.manifest("v1"))).message).toContain("no answer within 0.2 s");
  });

  test("is abandoned immediately when the job is cancelled", async () => {
    const cancel = new AbortController();
    const one = await client({ signal: cancel.signal });
    peers.quay.registryScript.always(hang());
    const asked = one.manifest("v1");
    await expect.poll(() => registryPaths().length).toBe(2);
    cancel.abort(new Error("over"));
    await expect(asked).rejects.toThrow("over");
  });

  test("is pushed again, twice, while docker-registry writes a layer's link", async () => {
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

  test("quotes the registry's reason for a refusal despite all permissions", async () => {
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

  test("on the registry itself keeps the token", async () => {
    const { image } = await push(peers, "acme/app");
    const one = await client();
    script(redirect(`/v2/acme/app/blobs/${digestOf(image.config)}`));
    expect(await one.blob(digestOf(image.config))).toBe(image.config);
  });

  test("reports the storage's refusal as its own", async () => {
    const other = await startOther(answer(403));
    const one = await client();
    // With a cached token, which is not the reason.
    await one.hasBlob(digestOf("config"));
    script(redirect(other.url));
    const error = await failure(one.blob(digestOf("config")));
    expect([error.code, error.message]).toEqual(["copy-failed", expect.stringContaining("answered 403 for the blob")]);
    expect(other.requests).toHaveLength(1);
    expect(auths()).toBe(1);
  });

  test("in a loop ends", async () => {
    const one = await client();
    peers.quay.registryScript.always(redirect("/v2/acme/app/blobs/x"));
    expect((await failure(one.blob(digestOf("config")))).message).toContain("answered 302");
    expect(registryPaths()).toHaveLength(1 + 4);
  });

  test("of a HEAD means that the blob exists", async () => {
    const one = await client();
    script(redirect("https://nowhere.invalid/"));
    expect(await one.hasBlob(digestOf("config"))).toBe(true);
  });
});
