/**
 * Images of every form that registries hold, made without a tool, byte for byte: the same name gives the
 * same digest. After the OCI image and distribution specifications 1.1, and Docker's "Image Manifest Version 2, Schema 2".
 */
import { createCipheriv, createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { tarball } from "./image.ts";

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** How an image names a part of it. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly data?: string;
}

export interface Content {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

/** A manifest or an index, with all its parts. */
export interface Made extends Content {
  readonly digest: string;
  readonly blobs: readonly Content[];
  readonly children: readonly Made[];
}

export const types = {
  oci: {
    manifest: "application/vnd.oci.image.manifest.v1+json",
    index: "application/vnd.oci.image.index.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
    layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  },
  docker: {
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
    layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  },
} as const;

export type Form = keyof typeof types;

export interface ImageOptions {
  readonly form?: Form;
  readonly compression?: "gzip" | "zstd";
  readonly platform?: Platform;
  /** Bytes that can't be compressed, in the last of its layers. */
  readonly size?: number;
  readonly layers?: number;
  /** In its config. */
  readonly labels?: Readonly<Record<string, unknown>>;
  /** Of its manifest. */
  readonly annotations?: Readonly<Record<string, string>>;
}

export const amd64: Platform = { os: "linux", architecture: "amd64" };
export const arm64: Platform = { os: "linux", architecture: "arm64" };
export const arm: Platform = { os: "linux", architecture: "arm", variant: "v7" };

/** A single image. */
export function makeImage(name: string, options: ImageOptions = {}): Made {
  const {
    form = "oci",
    compression = "gzip",
    platform = amd64,
    size = 2048,
    layers: count = 2,
    labels: Labels,
    annotations,
  } = options;
  const { manifest: mediaType, config: configType, layer: gzipType } = types[form];
  const tars = Array.from({ length: count }, (_, index) => {
    const bytes = noise(`${name} ${index}`, index === count - 1 ? size : 512);
    return tarball(`file${index}`, bytes);
  });
  const layers = tars.map((tar) =>
    compression === "zstd"
      ? content("application/vnd.oci.image.layer.v1.tar+zstd", zstdCompressSync(tar))
      : // Level 0: noise can't be compressed, and trying takes time.
        content(gzipType, gzipSync(tar, { level: 0 })),
  );
  const rootfs = { type: "layers", diff_ids: tars.map(sha256) };
  const config = content(configType, json({ ...platform, author: name, config: { Labels }, rootfs }));
  const body = {
    schemaVersion: 2,
    mediaType,
    config: config.descriptor,
    layers: layers.map(descriptorOf),
    annotations,
  };
  return make(mediaType, body, [config, ...layers], []);
}

/** An index (Docker's name: manifest list) of images, each with its platform. */
export function makeIndex(children: readonly [Made, Platform][], form: Form = "oci", more: readonly Made[] = []): Made {
  const mediaType = types[form].index;
  const manifests = [
    ...children.map(([{ descriptor }, platform]) => ({ ...descriptor, platform })),
    ...more.map(descriptorOf),
  ];
  const all = [...children.map(([child]) => child), ...more];
  return make(mediaType, { schemaVersion: 2, mediaType, manifests }, [], all);
}

/** An index of linux/amd64 and linux/arm64. */
export function makeTwoPlatforms(name: string, form: Form = "oci"): Made {
  const of = (platform: Platform): [Made, Platform] => [
    makeImage(`${name} ${platform.architecture}`, { form, platform }),
    platform,
  ];
  return makeIndex([of(amd64), of(arm64)], form);
}

/** What BuildKit puts into an index beside an image: its provenance, as an image for no platform. */
export function makeBuildAttestation(subject: Made): Made {
  const unknown = { os: "unknown", architecture: "unknown" };
  const mediaType = types.oci.manifest;
  const statement = content("application/vnd.in-toto+json", json({ _type: "in-toto", subject: subject.digest }));
  const annotations = { "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" };
  const layers = [{ ...statement.descriptor, annotations }];
  const rootfs = { type: "layers", diff_ids: [statement.descriptor.digest] };
  const config = content(types.oci.config, json({ ...unknown, config: {}, rootfs }));
  const body = { schemaVersion: 2, mediaType, config: config.descriptor, layers };
  const made = make(mediaType, body, [config, statement], []);
  const reference = {
    "vnd.docker.reference.digest": subject.digest,
    "vnd.docker.reference.type": "attestation-manifest",
  };
  return { ...made, descriptor: { ...made.descriptor, annotations: reference, platform: unknown } };
}

/** cosign's tag scheme: what belongs to an image has a tag made of its digest. */
export type CosignKind = "sig" | "att" | "sbom";
export const cosignTag = ({ digest }: Pick<Made, "digest">, kind: CosignKind): string =>
  `${digest.replace(":", "-")}.${kind}`;

/** What cosign (to 2.x) pushes under that tag: one layer for each signature, of one payload for all keys. */
export function makeCosign(
  subject: Pick<Made, "digest">,
  kind: CosignKind,
  signers: readonly string[] = ["one"],
): Made {
  const layers = signers.map((signer) => {
    if (kind === "sig") {
      const payload = content("application/vnd.dev.cosign.simplesigning.v1+json", json(payloadOf(subject.digest)));
      const signature = createHash("sha256").update(`${signer} ${subject.digest}`).digest("base64");
      const annotations = { "dev.cosignproject.cosign/signature": signature };
      return { ...payload, descriptor: { ...payload.descriptor, annotations } };
    }
    return kind === "att"
      ? content("application/vnd.dsse.envelope.v1+json", json({ payloadType: "application/vnd.in-toto+json", signer }))
      : content("text/spdx+json", json({ spdxVersion: "SPDX-2.3", name: signer }));
  });
  return makeCosignOf(layers);
}

/** As sigstore's payload package writes it. */
const payloadOf = (digest: string) => ({
  critical: {
    identity: { "docker-reference": "staging.example.com/acme/app" },
    image: { "docker-manifest-digest": digest },
    type: "cosign container image signature",
  },
  optional: null,
});

/** The manifest that cosign makes around its layers: an image's, but for no platform. */
export function makeCosignOf(layers: readonly Content[]): Made {
  const rootfs = { type: "layers", diff_ids: layers.map(({ descriptor }) => descriptor.digest) };
  const config = content(types.oci.config, json({ architecture: "", os: "", config: {}, rootfs }));
  const mediaType = types.oci.manifest;
  const body = { schemaVersion: 2, mediaType, config: config.descriptor, layers: layers.map(descriptorOf) };
  return make(mediaType, body, [config, ...layers], []);
}

/** The same content with a field `subject`, which any user can write. */
export function withSubject(made: Made, { descriptor: { mediaType, digest, size } }: Content): Made {
  const body = { ...JSON.parse(made.bytes.toString()), subject: { mediaType, digest, size } };
  return make(made.descriptor.mediaType, body, made.blobs, made.children);
}

/** The empty object, as version 1.1 of the specification describes it. */
const empty: Content = {
  bytes: Buffer.from("{}"),
  descriptor: {
    mediaType: "application/vnd.oci.empty.v1+json",
    digest: sha256(Buffer.from("{}")),
    size: 2,
    data: "e30=",
  },
};

/** An OCI 1.1 artifact that refers to an image by its field `subject`. */
export function makeReferrer(
  subject: Content,
  name: string,
  artifactType = "application/vnd.dev.sigstore.bundle.v0.3+json",
): Made {
  const mediaType = types.oci.manifest;
  const layer = content(artifactType, json({ name, of: subject.descriptor.digest }));
  const { mediaType: subjectType, digest, size } = subject.descriptor;
  const annotations = { "org.example.name": name };
  const body = {
    schemaVersion: 2,
    mediaType,
    artifactType,
    config: empty.descriptor,
    layers: [layer.descriptor],
    subject: { mediaType: subjectType, digest, size },
    annotations,
  };
  const made = make(mediaType, body, [empty, layer], []);
  return { ...made, descriptor: { ...made.descriptor, artifactType, annotations } };
}

/** If a registry has no API for referrers, clients that push keep an index of them under this tag. */
export const fallbackTag = ({ digest }: Pick<Made, "digest">): string => digest.replace(":", "-");

export function makeFallbackIndex(referrers: readonly Made[]): Made {
  const mediaType = types.oci.index;
  return make(mediaType, { schemaVersion: 2, mediaType, manifests: referrers.map(descriptorOf) }, [], [...referrers]);
}

/** Everything below a manifest, itself last: the order in which a client pushes. */
export function allOf(made: Made): Made[] {
  return [...made.children.flatMap(allOf), made];
}

const descriptorOf = ({ descriptor }: Content): Descriptor => descriptor;

function make(mediaType: string, body: object, blobs: readonly Content[], children: readonly Made[]): Made {
  const made = content(mediaType, json(body));
  return { ...made, digest: made.descriptor.digest, blobs, children };
}

export function content(mediaType: string, bytes: Buffer): Content {
  return { bytes, descriptor: { mediaType, digest: sha256(bytes), size: bytes.length } };
}

/** The same for the same name, and different for another name. */
function noise(name: string, size: number): Buffer {
  const key = createHash("sha256").update(name).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Writes it into a folder as an OCI layout. @returns for skopeo: `oci:FOLDER:TAG` */
export async function writeLayout(folder: string, made: Made): Promise<string> {
  const blobs = join(folder, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  for (const { descriptor, bytes } of [made, ...made.blobs]) {
    await writeFile(join(blobs, descriptor.digest.replace("sha256:", "")), bytes);
  }
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  const index = { schemaVersion: 2, manifests: [{ ...descriptorOf(made), annotations }] };
  await writeFile(join(folder, "index.json"), JSON.stringify(index));
  await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return `oci:${folder}:v1`;
}
