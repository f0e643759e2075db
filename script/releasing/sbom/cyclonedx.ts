/** CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/ */
import { sha256 } from "../sums.ts";
import type { Part, Sbom } from "./parts.ts";

export function cyclonedx({ subject, parts, url, created }: Sbom): string {
  const { kind, sha256: hash, ...named } = subject;
  const document = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf([subject, parts])}`,
    version: 1,
    metadata: {
      timestamp: created,
      component: {
        ...component(kind, named),
        description: subject.description,
        hashes: [{ alg: "SHA-256", content: hash }],
        externalReferences: [{ type: "vcs", url }],
      },
    },
    components: parts.map((part) => ({
      ...component("library", part),
      ...(part.sha512 && { hashes: [{ alg: "SHA-512", content: part.sha512 }] }),
    })),
    dependencies: [{ ref: subject.purl, dependsOn: parts.map(({ purl }) => purl) }],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

const component = (type: string, { name, version, purl, license }: Omit<Part, "sha512">) => ({
  type,
  "bom-ref": purl,
  name,
  version,
  ...(license && { licenses: [{ expression: license }] }),
  purl,
});

/** From the content instead of at random; the form of a UUID of version 8 (RFC 9562). */
function uuidOf(content: unknown): string {
  const hex = sha256(JSON.stringify(content));
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}
