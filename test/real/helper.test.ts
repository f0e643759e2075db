/** Clients that take minutes to build, with the credential helper alone; test/e2e/helper/clients.test.ts has the others. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { useWorld } from "../e2e/helper/world.ts";
import { findBuilt } from "../quay-stand-in/built.ts";
import { type Builder, startBuilder } from "../support/buildkit.ts";
import { type Clients, clientsWithHelper } from "../support/helper-clients.ts";
import { writeImage } from "../support/image.ts";

const peers = useWorld();

const programOf = (name: string, program?: string): string => {
  const found = findBuilt(name, program);
  if (found === undefined) throw new Error(`${name} is missing: script/test --real builds it`);
  return found;
};

let builder: Builder | undefined;
beforeAll(async () => {
  builder = await startBuilder(peers());
});
afterAll(() => builder?.close());

describe.concurrent("pushes and pulls with the helper alone:", () => {
  test("crane", async ({ expect }) => {
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const { digest } = await writeImage(join(machine.scratch, "image"));
    const crane = programOf("crane");
    await works(crane, "push", join(machine.scratch, "image"), `${path}:1`);
    await works(crane, "copy", `${path}:1`, `${path}:2`);
    await works(crane, "pull", "--format=oci", `${path}:2`, join(machine.scratch, "pulled"));
    expect((await works(crane, "digest", `${path}:2`)).trim()).toBe(digest);
    expect(exchanges()).toBe(1);
    await walk();
  });

  test.for([
    ["3", "cosign", ["--use-signing-config=false"]],
    ["2", "cosign2", []],
  ] as const)("cosign %s", async ([, name, options], { expect }) => {
    const { works, run, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const [cosign, key] = [programOf(name, "cosign"), join(machine.scratch, "key")];
    const { digest } = await pushed({ works, machine }, path);
    const env = { COSIGN_PASSWORD: "" };
    const signs = async (...args: string[]) => {
      const { code, stdout, stderr } = await run(cosign, args, env);
      expect([args, code, stdout, stderr]).toEqual([args, 0, expect.anything(), expect.anything()]);
    };
    await signs("generate-key-pair", "--output-key-prefix", key);
    await signs("sign", "--yes", "--key", `${key}.key`, ...options, "--tlog-upload=false", `${path}@${digest}`);
    await signs("verify", "--key", `${key}.pub`, "--insecure-ignore-tlog=true", `${path}@${digest}`);
    expect(exchanges()).toBe(1);
    await walk();
  });

  test("oras", async ({ expect }) => {
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const oras = programOf("oras");
    const file = await machine.write(join(machine.scratch, "notes.txt"), "some notes");
    // By default it uses localhost without TLS.
    const tls = "--plain-http=false";
    await works(oras, "push", tls, "--disable-path-validation", `${path}:1`, `${file}:text/plain`);
    await works(oras, "pull", tls, "--allow-path-traversal", "--output", join(machine.scratch, "out"), `${path}:1`);
    expect(exchanges()).toBe(1);
    await walk();
  });

  test("helm", async ({ expect }) => {
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const helm = programOf("helm");
    const name = path.split("/").at(-1);
    const chart = join(machine.scratch, "chart");
    await machine.write(join(chart, "Chart.yaml"), `apiVersion: v2\nname: ${name}\nversion: 0.1.0\n`);
    await works(helm, "package", chart, "--destination", machine.scratch);
    const root = ["--ca-file", peers().caFile];
    const place = `oci://${peers().registryHost}/acme`;
    await works(helm, "push", join(machine.scratch, `${name}-0.1.0.tgz`), place, ...root);
    await works(
      helm,
      "pull",
      `${place}/${name}`,
      "--version",
      "0.1.0",
      "--destination",
      join(machine.scratch, "data"),
      ...root,
    );
    expect(exchanges()).toBe(1);
    await walk();
  });

  test("buildx and its builder, which asks through buildx", async ({ expect }) => {
    const clients = await clientsWithHelper(expect, peers());
    const { works, path, exchanges, walk, machine } = clients;
    const buildx = programOf("buildx");
    await pushed(clients, path);
    await works(buildx, "create", "--name", "remote", "--driver", "remote", builder?.address ?? "");
    const context = join(machine.scratch, "context");
    await machine.write(join(context, "Dockerfile"), `FROM ${path}:1\nCOPY Dockerfile /Dockerfile\n`);
    const push = ["--builder", "remote", "--push", "--provenance=false"];
    await works(buildx, "build", ...push, "--tag", `${path}:2`, context);
    expect(exchanges()).toBe(1);
    await walk();
  });
});

/** Pushes an image with skopeo. */
async function pushed({ works, machine }: Pick<Clients, "works" | "machine">, path: string) {
  const image = await writeImage(join(machine.scratch, "pushed"));
  await works("skopeo", "copy", "--dest-cert-dir", peers().certDir, image.reference, `docker://${path}:1`);
  return image;
}
