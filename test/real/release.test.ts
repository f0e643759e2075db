/**
 * A release, rehearsed in a fresh clone: every file is made, pushed, signed, promoted and verified by the commands of
 * docs/verify.md. A changed byte in any of them makes that fail.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blocksOf, rebuilding } from "../../script/releasing/verify.ts";
import { findBuilt } from "../quay-stand-in/built.ts";
import { copyProject, gitIn } from "../release/copy.ts";
import { version } from "../support/project.ts";
import { substitute } from "../support/readme.ts";

const place = mkdtempSync(join(tmpdir(), "quay-keyless-rehearsal-"));
const at = (...names: string[]) => join(place, ...names);
const [clone, out, temporary] = [at("clone"), at("release"), at("tmp")];
const json = (file: string) => JSON.parse(readFileSync(join(out, file), "utf8"));
const page = readFileSync("docs/verify.md", "utf8");
let rehearsal: ChildProcess;
let said = "";

beforeAll(async () => {
  for (const each of [clone, temporary]) mkdirSync(each);
  copyProject(clone, "copy");
  rehearsal = spawn(join(clone, "script/release"), ["--dry-run", out, "--stay"], {
    cwd: clone,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["pipe", "pipe", "pipe"],
  });
  await new Promise<void>((resolve, reject) => {
    for (const stream of [rehearsal.stdout, rehearsal.stderr]) {
      stream?.on("data", (data) => {
        said += data;
        if (said.includes("The servers stay")) resolve();
      });
    }
    rehearsal.once("exit", () => reject(new Error(said)));
  });
}, 480_000);
afterAll(async () => {
  if (rehearsal.exitCode === null) {
    const ended = new Promise((resolve) => rehearsal.once("exit", resolve));
    rehearsal.stdin?.end();
    await ended;
  }
  rmSync(place, { recursive: true, force: true });
}, 60_000);

/** What `--stay` says to type. */
function verify(): { code: number | null; said: string } {
  const command =
    'set -a; . "$0/rehearsal/environment"; set +a; exec script/release verify "$0" --key "$0/rehearsal/cosign.pub"';
  const { status, stdout, stderr } = spawnSync("bash", ["-c", command, out], { cwd: clone, encoding: "utf8" });
  return { code: status, said: stdout + stderr };
}

/** Changes one byte in the middle of a file while a function runs. */
function withChangedByte<T>(file: string, run: () => T): T {
  const content = readFileSync(file);
  const changed = Buffer.from(content);
  const middle = content.length >> 1;
  changed[middle] = (content[middle] ?? 0) ^ 1;
  writeFileSync(file, changed);
  try {
    return run();
  } finally {
    writeFileSync(file, content);
  }
}

const files = [
  ...["SHA256SUMS", "SHA256SUMS.sigstore.json", "images.txt", "notes.md", `tekton-${version}.yaml`],
  ...[`quay-keyless-login-${version}.tgz`, `quay-keyless-login-action-${version}.tar.gz`],
  ...["quay-keyless-login-linux-arm64", "quay-keyless-login-linux-x64"],
  ...["action", "image-amd64", "image-arm64", "linux-arm64", "linux-x64", "package"].flatMap((what) => [
    `sbom-${what}.cdx.json`,
    `sbom-${what}.spdx.json`,
  ]),
];

test("makes every file and verifies it, in a fresh clone (needs root)", () => {
  const found = readdirSync(out, { withFileTypes: true }).filter((entry) => entry.isFile());
  expect(found.map(({ name }) => name).sort()).toEqual(files.toSorted());
  const headings = new Set(blocksOf(page).map(({ heading }) => heading));
  headings.delete(rebuilding);
  expect([...said.matchAll(/^verified: (.+)$/gm)].map(([, heading]) => heading)).toEqual([...headings]);
  expect(gitIn(clone)("status", "--porcelain")).toBe("");
});

describe("a changed byte makes the verification fail (needs root)", () => {
  test.each(files)("in %s", (file) => {
    const { code, said: answer } = withChangedByte(join(out, file), verify);
    expect([code, answer]).toEqual([1, expect.stringContaining("failed under: Files")]);
    if (!file.startsWith("SHA256SUMS")) expect(answer).toContain(`${file}: FAILED`);
  });

  /** The blob as the registry that plays quay.io stores it. */
  function stored(digest: string): string {
    const hex = digest.replace("sha256:", "");
    const [registry = ""] = globSync(join(temporary, "quay-keyless-registry-*/storage/docker/registry/v2")).filter(
      (folder) => existsSync(join(folder, "repositories/acme/quay-keyless-login")),
    );
    return join(registry, "blobs/sha256", hex.slice(0, 2), hex, "data");
  }
  const manifest = (digest: string) => JSON.parse(readFileSync(stored(digest), "utf8"));
  const named = (what: string) =>
    new RegExp(`^${what} .*@(.*)$`, "m").exec(readFileSync(join(out, "images.txt"), "utf8"))?.[1] ?? "";
  const ofPlatform = (architecture: string) =>
    manifest(named("image")).manifests.find(
      (each: { platform: { architecture: string } }) => each.platform.architecture === architecture,
    ).digest;

  test.each<[string, () => string, string]>([
    ["the image's index", () => named("image"), "The image"],
    ["an architecture's manifest", () => ofPlatform("arm64"), "The image"],
    ["a layer of the image", () => manifest(ofPlatform("amd64")).layers.at(-1).digest, "The image"],
    ["the image's configuration", () => manifest(ofPlatform("arm64")).config.digest, "The image"],
    ["the bundle's manifest", () => named("bundle"), "The Tasks"],
    ["a Task of the bundle", () => manifest(named("bundle")).layers[0].digest, "The Tasks"],
    ["the signature of the image", () => attached(named("image"), "https://sigstore.dev/cosign/sign/v1"), "The image"],
    [
      "the signature of the bundle",
      () => attached(named("bundle"), "https://sigstore.dev/cosign/sign/v1"),
      "The Tasks",
    ],
    ["the attested SBOM", () => attached(ofPlatform("arm64"), "https://cyclonedx.org/bom"), "SBOMs"],
  ])("in %s", (_, digest, heading) => {
    const { code, said: answer } = withChangedByte(stored(digest()), verify);
    expect([code, answer]).toEqual([1, expect.stringContaining(`failed under: ${heading}`)]);
  });

  /** @returns the blob with the statement of this type about the image, from its list of referrers */
  function attached(digest: string, type: string): string {
    const list = join(
      stored(digest),
      "../../../../../repositories/acme/quay-keyless-login/_manifests/tags",
      digest.replace(":", "-"),
    );
    const { manifests } = manifest(readFileSync(join(list, "current/link"), "utf8"));
    const layers = manifests.map((each: { digest: string }) => manifest(each.digest).layers[0].digest);
    return layers.find((layer: string) => {
      const { payload } = manifest(layer).dsseEnvelope;
      return JSON.parse(Buffer.from(payload, "base64").toString()).predicateType === type;
    });
  }
});

test("a version's tag on another commit, and a commit with another dist/, are not accepted (needs root)", () => {
  const git = gitIn(at("release/rehearsal/repository.git"));
  const tag = `v${version}`;
  const before = git("rev-parse", tag);
  const empty = git("commit-tree", "-m", "other", "-p", `${tag}^{}`, git("rev-parse", `${tag}^{tree}`));
  git("tag", "--force", tag, empty);
  const { code, said: answer } = verify();
  git("update-ref", `refs/tags/${tag}`, before);
  expect([code, answer]).toEqual([1, expect.stringContaining("failed under: The Action")]);
});

test("accepts everything again after that (needs root)", () => {
  const { code, said: answer } = verify();
  expect(code, answer).toBe(0);
});

describe("SBOMs (needs root)", () => {
  const purls = (file: string): string[] => json(file).components.map(({ purl }: { purl: string }) => purl);

  /** The files of an architecture's image. */
  function unpack(architecture: string): string {
    const folder = at(`root-${architecture}`);
    mkdirSync(folder);
    const blob = (digest: string) => join(out, "oci/image/blobs", digest.replace(":", "/"));
    const read = (digest: string) => JSON.parse(readFileSync(blob(digest), "utf8"));
    const [index] = JSON.parse(readFileSync(join(out, "oci/image/index.json"), "utf8")).manifests;
    const image = read(index.digest).manifests.find(
      (each: { platform: { architecture: string } }) => each.platform.architecture === architecture,
    );
    for (const { digest } of read(image.digest).layers) {
      execFileSync("tar", [
        "--extract",
        "--keep-directory-symlink",
        "--exclude=dev/*",
        "--exclude=./dev/*",
        "--file",
        blob(digest),
        "--directory",
        folder,
      ]);
    }
    return folder;
  }

  test.each([
    ["amd64", "x64"],
    ["arm64", "arm64"],
  ])("that of the image for %s lists all that is in it", (architecture, program) => {
    const root = unpack(architecture);
    const admin = `--admindir=${root}/var/lib/dpkg`;
    const fields = ["db:Status-Status", "Package", "Version", "Architecture"].map((field) => `\${${field}}`).join(" ");
    const installed = execFileSync("dpkg-query", [admin, "--show", "--showformat", `${fields}\n`], {
      encoding: "utf8",
    });
    const packages = installed
      .trim()
      .split("\n")
      .filter((line) => line.startsWith("installed "));
    expect(packages.length).toBeGreaterThan(50);
    const debian = json(`sbom-image-${architecture}.cdx.json`).components.filter(({ purl }: { purl: string }) =>
      purl.startsWith("pkg:deb/"),
    );
    const listed = debian.map(
      ({ name, version, purl }: Record<string, string>) =>
        `installed ${name} ${version} ${/arch=(\w+)/.exec(purl ?? "")?.[1]}`,
    );
    expect(listed.sort()).toEqual(packages.sort());
    // Everything that can run or be loaded belongs to one of those packages, but for the program itself.
    const owned = new Set(
      globSync(join(root, "var/lib/dpkg/info/*.list"))
        .flatMap((file) => readFileSync(file, "utf8").split("\n"))
        .map(real),
    );
    const elf = execFileSync("find", [root, "-xdev", "-type", "f", "-size", "+4k", "-printf", "/%P\n"], {
      encoding: "utf8",
    })
      .trim()
      .split("\n")
      .filter((file) => readFileSync(join(root, file)).subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1")));
    // The base that test/image/base.sh makes for arm64 has no lists of files: its packages are unpacked only.
    const strangers = elf.filter((file) => !owned.has(real(file)));
    if (architecture === "amd64") expect(strangers).toEqual(["/usr/local/bin/quay-keyless-login"]);
    const own = `quay-keyless-login-linux-${program}`;
    expect(readFileSync(join(root, "usr/local/bin/quay-keyless-login")).equals(readFileSync(join(out, own)))).toBe(
      true,
    );
    expect(purls(`sbom-image-${architecture}.cdx.json`)).toEqual(
      expect.arrayContaining([`pkg:generic/${own}@${version}`, ...purls(`sbom-linux-${program}.cdx.json`)]),
    );
  });

  /** dpkg's lists have /bin/sh, the image /usr/bin/sh: /bin is a link. */
  const real = (file: string) => file.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/");

  test("that of the program lists the packages whose licences it prints", () => {
    const program = `quay-keyless-login-linux-${process.arch}`;
    const printed = execFileSync(join(out, program), ["licenses"], { encoding: "utf8" });
    const packages = [...printed.matchAll(/^(\S+) (\d\S*) \(.+\)$/gm)].map(
      ([, name, each]) => `pkg:npm/${name}@${each}`,
    );
    expect(purls(`sbom-linux-${process.arch}.cdx.json`).filter((purl) => purl.startsWith("pkg:npm/"))).toEqual(
      packages,
    );
  });

  test("those of the programs name the runtime that is in them", () => {
    for (const program of ["x64", "arm64"]) {
      const content = readFileSync(join(out, `quay-keyless-login-linux-${program}`));
      const version = (name: string) =>
        purls(`sbom-linux-${program}.cdx.json`)
          .find((purl) => purl.startsWith(`pkg:generic/${name}@`))
          ?.split("@")[1];
      expect(content.includes(`v${version("node")}`)).toBe(true);
      expect(content.includes(`OpenSSL ${version("openssl")}`)).toBe(true);
    }
  });

  test("CycloneDX's and SPDX's own validators accept all of them", () => {
    const python = findBuilt("sbom-validators", "bin/python") ?? "the validators are not installed";
    const validate = `
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
for file in sys.argv[1:]:
    if file.endswith(".cdx.json"):
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(file).read())
        errors = [error] if error else []
    else:
        errors = [message.validation_message for message in validate_full_spdx_document(parse_file(file))]
    if errors: sys.exit(f"{file}: {errors}")
`;
    const { status, stderr } = spawnSync(python, ["-c", validate, ...globSync(join(out, "sbom-*.json"))], {
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([0, ""]);
  });
});

test("another folder and another umask give the same bytes, by the page's commands (needs root)", () => {
  const commands = blocksOf(page).find(({ heading }) => heading === rebuilding)?.commands ?? "";
  const base = execFileSync(join(clone, "test/image/base.sh"), ["--layout"], { encoding: "utf8" })
    .trim()
    .split("\n")
    .at(-1);
  // There is no registry here, and the packages are installed already.
  const here = substitute(commands, [
    ["script/release files", `cp --archive --link ${clone}/node_modules . && script/release files --base ${base}`],
  ]);
  const work = at("another");
  mkdirSync(work);
  execFileSync("cp", [join(out, "SHA256SUMS"), work]);
  const image = /^image (.*)$/m.exec(readFileSync(join(out, "images.txt"), "utf8"))?.[1] ?? "";
  const script = `set -a; . "$0/rehearsal/environment"; set +a; umask 077; image=$1 tag=v${version}\n${here}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", script, out, image], {
    cwd: work,
    encoding: "utf8",
  });
  const differs = spawnSync("diff", [join(work, "SHA256SUMS"), join(work, "rebuilt/SHA256SUMS")], {
    encoding: "utf8",
  }).stdout;
  expect([status, differs], stdout + stderr).toEqual([0, ""]);
}, 480_000);
