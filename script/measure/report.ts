/** The figures as docs/performance.md has them. */
import { readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { findBuilt } from "../../test/quay-stand-in/built.ts";
import { systemPath } from "../../test/support/runner.ts";
import { peersTable } from "./against.ts";
import { type Name, type Result, type Setting, ways } from "./commands.ts";
import type { HelperCost } from "./helper.ts";
import { copiers, type PromotionCost } from "./promotion.ts";
import { type Figure, go, progress, typical } from "./run.ts";
import { bundleSize, type SpiffeSizes } from "./sizes.ts";
import type { WatchCost } from "./watch.ts";

export interface Extras {
  /** Largest process of the job, MB, by command and number of robots. */
  memory: Map<string, number>;
  post: Figure;
  watch: WatchCost;
  /** At 0 and 30 ms a round trip. */
  promotion: readonly [PromotionCost, PromotionCost];
  helper: HelperCost;
  spiffe: SpiffeSizes;
}

/** @param load when the measuring began */
export async function report(load: number, results: readonly Result[], extras: Extras): Promise<string> {
  const parts = [
    await describeMachine(load),
    peersTable(results, extras.promotion),
    jobTable(results),
    podTable(results),
    await others(results, extras),
    aims(results, extras),
  ];
  return parts.join("\n\n");
}

async function describeMachine(load: number): Promise<string> {
  const version = async (program: string, ...args: string[]) => {
    const text = await go(program, args.length > 0 ? args : ["--version"], { PATH: systemPath });
    return /\d+(\.\d+)+/.exec(text)?.[0] ?? "?";
  };
  const versions = ["skopeo", "curl", "jq", "python3", "bash", "hyperfine", "docker"].map(
    async (program) => `${program} ${await version(program)}`,
  );
  const model = cpus()[0]?.model.replaceAll(/\s+/g, " ") ?? "unknown CPU";
  // The folder of a program that script/lib.sh has built is NAME@vVERSION.
  const built = ["crane", "oras"].map((name) => `${name} ${/@v([^/]+)/.exec(findBuilt(name) ?? "")?.[1] ?? "?"}`);
  return `Measured on ${new Date().toISOString().slice(0, 10)}: ${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB.
Node ${process.versions.node}, ${[...(await Promise.all(versions)), ...built].join(", ")}.
Load when it began: ${load.toFixed(1)}. Wall clock, medians, in milliseconds.`;
}

/** A cell with a figure, and one with the ratios of ours to it: with a tool, and without one. */
function against(name: Name, figures: Result["figures"]): string {
  const other = typical(figures.get(name));
  const ratio = (own: "ours" | "none") => (typical(figures.get(own)) / other).toFixed(2);
  return figures.has(name) ? `${other.toFixed(0)} | ${ratio("ours")}, ${ratio("none")}` : "– | –";
}

const scripts = ["jq", "python", "best"] as const;
const scriptTitles = "curl, jq | ratios | curl, python3 | ratios | curl with one root, jq | ratios";

const shown = (figures: Result["figures"], ...names: readonly Name[]): string =>
  names.map((name) => typical(figures.get(name)).toFixed(0)).join(" | ");

function jobTable(results: readonly Result[]): string {
  const rows = results
    .filter(({ place }) => place === "job")
    .map(({ delayMs, robots, figures }) => {
      const cells = scripts.map((name) => against(name, figures)).join(" | ");
      return `| ${delayMs} | ${robots} | ${shown(figures, "ours", "none")} | ${cells} |`;
    });
  return [
    `| round trip | robots | this Action | \`tool: none\` | ${scriptTitles} |`,
    `|${"---:|".repeat(10)}`,
    ...rows,
  ].join("\n");
}

function podTable(results: readonly Result[]): string {
  const rows = results
    .filter(({ place }) => place === "pod")
    .map(({ delayMs, figures }) => {
      const cells = scripts.map((name) => against(name, figures)).join(" | ");
      return `| ${delayMs} | ${shown(figures, "ours", "none")} | ${cells} | ${shown(figures, "spiffe")} |`;
    });
  return [
    `| round trip | command line, token file | \`--tool none\` | ${scriptTitles} | command line, SPIFFE |`,
    `|${"---:|".repeat(10)}`,
    ...rows,
  ].join("\n");
}

const copyings = ["ours", ...copiers] as const;

async function others(
  results: readonly Result[],
  { memory, post, watch, promotion, helper, spiffe }: Extras,
): Promise<string> {
  const jobs = results.filter(({ place, robots }) => place === "job" && robots === 1).map(({ figures }) => figures);
  const pod = results.find(({ place }) => place === "pod")?.figures;
  const skopeo = jobs.map((figures) => typical(figures.get("skopeo")).toFixed(0)).join(" and ");
  const cpu = (figures: Result["figures"] | undefined) =>
    (["ours", "none", "jq", "python"] as const).map((name) => figures?.get(name)?.cpu.toFixed(0)).join(", ");
  const megabytes = (robots: number) => ways.map((name) => `${memory.get(`${name} ${robots}`)?.toFixed(0)}`).join(", ");
  const [near] = promotion;
  const bundles = await Promise.all(
    (["main", "post", "cli", "cli/all", "helper", "helper/exchange"] as const).map(bundleSize),
  );
  return [
    "| besides | |",
    "|---|---|",
    `| skopeo login alone, at 0 and 30 ms | ${skopeo} ms |`,
    `| Node's own start | ${typical(pod?.get("node")).toFixed(0)} ms |`,
    `| start of the command line (\`--version\`) | ${typical(pod?.get("version")).toFixed(0)} ms |`,
    `| CPU for one robot: this Action; the same without a tool; curl, jq; curl, python3 | ${cpu(jobs[0])} ms |`,
    `| the same with the command line in a pod | ${cpu(pod)} ms |`,
    `| largest process, one robot: this Action; curl, jq; curl, python3 | ${megabytes(1)} MB |`,
    `| largest process, 20 robots | ${megabytes(20)} MB |`,
    `| post step | ${typical(post).toFixed(0)} ms, ${post.cpu.toFixed(0)} ms of CPU |`,
    `| login --watch: peak memory, CPU in an idle minute | ${watch.memory.toFixed(0)} MB, ${watch.cpu.toFixed(0)} ms |`,
    ...promotion.map(
      ({ figures }, index) =>
        `| promoting 20 small images at ${30 * index} ms; \`skopeo copy\`, \`crane copy\`, \`oras cp -r\` of them | ${copyings.map((name) => typical(figures.get(name)).toFixed(0)).join(", ")} ms |`,
    ),
    `| the same at 0 ms: CPU | ${copyings.map((name) => near.figures.get(name)?.cpu.toFixed(0)).join(", ")} ms |`,
    `| the same: largest process | ${copyings.map((name) => near.memory.get(name)?.toFixed(0)).join(", ")} MB |`,
    `| credential helper: \`get\` of a foreign host; with a cached token, its identity token in a file, in a variable; Node's own start beside it | ${[helper.foreign, helper.ofFile, helper.ofVariable, helper.node].map((figure) => typical(figure).toFixed(0)).join(", ")} ms |`,
    `| bundle: main, post, command line, its other commands, credential helper, its exchange | ${bundles.map((size) => (size / 1000).toFixed(0)).join(", ")} kB |`,
    `| of it the SPIFFE client; with addresses and error texts | ${kilobytes(spiffe.client)}, ${kilobytes(spiffe.all)} kB |`,
  ].join("\n");
}

function aims(results: readonly Result[], { spiffe: { client }, watch, promotion, helper }: Extras): string {
  const figures = (place: Setting["place"], delayMs: number, robots = 1) =>
    results.find((each) => each.place === place && each.delayMs === delayMs && each.robots === robots)?.figures;
  const time = (place: Setting["place"], delayMs: number, name: Name = "ours", robots = 1) =>
    typical(figures(place, delayMs, robots)?.get(name));
  const aim = (what: string, value: number, most: number, shown = `${value.toFixed(2)} times`) =>
    Number.isNaN(value) ? [] : [`- ${what}: ${shown}, aim ${most}: ${value <= most ? "reached" : "**missed**"}`];
  const ratio = (place: Setting["place"], delayMs: number, name: Name, own: Name = "ours") =>
    time(place, delayMs, own) / time(place, delayMs, name);
  /** Without a tool, and without the servers' own time. */
  const alone = (delayMs: number, robots: number) =>
    time("job", delayMs, "none", robots) - (figures("job", delayMs, robots)?.get("none")?.servers ?? Number.NaN);
  return [
    ...aim("Action without a tool against curl and jq, 0 ms", ratio("job", 0, "jq", "none"), 0.85),
    ...aim("Action without a tool against curl and jq, 30 ms", ratio("job", 30, "jq", "none"), 0.6),
    ...aim("command line without a tool against curl and jq, 0 ms", ratio("pod", 0, "jq", "none"), 1.1),
    ...aim("command line without a tool against curl and jq, 30 ms", ratio("pod", 30, "jq", "none"), 0.65),
    ...aim("20 robots against one without a tool, less the servers' own time, 0 ms", alone(0, 20) / alone(0, 1), 2),
    ...aim(
      "20 robots against one without a tool, less the servers' own time, 30 ms",
      alone(30, 20) / alone(30, 1),
      1.5,
    ),
    ...aim("helper, get of a foreign host against Node's start", typical(helper.foreign) / typical(helper.node), 1.5),
    ...(["ofFile", "ofVariable"] as const).flatMap((source) =>
      aim(
        `helper, get with a cached token (${source === "ofFile" ? "file" : "variable"}) against Node's start`,
        typical(helper[source]) / typical(helper.node),
        1.8,
      ),
    ),
    ...aim("Action, one robot against curl and jq, 0 ms", ratio("job", 0, "jq"), 1.4),
    ...aim("Action, one robot against curl and jq, 30 ms", ratio("job", 30, "jq"), 0.95),
    ...aim("Action, 20 robots against one, 0 ms", time("job", 0, "ours", 20) / time("job", 0), 2),
    ...aim("Action, 20 robots against one, 30 ms", time("job", 30, "ours", 20) / time("job", 30), 2),
    ...aim("command line, start against Node's", time("pod", 0, "version") / time("pod", 0, "node"), 1.5),
    ...[0, 30].flatMap((delay) => [
      ...aim(`command line against curl and jq, ${delay} ms`, ratio("pod", delay, "jq"), 1.5),
      ...aim(`command line against curl and python3, ${delay} ms`, ratio("pod", delay, "python"), 1),
    ]),
    ...aim("login --watch, peak memory", watch.memory, 60, `${watch.memory.toFixed(0)} MB`),
    ...aim("login --watch, CPU in an idle minute, ms", watch.cpu, 100, `${watch.cpu.toFixed(0)}`),
    ...promotion.flatMap(({ figures: each }, index) =>
      aim(
        `promoting 20 images against skopeo copy, ${30 * index} ms`,
        typical(each.get("ours")) / typical(each.get("skopeo")),
        [1.1, 1.08][index] ?? 1,
      ),
    ),
    ...aim(
      "promoting, memory besides skopeo's",
      promotion[0].memory.get("ours") ?? Number.NaN,
      60,
      `${promotion[0].memory.get("ours")?.toFixed(0)} MB`,
    ),
    ...aim("SPIFFE client, minified", client / 1000, 5, `${kilobytes(client)} kB`),
  ].join("\n");
}

const kilobytes = (bytes: number): string => (bytes / 1000).toFixed(1);

const document = "docs/performance.md";

/** Replaces the earlier figures. */
export async function intoDocument(figures: string): Promise<void> {
  const text = await readFile(document, "utf8");
  const place = /(<!-- figures: written by script\/benchmark -->\n)[\s\S]*(\n<!-- end of figures -->)/;
  if (!place.test(text)) throw new Error(`${document} has no markers for the figures`);
  await writeFile(
    document,
    text.replace(place, (_, before, after) => `${before}\n${figures}\n${after}`),
  );
  progress(`written into ${document}`);
}
