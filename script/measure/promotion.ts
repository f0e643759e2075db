/** What a promotion costs: 20 small images, against `skopeo copy` of the same 20, four at a time from a shell. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { makeImage } from "../../test/support/images.ts";
import { addPlace, startPromotionWorld } from "../../test/support/promotion.ts";
import { systemPath } from "../../test/support/runner.ts";
import { script } from "./commands.ts";
import { at, type Figure, go, hyperfine, start } from "./run.ts";

export interface PromotionCost {
  readonly ours: Figure;
  readonly shell: Figure;
  /** Largest process of each, MB. */
  readonly memory: { readonly ours: number; readonly shell: number };
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
    const most = 2 * runs + 2;
    addPlace(world, staging, "staging/app", { robots: { "staging+build": "read" } });
    await mkdir(at("promotion"), { recursive: true });
    for (let run = 1; run <= most; run++) {
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
    await writeFile(at("promotion/auth.json"), JSON.stringify({ auths }));
    await writeFile(at("promotion/run"), "0");

    const from = `${staging.host}/staging/app`;
    const prepare = await script(
      "prepare-promotion.sh",
      `cd ${at("promotion")}
run=$(($(<run) + 1)) && echo "$run" >run
while read -r digest; do
  echo "{source: ${from}@$digest, destination: ${release.host}/acme/run$run, tags: [\${digest:7:12}]}"
done <"digests$run" | sed 's/^/- /' >release.yaml
`,
    );
    const shell = await script(
      "promotion.sh",
      `cd ${at("promotion")}
run=$(<run)
xargs -P 4 -I DIGEST bash -c 'tag=\${1#sha256:} && exec skopeo copy --quiet --all --preserve-digests --authfile auth.json \\
  docker://${from}@$1 docker://${release.host}/acme/run'"$run"':\${tag:0:12}' promote DIGEST <"digests$run"
`,
    );
    const ours = `${process.execPath} dist/cli/index.js promote --file ${at("promotion/release.yaml")} --source-robot staging+build --destination-robot acme+release --identity file --token-file ${at("identity")} --ca-file ${at("root.pem")}`;
    const env = {
      PATH: systemPath,
      HOME: at("promotion"),
      TMPDIR: at("promotion"),
      LANG: "C.UTF-8",
      SSL_CERT_DIR: peers.certDir,
    };

    const memory = { ours: 0, shell: 0 };
    for (const [name, command] of [
      ["ours", ours],
      ["shell", shell],
    ] as const) {
      await start(prepare, env);
      memory[name] = Number(await go("python3", ["-c", largest, ...command.split(" ")], env)) / 1000;
      const tags = await release.tags(`acme/run${(await readFile(at("promotion/run"), "utf8")).trim()}`);
      if (tags.length !== images) throw new Error(`${name} promoted ${tags.length} images instead of ${images}`);
    }
    return {
      ours: await hyperfine(prepare, ours, runs, env),
      shell: await hyperfine(prepare, shell, runs, env),
      memory,
    };
  } finally {
    await world.close();
  }
}

/** Peak of the largest process, kB. */
export const largest = `import resource,subprocess,sys
subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`;
