/** Where logins go if no file is named, decided before anything is sent. What is written then: store.test.ts. */
import { chmod, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { planDestinations } from "../../src/login/destinations.ts";
import { parseRequest } from "../../src/login/request.ts";
import { type JobLogin, openSession, privateFile } from "../../src/login/session.ts";
import type { Workplace } from "../../src/login/workplace.ts";
import type { OptionValues } from "../../src/options/table.ts";
import type { Environment } from "../../src/platform/environment.ts";
import type { ToolName } from "../../src/tools/tools.ts";
import { entryOf, failure, makeFolder, now, robotToken, testPlatform } from "../fixtures.ts";

const namespaced = { robot: "quay.io/acme=acme+ci" };

async function makeHome() {
  const base = await makeFolder();
  const [home, run] = [join(base, "home"), join(base, "run")];
  await mkdir(home);
  const usual: Environment = { HOME: home, XDG_RUNTIME_DIR: run };
  let warnings: readonly string[] = [];
  return {
    base,
    home,
    usual,
    docker: join(home, ".docker/config.json"),
    containers: join(run, "containers/auth.json"),
    put: async (path: string, content: unknown) => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, JSON.stringify(content));
    },
    /** The paths of the plan. */
    plan: async (options: OptionValues = {}, tool: ToolName = "skopeo", env = usual, more: Partial<Workplace> = {}) => {
      const request = parseRequest({ robot: "acme+ci", ...options });
      const workplace: Workplace = {
        temporaryFolder: base,
        sessionFolder: undefined,
        willLogOut: false,
        keepsLogins: "where-the-tool-looks",
        workspace: undefined,
        isDisposable: false,
        roots: undefined,
        onSession: () => {},
        ...more,
      };
      const platform = testPlatform({ env });
      warnings = platform.reporter.warnings;
      const plan = await planDestinations(request, { name: tool, file: `/usr/bin/${tool}` }, workplace, platform);
      return { authFile: plan.authFile?.path, docker: plan.docker.map(({ file }) => file.path), start: plan.start };
    },
    /** What the last plan warned of. */
    warnings: () => warnings,
  };
}

describe("where the tool looks by default", () => {
  test.each<ToolName>(["skopeo", "buildah", "podman"])("%s: the user's runtime folder", async (tool) => {
    const { plan, containers } = await makeHome();
    expect(await plan({}, tool)).toEqual({ authFile: containers, docker: [], start: undefined });
    expect(await plan(namespaced, tool)).toMatchObject({ authFile: containers, docker: [] });
  });

  test("docker: its own configuration, once", async () => {
    const { plan, docker } = await makeHome();
    expect(await plan({}, "docker")).toEqual({ authFile: docker, docker: [docker], start: undefined });
  });

  test("docker with DOCKER_CONFIG", async () => {
    const { plan, usual, base } = await makeHome();
    const env = { ...usual, DOCKER_CONFIG: join(base, "config") };
    const path = join(base, "config/config.json");
    expect(await plan({}, "docker", env)).toMatchObject({ authFile: path, docker: [path] });
    // The containers tools read it as well.
    expect(await plan({}, "skopeo", env)).toMatchObject({ authFile: path, docker: [] });
  });

  test("a variable of the containers tools, which docker does not know", async () => {
    const { plan, usual, base, docker } = await makeHome();
    const env = { ...usual, REGISTRY_AUTH_FILE: join(base, "own.json"), DOCKER_CONFIG: join(base, "config") };
    expect(await plan({}, "podman", env)).toMatchObject({ authFile: join(base, "own.json"), docker: [] });
    expect(await plan({}, "docker", { ...usual, REGISTRY_AUTH_FILE: join(base, "own.json") })).toMatchObject({
      authFile: docker,
      docker: [docker],
    });
  });

  test("returns a relative path as a whole one: logout may run in another folder", async () => {
    const { plan, usual, base } = await makeHome();
    const env = { ...usual, REGISTRY_AUTH_FILE: relative(process.cwd(), join(base, "own.json")) };
    expect((await plan({}, "skopeo", env)).authFile).toBe(join(base, "own.json"));
  });

  test("docker's file too, on request", async () => {
    const { plan, containers, docker } = await makeHome();
    expect(await plan({ "docker-config": "true" })).toMatchObject({ authFile: containers, docker: [docker] });
  });

  test("prefers a named file, with any tool", async () => {
    const { plan, usual, base, docker } = await makeHome();
    const named = { "auth-file": join(base, "named.json") };
    const env = { ...usual, REGISTRY_AUTH_FILE: "/never" };
    expect(await plan(named, "skopeo", env)).toMatchObject({ authFile: named["auth-file"], docker: [] });
    // docker reads only its own file, which gets the login too.
    expect(await plan(named, "docker")).toMatchObject({ authFile: named["auth-file"], docker: [docker] });
  });

  test("follows a link", async () => {
    const { plan, usual, base } = await makeHome();
    await writeFile(join(base, "real.json"), "{}");
    await symlink("real.json", join(base, "link.json"));
    const env = { ...usual, REGISTRY_AUTH_FILE: join(base, "link.json") };
    expect((await plan({}, "skopeo", env)).authFile).toBe(join(base, "real.json"));
  });
});

describe("rejects before anything is sent", () => {
  test.each<[string, (base: string) => Environment]>([
    ["DOCKER_CONFIG", (base) => ({ DOCKER_CONFIG: join(base, "home/.docker") })],
    ["REGISTRY_AUTH_FILE", (base) => ({ REGISTRY_AUTH_FILE: join(base, "home/.docker/config.json") })],
  ])("a login for an organization in docker's file, which %s makes the default", async (_, more) => {
    const { plan, usual, base, docker } = await makeHome();
    const env = { ...usual, ...more(base) };
    const error = await failure(plan(namespaced, "skopeo", env));
    expect(error.code).toBe("invalid-input");
    expect(error.message).toBe(
      `The option "auth-file" is "": the default here is docker's ${docker}, and docker would send such a login to every repository of quay.io.`,
    );
    expect(error.remedy).toEqual(["Write, for example, auth-file: /path/auth.json"]);
    // A login for the whole host may be there; any may if the user names the file.
    expect((await plan({}, "skopeo", env)).authFile).toBe(docker);
    const named = join(base, "named.json");
    expect((await plan({ ...namespaced, "auth-file": named }, "skopeo", env)).authFile).toBe(named);
  });

  test("docker without a path for its configuration", async () => {
    const { plan, usual } = await makeHome();
    const error = await failure(plan({}, "docker", {}));
    expect(error.message).toBe(
      "Neither HOME nor DOCKER_CONFIG is set, so there is no place for docker's configuration.",
    );
    expect(error.remedy.join()).toContain("DOCKER_CONFIG=/path");
    const wanted = await failure(plan({ "docker-config": "true" }, "skopeo", { ...usual, HOME: undefined }));
    expect([wanted.message, wanted.remedy.join()]).toEqual([
      error.message,
      expect.stringContaining("docker-config: false"),
    ]);
  });

  test.each<[string, ToolName, object, string]>([
    ["a helper for this host", "skopeo", { credHelpers: { "quay.io": "ecr-login" } }, "credHelpers.quay.io"],
    ["a helper for this host", "docker", { credHelpers: { "quay.io": "ecr-login" } }, "credHelpers.quay.io"],
    ["docker's store", "docker", { credsStore: "desktop" }, "credsStore"],
  ])("%s, which would hide the login: %s", async (_, tool, content, hiding) => {
    const { plan, put, containers, docker } = await makeHome();
    await put(tool === "docker" ? docker : containers, content);
    const error = await failure(plan({}, tool));
    expect(error.code).toBe("credential-helper");
    expect(error.message).toContain(hiding);
  });

  test("a helper for this host in the named file", async () => {
    const { plan, put, base } = await makeHome();
    const named = join(base, "named.json");
    await put(named, { credHelpers: { "quay.io": "pass" } });
    const error = await failure(plan({ "auth-file": named }));
    expect([error.code, error.message]).toEqual([
      "credential-helper",
      expect.stringContaining(`${named} sets credHelpers.quay.io`),
    ]);
  });

  test("but not docker's store in the file of a tool that does not read it", async () => {
    const { plan, put, containers } = await makeHome();
    await put(containers, { credsStore: "desktop" });
    expect((await plan({}, "skopeo")).authFile).toBe(containers);
  });

  test("a file that can't be read", async () => {
    const { plan, put, containers, docker } = await makeHome();
    await put(docker, []);
    expect((await failure(plan({ "docker-config": "true" }))).code).toBe("auth-file-unusable");
    await put(containers, []);
    expect((await failure(plan())).code).toBe("auth-file-unusable");
  });
});

describe("in the workspace, whatever path leads there", () => {
  const way = async (name: string) => {
    const made = await makeHome();
    const workspace = join(made.base, "work/app");
    await mkdir(join(workspace, "sub"), { recursive: true });
    await symlink(workspace, join(made.base, "link"));
    await symlink(join(workspace, "sub"), join(made.base, "link-below"));
    await writeFile(join(workspace, "real.json"), "{}");
    await symlink(join(workspace, "real.json"), join(made.base, "file-link.json"));
    return { ...made, workspace, path: join(made.base, name) };
  };

  test.each([
    ["itself", "work/app/auth.json"],
    ["a folder that is not there yet", "work/app/a/b/auth.json"],
    ["dots", "work/app/../app/./auth.json"],
    ["a link to it", "link/auth.json"],
    ["a link to a folder in it", "link-below/new/auth.json"],
    ["a link to a file in it", "file-link.json"],
  ])("%s", async (_, name) => {
    const { plan, usual, base, workspace, path } = await way(name);
    for (const workplace of [{ workspace }, { workspace: join(base, "link") }]) {
      const error = await failure(plan({ "auth-file": path }, "skopeo", usual, workplace));
      expect([error.code, error.message]).toEqual(["invalid-input", expect.stringContaining("is in the workspace")]);
      expect(error.message).toContain('"auth-file"');
    }
  });

  test("a relative path", async () => {
    const { plan, usual, workspace, path } = await way("work/app/auth.json");
    const named = relative(process.cwd(), path);
    const error = await failure(plan({ "auth-file": named }, "skopeo", usual, { workspace }));
    expect(error.message).toContain(`"auth-file" is "${named}"`);
  });

  test("docker's file, by DOCKER_CONFIG", async () => {
    const { plan, usual, base, workspace } = await way("");
    const env = { ...usual, DOCKER_CONFIG: join(base, "link-below") };
    const error = await failure(plan({ "auth-file": join(base, "a.json") }, "docker", env, { workspace }));
    expect(error.message).toContain('"docker-config"');
    expect(error.message).toContain("link-below/config.json is in the workspace");
  });

  test.each(["work/app", "work/app/tmp", "link", "link-below"])("the temporary folder: %s", async (name) => {
    const { plan, usual, workspace, path } = await way(name);
    const error = await failure(
      plan({}, "skopeo", usual, { workspace, temporaryFolder: path, keepsLogins: "privately" }),
    );
    expect([error.code, error.message]).toEqual([
      "auth-file-unusable",
      `The temporary folder ${path} is in the workspace, whose files end up in images and artifacts.`,
    ]);
  });

  test("and not a folder of a similar name", async () => {
    const { plan, usual, base, workspace } = await way("");
    await mkdir(join(base, "work/app-2"));
    for (const name of ["work/app-2/auth.json", "work/app.json", "auth.json"]) {
      const path = join(base, name);
      expect(await plan({ "auth-file": path }, "skopeo", usual, { workspace })).toMatchObject({ authFile: path });
    }
    expect(await plan({}, "skopeo", usual, { workspace: join(base, "nowhere") })).toMatchObject({ docker: [] });
  });
});

describe("a private file of the job", () => {
  const privately = { keepsLogins: "privately" } as const;

  test("is a new file, and starts with the others' logins", async () => {
    const { plan, put, usual, containers } = await makeHome();
    await put(containers, { auths: { "ghcr.io": { auth: "dGhlaXJz" } } });
    expect(await plan({}, "skopeo", usual, privately)).toEqual({
      authFile: undefined,
      docker: [],
      start: { auths: { "ghcr.io": { auth: "dGhlaXJz" } } },
    });
  });

  test.each([
    ["DOCKER_CONFIG", (file: string) => ({ DOCKER_CONFIG: dirname(file) })],
    ["REGISTRY_AUTH_FILE", (file: string) => ({ REGISTRY_AUTH_FILE: file })],
  ])("starts with only the file that %s names", async (_, variable) => {
    const { plan, put, usual, containers, base } = await makeHome();
    const named = join(base, "named/config.json");
    await mkdir(dirname(named));
    await put(containers, { auths: { "ghcr.io": { auth: "dGhlaXJz" } } });
    await put(named, { auths: { "docker.io": { auth: "bmFtZWQ=" } } });
    expect((await plan({}, "skopeo", { ...usual, ...variable(named) }, privately)).start).toEqual({
      auths: { "docker.io": { auth: "bmFtZWQ=" } },
    });
  });

  test("leaves logins out that fewer users can read, and says so; helpers are no secrets", async () => {
    const { plan, put, usual, containers, docker, base } = await makeHome();
    await put(containers, { auths: { "ghcr.io": { auth: "dGhlaXJz" } }, credHelpers: { "gcr.io": "gcloud" } });
    await put(docker, { auths: { "docker.io": { auth: "cHVibGlj" } } });
    for (const folder of [base, join(base, "home"), dirname(docker)]) await chmod(folder, 0o755);
    await chmod(containers, 0o600);
    await chmod(docker, 0o644);
    const start = async (mode: string) => (await plan({ "auth-file-mode": mode }, "skopeo", usual, privately)).start;
    expect(await start("0644")).toEqual({
      auths: { "docker.io": { auth: "cHVibGlj" } },
      credHelpers: { "gcr.io": "gcloud" },
    });
    expect((await start("0640"))?.auths).toEqual({ "docker.io": { auth: "cHVibGlj" } });
    expect(Object.keys((await start("0600"))?.auths ?? {}).sort()).toEqual(["docker.io", "ghcr.io"]);
    expect(Object.keys((await start(""))?.auths ?? {}).sort()).toEqual(["docker.io", "ghcr.io"]);
  });

  test("does not keep the login out of docker's file", async () => {
    const { plan, usual, docker } = await makeHome();
    expect(await plan({}, "docker", usual, privately)).toMatchObject({ authFile: undefined, docker: [docker] });
    expect(await plan({}, "skopeo", usual, { ...privately, isDisposable: true })).toMatchObject({
      authFile: undefined,
      docker: [docker],
    });
    const env = { ...usual, DOCKER_CONFIG: dirname(docker) };
    expect(await plan(namespaced, "skopeo", env, privately)).toMatchObject({ authFile: undefined, docker: [] });
  });
});

describe("docker's configuration", () => {
  const store = { credsStore: "desktop" };
  const disposable = { keepsLogins: "privately", isDisposable: true } as const;

  test("that can't take a login is left out with a warning if nothing asks for it", async () => {
    const { plan, put, usual, docker, warnings } = await makeHome();
    await put(docker, store);
    expect(await plan({}, "skopeo", usual, disposable)).toMatchObject({ authFile: undefined, docker: [] });
    expect(warnings()).toEqual([
      expect.stringContaining(
        `docker, cosign, crane, oras and helm will not see this login. ${docker} sets credsStore`,
      ),
    ]);
  });

  test("that can't take a login is an error on request, whose remedy is to leave it out", async () => {
    const { plan, put, docker } = await makeHome();
    await put(docker, store);
    const error = await failure(plan({ "docker-config": "true" }));
    expect(error.code).toBe("credential-helper");
    expect(error.remedy).toEqual([
      "Remove credsStore from it for this job.",
      "Or leave docker's configuration out: docker-config: false",
    ]);
    expect((await failure(plan({}, "docker"))).remedy.at(-1)).toContain("give docker another folder");
  });

  test("gets nothing if the option says so, or on a machine that is not the job's alone", async () => {
    const { plan, put, usual, docker, warnings } = await makeHome();
    await put(docker, store);
    for (const [option, isDisposable] of [
      ["false", true],
      ["auto", false],
    ] as const) {
      const made = await plan({ "docker-config": option }, "skopeo", usual, { ...disposable, isDisposable });
      expect(made.docker).toEqual([]);
      expect(warnings()).toEqual([]);
    }
  });

  test("can't be left out if docker logs in", async () => {
    const { plan } = await makeHome();
    const error = await failure(plan({ "docker-config": "false" }, "docker"));
    expect([error.code, error.message]).toEqual([
      "invalid-input",
      expect.stringContaining('"docker-config" is "false"'),
    ]);
  });

  test("gets the login, with a warning, if a variable hides it", async () => {
    const { plan, usual, docker, warnings } = await makeHome();
    const variable = JSON.stringify({ auths: { "quay.io": entryOf("someone", "a-password") } });
    const made = await plan({}, "docker", { ...usual, DOCKER_AUTH_CONFIG: variable });
    expect(made.docker).toEqual([docker]);
    expect(warnings()).toEqual([expect.stringContaining("The variable DOCKER_AUTH_CONFIG has a login for quay.io")]);
  });
});

describe("without a tool, every tool is to find the login", () => {
  test("docker too, and its builder, on any machine", async () => {
    const { plan, usual, docker, containers, home, warnings } = await makeHome();
    expect(await plan({}, "none")).toEqual({ authFile: containers, docker: [docker], start: undefined });
    const privately = { keepsLogins: "privately" } as const;
    expect((await plan({}, "none", usual, privately)).docker).toEqual([docker]);
    const builder = join(home, ".docker/buildx/config/quay.io/acme/app/config.json");
    expect((await plan({ robot: "quay.io/acme/app=acme+ci" }, "none")).docker).toEqual([builder]);
    expect(warnings()).toEqual([]);
  });

  test("with a warning where docker's configuration can't hold it", async () => {
    const { plan, put, docker, containers, warnings } = await makeHome();
    await put(docker, { credsStore: "desktop" });
    expect(await plan({}, "none")).toMatchObject({ authFile: containers, docker: [] });
    expect(warnings()).toEqual([
      expect.stringContaining("docker, cosign, crane, oras and helm will not see this login."),
    ]);
  });

  test("but not of an organization, in a file that the user names, against the option, or of a job's helper", async () => {
    const { plan, usual, base, warnings } = await makeHome();
    const docker = async (options: OptionValues, more: Partial<Workplace> = {}) =>
      (await plan(options, "none", usual, more)).docker;
    expect(await docker(namespaced)).toEqual([]);
    expect(await docker({ "auth-file": join(base, "a.json") })).toEqual([]);
    expect(await docker({ "docker-config": "false" })).toEqual([]);
    expect(await docker({}, { keepsLogins: "privately", installHelper: async () => "" })).toEqual([]);
    expect(warnings()).toEqual([]);
  });

  test("DOCKER_CONFIG names one file for all", async () => {
    const { plan, usual, base } = await makeHome();
    const path = join(base, "config/config.json");
    const env = { ...usual, DOCKER_CONFIG: dirname(path) };
    expect(await plan({}, "none", env)).toMatchObject({ authFile: path, docker: [path] });
    const push = join(base, "config/buildx/config/quay.io/acme/app@push/config.json");
    const robot = "acme+ci\nquay.io/acme/app@push=acme+ci";
    expect(await plan({ robot }, "none", env)).toMatchObject({ authFile: path, docker: [path, push] });
  });
});

describe("the files of docker's builder", () => {
  const robot = "quay.io/acme/base=acme+read\nquay.io/acme/app@push=acme+ci";
  const below = (base: string) =>
    ["quay.io/acme/base", "quay.io/acme/app@push"].map((scope) => join(base, "config", scope, "config.json"));

  test("get a login for each repository and action, beside docker's configuration", async () => {
    const { plan, docker, home, warnings } = await makeHome();
    const files = below(join(home, ".docker/buildx"));
    expect(await plan({ robot }, "docker")).toEqual({ authFile: files[0], docker: files, start: undefined });
    expect(warnings()).toEqual([
      "docker uses the logins for quay.io/acme/base, quay.io/acme/app@push in its builder alone: docker build, docker buildx build and docker compose build, with buildx 0.31 or newer. docker push and docker pull need a robot without a scope.",
    ]);
    // docker's own file is the one for the whole registry, wherever that stands.
    const all = await plan({ robot: `${robot}\nquay.io=acme+all` }, "docker");
    expect(all).toMatchObject({ authFile: docker, docker: [...files, docker] });
  });

  test("are where DOCKER_CONFIG or BUILDX_CONFIG says", async () => {
    const { plan, usual, base } = await makeHome();
    const moved = { ...usual, DOCKER_CONFIG: join(base, "d") };
    expect((await plan({ robot }, "docker", moved)).docker).toEqual(below(join(base, "d/buildx")));
    const own = { ...moved, BUILDX_CONFIG: join(base, "b") };
    expect((await plan({ robot }, "docker", own)).docker).toEqual(below(join(base, "b")));
  });

  test("get what they can read of another tool's login: on request, or on the job's own machine", async () => {
    const { plan, usual, home, docker, containers, warnings } = await makeHome();
    const repositories = "quay.io=acme+all\nquay.io/acme/app=acme+ci";
    const files = [docker, join(home, ".docker/buildx/config/quay.io/acme/app/config.json")];
    expect(await plan({ robot: repositories }, "skopeo")).toMatchObject({ docker: [] });
    const wanted = await plan({ robot: repositories, "docker-config": "true" }, "skopeo");
    expect(wanted).toMatchObject({ authFile: containers, docker: files });
    expect(warnings()).toEqual([
      expect.stringContaining("docker uses the login for quay.io/acme/app in its builder alone:"),
    ]);
    const disposable = { keepsLogins: "privately", isDisposable: true } as const;
    expect((await plan({ robot: repositories }, "skopeo", usual, disposable)).docker).toEqual(files);
    expect(warnings()).toEqual([]);
    const organization = `${repositories}\nquay.io/other=other+ci`;
    expect((await plan({ robot: organization }, "skopeo", usual, disposable)).docker).toEqual([]);
  });

  test.each([
    ["quay.io/acme/app@pull", "quay.io/acme/app@push"],
    ["quay.io/acme/app@push,pull", "quay.io/acme/app@push"],
    ["quay.io@pull", "quay.io@push"],
  ])("of another program hide a login: %s that for %s", async (hiding, scope) => {
    const { plan, put, home } = await makeHome();
    const path = join(home, ".docker/buildx/config", hiding, "config.json");
    await put(path, { auths: { "quay.io": entryOf("other", "a-password") } });
    const error = await failure(plan({ robot: `${scope}=acme+ci` }, "docker"));
    expect([error.code, error.message, error.remedy]).toEqual([
      "login-hidden",
      `docker's builder would not use the login for ${scope}: it takes the one of ${path} first.`,
      [`If you don't need that login: rm ${path}`],
    ]);
  });

  test.each([
    ["quay.io/acme/app", "quay.io/acme/app@push"],
    ["quay.io/acme/app@push", "quay.io/acme/app"],
    ["quay.io/acme/base@pull", "quay.io/acme/app@push"],
  ])("of another program stay beside ours: %s beside %s", async (other, scope) => {
    const { plan, put, home } = await makeHome();
    await put(join(home, ".docker/buildx/config", other, "config.json"), { auths: {} });
    expect((await plan({ robot: `${scope}=acme+ci` }, "docker")).docker).toHaveLength(1);
  });

  test.each(["DOCKER_CONFIG", "BUILDX_CONFIG"])("are never in the workspace, by %s or by links", async (variable) => {
    const { plan, usual, base } = await makeHome();
    const workspace = join(base, "workspace");
    await mkdir(workspace);
    await symlink(workspace, join(base, "link"));
    const error = await failure(plan({ robot }, "docker", { ...usual, [variable]: join(base, "link") }, { workspace }));
    expect(error.message).toContain("is in the workspace, whose files end up in images and artifacts");
    expect(error.remedy[0]).toBe(`Set ${variable} to a folder outside the workspace.`);
  });

  test("that name a credential store would hide the login", async () => {
    const { plan, put, home } = await makeHome();
    await put(below(join(home, ".docker/buildx"))[1] ?? "", { credsStore: "desktop" });
    expect((await failure(plan({ robot }, "docker"))).code).toBe("credential-helper");
  });

  // A private file without a login would hide later ones of other tools.
  test.each<[ToolName, Partial<Workplace>]>([
    ["docker", { keepsLogins: "privately" }],
    ["none", { keepsLogins: "privately" }],
    ["none", {}],
  ])("are the only ones for pushes alone: %s, %j", async (tool, more) => {
    const { plan, put, usual, containers, home } = await makeHome();
    await put(containers, { auths: { "ghcr.io": entryOf("someone", "a-password") } });
    const path = join(home, ".docker/buildx/config/quay.io/acme/app@push/config.json");
    const made = await plan({ robot: "quay.io/acme/app@push=acme+ci" }, tool, usual, more);
    expect(made).toEqual({ authFile: path, docker: [path], start: undefined });
  });

  test("that can't be written are docker's: no other file helps", async () => {
    const { plan, put, usual, home, base } = await makeHome();
    const push = { robot: "quay.io/acme/app@push=acme+ci" };
    const remedy = async (folder: string, env: Environment) => {
      await put(join(folder, "config/quay.io/acme/app@push/config.json"), []);
      return (await failure(plan(push, "none", env))).remedy.at(-1);
    };
    const another = "Or give docker another folder, in this step and in later ones:";
    expect(await remedy(join(home, ".docker/buildx"), usual)).toBe(`${another} DOCKER_CONFIG=/path/docker`);
    const own = { ...usual, BUILDX_CONFIG: join(base, "b") };
    expect(await remedy(join(base, "b"), own)).toBe(`${another} BUILDX_CONFIG=/path/docker`);
  });

  test("of an earlier login of this program: the command that removes it", async () => {
    const { plan, put, home } = await makeHome();
    const path = join(home, ".docker/buildx/config/quay.io/acme/app@pull/config.json");
    await put(path, { auths: { "quay.io": entryOf("acme+read", robotToken(now + 600)) } });
    const error = await failure(plan({ robot: "quay.io/acme/app@push=acme+ci" }, "docker"));
    expect(error.remedy).toEqual([
      "If you don't need that login: quay-keyless-login logout --scope quay.io/acme/app@pull",
    ]);
  });

  test("share a named file with the other tools, which gets what these can read", async () => {
    const { plan, base, home } = await makeHome();
    const named = { "auth-file": join(base, "a.json") };
    expect(await plan({ robot, ...named }, "docker")).toMatchObject({
      authFile: named["auth-file"],
      docker: below(join(home, ".docker/buildx")),
    });
  });
});

test("rejects a login that skopeo would not read, since another file of the user comes first", async () => {
  const { plan, put, usual, containers, base } = await makeHome();
  await put(containers, { auths: { "quay.io": entryOf("someone", "a-password") } });
  const env = { ...usual, DOCKER_CONFIG: join(base, "config") };
  expect((await failure(plan({}, "skopeo", env))).code).toBe("login-hidden");
  // Other tools read only that one, and a named file is for all of them.
  const written = join(base, "config/config.json");
  expect((await plan({}, "podman", env)).authFile).toBe(written);
  expect((await plan({ "auth-file": written }, "skopeo", env)).authFile).toBe(written);
});

describe("an auth-file-mode for an existing file", () => {
  const others = { auths: { "ghcr.io": entryOf("someone", "a-password") } };

  // What the file has, its mode, the requested mode.
  test.each<[string, object, number, string | undefined, boolean]>([
    ["lets more users read other logins", others, 0o600, "0644", true],
    ["lets no other user read them", others, 0o600, "0600", false],
    ["is not asked for", others, 0o600, undefined, false],
    ["is as open as before", others, 0o644, "0644", false],
    ["opens nothing but this registry's login", { auths: { "quay.io": {} } }, 0o600, "0644", false],
    ["opens no login", {}, 0o600, "0644", false],
  ])("%s", async (_, content, before, mode, isTold) => {
    const { plan, put, usual, base, warnings } = await makeHome();
    await chmod(base, 0o755);
    const path = join(base, "own/auth.json");
    await put(path, content);
    await chmod(dirname(path), 0o755);
    await chmod(path, before);
    await plan({ "auth-file": path, ...(mode && { "auth-file-mode": mode }) }, "skopeo", usual);
    expect(warnings()).toEqual(
      isTold ? [`auth-file-mode lets more users than before read the other logins in ${path}.`] : [],
    );
  });
});

describe("the private file of an earlier step", () => {
  const jobLogin: JobLogin = { logout: true, refresh: true, authFileBefore: "" };

  const makeStep = async (job: JobLogin | undefined = jobLogin, mode = 0o600) => {
    const made = await makeHome();
    const path = privateFile((await openSession(made.base, undefined, job)).folder);
    await made.put(path, { auths: { "ghcr.io": { auth: "dGhlaXJz" } } });
    await chmod(path, mode);
    const workplace = { keepsLogins: "privately", job: jobLogin } as const;
    const env = { ...made.usual, REGISTRY_AUTH_FILE: path };
    return {
      ...made,
      path,
      next: (options: OptionValues = {}, more = {}, tool: ToolName = "skopeo") =>
        made.plan(options, tool, env, { ...workplace, ...more }),
    };
  };

  test("gets this step's login too: later steps read one file", async () => {
    const { next, path, warnings } = await makeStep();
    expect(await next()).toMatchObject({ authFile: path, start: undefined });
    expect(warnings()).toEqual([]);
  });

  test("stays the one of later steps if docker logs in", async () => {
    const { next, path, docker } = await makeStep();
    expect(await next({}, {}, "docker")).toMatchObject({ authFile: path, docker: [docker] });
  });

  test("does not get it with other permissions: the copy is not renewed", async () => {
    const { next, path, warnings } = await makeStep();
    expect((await next({ "auth-file-mode": "0640" })).authFile).toBeUndefined();
    expect(warnings()[0]).toBe(
      `The login of an earlier step is in ${path} with other permissions (0600, not 0640). This step's file gets a copy of it, which is not renewed: give both steps the same auth-file-mode.`,
    );
  });

  test("causes no such warning if nothing renews it", async () => {
    const { next, warnings } = await makeStep({ ...jobLogin, refresh: false }, 0o640);
    expect(await next()).toMatchObject({ authFile: undefined, start: { auths: { "ghcr.io": { auth: "dGhlaXJz" } } } });
    expect(warnings()).toEqual([]);
  });

  test("is replaced by a new one if it is gone", async () => {
    const { next, path, warnings } = await makeStep();
    await rm(path);
    expect(await next()).toMatchObject({ authFile: undefined, start: { auths: {} } });
    expect(warnings()).toEqual([]);
  });

  test("is not used for a login outside a job", async () => {
    const { next } = await makeStep();
    expect(await next({}, { job: undefined })).toMatchObject({ authFile: undefined });
  });
});

describe("a private file's start", () => {
  const privately = { keepsLogins: "privately" } as const;

  test("has no expired login, and no helper for this registry", async () => {
    const { plan, put, usual, containers } = await makeHome();
    const alive = entryOf("acme+ci", robotToken(now + 600));
    const stored = entryOf("someone", "a-password");
    await put(containers, {
      auths: { "a.example": entryOf("acme+ci", robotToken(now - 60)), "b.example": alive, "c.example": stored },
    });
    await put(join(usual.HOME ?? "", ".docker/config.json"), {
      credHelpers: { "quay.io": "secretservice", "gcr.io": "gcloud" },
    });
    expect((await plan({}, "skopeo", usual, privately)).start).toEqual({
      auths: { "b.example": alive, "c.example": stored },
      credHelpers: { "gcr.io": "gcloud" },
    });
  });

  test("has those of docker's old file, and of two files the one that the tools read first", async () => {
    const { plan, put, usual, containers, docker, home } = await makeHome();
    const [first, second] = [entryOf("first", "a-password"), entryOf("second", "a-password")];
    await put(containers, { auths: { "a.example": first } });
    await put(docker, { auths: { "a.example": second, "b.example": second } });
    await put(join(home, ".dockercfg"), { "b.example": first, "c.example": first });
    expect((await plan({}, "skopeo", usual, privately)).start).toEqual({
      auths: { "a.example": first, "b.example": second, "c.example": first },
    });
  });

  test("leaves a file out that can't be read, and says so", async () => {
    const { plan, put, usual, containers, docker, warnings } = await makeHome();
    await put(containers, { auths: [] });
    await put(docker, { auths: { "ghcr.io": { auth: "dGhlaXJz" } } });
    expect((await plan({}, "skopeo", usual, privately)).start).toEqual({ auths: { "ghcr.io": { auth: "dGhlaXJz" } } });
    expect(warnings()).toEqual([expect.stringContaining(`Logins in ${containers} are left out. The auth file`)]);
  });
});
