/** Images that Quay would delete after a while, over real TLS. Whole promotions of them: test/e2e/promote/expiry.test.ts. */
import { createServer } from "node:https";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { assertLasting, type Labelled } from "../../src/promotion/expiry.ts";
import { createClient } from "../../src/registry/client.ts";
import { createTransport } from "../../src/registry/transport.ts";
import { failureText, testPlatform } from "../fixtures.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";
import { content, type Form, type ImageOptions, type Made, makeImage, types } from "../support/images.ts";

const label = "quay.expires-after";

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority();
});
afterAll(() => authority.close());

/** A registry without a login that has these images' configs. @param text replaces their configs */
async function check(images: readonly Made[], labelled = images.map(labelledOf), text?: string) {
  const asked: string[] = [];
  const server = createServer(await authority.issue(), (request, response) => {
    const digest = String(request.url?.split("/").at(-1));
    asked.push(digest);
    const blob = images.flatMap(({ blobs }) => blobs).find(({ descriptor }) => descriptor.digest === digest);
    response.writeHead(text === undefined && blob === undefined ? 404 : 200).end(text ?? blob?.bytes);
  });
  const { port, close } = await listen(server);
  onTestFinished(close);
  const registry = `localhost:${port}`;
  const options = { registry, endpoint: "source", robot: undefined, timeoutSeconds: 60 } as const;
  const transport = createTransport(
    { ...options, credential: () => undefined, realm: () => undefined },
    testPlatform({ roots: authority.ca }),
  );
  return { ended: assertLasting(createClient(transport, "acme/staging"), labelled), asked };
}

/** As the manifest says. */
function labelledOf({ digest, bytes }: Made): Labelled {
  const { annotations, config } = JSON.parse(bytes.toString());
  return { digest, annotations, config };
}

const expiring = (value: unknown, form: Form = "oci") =>
  makeImage(`expiry ${value}`, { form, labels: { [label]: value } });
const annotated = (annotations: ImageOptions["annotations"] = { [label]: "12h" }) =>
  makeImage("expiry annotated", { annotations });

test.each<[string, Made, string]>([
  ["a label of an OCI image", expiring("2w"), "2w"],
  ["a label of a Docker image", expiring("30d", "docker"), "30d"],
  ["seconds", expiring("90s"), "90s"],
  ["a sign", expiring("+3d"), "+3d"],
  ["blanks around", expiring(" 5m"), "5m"],
  ["an annotation", annotated(), "12h"],
])("rejects an image with %s, and the error has the time", async (_, made, after) => {
  const text = await failureText("image-expires", (await check([made])).ended);
  expect(text).toContain(`${made.digest} has the label ${label}=${after}: Quay deletes each tag`);
  expect(text).toContain("allow-expiring: true");
});

test.each<[string, Made]>([
  ["no label", makeImage("expiry none")],
  ["another label", makeImage("expiry other", { labels: { maintainer: "2w" } })],
  ["another annotation", annotated({ maintainer: "2w" })],
  ["never", expiring("Never")],
  ["an empty label", expiring("")],
  ["a fraction", expiring("1.5d")],
  ["a month", expiring("1M")],
  ["a number", expiring(14)],
  ["a negative time", expiring("-1d")],
  ["an annotation that Quay can't read", annotated({ [label]: "soon" })],
])("accepts an image with %s", async (_, made) => {
  await (await check([made])).ended;
});

test.each(["", "no JSON", "null", "{}", '{"config":null}', '{"config":{"Labels":null}}', '{"config":{"Labels":"2w"}}'])(
  "accepts a config without labels: %j",
  async (text) => {
    const made = makeImage("expiry odd");
    // The client checks digests: it requests the digest of this text.
    const { descriptor: config } = content(types.oci.config, Buffer.from(text));
    const labelled = { ...labelledOf(made), config };
    await (await check([made], [labelled], text)).ended;
  },
);

test("accepts a missing config", async () => {
  const made = expiring("2w");
  const { ended, asked } = await check([{ ...made, blobs: [] }]);
  await ended;
  expect(asked).toHaveLength(1);
});

test("reads a config only if its labels count: not of an index or an artifact, nor beside an annotation", async () => {
  const made = expiring("2w");
  const { config, ...index } = labelledOf(made);
  const artifact = { ...index, config: config && { ...config, mediaType: "application/vnd.oci.empty.v1+json" } };
  const silent = await check([made], [{ ...index, config: undefined }, artifact]);
  await silent.ended;
  const annotationOnly = await check([annotated()]);
  await failureText("image-expires", annotationOnly.ended);
  expect([silent.asked, annotationOnly.asked]).toEqual([[], []]);
});

test("names the first of several images, and counts the rest", async () => {
  const images = [makeImage("expiry lasting"), expiring("1h"), expiring("2h"), expiring("3h")];
  const text = await failureText("image-expires", (await check(images)).ended);
  expect(text).toContain(`${images[1]?.digest} has the label ${label}=1h (and 2 more of its images): Quay`);
});
