/** SBOMs: what is shipped is what they list, in both formats; npm and dpkg are asked for the same. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cyclonedx } from "../../script/releasing/sbom/cyclonedx.ts";
import { bundledParts, debianParts, parseLicenses, type Sbom } from "../../script/releasing/sbom/parts.ts";
import { spdx } from "../../script/releasing/sbom/spdx.ts";

interface NpmComponent {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly { readonly license: { readonly id: string } }[];
  readonly hashes: readonly { readonly alg: string; readonly content: string }[];
}

describe("packages in the bundles", () => {
  test("are known to npm with the same version, licence and hash", () => {
    // Not with --omit dev: npm 11 then leaves out yaml, and lists what the bundler leaves out.
    const sbom = execFileSync("npm", ["sbom", "--sbom-format", "cyclonedx"], { encoding: "utf8", maxBuffer: 1e8 });
    const known = new Map(
      (JSON.parse(sbom).components as NpmComponent[]).map((component) => [component.purl, component]),
    );
    for (const { purl, license, sha512 } of bundledParts(["dist"])) {
      const { licenses, hashes } = known.get(purl) ?? {};
      expect([purl, license]).toEqual([purl, licenses?.[0]?.license.id]);
      expect([purl, sha512]).toEqual([purl, hashes?.find(({ alg }) => alg === "SHA-512")?.content]);
    }
  });

  test("are those of the direct dependencies", () => {
    const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(bundledParts(["dist"]).map(({ name }) => name)).toEqual(Object.keys(dependencies).sort());
    expect(bundledParts(["dist/cli", "dist/helper"]).map(({ name }) => name)).toEqual(["jose", "yaml"]);
  });

  test("rejects a licence text without its first line", () => {
    expect(parseLicenses("")).toEqual([]);
    expect(() => parseLicenses("The MIT License\n")).toThrow("not a section");
  });
});

const status = `Package: adduser
Status: install ok installed
Maintainer: A <a@example.com>
Architecture: all
Description: users
Version: 3.134

Package: libstdc++6
Status: install ok installed
Source: gcc-12 (12.2.0-14)
Maintainer: A <a@example.com>
Architecture: amd64
Version: 12.2.0-14+deb12u1
Description: a library
 Version: 9

Package: gone
Status: deinstall ok config-files
Maintainer: A <a@example.com>
Architecture: amd64
Version: 1:2.0~rc1
Description: removed
`;
const osRelease = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION="12"\nID=debian\n';

describe("Debian's packages", () => {
  test("are those that dpkg calls installed", () => {
    const folder = mkdtempSync(join(tmpdir(), "quay-keyless-dpkg-"));
    try {
      for (const each of ["info", "updates"]) mkdirSync(join(folder, each));
      writeFileSync(join(folder, "status"), status);
      const fields = ["db:Status-Status", "Package", "Version", "Architecture"].map((field) => `\${${field}}`);
      const format = ["--showformat", `${fields.join(" ")}\n`];
      const lines = execFileSync("dpkg-query", ["--admindir", folder, "--show", ...format], { encoding: "utf8" });
      const installed = lines.split("\n").filter((line) => line.startsWith("installed "));
      const parts = debianParts(status, osRelease);
      expect(
        parts.map(({ name, version, purl }) => `installed ${name} ${version} ${/arch=(\w+)/.exec(purl)?.[1]}`),
      ).toEqual(installed);
      expect(parts.map(({ purl }) => purl)).toEqual([
        "pkg:deb/debian/adduser@3.134?arch=all&distro=debian-12",
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const sbom: Sbom = {
  subject: {
    ...{ name: "app", version: "1.2.3", license: "Apache-2.0", kind: "application" },
    ...{ description: "Logs in.", purl: "pkg:npm/app@1.2.3", sha256: "ab".repeat(32) },
  },
  parts: [...bundledParts(["dist"]), ...debianParts(status, osRelease)],
  url: "https://github.com/acme/app",
  created: "2026-11-29T01:02:03Z",
};

describe.each([
  ["CycloneDX", cyclonedx],
  ["SPDX", spdx],
])("%s", (_, write) => {
  test("has the same bytes each time, and another identity for other content", () => {
    expect(write(sbom)).toBe(write(structuredClone(sbom)));
    const identity = (text: string) => {
      const { serialNumber, documentNamespace } = JSON.parse(text);
      return serialNumber ?? documentNamespace;
    };
    expect(identity(write(sbom))).not.toBe(identity(write({ ...sbom, parts: sbom.parts.slice(1) })));
  });
});

test("both formats list the same packages", () => {
  const { components } = JSON.parse(cyclonedx(sbom));
  const { packages, relationships } = JSON.parse(spdx(sbom));
  const locators = packages
    .slice(1)
    .map((each: { externalRefs: { referenceLocator: string }[] }) => each.externalRefs[0]?.referenceLocator);
  expect(components.map(({ purl }: { purl: string }) => purl)).toEqual(sbom.parts.map(({ purl }) => purl));
  expect(locators).toEqual(sbom.parts.map(({ purl }) => purl));
  const ids = packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID);
  expect(new Set(ids).size).toBe(ids.length);
  expect(relationships.map((each: { relatedSpdxElement: string }) => each.relatedSpdxElement)).toEqual(ids);
});
