import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { toolNames } from "../../src/options/table.ts";
import { findTool, prepareLogin, readLogin, type ToolName } from "../../src/tools/tools.ts";
import { failure, fakeTool, makeFolder } from "../fixtures.ts";

describe("finding a tool", () => {
  const nothing = "exit 0";

  test("auto takes the first of the table", async () => {
    const folder = await makeFolder();
    for (const name of [...toolNames].reverse()) {
      const bin = await fakeTool(folder, name, nothing);
      expect(await findTool("auto", false, { PATH: bin })).toEqual({ name, file: join(bin, name) });
    }
  });

  test("takes the requested one", async () => {
    const folder = await makeFolder();
    await fakeTool(folder, "skopeo", nothing);
    const bin = await fakeTool(folder, "podman", nothing);
    expect(await findTool("podman", true, { PATH: `/nowhere:${bin}` })).toEqual({
      name: "podman",
      file: join(bin, "podman"),
    });
  });

  test("never takes docker for a login to an organization", async () => {
    const bin = await fakeTool(await makeFolder(), "docker", nothing);
    expect((await findTool("auto", false, { PATH: bin })).name).toBe("docker");
    const error = await failure(findTool("auto", true, { PATH: bin }));
    expect(error.code).toBe("tool-not-found");
    expect(error.message).toBe("None of these is installed here: skopeo, buildah, podman (looked for on PATH).");
  });

  test("names the tools that it looked for if none is installed", async () => {
    const error = await failure(findTool("auto", false, { PATH: await makeFolder() }));
    expect(error.message).toBe(`None of these is installed here: ${toolNames.join(", ")} (looked for on PATH).`);
    expect(error.remedy).toEqual(["Install one in a step before this one: sudo apt-get install --yes skopeo"]);
    const one = await failure(findTool("buildah", false, {}));
    expect(one.message).toBe("None of these is installed here: buildah (looked for on PATH).");
  });
});

describe("the fresh folder for a login", () => {
  test.each<[ToolName, string]>([
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
