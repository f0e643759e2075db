/** Signatures of the real cosign 2 and 3, promoted, and verified by it at the destination, in all of its storage formats. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { newScenario, type Place, type Promoted, type Scenario, usePromotionWorld } from "../e2e/promote/world.ts";
import { findBuilt } from "../quay-stand-in/built.ts";
import { cosignTag, type Made, makeTwoPlatforms } from "../support/images.ts";
import { addPlace, type PromotionWorld, type Side } from "../support/promotion.ts";

const cosign = findBuilt("cosign") ?? "cosign is not built";
const cosign2 = findBuilt("cosign2", "cosign") ?? "cosign 2 is not built";
const world = usePromotionWorld();

/** No transparency log: it is on the internet. */
const offline = ["--use-signing-config=false", "--tlog-upload=false"];
/** Storage of its signatures: under a tag, as up to version 2, or as a bundle that refers to the image. */
const ways = { "tag of 2": [], tag: ["--new-bundle-format=false"], referrer: ["--new-bundle-format=true"] };
const programOf = (way: keyof typeof ways = "tag") => (way === "tag of 2" ? cosign2 : cosign);

interface Signer {
  readonly scenario: Scenario;
  /** cosign with its own login, by the robots' static passwords. */
  run(...args: string[]): Promise<string>;
  fails(...args: string[]): Promise<string>;
}

async function newSigner(from: Side, to: Side, way?: keyof typeof ways): Promise<Signer> {
  const scenario = await newScenario(world(), { from, to });
  const { machine } = scenario;
  const signing = `acme+signer-${scenario.to.robot.slice("acme+release".length)}`;
  addPlace(world(), from, scenario.from.repository, { robots: { [signing]: "write" } });
  addPlace(world(), to, scenario.to.repository, { robots: { [signing]: "read" } });
  const folder = join(machine.scratch, "cosign");
  await mkdir(folder);
  const auths = Object.fromEntries([from, to].map((side) => [side.host, { auth: entryOf(side, signing) }]));
  await writeFile(join(folder, "config.json"), JSON.stringify({ auths }));
  const env = { HOME: folder, DOCKER_CONFIG: folder, COSIGN_PASSWORD: "", SSL_CERT_FILE: world().peers.caFile };
  const call = async (args: readonly string[], succeeds: boolean) => {
    const { code, stdout, stderr } = await machine.other(programOf(way), args, { env });
    expect(code === 0, `cosign ${args.join(" ")}\n${stdout}${stderr}`).toBe(succeeds);
    return stdout + stderr;
  };
  const signer = {
    scenario,
    run: (...args: string[]) => call(args, true),
    fails: (...args: string[]) => call(args, false),
  };
  await signer.run("generate-key-pair", "--output-key-prefix", join(folder, "key"));
  return signer;
}

const entryOf = ({ quay }: Side, robot: string) =>
  Buffer.from(`${robot}:${quay.store.robots.get(robot)?.token}`).toString("base64");

const keyOf = ({ scenario }: Signer, half: "key" | "pub") => join(scenario.machine.scratch, "cosign", `key.${half}`);
const referenceOf = ({ path }: Place, { digest }: Pick<Made, "digest">) => `${path}@${digest}`;

/** An index in staging. It and each of its images are signed, and the index has an attestation. */
async function signed(signer: Signer, way: keyof typeof ways): Promise<Made> {
  const { from, machine } = signer.scenario;
  const made = makeTwoPlatforms(`signed ${from.path} ${way}`);
  await from.side.push(from.repository, made);
  const options = ["--yes", "--key", keyOf(signer, "key"), ...offline, ...ways[way]];
  const reference = referenceOf(from, made);
  await signer.run("sign", "--recursive", ...options, reference);
  const predicate = join(machine.scratch, "predicate.json");
  await writeFile(predicate, '{"tested":true}');
  await signer.run("attest", ...options, "--type", "custom", "--predicate", predicate, reference);
  return made;
}

const verify = (signer: Signer, way: keyof typeof ways, reference: string) => [
  ...["verify", "--key", keyOf(signer, "pub"), "--insecure-ignore-tlog", ...ways[way], reference],
];

async function promote(signer: Signer, made: Made, ...more: string[]): Promise<Promoted> {
  const { scenario } = signer;
  return scenario.promote([...scenario.args(made, "1.0"), "--with-signatures", ...more]);
}

beforeAll(async () => {
  expect([cosign, cosign2]).toEqual([expect.stringMatching(/^\//), expect.stringMatching(/^\//)]);
});

describe.each<[keyof typeof ways, keyof PromotionWorld & ("staging" | "modern"), "release" | "modern"]>([
  ["tag of 2", "staging", "release"],
  ["tag of 2", "modern", "modern"],
  ["tag", "staging", "release"],
  ["tag", "modern", "release"],
  ["referrer", "staging", "release"],
  ["referrer", "modern", "release"],
  ["referrer", "staging", "modern"],
])("by %s, from %s to %s", (way, source, destination) => {
  test("verifies the index, each of its images and its attestation at the destination", async () => {
    const signer = await newSigner(world()[source], world()[destination], way);
    const made = await signed(signer, way);
    const { from, to } = signer.scenario;
    const ran = await promote(signer, made);
    expect(ran.code, ran.stderr).toBe(0);
    const [promotion] = ran.promotions;
    const kinds = promotion?.artifacts.map(({ kind }) => kind).sort() ?? [];
    expect(kinds).toEqual(["attestation", "signature", "signature", "signature"]);
    for (const place of [from, to]) {
      for (const { digest } of [made, ...made.children]) {
        await signer.run(...verify(signer, way, referenceOf(place, { digest })));
      }
      await signer.run(
        ...["verify-attestation", "--key", keyOf(signer, "pub"), "--insecure-ignore-tlog", "--type", "custom"],
        ...[...ways[way], referenceOf(place, made)],
      );
    }
    // By its tag, as a user pulls the release.
    await signer.run(...verify(signer, way, `${to.path}:1.0`));
    const again = await promote(signer, made);
    expect([again.code, again.promotions[0]?.changed]).toEqual([0, false]);
  });
});

test("verifies the private source with cosign as verify-command and the promotion's login, and rejects another key", async () => {
  const signer = await newSigner(world().staging, world().release);
  const made = await signed(signer, "referrer");
  const { scenario } = signer;
  const command = (key: string) => `${cosign} verify --key ${key} --insecure-ignore-tlog`;
  const stranger = join(scenario.machine.scratch, "stranger");
  await signer.run("generate-key-pair", "--output-key-prefix", stranger);
  const refused = await promote(signer, made, "--verify-command", command(`${stranger}.pub`));
  expect([refused.code, refused.promotions[0]?.error?.code]).toEqual([1, "verify-failed"]);
  expect(await scenario.to.side.tags(scenario.to.repository)).toEqual([]);
  const ran = await promote(signer, made, "--verify-command", command(keyOf(signer, "pub")));
  expect(ran.code, ran.stderr).toBe(0);
});

test("copies no signature without with-signatures", async () => {
  const signer = await newSigner(world().staging, world().release);
  const made = await signed(signer, "tag");
  const { scenario } = signer;
  expect((await scenario.promote(scenario.args(made, "1.0"))).code).toBe(0);
  expect(await scenario.to.side.tags(scenario.to.repository)).not.toContain(cosignTag(made, "sig"));
  await signer.fails(...verify(signer, "tag", `${scenario.to.path}:1.0`));
});
