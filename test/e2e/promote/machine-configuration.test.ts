/** `promote` on a machine whose configuration says what the tools do with signatures. */
import { join } from "node:path";
import { describe, test } from "vitest";
import { cosignTag, makeCosign, makeTwoPlatforms } from "../../support/images.ts";
import { arrived, newScenario, type Place, refused, succeeded, usePromotionWorld, writesTo } from "./world.ts";

const world = usePromotionWorld();
let count = 0;

/** A signed image, and a file of the user's configuration. */
async function configured(name: string, content: (hosts: { from: string; to: string }) => string) {
  const scenario = await newScenario(world());
  const { from, to, machine } = scenario;
  const made = makeTwoPlatforms(`configuration ${++count}`);
  const sig = cosignTag(made, "sig");
  await from.side.push(from.repository, made);
  await from.side.push(from.repository, makeCosign(made, "sig"), [sig]);
  const folder = join(machine.home, ".config/containers");
  await machine.write(join(folder, name), content({ from: from.side.host, to: to.side.host }));
  const promote = async (...more: string[]) => {
    const ran = await machine.run(["promote", ...scenario.args(made, "1.0"), ...more]);
    return { ...ran, promotions: ran.stdout.startsWith("{") ? JSON.parse(ran.stdout).promotions : [] };
  };
  return { to, made, sig, promote };
}

const attachments = (scope: string) => `docker:\n  ${scope}:\n    use-sigstore-attachments: true\n`;

describe.concurrent("registries.d", { timeout: 60_000 }, () => {
  test.for<[string, (hosts: { from: string; to: string }) => string]>([
    ["attachments of the source", ({ from }) => attachments(from)],
    ["attachments of the destination", ({ to }) => attachments(to)],
    ["attachments of all", () => "default-docker:\n  use-sigstore-attachments: true\n"],
    ["another place for signatures", () => "default-docker:\n  lookaside: file:///tmp\n  sigstore: file:///tmp\n"],
  ])("%s: only with-signatures decides what is copied", async ([, content], { expect }) => {
    for (const more of [[], ["--with-signatures"]]) {
      const { to, made, sig, promote } = await configured("registries.d/some.yaml", content);
      succeeded(expect, await promote(...more));
      await arrived(expect, to, made, "1.0");
      expect(await to.side.tags(to.repository)).toEqual(more.length > 0 ? ["1.0", sig] : ["1.0"]);
    }
  });
});

describe.concurrent("policy.json", { timeout: 60_000 }, () => {
  test.for<[string, string]>([
    ["rejects all", JSON.stringify({ default: [{ type: "reject" }] })],
    ["is damaged", "{"],
  ])("that %s: the image is not copied, and the error names the file", async ([, content], { expect }) => {
    const { to, promote } = await configured("policy.json", () => content);
    const message = refused(expect, await promote(), "copy-failed");
    expect(message).toContain("~/.config/containers/policy.json");
    expect(await to.side.tags(to.repository)).toEqual([]);
    expect(writesTo(to).filter(({ method }) => method === "PUT")).toEqual([]);
  });

  test("that accepts only the image: its signatures are copied", async ({ expect }) => {
    const scenario = await newScenario(world());
    const { from, to, machine } = scenario;
    const made = makeTwoPlatforms("configuration accepted");
    const sig = cosignTag(made, "sig");
    await from.side.push(from.repository, made);
    await from.side.push(from.repository, makeCosign(made, "sig"), [sig]);
    const accept = [{ type: "insecureAcceptAnything" }];
    const docker = Object.fromEntries([made, ...made.children].map(({ digest }) => [`${from.path}@${digest}`, accept]));
    const policy = { default: [{ type: "reject" }], transports: { docker } };
    await machine.write(join(machine.home, ".config/containers/policy.json"), JSON.stringify(policy));
    succeeded(expect, await machine.run(["promote", ...scenario.args(made, "1.0"), "--with-signatures"]));
    expect(await to.side.tags(to.repository)).toEqual(["1.0", sig]);
  });
});

describe.concurrent("registries.conf says insecure of", { timeout: 60_000 }, () => {
  test.for(["from", "to"] as const)(
    "the registry that a copy goes %s: skopeo verifies even so",
    async (side, { expect }) => {
      const { peers } = world();
      // Node trusts both registries. skopeo does during the login; then verify-command removes the root of one.
      const env = { NODE_EXTRA_CA_CERTS: peers.caFile };
      const scenario = await newScenario(world(), { isPublic: true, env });
      const { from, to, machine } = scenario;
      const made = makeTwoPlatforms(`insecure ${side}`);
      await from.side.push(from.repository, made);
      const containers = join(machine.home, ".config/containers");
      const rootOf = (place: Place) => join(containers, "certs.d", place.side.host, "ca.crt");
      for (const place of [from, to]) await machine.write(rootOf(place), peers.authority.ca);
      const { [side]: spoiled } = scenario;
      const conf = `[[registry]]\nlocation = "${spoiled.side.host}"\ninsecure = true\n`;
      await machine.write(join(containers, "registries.conf"), conf);
      const args = scenario.args(made, "1.0");
      const withoutRoots = args.toSpliced(args.indexOf("--ca-file"), 2);
      const check = ["--verify-command", `rm '${rootOf(spoiled)}' #`];
      const ran = await machine.run(["promote", ...withoutRoots, ...check]);
      expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining("explain tls-untrusted")]);
      expect(await to.side.tags(to.repository)).toEqual([]);
    },
  );
});
