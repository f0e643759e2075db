/** Which images Quay would delete by itself, over real TLS; whole promotions of them are in test/e2e/promote/expiry.test.ts. */
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

/** Of a registry without a login that has these images' configs. @param text of a config, in place of theirs */
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

/** As a manifest tells it. */
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
])("%s: the image is refused, and the error has the time", async (_, made, after) => {
  const text = await failureText("image-expires", (await check([made])).ended);
  expect(text).toContain(`${made.digest} has the label ${label}=${after}: Quay deletes each tag`);
  expect(text).toContain("allow-expiring: true");
});

test.each<[string, Made]>([
  ["no label", makeImage("expiry none")],
  ["another label", makeImage("expiry other", { labels: { maintainer: "2w" } })],
  ["another annotation", annotated({ maintainer: "2w" })],
  ["never", expiring("Never")],
  ["nothing", expiring("")],
  ["a fraction", expiring("1.5d")],
  ["a month", expiring("1M")],
  ["no text", expiring(14)],
  ["a negative time", expiring("-1d")],
  ["an annotation that Quay can't read", annotated({ [label]: "soon" })],
])("%s: the image stays", async (_, made) => {
  await (await check([made])).ended;
});

test.each(["", "no JSON", "null", "{}", '{"config":null}', '{"config":{"Labels":null}}', '{"config":{"Labels":"2w"}}'])(
  "a config that tells no labels is no reason: %j",
  async (text) => {
    const made = makeImage("expiry odd");
    // The client checks digests: what is asked for is what this text has.
    const { descriptor: config } = content(types.oci.config, Buffer.from(text));
    const labelled = { ...labelledOf(made), config };
    await (await check([made], [labelled], text)).ended;
  },
);

test("a config that is not there is no reason", async () => {
  const made = expiring("2w");
  const { ended, asked } = await check([{ ...made, blobs: [] }]);
  await ended;
  expect(asked).toHaveLength(1);
});

test("a config is read only where it may tell: not of an index or an artifact, nor where the annotation has told", async () => {
  const made = expiring("2w");
  const { config, ...index } = labelledOf(made);
  const artifact = { ...index, config: config && { ...config, mediaType: "application/vnd.oci.empty.v1+json" } };
  const silent = await check([made], [{ ...index, config: undefined }, artifact]);
  await silent.ended;
  const told = await check([annotated()]);
  await failureText("image-expires", told.ended);
  expect([silent.asked, told.asked]).toEqual([[], []]);
});

test("of several images the first is named, and how many more there are", async () => {
  const images = [makeImage("expiry lasting"), expiring("1h"), expiring("2h"), expiring("3h")];
  const text = await failureText("image-expires", (await check(images)).ended);
  expect(text).toContain(`${images[1]?.digest} has the label ${label}=1h (and 2 more of its images): Quay`);
});
