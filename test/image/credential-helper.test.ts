/** The credential helper in the image, run like a pod that can write nowhere, and in an image made from it. */
import { chmod, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { writeImage } from "../support/image.ts";
import { ownBuild } from "../support/project.ts";
import { documentBlock, substitute } from "../support/readme.ts";
import { needsRoot } from "../support/root.ts";
import {
  builds,
  buildTime,
  type Image,
  makeFolder,
  makeTmp,
  openDerivedImage,
  openProjectImage,
  runInImage,
} from "./unpacked.ts";

const helper = "docker-credential-quay-keyless";
let image: Image;
let peers: Peers;
let folder: string;

beforeAll(async () => {
  if (!builds) return;
  folder = await makeFolder();
  [image, peers] = await Promise.all([openProjectImage(), startPeers()]);
}, buildTime);

afterAll(async () => {
  if (!builds) return;
  await image?.close();
  await Promise.all([peers?.close(), rm(folder, { recursive: true, force: true })]);
});

describe.skipIf(!builds).concurrent(`on a read-only root, without any place to write to ${needsRoot}`, () => {
  /** A /tmp with a token, a root and an auth file, in which no user but root can write. */
  async function newPod(token: string) {
    const { authority, registryHost } = peers;
    const tmp = await makeTmp(folder);
    await writeFile(join(tmp, "token"), token);
    await writeFile(join(tmp, "ca.pem"), authority.ca);
    await writeFile(join(tmp, "auth.json"), JSON.stringify({ credHelpers: { [registryHost]: "quay-keyless" } }));
    await chmod(tmp, 0o555);
    const env = {
      QUAY_KEYLESS_REGISTRY: registryHost,
      QUAY_KEYLESS_ROBOT: "acme+ci",
      QUAY_KEYLESS_TOKEN_FILE: "/tmp/token",
      QUAY_KEYLESS_CA_FILE: "/tmp/ca.pem",
      QUAY_KEYLESS_TOKEN_HOST: "",
      REGISTRY_AUTH_FILE: "/tmp/auth.json",
      SSL_CERT_FILE: "/tmp/ca.pem",
    };
    return { tmp, env };
  }

  test.for([1001, 1_000_680_000])(
    "as user %i: gets a robot token, and knows no other host",
    async (uid, { expect }) => {
      const token = await peers.issuer.sign();
      const pod = await newPod(token);
      const ran = await runInImage(image, ["get"], { ...pod, uid, command: [helper], input: peers.registryHost });
      expect(ran).toMatchObject({ code: 0, stderr: "" });
      expect(JSON.parse(ran.stdout)).toEqual({
        ServerURL: peers.registryHost,
        Username: "acme+ci",
        Secret: expect.stringMatching(/^ey/),
      });
      expect(peers.quay.seen(token).map(({ user }) => user)).toEqual(["acme+ci"]);
      const foreign = await runInImage(image, ["get"], {
        ...pod,
        uid,
        command: [helper],
        input: "registry.example.com",
      });
      expect(foreign).toEqual({ code: 1, stdout: "credentials not found in native keychain\n", stderr: "" });
      expect(await runInImage(image, ["version"], { ...pod, uid, command: [helper] })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(helper),
      });
      expect(await readdir(pod.tmp)).toEqual(["auth.json", "ca.pem", "token"]);
    },
  );

  test("skopeo copies with it, and leaves nothing", async ({ expect }) => {
    const { registryHost, issuer, quay } = peers;
    const token = await issuer.sign();
    const pod = await newPod(token);
    const pushed = await writeImage(join(pod.tmp, "image"));
    const copy = (from: string, tag: string) =>
      runInImage(image, ["copy", "--all", from, `docker://${registryHost}/acme/app:${tag}`], {
        ...pod,
        command: ["skopeo"],
      });
    expect(await copy("oci:/tmp/image:v1", "helper")).toMatchObject({ code: 0, stderr: "" });
    expect(await copy(`docker://${registryHost}/acme/app:helper`, "helper-2")).toMatchObject({ code: 0, stderr: "" });
    const inspected = await runInImage(
      image,
      ["inspect", "--format", "{{.Digest}}", `docker://${registryHost}/acme/app:helper-2`],
      {
        ...pod,
        command: ["skopeo"],
      },
    );
    expect(inspected).toEqual({ code: 0, stdout: `${pushed.digest}\n`, stderr: "" });
    // Without a place to write to there is no cache: one for a push, two for a copy, and two for skopeo's inspect.
    expect(quay.seen(token)).toHaveLength(5);
    expect(await readdir(pod.tmp)).toEqual(["auth.json", "ca.pem", "image", "token"]);
  });
});

test.skipIf(!builds)(
  `the lines for an image of your own make the helper work there ${needsRoot}`,
  async () => {
    const written = documentBlock("docs/credential-helper.md", "## In a pod", "dockerfile");
    const lines = substitute(written, [[ownBuild, image.name]]);
    const containerfile = join(folder, "Containerfile");
    await writeFile(containerfile, lines);
    const own = await openDerivedImage(containerfile);
    try {
      const ran = await runInImage(own, ["version"], { tmp: await makeTmp(folder), command: [helper] });
      expect(ran).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining(helper) });
    } finally {
      await own.close();
    }
  },
  buildTime,
);
