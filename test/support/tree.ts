/** A copy of the project's tree, as a repository of its own with one commit, for scripts that read or change files. */
import { execFileSync, spawn } from "node:child_process";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Finished, finish } from "./runner.ts";

const root = resolve(import.meta.dirname, "../..");

export interface Tree {
  readonly folder: string;
  read(file: string): Promise<string>;
  write(file: string, text: string): Promise<void>;
  /** @throws Error where the file does not have it */
  edit(file: string, from: string | RegExp, to: string): Promise<void>;
  /** @returns standard output */
  git(...args: string[]): string;
  run(script: string, ...args: string[]): Promise<Finished>;
  /** As it was first. */
  restore(): void;
  remove(): Promise<void>;
}

/** Copies what is committed and what is about to be, but for `dist`. @param folder that exists and is empty */
export async function copyTree(folder: string): Promise<Tree> {
  const listed = "git ls-files --cached --others --exclude-standard --deduplicate -z -- ':!dist'";
  const present = `while IFS= read -rd '' file; do [[ ! -f $file ]] || printf '%s\\0' "$file"; done`;
  const copied = `${listed} | ${present} | tar --null -T - -c | tar -x -C '${folder}'`;
  execFileSync("bash", ["-o", "pipefail", "-c", copied], { cwd: root });
  const git = (...args: string[]): string => execFileSync("git", args, { cwd: folder, encoding: "utf8" });
  git("init", "--quiet", "--initial-branch=main");
  git("config", "user.name", "x");
  git("config", "user.email", "x@example.com");
  git("add", "--all");
  git("commit", "--quiet", "--message=first");
  // After the commit: git would list the link.
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  const read = (file: string) => readFile(join(folder, file), "utf8");
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  };
  return {
    ...{ folder, read, write, git },
    edit: async (file, from, to) => {
      const text = await read(file);
      if (typeof from === "string" ? !text.includes(from) : !from.test(text)) throw new Error(`${file} has no ${from}`);
      await write(file, text.replace(from, to));
    },
    run: (script, ...args) =>
      finish(
        spawn(join(folder, script), args, {
          cwd: folder,
          stdio: ["ignore", "pipe", "pipe"],
          env: { ...process.env, BOOTSTRAPPED: "1" },
        }),
      ),
    restore: () => {
      git("checkout", "--quiet", "--", ".");
      git("clean", "--quiet", "-fd", "--exclude=node_modules");
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
