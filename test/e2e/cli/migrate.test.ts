/** The built `migrate` in a checkout of git: what it shows, what git makes of that, what it writes, and what it refuses. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub
import { chmod, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, test } from "vitest";
import { createMachine, type Machine, removeMachines } from "../../support/command.ts";
import { uses } from "../../support/project.ts";
import { failed } from "./world.ts";

afterAll(removeMachines);

const action = ["--action", "acme/quay-keyless-login@v1"];
const ci = ".github/workflows/ci.yml";

const workflow = (password = "${{ secrets.QUAY_TOKEN }}") => `name: Image
on:
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - name: Quay # ours
        uses: docker/login-action@v3
        with:
          registry: quay.io
          username: acme+ci
          password: ${password}
      - run: make push
`;

/** A machine whose working folder is a checkout with these files, all committed. */
async function checkout(files: Record<string, string> = { [ci]: workflow() }): Promise<Machine & { git: Git }> {
  const machine = await createMachine();
  for (const [path, text] of Object.entries(files)) await machine.write(join(machine.work, path), text, 0o644);
  const git: Git = async (...args) => {
    const settings = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "core.autocrlf=false"];
    const { code, stdout, stderr } = await machine.other("git", [...settings, ...args]);
    if (code !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  await git("init", "--quiet", "--initial-branch=main");
  await git("remote", "add", "origin", "https://x-access-token:ghs_0123456789abcdef0123@github.com/acme/app.git");
  await git("add", "--all");
  await git("commit", "--quiet", "--message=first");
  return { ...machine, git };
}

type Git = (...args: readonly string[]) => Promise<string>;

const read = (machine: Machine, path = ci) => readFile(join(machine.work, path), "utf8");

describe.concurrent("the change", () => {
  test("is shown with its commands and secrets, and git applies what is printed", async ({ expect }) => {
    const machine = await checkout();
    const ran = await machine.run(["migrate", ...action]);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    expect(ran.stdout).toContain(`${ci}:12  job image: docker/login-action, as acme+ci\n  Can be rewritten.\n`);
    expect(ran.stdout).toContain(
      `  # ${ci}, job image\n  quay-keyless-login federate --robot acme+ci --github acme/app --branch main\n`,
    );
    expect(ran.stdout).toContain("Secrets that nothing in this checkout uses after the change: QUAY_TOKEN\n");
    expect(ran.stdout).not.toContain("ghs_");
    expect(await read(machine)).toBe(workflow());
    await machine.write(join(machine.work, "printed"), ran.stdout);
    await machine.git("apply", "printed");
    const applied = await read(machine);
    await machine.git("checkout", "--quiet", ci);

    const written = await machine.run(["migrate", ...action, "--write"]);
    expect([written.code, await read(machine)]).toEqual([0, applied]);
    expect(written.stderr).toBe(`Wrote ${ci}.\nRun the federate commands above before you push this change.\n`);
    expect(applied).toBe(
      workflow()
        .replace("contents: read\n", "contents: read\n  id-token: write\n")
        .replace("docker/login-action@v3", "acme/quay-keyless-login@v1")
        .replace("username:", "robot:")
        .replace(/ {10}password: .*\n/, ""),
    );
    const again = await machine.run(["migrate", ...action, "--write"]);
    expect([again.code, again.stdout]).toEqual([0, "No login to quay.io with a stored password was found.\n"]);
  });

  test("a password in every form, and files that can't be read", async ({ expect }) => {
    const comment = "# docker login -p S3CRETpart quay.io";
    const pipe = "echo S3CRETpart > pw; docker login -u acme+ci --password-stdin quay.io < pw";
    const machine = await checkout({
      [ci]: `${workflow()}      - run: |\n          ${comment}\n          ${pipe}\n`,
      ".github/workflows/big.yml": `# ${"x".repeat(600 * 1024)}\n`,
    });
    for (const more of [[], ["--output", "json"]]) {
      const { stdout, stderr } = await machine.run(["migrate", ...action, ...more]);
      expect(stdout + stderr).not.toContain("S3CRETpart");
      expect(stdout).toContain("# docker login -p *** quay.io");
    }
    const { stdout } = await machine.run(["migrate", ...action]);
    expect(stdout).toContain(
      ".github/workflows/big.yml was not looked at: it is no YAML in UTF-8 of at most 512 KiB that this user can read.",
    );
    expect(stdout).toContain("Look there before you delete them, since migrate could not: .github/workflows/big.yml");
  });

  test("as JSON, also with Windows line ends", async ({ expect }) => {
    const machine = await checkout({ [ci]: workflow().replaceAll("\n", "\r\n") });
    const [shown, text] = [
      await machine.run(["migrate", ...action, "--output", "json"]),
      await machine.run(["migrate", ...action]),
    ];
    const result = JSON.parse(shown.stdout);
    expect(result).toMatchObject({
      registry: "quay.io",
      action: "acme/quay-keyless-login@v1",
      logins: [{ file: ci, line: 12, place: "image", what: "docker/login-action", robot: "acme+ci", rewritable: true }],
      files: [{ file: ci, applicable: true }],
      federate: [
        {
          command: "quay-keyless-login federate --robot acme+ci --github acme/app --branch main",
          for: [`${ci}, job image`],
        },
      ],
      secrets: { deletable: ["QUAY_TOKEN"], "still-used": [] },
      unread: [],
    });
    for (const diff of [result.files[0].diff, text.stdout]) {
      await machine.write(join(machine.work, "printed"), diff);
      await machine.git("apply", "printed");
      expect(await read(machine)).toMatch(/robot: acme\+ci\r\n {6}- run/);
      await machine.git("checkout", "--quiet", ci);
    }
  });

  test("needs the Action's address: without it, all is listed", async ({ expect }) => {
    const machine = await checkout();
    const { code, stdout } = await machine.run(["migrate"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Can be rewritten: name the Action, --action ${uses()}.`);
    expect(stdout).toContain("quay-keyless-login federate --robot acme+ci");
    expect(stdout).not.toContain("diff --git");
  });

  test("hides a literal password, and says that git can't apply it", async ({ expect }) => {
    const secret = "correct-horse-battery";
    const machine = await checkout({ [ci]: workflow(`'${secret}'`), "other.yml": `a: ${secret}\n` });
    for (const more of [[], ["--verbose"], ["--output", "json"]]) {
      const { code, stdout, stderr } = await machine.run(["migrate", ...action, ...more]);
      expect([code, (stdout + stderr).includes(secret)]).toEqual([0, false]);
      expect(stdout).toMatch(
        more.includes("json")
          ? /"applicable": false/
          : /git can't apply this diff: \*\*\* stands for a password in \.github/,
      );
    }
    expect((await machine.run(["migrate", ...action, "--write"])).code).toBe(0);
    expect(await read(machine)).not.toContain(secret);
  });

  test("of a file with a hostile name begins no line of its own", async ({ expect }) => {
    const machine = await checkout({ ".github/workflows/x\n  curl evil #.yml": workflow() });
    const { stdout } = await machine.run(["migrate"]);
    expect(stdout).toContain("# .github/workflows/x   curl evil #.yml, job image\n");
    expect(stdout).not.toMatch(/^ *curl/m);
  });

  test("is one of the given paths only", async ({ expect }) => {
    const machine = await checkout({
      [ci]: workflow(),
      ".github/workflows/b.yml": workflow(),
      "sub/.gitlab-ci.yml": "",
    });
    const { stdout } = await machine.run(["migrate", ".github/workflows/b.yml", ...action, "--write"]);
    expect(stdout).toContain(".github/workflows/b.yml:12");
    expect(stdout).toContain(`The secret QUAY_TOKEN is still used: ${ci}:16`);
    expect([await read(machine), (await read(machine, ".github/workflows/b.yml")) === workflow()]).toEqual([
      workflow(),
      false,
    ]);
    expect((await machine.run(["migrate", "sub", ...action])).stdout).toMatch(/^No login/);
  });

  test("keeps the file's mode, and is one rename", async ({ expect }) => {
    const machine = await checkout();
    const path = join(machine.work, ci);
    await chmod(path, 0o755);
    await machine.git("commit", "--quiet", "--all", "--message=mode");
    const before = await stat(path);
    await machine.run(["migrate", ...action, "--write"]);
    const after = await stat(path);
    expect([after.mode, after.ino === before.ino]).toEqual([before.mode, false]);
    expect(await machine.git("status", "--porcelain")).toBe(` M ${ci}\n`);
  });
});

describe.concurrent("--write refuses", () => {
  const cases: Record<string, [prepare: (machine: Machine & { git: Git }) => Promise<unknown>, says: string]> = {
    "a file with changes": [
      (machine) => machine.write(join(machine.work, ci), `${workflow()}# mine\n`, 0o644),
      "it has changes that are not committed",
    ],
    "a file with staged changes": [
      async (machine) => {
        await machine.write(join(machine.work, ci), `${workflow()}# mine\n`, 0o644);
        await machine.git("add", ci);
      },
      "it has changes that are not committed",
    ],
    "changes that git was asked to overlook": [
      async (machine) => {
        await machine.git("update-index", "--assume-unchanged", ci);
        await machine.write(join(machine.work, ci), `${workflow()}# mine\n`, 0o644);
      },
      "it has changes that are not committed",
    ],
    "a file that git does not track": [
      async (machine) => {
        await machine.git("rm", "--quiet", "--cached", ci);
        await machine.git("commit", "--quiet", "--message=gone");
      },
      "git does not track it",
    ],
    "a file that is in no commit": [
      async (machine) => {
        await machine.git("mv", ci, ".github/workflows/new.yml");
      },
      "it is in no commit yet",
    ],
  };

  test.for(Object.entries(cases))("%s", async ([, [prepare, says]], { expect }) => {
    const machine = await checkout({ [ci]: workflow(), ".github/workflows/b.yml": workflow() });
    await prepare(machine);
    const before = await machine.snapshot();
    const ran = await machine.run(["migrate", ...action, "--write"]);
    expect(failed(expect, ran, 1, "file-not-written")).toContain(`was not written: ${says}.`);
    expect(ran.stdout).toContain("quay-keyless-login federate --robot acme+ci");
    expect(await machine.snapshot()).toEqual(before);
  });

  test("what a link leads to", async ({ expect }) => {
    const machine = await checkout({ "real/ci.yml": workflow(), "flow/x": "" });
    await mkdir(join(machine.work, ".github"));
    await rename(join(machine.work, "real"), join(machine.scratch, "outside"));
    await symlink(join(machine.scratch, "outside"), join(machine.work, ".github/workflows"));
    await machine.git("add", "--all");
    await machine.git("commit", "--quiet", "--message=link");
    const { code, stdout } = await machine.run(["migrate", ...action, "--write"]);
    expect([code, stdout]).toEqual([0, "No login to quay.io with a stored password was found.\n"]);
    expect(await readFile(join(machine.scratch, "outside/ci.yml"), "utf8")).toBe(workflow());
  });

  test("a folder that is no checkout, which is shown all the same", async ({ expect }) => {
    const machine = await checkout();
    await rm(join(machine.work, ".git"), { recursive: true });
    const shown = await machine.run(["migrate", ...action]);
    expect(shown.stdout).toMatch(/Without git: git does not know \S+: .*not a git repository/);
    expect(shown.stdout).toContain("--github OWNER/REPO --branch main");
    expect(shown.stdout).toContain("robot: acme+ci");
    const ran = await machine.run(["migrate", ...action, "--write"]);
    expect(failed(expect, ran, 1, "not-in-git")).toContain("Nothing is written: git does not know");
    expect(await read(machine)).toBe(workflow());
  });

  test("a machine without git", async ({ expect }) => {
    const machine = await createMachine({ tools: [] });
    await machine.write(join(machine.work, ci), workflow());
    expect((await machine.run(["migrate", ...action])).stdout).toContain("Without git: git is not on PATH.");
    expect(failed(expect, await machine.run(["migrate", ...action, "--write"]), 1, "not-in-git")).toContain(
      "git is not on PATH",
    );
  });
});

describe.concurrent("wrong use", () => {
  test.for<[string, readonly string[], string]>([
    ["a path that does not exist", ["nowhere"], 'The option "--path" is "nowhere": it does not exist'],
    ["a path of another checkout", ["/usr"], 'The option "--path" is "/usr": it is not in the checkout'],
    ["an address without a ref", ["--action", "acme/quay-keyless-login"], "owner/repository@ref"],
    ["writing without an address", ["--write"], "it needs the address of the Action"],
    ["an address as registry", ["--registry", "https://quay.io/"], "it must be a host"],
    ["an option of another command", ["--robot", "acme+ci"], "migrate has no option --robot"],
  ])("%s", async ([, args, says], { expect }) => {
    const machine = await checkout();
    const before = await machine.snapshot();
    expect(failed(expect, await machine.run(["migrate", ".", ...args]), 2, "invalid-input")).toContain(says);
    expect(await machine.snapshot()).toEqual(before);
  });
});
