import { describe, expect, onTestFinished, test, vi } from "vitest";
import { certificatesFolders, containersLocations, dockerConfigPath } from "../../src/authfile/locations.ts";
import type { Environment } from "../../src/platform/environment.ts";

const home = "/home/ci";
const legacy = { path: "/home/ci/.dockercfg", legacy: true };

describe("where the containers tools look", () => {
  test.each<[Environment, unknown[]]>([
    [{ REGISTRY_AUTH_FILE: "/a.json", DOCKER_CONFIG: "/d", HOME: home }, [{ path: "/a.json" }]],
    [{ DOCKER_CONFIG: "/d", HOME: home, XDG_RUNTIME_DIR: "/run/user/1" }, [{ path: "/d/config.json" }]],
    [
      { HOME: home, XDG_RUNTIME_DIR: "/run/user/1" },
      [
        { path: "/run/user/1/containers/auth.json" },
        { path: "/home/ci/.config/containers/auth.json" },
        { path: "/home/ci/.docker/config.json" },
        legacy,
      ],
    ],
    [
      { HOME: home, XDG_CONFIG_HOME: "/etc/ci", REGISTRY_AUTH_FILE: "", DOCKER_CONFIG: "", XDG_RUNTIME_DIR: "" },
      [
        { path: "/run/containers/1001/auth.json" },
        { path: "/etc/ci/containers/auth.json" },
        { path: "/home/ci/.docker/config.json" },
        legacy,
      ],
    ],
    [
      { XDG_CONFIG_HOME: "/etc/ci" },
      [{ path: "/run/containers/1001/auth.json" }, { path: "/etc/ci/containers/auth.json" }],
    ],
    [{}, [{ path: "/run/containers/1001/auth.json" }]],
  ])("%j", (env, expected) => {
    expect(containersLocations(env, 1001)).toEqual(expected);
  });
});

test("names the runtime folder by the user's id if none is set", () => {
  const spy = vi.spyOn(process, "getuid").mockReturnValue(4321);
  onTestFinished(() => spy.mockRestore());
  expect(containersLocations({})).toEqual([{ path: "/run/containers/4321/auth.json" }]);
});

test.each<[Environment, string | undefined]>([
  [{ DOCKER_CONFIG: "/d", HOME: home }, "/d/config.json"],
  [{ DOCKER_CONFIG: "", HOME: home }, "/home/ci/.docker/config.json"],
  [{}, undefined],
])("docker's config with %j", (env, expected) => {
  expect(dockerConfigPath(env)).toBe(expected);
});

test.each<[Environment, string[]]>([
  [{ HOME: home }, ["/home/ci/.config"]],
  [{ HOME: home, XDG_CONFIG_HOME: "/x" }, ["/home/ci/.config", "/x"]],
  [{ HOME: home, XDG_CONFIG_HOME: "/home/ci/.config/" }, ["/home/ci/.config"]],
  [{ HOME: home, XDG_CONFIG_HOME: "" }, ["/home/ci/.config"]],
  [{ HOME: home, XDG_CONFIG_HOME: "relative" }, ["/home/ci/.config"]],
  [{ XDG_CONFIG_HOME: "/x" }, ["/x"]],
  [{ HOME: "" }, []],
  [{}, []],
])("finds the certs.d of each generation of tools: %j", (env, folders) => {
  const expected = folders.map((folder) => `${folder}/containers/certs.d/quay.example.com:8443`);
  expect(certificatesFolders(env, "quay.example.com:8443")).toEqual(expected);
});
