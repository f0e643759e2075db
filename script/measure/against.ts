/** Ours against what people use today, as ratios: the table that the plot of docs/performance.md is drawn from. */
import type { Name, Result } from "./commands.ts";
import type { copiers, PromotionCost } from "./promotion.ts";
import { type Figure, ratioOf } from "./run.ts";

const logins: Readonly<Partial<Record<Name, string>>> = {
  other: "quay-oidc-auth-action, then `skopeo login`",
  jq: "curl, jq, `skopeo login`",
  password: "a stored password: `docker login`",
};

const copies: Readonly<Record<(typeof copiers)[number], string>> = {
  skopeo: "`skopeo copy`, four at a time",
  crane: "`crane copy`, four at a time",
  oras: "`oras cp -r`, four at a time",
};

/** @param promotion at 0 and 30 ms a round trip */
export function peersTable(results: readonly Result[], promotion: readonly PromotionCost[]): string {
  const jobs = [0, 30].map(
    (delay) => results.find((each) => each.place === "job" && each.robots === 1 && each.delayMs === delay)?.figures,
  );
  const against = (own: Name, other: Name) => jobs.map((figures) => cell(figures?.get(own), figures?.get(other)));
  const rows = [
    ...(Object.entries(logins) as [Name, string][]).map(([name, title]) => [
      `a login: ${title}`,
      ...against("ours", name),
      ...against("none", name),
    ]),
    ...(Object.entries(copies) as [keyof typeof copies, string][]).map(([name, title]) => [
      `20 images: ${title}`,
      ...promotion.map(({ figures }) => cell(figures.get("ours"), figures.get(name))),
      "–",
      "–",
    ]),
  ];
  return [
    "| against | 0 ms | 30 ms | `tool: none`, 0 ms | `tool: none`, 30 ms |",
    "|---|---:|---:|---:|---:|",
    ...rows.map((row) => `| ${row.join(" | ")} |`),
  ].join("\n");
}

function cell(own: Figure | undefined, other: Figure | undefined): string {
  if (own === undefined || other === undefined) return "–";
  const { median, half } = ratioOf(own, other);
  return `${median.toFixed(2)} (${half.map((value) => value.toFixed(2)).join("–")})`;
}
