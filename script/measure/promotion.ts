/** What a promotion costs: 20 small images, against copies of the same 20 without any check, four at a time from a shell. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { findBuilt } from "../../test/quay-stand-in/built.ts";
import { makeImage } from "../../test/support/images.ts";
import { addPlace, type PromotionWorld, startPromotionWorld } from "../../test/support/promotion.ts";
import { systemPath } from "../../test/support/runner.ts";
import { script } from "./commands.ts";
import { at, type Figure, go, inTurns, start } from "./run.ts";

export const copiers = ["skopeo", "crane", "oras"] as const;
type Name = "ours" | (typeof copiers)[number];

export interface PromotionCost {
  /** Run by run, in the same order. */
  readonly figures: ReadonlyMap<Name, Figure>;
  /** Largest process, MB. */
  readonly memory: ReadonlyMap<Name, number>;
}

const images = 20;

/**
 * The shell's logins exist already: it has no identity to log in with. Each run has a repository and images of its own, since
 * skopeo remembers where blobs are and mounts them from there.
 * @param delayMs what a round trip to both registries costs
 */
export async function measurePromotion(runs: number, delayMs: number): Promise<PromotionCost> {
  const world = await startPromotionWorld({ delayMs });
  try {
    const { staging, release, peers } = world;
    await furnish(world, 4 * runs + 4);
    const from = `${staging.host}/staging/app`;
    const to = `${release.host}/acme/run`;
    const prepare = await script(
      "prepare-promotion.sh",
      `cd ${at("promotion")}
run=$(($(<run) + 1)) && echo "$run" >run
while read -r digest; do
  echo "{source: ${from}@$digest, destination: ${to}$run, tags: [\${digest:7:12}]}"
done <"digests$run" | sed 's/^/- /' >release.yaml
`,
    );
    const commands = await writeCommands(from, to);
    const env = {
      PATH: systemPath,
      HOME: at("promotion"),
      TMPDIR: at("promotion"),
      DOCKER_CONFIG: at("promotion"),
      LANG: "C.UTF-8",
      SSL_CERT_DIR: peers.certDir,
    };
    const memory = new Map<Name, number>();
    for (const [name, command] of commands) {
      await start(prepare, env);
      memory.set(name, Number(await go("python3", ["-c", largest, ...command.split(" ")], env)) / 1000);
      const tags = await release.tags(`acme/run${(await readFile(at("promotion/run"), "utf8")).trim()}`);
      if (tags.length !== images) throw new Error(`${name} promoted ${tags.length} images instead of ${images}`);
    }
    return { figures: await inTurns(prepare, commands, { rounds: runs, runs: 1 }, env), memory };
  } finally {
    await world.close();
  }
}

/** Images, a repository for each run, logins, and an identity. */
async function furnish(world: PromotionWorld, runs: number): Promise<void> {
  const { staging, release, peers } = world;
  addPlace(world, staging, "staging/app", { robots: { "staging+build": "read" } });
  await mkdir(at("promotion"), { recursive: true });
  for (let run = 1; run <= runs; run++) {
    addPlace(world, release, `acme/run${run}`, { robots: { "acme+release": "write" } });
    const made = Array.from({ length: images }, (_, index) => makeImage(`benchmark ${run} ${index}`));
    await Promise.all(made.map((image) => staging.push("staging/app", image)));
    await writeFile(at(`promotion/digests${run}`), made.map(({ digest }) => `${digest}\n`).join(""));
  }
  await writeFile(at("root.pem"), await readFile(peers.caFile));
  const exp = Math.floor(Date.now() / 1000) + 3600;
  await writeFile(at("identity"), await peers.issuer.sign({ exp }));
  const auth = (user: string, token: string) => ({ auth: Buffer.from(`${user}:${token}`).toString("base64") });
  const auths = {
    [staging.host]: auth("staging+build", await staging.quay.tokens.robotToken("staging+build")),
    [release.host]: auth("acme+release", await release.quay.tokens.robotToken("acme+release")),
  };
  await writeFile(at("promotion/config.json"), JSON.stringify({ auths }));
  await writeFile(at("promotion/run"), "0");
}

async function writeCommands(from: string, to: string): Promise<Map<Name, string>> {
  const copy = (name: string, command: string) =>
    script(
      `${name}.sh`,
      `cd ${at("promotion")}
run=$(<run)
xargs -P 4 -I DIGEST bash -c 'tag=\${1#sha256:} tag=\${tag:0:12} && exec ${command}' copy DIGEST <"digests$run" >/dev/null
`,
    );
  const tag = `${to}'"$run"':$tag`;
  const config = `${at("promotion")}/config.json`;
  return new Map<Name, string>([
    [
      "ours",
      `${process.execPath} dist/cli/index.js promote --file ${at("promotion/release.yaml")} --source-robot staging+build --destination-robot acme+release --identity file --token-file ${at("identity")} --ca-file ${at("root.pem")}`,
    ],
    [
      "skopeo",
      await copy(
        "skopeo-copy",
        `skopeo copy --quiet --all --preserve-digests --authfile ${config} docker://${from}@$1 docker://${tag}`,
      ),
    ],
    ["crane", await copy("crane", `${built("crane")} copy ${from}@$1 ${tag} 2>/dev/null`)],
    [
      "oras",
      await copy(
        "oras",
        `${built("oras")} cp --recursive --no-tty --from-plain-http=false --to-plain-http=false --from-registry-config ${config} --to-registry-config ${config} ${from}@$1 ${tag}`,
      ),
    ],
  ]);
}

function built(name: string): string {
  const file = findBuilt(name);
  if (file === undefined) throw new Error(`${name} is not here: script/benchmark builds it`);
  return file;
}

/** Peak of the largest process, kB. */
export const largest = `import resource,subprocess,sys
subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`;
