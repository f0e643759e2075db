/** Whether what was made works: installed and run as a user does it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { executableFile, packageFile, type Release } from "./project.ts";
import { Refusal, run } from "./run.ts";
import { withScratch } from "./scratch.ts";

/** @throws Refusal if a program does not start, or says another version */
export async function tryFiles(release: Release, folder: string): Promise<void> {
  await withScratch(async (scratch) => {
    await installNpm(join(folder, packageFile(release)), scratch);
    for (const program of ["quay-keyless-login", "docker-credential-quay-keyless"]) {
      await expectVersion(join(scratch, "node_modules/.bin", program), release);
    }
  });
  await expectVersion(join(folder, executableFile(process.arch === "arm64" ? "arm64" : "x64")), release);
  expectMachine(join(folder, executableFile("x64")), 62);
  expectMachine(join(folder, executableFile("arm64")), 183);
}

/** Into an empty folder. The package needs no other one, so no registry is asked. */
export async function installNpm(tarball: string, folder: string): Promise<void> {
  await run("npm", [
    "install",
    "--offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefix",
    folder,
    tarball,
  ]);
}

async function expectVersion(program: string, { version }: Release): Promise<void> {
  const said = (await run(program, ["--version"])).trim();
  if (!said.split(/\s+/).includes(version)) throw new Refusal(`${program} --version says ${said}, not ${version}`);
  console.log(`${program.split("/").at(-1)} ${version} runs`);
}

/** @param machine of the ELF header, by https://gabi.xinuos.com/elf/a-emachine.html */
function expectMachine(program: string, machine: number): void {
  const header = readFileSync(program).subarray(0, 20);
  if (header.toString("latin1", 0, 4) !== "\x7fELF" || header.readUInt16LE(18) !== machine) {
    throw new Refusal(`${program} is not an executable for machine ${machine}`);
  }
}
