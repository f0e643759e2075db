import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  findProgram,
  findTool,
  type ProgramName,
  prepareLogin,
  programNames,
  readLogin,
} from "../../src/tools/tools.ts";
import { failure, fakeTool, makeFolder } from "../fixtures.ts";

describe("finding a tool", () => {
  const nothing = "exit 0";

  test("auto takes the first of the table", async () => {
    const folder = await makeFolder();
    for (const name of [...programNames].reverse()) {
      const bin = await fakeTool(folder, name, nothing);
      expect(await findTool("auto", ["host"], { PATH: bin })).toEqual({ name, file: join(bin, name) });
    }
  });

  test("takes the requested one", async () => {
    const folder = await makeFolder();
    await fakeTool(folder, "skopeo", nothing);
    const bin = await fakeTool(folder, "podman", nothing);
    expect(await findTool("podman", ["organization"], { PATH: `/nowhere:${bin}` })).toEqual({
      name: "podman",
      file: join(bin, "podman"),
    });
  });

  test("never takes docker for a login to an organization", async () => {
    const bin = await fakeTool(await makeFolder(), "docker", nothing);
    expect((await findTool("auto", ["host"], { PATH: bin })).name).toBe("docker");
    expect(await findTool("auto", ["host", "organization"], { PATH: bin })).toEqual({ name: "none" });
  });

  test("auto takes docker, or none, for docker's builder", async () => {
    const folder = await makeFolder();
    const bin = await fakeTool(folder, "skopeo", nothing);
    expect(await findTool("auto", ["host", "action"], { PATH: bin })).toEqual({ name: "none" });
    await fakeTool(folder, "docker", nothing);
    expect((await findTool("auto", ["host", "action"], { PATH: bin })).name).toBe("docker");
  });

  test("auto needs none that is installed", async () => {
    expect(await findTool("auto", ["host"], { PATH: await makeFolder() })).toEqual({ name: "none" });
    expect(await findTool("auto", ["host", "organization"], {})).toEqual({ name: "none" });
  });

  test("none takes no tool, whatever is installed", async () => {
    const bin = await fakeTool(await makeFolder(), "skopeo", nothing);
    expect(await findTool("none", [], { PATH: bin })).toEqual({ name: "none" });
  });

  test("says how to get the one that was named, and that it need not be there", async () => {
    const error = await failure(findTool("buildah", [], { PATH: await makeFolder() }));
    expect(error.code).toBe("tool-not-found");
    expect(error.message).toBe("buildah is not installed here (looked for on PATH).");
    expect(error.remedy).toEqual([
      "Install it in a step before this one: sudo apt-get install --yes buildah",
      "Or log in without one: tool: none",
    ]);
    const docker = await failure(findProgram("docker", {}));
    expect(docker.remedy[0]).toBe("Install it in a step before this one: sudo apt-get install --yes docker.io");
  });
});

describe("the fresh folder for a login", () => {
  test.each<[ProgramName, string]>([
    ["skopeo", "auth.json"],
    ["buildah", "auth.json"],
    ["podman", "auth.json"],
    ["docker", "config.json"],
  ])("%s", async (name, file) => {
    const folder = join(await makeFolder(), "new");
    const tool = { name, file: `/usr/bin/${name}` };
    const args = await prepareLogin(tool, folder, "acme+ci", "quay.io");
    expect(args).toContain("--password-stdin");
    expect(args.slice(args.indexOf("--username"))[1]).toBe("acme+ci");
    expect(args.at(-1)).toBe("quay.io");
    expect(args.includes("--tls-verify=true")).toBe(name !== "docker");
    expect(args.some((arg) => arg.startsWith(folder))).toBe(true);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    if (name === "docker") {
      // Otherwise a helper that docker finds on the machine would store the login.
      expect(JSON.parse(await readFile(join(folder, file), "utf8"))).toEqual({ auths: { "quay.io": {} } });
    } else {
      await expect(stat(join(folder, file))).rejects.toThrow("ENOENT");
    }
    await writeFile(join(folder, file), '{"auths":{"quay.io":{"auth":"eDp5"}}}');
    expect(await readLogin(tool, folder, "quay.io")).toEqual({ auth: "eDp5" });
    expect(await readLogin(tool, folder, "quay.io/acme")).toBeUndefined();
  });

  test("may exist already, from a killed login", async () => {
    const folder = await makeFolder();
    await writeFile(join(folder, "config.json"), "half");
    await prepareLogin({ name: "docker", file: "/usr/bin/docker" }, folder, "acme+ci", "quay.io");
    expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toEqual({ auths: { "quay.io": {} } });
  });

  test("what a tool wrote instead of a login", async () => {
    const folder = await makeFolder();
    const tool = { name: "skopeo", file: "/usr/bin/skopeo" } as const;
    expect(await readLogin(tool, folder, "quay.io")).toBeUndefined();
    for (const text of ["", "garbage", "null", "{}"]) {
      await writeFile(join(folder, "auth.json"), text);
      expect(await readLogin(tool, folder, "quay.io")).toBeUndefined();
    }
    await mkdir(join(folder, "f/auth.json"), { recursive: true });
    expect(await readLogin(tool, join(folder, "f"), "quay.io")).toBeUndefined();
  });
});
