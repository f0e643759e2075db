/** A migration of real files and with a real git: what is read, what is left out, what is written and what is refused. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, realpath, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { readTexts, walk } from "../../src/migration/checkout.ts";
import { type Migration, migrate } from "../../src/migration/migrate.ts";
import { readMigrationRequest } from "../../src/migration/request.ts";
import { writeFiles } from "../../src/migration/write.ts";
import type { OptionValues } from "../../src/options/table.ts";
import { failureText, makeFolder, thrown } from "../fixtures.ts";

const { signal } = new AbortController();
const env = { PATH: process.env.PATH ?? "", HOME: "/nonexistent" };
const ci = ".github/workflows/ci.yml";
const other = ".github/workflows/other.yml";

const workflow = (password = "${{ secrets.QUAY_TOKEN }}") => `on:
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: docker/login-action@v3
        with:
          registry: quay.io
          username: acme+ci
          password: ${password}
`;

const after = workflow()
  .replace("contents: read\n", "contents: read\n  id-token: write\n")
  .replace("docker/login-action@v3", "acme/quay-keyless-login@v1")
  .replace("username:", "robot:")
  .replace(/ {10}password: .*\n/, "");

type Files = Record<string, string | Buffer>;

interface Checkout {
  readonly root: string;
  readonly git: (...args: readonly string[]) => string;
  readonly write: (files: Files) => Promise<void>;
  readonly read: (path?: string) => Promise<string>;
  readonly migrate: (values?: OptionValues, folder?: string) => Promise<Migration>;
}

async function folder(files: Files = { [ci]: workflow() }): Promise<Checkout> {
  const root = await realpath(await makeFolder());
  const write = async (all: Files) => {
    for (const [path, text] of Object.entries(all)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
  };
  await write(files);
  return {
    root,
    write,
    git: (...args) =>
      execFileSync("git", ["-c", "user.name=x", "-c", "user.email=x@y", ...args], { cwd: root, encoding: "utf8" }),
    read: (path = ci) => readFile(join(root, path), "utf8"),
    migrate: (values = {}, at = root) => migrate(readMigrationRequest(values), { folder: at, env, signal }),
  };
}

/** The same, all committed. */
async function checkout(files?: Files): Promise<Checkout> {
  const made = await folder(files);
  made.git("init", "--quiet", "--initial-branch=main");
  made.git("remote", "add", "origin", "git@github.com:acme/app.git");
  made.git("add", "--all");
  made.git("commit", "--quiet", "--message=first");
  return made;
}

const shown = { action: "acme/quay-keyless-login@v1" };
const written = { ...shown, write: "true" };

describe("the change", () => {
  test("is shown, and then written with the file's mode", async () => {
    const { root, git, read, migrate } = await checkout();
    await chmod(join(root, ci), 0o755);
    git("commit", "--quiet", "--all", "--message=mode");
    const { files, findings, secrets, withoutGit, write } = await migrate(written);
    expect(findings.map(({ line, what }) => `${line} ${what}`)).toEqual(["10 docker/login-action"]);
    expect(secrets).toEqual([{ name: "QUAY_TOKEN", usedIn: undefined }]);
    expect([withoutGit, await read()]).toEqual([undefined, workflow()]);
    execFileSync("git", ["apply", "--check"], { cwd: root, input: files[0]?.diff ?? "" });
    expect(files.map(({ path, applicable, whyNotWritten }) => [path, applicable, whyNotWritten])).toEqual([
      [ci, true, undefined],
    ]);
    expect([await write(), await read()]).toEqual([[ci], after]);
    expect(git("diff", "--summary")).toBe("");
    expect(await readdir(join(root, dirname(ci)))).toEqual(["ci.yml"]);
  });

  test("hides a literal password, and is then not for git", async () => {
    const { migrate } = await checkout({ [ci]: workflow("hunter2hunter2") });
    const { files, passwords } = await migrate(shown);
    expect(passwords).toEqual(["hunter2hunter2"]);
    expect(files[0]?.applicable).toBe(false);
    expect(files[0]?.diff).toContain("-          password: ***\n");
  });

  test("is listed only, without the Action's address", async () => {
    const { migrate } = await checkout();
    const { files, findings } = await migrate();
    expect([files, findings.length]).toEqual([[], 1]);
  });

  test.each([
    ["a file", other, [other]],
    ["a folder", ".github", [ci, other]],
    ["several", `${ci}\n${other}`, [ci, other]],
    ["another folder", "sub", []],
  ])("is that of the given paths: %s", async (_, path, expected) => {
    const { migrate } = await checkout({ [ci]: workflow(), [other]: workflow(), "sub/x": "" });
    const { findings } = await migrate({ path });
    expect(findings.map((each) => each.path)).toEqual(expected);
  });
});

describe("a path", () => {
  const cases: [name: string, path: string, says: string][] = [
    ["that does not exist", "nowhere", 'option "path" is "nowhere": it does not exist, or is not readable by this user'],
    ["that is a device", "/dev/null", 'option "path" is "/dev/null": it is neither a file nor a folder'],
    ["outside of the checkout", `${ci}\n/usr`, 'option "path" is "/usr": it is not in the checkout'],
  ];
  test.each(cases)("%s", async (_, path, says) => {
    const { migrate } = await checkout();
    expect(await failureText("invalid-input", migrate({ path }))).toContain(says);
  });

  test("of a folder beside the checkout, whose name begins the same", async () => {
    const { root, write, migrate } = await folder({ [`app/${ci}`]: workflow() });
    await write({ "app2/x": "" });
    expect(await failureText("invalid-input", migrate({ path: "app\napp2" }))).toContain(
      `it is not in the checkout ${root}/app`,
    );
  });
});

describe("without git", () => {
  test("the checkout is shown, from the nearest folder with pipelines", async () => {
    const { root, write, migrate } = await folder();
    await write({ "sub/deep/x": "" });
    const { findings, withoutGit } = await migrate({ path: "." }, root);
    expect(withoutGit).toMatch(/not a git repository/);
    expect(findings.map(({ path }) => path)).toEqual([ci]);
    expect((await migrate({}, join(root, "sub/deep"))).findings).toEqual([]);
    expect((await migrate({ path: ci })).findings).toHaveLength(1);
  });

  test("also of GitLab alone, and where nothing is found", async () => {
    const gitlab = await folder({ ".gitlab-ci.yml": "a:\n  script: docker login -u a+b -p $P quay.io\n", "sub/x": "" });
    expect((await gitlab.migrate({ path: "sub\n.gitlab-ci.yml" })).findings).toHaveLength(1);
    const nothing = await folder({ x: "" });
    expect((await nothing.migrate()).findings).toEqual([]);
  });

  test("what git and package managers keep is left out", async () => {
    const { root } = await folder({ ".git/x": "", "a/node_modules/x": "", "a/b": "", "a-b": "", z: "" });
    expect(await walk(root)).toEqual(["a-b", "a/b", "z"]);
  });

  test("nothing is written", async () => {
    const { migrate, read } = await folder();
    expect(await failureText("not-in-git", migrate(written))).toMatch(/Nothing is written: git does not know/);
    expect(await read()).toBe(workflow());
  });
});

describe("what is read", () => {
  const big = `# ${"x".repeat(600 * 1024)}\n`;

  test("files that are too large or no UTF-8 are named, and their secrets counted as used", async () => {
    const { migrate } = await checkout({
      [ci]: workflow(),
      ".github/workflows/big.yml": big,
      ".github/workflows/latin.yml": Buffer.from("# gr\xfcn\non: push\n", "latin1"),
      "latin.sh": Buffer.from("# gr\xfcn\necho $QUAY_TOKEN\n", "latin1"),
      picture: Buffer.from([0x89, 0, 1]),
    });
    const { unread, unsearched, secrets } = await migrate();
    expect(unread).toEqual([".github/workflows/big.yml", ".github/workflows/latin.yml"]);
    expect(unsearched).toEqual([".github/workflows/big.yml"]);
    expect(secrets).toEqual([{ name: "QUAY_TOKEN", usedIn: "latin.sh:2" }]);
  });

  test("a byte order mark stays", async () => {
    const { migrate, read } = await checkout({ [ci]: `\ufeff${workflow()}` });
    await (await migrate(written)).write();
    expect(await read()).toBe(`\ufeff${after}`);
  });

  test("neither links, nor folders, nor what is gone", async () => {
    const { root } = await folder({ "real/a": "text" });
    await symlink("real", join(root, "linked"));
    await symlink("real/a", join(root, "link"));
    const { texts, skipped } = await readTexts(root, ["real", "real/a", "link", "linked", "gone"]);
    expect([[...texts], [...skipped]]).toEqual([[["real/a", "text"]], []]);
  });

  test("a file and a folder of another user are named", async () => {
    const { root, migrate } = await folder({ [ci]: workflow(), "secret.sh": "x", "closed/x": "x" });
    await chmod(root, 0o755);
    await chmod(join(root, "secret.sh"), 0);
    await chmod(join(root, "closed"), 0);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      expect((await migrate()).unsearched).toEqual(["closed", "secret.sh"]);
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(join(root, "closed"), 0o755);
    }
  });
});

describe("a file is not written", () => {
  const cases: Record<string, [prepare: (checkout: Checkout) => unknown, says: string]> = {
    "with changes": [({ write }) => write({ [ci]: `${workflow()}# mine\n` }), "it has changes that are not committed"],
    "that git does not track": [({ git }) => git("rm", "--quiet", "--cached", ci), "git does not track it"],
    "that no commit holds": [
      async ({ git, write }) => {
        git("rm", "--quiet", ci);
        git("commit", "--quiet", "--message=gone");
        await write({ [ci]: workflow() });
        git("add", ci);
      },
      "it is in no commit yet",
    ],
    "in a linked folder": [
      async ({ root }) => {
        await rename(join(root, ".github/workflows"), join(root, "moved"));
        await symlink("../moved", join(root, ".github/workflows"));
      },
      "it is a link, or in a linked folder",
    ],
  };

  test.each(Object.entries(cases))("%s, nor is another one", async (_, [prepare, says]) => {
    const made = await checkout({ [ci]: workflow(), [other]: workflow() });
    await prepare(made);
    const before = [await made.read(), await made.read(other)];
    const migration = await made.migrate(written);
    expect(migration.files.find(({ path }) => path === ci)?.whyNotWritten).toBe(says);
    const text = await failureText("file-not-written", migration.write());
    expect(text).toContain(`${ci} was not written: ${says}.`);
    expect(text).toContain("No file was written.");
    expect([await made.read(), await made.read(other)]).toEqual(before);
  });

  test("each that is refused is named", async () => {
    const { migrate, write } = await checkout({ [ci]: workflow(), [other]: workflow() });
    await write({ [ci]: `${workflow()}# mine\n`, [other]: `${workflow()}# mine\n` });
    const error = await thrown((await migrate(written)).write());
    expect(error.also).toHaveLength(1);
  });

  test.each<[string, (checkout: Checkout) => Promise<unknown>, string]>([
    [
      "changed since it was read",
      ({ write }) => write({ [other]: "mine" }),
      `${other} was not written: another process has changed it meanwhile.`,
    ],
    ["gone since it was read", ({ root }) => rm(join(root, other)), `${other} was not written: ENOENT.`],
  ])("%s, nor is another one", async (_, change, says) => {
    const made = await checkout({ [ci]: workflow(), [other]: workflow() });
    const { write } = await made.migrate(written);
    await change(made);
    expect(await failureText("file-not-written", write())).toContain(says);
    expect(await made.read()).toBe(workflow());
    expect((await readdir(join(made.root, dirname(ci)))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("whose edits do not fit its text", async () => {
    const { root } = await folder({ a: "text" });
    const edits = [
      { start: 0, end: 3, text: "x" },
      { start: 1, end: 2, text: "y" },
    ];
    expect(await failureText("file-not-written", writeFiles(root, [{ path: "a", text: "text", edits }]))).toContain(
      "a was not written: two edits change the character at 1.",
    );
  });
});

describe("options", () => {
  test.each<[OptionValues, string]>([
    [{ action: "acme/quay-keyless-login" }, "it must be owner/repository@ref, or a folder of the checkout (./path)"],
    [{ action: "../elsewhere" }, "it must be owner/repository@ref, or a folder of the checkout (./path)"],
    [{ write: "true" }, "it needs the address of the Action that the steps become"],
    [{ write: "yes", ...shown }, "it must be one of true, false"],
    [{ registry: "https://quay.io" }, "it must be a host"],
  ])("%o", async (values, says) => {
    expect(await failureText("invalid-input", () => readMigrationRequest(values))).toContain(says);
  });

  test.each(["acme/quay-keyless-login@v1", "acme/mono/login@v1", "./.github/actions/login", "."])("%s", (action) => {
    expect(readMigrationRequest({ action })).toEqual({ registry: "quay.io", action, write: false, paths: ["."] });
  });
});
