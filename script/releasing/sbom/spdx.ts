/** SPDX 2.3, https://spdx.github.io/spdx-spec/v2.3/ */
import { sha256 } from "../sums.ts";
import type { Part, Sbom } from "./parts.ts";

export function spdx({ subject, parts, url, created }: Sbom): string {
  const name = `${subject.name}-${subject.version}`;
  const root = packageOf(subject, "SPDXRef-subject");
  const document = {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name,
    documentNamespace: `${url}/spdx/${name}-${sha256(JSON.stringify([subject, parts]))}`,
    creationInfo: { created, creators: ["Tool: quay-keyless-login-script-release"] },
    documentDescribes: [root.SPDXID],
    packages: [
      {
        ...root,
        primaryPackagePurpose: subject.kind.toUpperCase(),
        summary: subject.description,
        checksums: [{ algorithm: "SHA256", checksumValue: subject.sha256 }],
      },
      ...parts.map((part) => ({
        ...packageOf(part),
        ...(part.sha512 && { checksums: [{ algorithm: "SHA512", checksumValue: part.sha512 }] }),
      })),
    ],
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: root.SPDXID },
      ...parts.map((part) => ({
        ...{ spdxElementId: root.SPDXID, relationshipType: "CONTAINS", relatedSpdxElement: idOf(part) },
      })),
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Letters, digits, dots and hyphens are allowed. The hash keeps apart what differs in other characters. */
const idOf = ({ name, purl }: Part): string =>
  `SPDXRef-${name.replaceAll(/[^A-Za-z0-9.]+/g, "-")}-${sha256(purl).slice(0, 12)}`;

function packageOf(part: Part, id = idOf(part)) {
  return {
    SPDXID: id,
    name: part.name,
    versionInfo: part.version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    licenseConcluded: "NOASSERTION",
    licenseDeclared: part.license ?? "NOASSERTION",
    copyrightText: "NOASSERTION",
    externalRefs: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: part.purl }],
  };
}
