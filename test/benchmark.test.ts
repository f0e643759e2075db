/** script/benchmark: each way that it compares does what it claims, and its ratios reach the page and the plot. */
import { readFile } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { drawPlot } from "../script/draw/plot.ts";
import { draw } from "../script/draw/svg.ts";
import { peersTable } from "../script/measure/against.ts";
import { enterJob, type Result, verify } from "../script/measure/commands.ts";
import type { PromotionCost } from "../script/measure/promotion.ts";
import { type Figure, ratioOf, removeScratch } from "../script/measure/run.ts";
import { startPeers } from "./quay-stand-in/peers.ts";

afterAll(removeScratch);

test("each way to log in makes a login: ours, the scripts, and the replays of what people use today", async () => {
  const peers = await startPeers({ registry: false });
  try {
    await verify(await enterJob(peers, 1), 1);
    const robots = peers.quay.requests.filter(({ path }) => path === "/oauth2/federation/robot/token");
    // All but the stored password exchange a token: ours, without a tool, two scripts, the other Action.
    expect(robots.length).toBe(5);
  } finally {
    await peers.close();
  }
}, 120_000);

const figure = (...times: number[]): Figure => ({ times, cpu: 0, servers: 0 });

describe("ratios", () => {
  test.each([
    { ours: [10, 20, 30], other: [10, 10, 10], median: 2, half: [1.5, 2.5] },
    { ours: [10, 30], other: [10, 10], median: 2, half: [1, 3] },
    // A slow hour hits both sides of a pair.
    { ours: [10, 100, 10], other: [20, 200, 20], median: 0.5, half: [0.5, 0.5] },
  ])("of $ours against $other: $median", ({ ours, other, median, half }) => {
    expect(ratioOf(figure(...ours), figure(...other))).toEqual({ median, half });
  });
});

describe("the table of ratios", () => {
  const at = (delayMs: number, own: number): Result => ({
    ...{ place: "job", delayMs, robots: 1, rounds: 1, runs: 1, names: [] },
    figures: new Map([
      ["ours", figure(own)],
      ["none", figure(own / 2)],
      ...(["other", "jq", "password"] as const).map((name) => [name, figure(100)] as const),
    ]),
  });
  const copies = (own: number): PromotionCost => ({
    memory: new Map(),
    figures: new Map([
      ["ours", figure(own)],
      ...(["skopeo", "crane", "oras"] as const).map((name) => [name, figure(100)] as const),
    ]),
  });
  const table = peersTable([at(0, 120), at(30, 90)], [copies(150), copies(110)]);
  const page = `Measured on 2026-12-01: a machine, 2 cores.\n\n${table}\n`;

  test("has a row for each of them", () => {
    expect(table.split("\n").slice(2)).toEqual([
      expect.stringMatching(
        /^\| a login: quay-oidc-auth-action.* \| 1\.20 \(1\.20–1\.20\) \| 0\.90 .* \| 0\.60 .* \| 0\.45 /,
      ),
      expect.stringMatching(/^\| a login: curl, jq/),
      expect.stringMatching(/^\| a login: a stored password/),
      expect.stringMatching(/^\| 20 images: `skopeo copy`.* \| 1\.50 .* \| 1\.10 .* \| – \| – \|$/),
      expect.stringMatching(/^\| 20 images: `crane copy`/),
      expect.stringMatching(/^\| 20 images: `oras cp -r`/),
    ]);
  });

  test("is what the plot shows: 18 dots, and the machine", () => {
    const svg = draw(drawPlot(page), "light").replaceAll("\u00a0", " ");
    expect(svg.match(/<circle [^>]*cy="(?!61")/g)?.length).toBe(18);
    expect(svg).toContain("2026-12-01, a machine, 2 cores.");
    expect(svg).toContain("a login against a stored password: docker login: 1.2 times at 0 ms, 0.9 times at 30 ms.");
  });

  test("is in docs/performance.md; the plot says so where it is missing", async () => {
    expect(() => drawPlot("")).toThrow("docs/performance.md has no table of ratios: script/benchmark writes it");
    const titles = (text: string) => text.match(/^\| (?:a login|20 images): [^|]*/gm);
    expect(titles(await readFile("docs/performance.md", "utf8"))).toEqual(titles(table));
  });
});
