/** A tiny valid image in the OCI layout, made without a tool: `skopeo copy oci:DIR:TAG docker://…` accepts it. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

export interface ImageOptions {
  /** Default `v1`. */
  tag?: string;
  /** Default random, so that no two images share a blob; bytes of the layer's only file. */
  content?: Buffer;
}

export interface Image {
  /** `sha256:…` of the manifest. */
  digest: string;
  layer: string;
  config: string;
  /** For skopeo: `oci:FOLDER:TAG`. */
  reference: string;
}

/** Writes an image of one layer into a folder (made if missing). */
export async function writeImage(folder: string, options: ImageOptions = {}): Promise<Image> {
  const { tag = "v1", content = randomBytes(4096) } = options;
  const blobs = join(folder, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (mediaType: string, bytes: Buffer) => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    await writeFile(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const tar = tarball("content", content);
  const diffId = `sha256:${createHash("sha256").update(tar).digest("hex")}`;
  const layer = await put("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar));
  const config = await put(
    "application/vnd.oci.image.config.v1+json",
    json({ architecture: "amd64", os: "linux", config: {}, rootfs: { type: "layers", diff_ids: [diffId] } }),
  );
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = await put(mediaType, json({ schemaVersion: 2, mediaType, config, layers: [layer] }));
  const annotations = { "org.opencontainers.image.ref.name": tag };
  await writeFile(join(folder, "index.json"), json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }));
  await writeFile(join(folder, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  return { digest: manifest.digest, layer: layer.digest, config: config.digest, reference: `oci:${folder}:${tag}` };
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** A ustar archive of one file (POSIX.1-1988): a header of 512 bytes, the content padded to 512, two empty blocks. */
export function tarball(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const field = (text: string, offset: number) => header.write(text, offset, "ascii");
  field(name, 0);
  field("0000644\0", 100);
  field("0000000\0", 108);
  field("0000000\0", 116);
  field(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
  field("00000000000\0", 136);
  field("        ", 148);
  field("0", 156);
  field("ustar\x0000", 257);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  field(`${checksum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512), Buffer.alloc(1024)]);
}
