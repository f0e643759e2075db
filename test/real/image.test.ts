/**
 * script/image, twice: the same bytes from another folder, under another umask, time zone and locale. linux/arm64 is read (each
 * program's processor, and the libraries that it needs), and a little of it runs under an emulator.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { address, version } from "../support/project.ts";

const root = resolve(import.meta.dirname, "../..");
const call = promisify(execFile);
const bash = (script: string, ...args: string[]) =>
  call("bash", ["-euc", script, "bash", ...args], { cwd: root, maxBuffer: 64 * 1024 * 1024 });

let folder: string;
let base: string;
let programs: string;
let layout: string;
let digest: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-published-"));
  programs = join(folder, "programs");
  layout = join(folder, "image");
  await mkdir(programs);
  await bash(
    'for each in x64 arm64; do script/executable --arch "$each" "$1/quay-keyless-login-linux-$each"; done',
    programs,
  );
  base = (await bash("test/image/base.sh --layout")).stdout.trim();
  digest = await build(root, layout);
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function build(project: string, to: string, before = ""): Promise<string> {
  const command = `${before} exec "$1/script/image" --base "$2" --programs "$3" "$4"`;
  return (await bash(command, project, base, programs, to)).stdout.trim().split("\n").at(-1) ?? "";
}

const blob = async (of: string) =>
  JSON.parse(await readFile(join(layout, "blobs/sha256", of.replace("sha256:", "")), "utf8"));

interface Manifest {
  config: { digest: string };
  layers: { digest: string }[];
}

async function manifestOf(architecture: string): Promise<Manifest> {
  const { manifests } = await blob(digest);
  const found = manifests.find(
    ({ platform }: { platform: object }) => JSON.stringify(platform) === JSON.stringify({ architecture, os: "linux" }),
  );
  return blob(found.digest);
}

test("writes an index of two architectures, whose labels say what it is made from", async () => {
  const { mediaType, manifests } = await blob(digest);
  expect(mediaType).toBe("application/vnd.oci.image.index.v1+json");
  expect(manifests).toHaveLength(2);
  const { stdout: revision } = await call("git", ["rev-parse", "HEAD"], { cwd: root });
  const { stdout: date } = await call("git", ["log", "-1", "--format=%ct"], { cwd: root });
  const created = new Date(Number(date) * 1000).toISOString().replace(".000", "");
  for (const architecture of ["amd64", "arm64"]) {
    const config = await blob((await manifestOf(architecture)).config.digest);
    expect(config).toMatchObject({ architecture, os: "linux", created });
    expect(config.config).toMatchObject({ User: "1001:0", Entrypoint: ["quay-keyless-login"] });
    expect(config.config.Labels).toMatchObject({
      "org.opencontainers.image.title": "quay-keyless-login",
      "org.opencontainers.image.licenses": "Apache-2.0",
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.revision": revision.trim(),
      "org.opencontainers.image.created": created,
      "org.opencontainers.image.source": address(),
      "org.opencontainers.image.url": address(),
      "org.opencontainers.image.documentation": address(`/blob/v${version}/README.md`),
    });
  }
  const sizes = await bash('du --apparent-size --bytes "$1" | tail -1', join(layout, "blobs"));
  console.log(`both architectures: ${Math.round(Number.parseInt(sizes.stdout, 10) / 1e6)} MB to push`);
});

test("gives the same bytes in another folder, under another umask, time zone and locale", async () => {
  const copy = join(folder, "elsewhere");
  await mkdir(copy);
  await bash('git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$1"', copy);
  await bash('cp -R dist/completions "$1/dist/"', copy);
  for (const each of [".git", "node_modules"]) await symlink(join(root, each), join(copy, each));
  const again = join(folder, "again");
  expect(await build(copy, again, "umask 077; export TZ=Asia/Tokyo LC_ALL=C.UTF-8 LANG=de_DE.UTF-8;")).toBe(digest);
  const { stdout } = await bash('diff --recursive "$1" "$2" && echo same', layout, again);
  expect(stdout).toBe("same\n");
}, 600_000);

describe("linux/arm64", () => {
  let files: string;
  beforeAll(async () => {
    files = join(folder, "arm64");
    await mkdir(files);
    for (const { digest: of } of (await manifestOf("arm64")).layers) {
      await bash(
        'tar --extract --gzip --no-same-owner --keep-directory-symlink --exclude="dev/*" --directory "$1" --file "$2"',
        files,
        join(layout, "blobs/sha256", of.replace("sha256:", "")),
      );
    }
  }, 120_000);

  /** Each program and library, with what readelf says. */
  async function elfFiles(): Promise<Map<string, string>> {
    const found = await bash(
      'find "$1" -xdev -type f -size +0 -exec sh -c \'for each; do [ "$(head -c 4 "$each" | od -An -c | tr -d " ")" = 177ELF ] && echo "$each"; done; true\' sh {} +',
      files,
    );
    const names = found.stdout.trim().split("\n");
    const { stdout } = await bash(
      'readelf --wide --file-header --dynamic --program-headers "$@" 2>/dev/null',
      ...names,
    );
    const parts = stdout.split(/^File: (.*)\n/m).slice(1);
    return new Map(names.map((name) => [name, parts[parts.indexOf(name) + 1] ?? ""]));
  }

  test("has programs for its processor only, with all libraries that they need", async () => {
    const elf = await elfFiles();
    const ours = await realpath(join(files, "usr/local/bin/docker-credential-quay-keyless"));
    expect([...elf.keys()]).toEqual(expect.arrayContaining([ours, join(files, "usr/bin/skopeo")]));
    // A library's own folder, too: gconv's modules look beside themselves.
    const libraries = new Set(
      (await readdir(join(files, "usr/lib"), { recursive: true })).map((each) => basename(each)),
    );
    const wrong = [...elf].flatMap(([name, said]) => [
      ...(/Machine:\s+AArch64/.test(said) ? [] : [`${name} is for another processor`]),
      ...[...said.matchAll(/\(NEEDED\).*\[(.*)\]/g)]
        .filter(([, library = ""]) => !libraries.has(library))
        .map(([, library]) => `${name} needs ${library}`),
      ...[...said.matchAll(/interpreter: \/lib\/(.*)\]/g)]
        .filter(([, loader = ""]) => !libraries.has(basename(loader)))
        .map(([, loader]) => `${name} needs ${loader}`),
    ]);
    expect(wrong).toEqual([]);
  });

  test("runs under an emulator, with its own libraries", async () => {
    // As a command of the image, with the image's files before those of this machine.
    const run = async (program: string, ...args: string[]) => {
      const file = join(files, program);
      return (await call("qemu-aarch64-static", ["-L", files, "-0", file, await realpath(file), ...args])).stdout;
    };
    expect(await run("usr/local/bin/quay-keyless-login", "--version")).toBe(`quay-keyless-login ${version}\n`);
    expect(await run("usr/local/bin/docker-credential-quay-keyless", "version")).toContain(version);
    expect(await run("usr/bin/skopeo", "--version")).toMatch(/^skopeo version /);
    expect(await run("bin/sh", "-c", "echo $((6 * 7))")).toBe("42\n");
  }, 120_000);

  test("has the same packages as linux/amd64", async () => {
    const { stdout } = await call("dpkg", ["--root", files, "--list"]);
    const amd64 = await bash(
      'tar --extract --gzip --to-stdout --file "$1" var/lib/dpkg/status',
      join(layout, "blobs/sha256", ((await manifestOf("amd64")).layers.at(-1)?.digest ?? "").replace("sha256:", "")),
    );
    const listed = stdout.split("\n").flatMap((line) => /^ii +([^ :]+)/.exec(line)?.[1] ?? []);
    const other = [...amd64.stdout.matchAll(/^Package: (.*)$/gm)].map(([, name]) => name);
    expect(listed.toSorted()).toEqual(other.toSorted());
  });
});
