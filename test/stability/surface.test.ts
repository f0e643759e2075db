/** What docs/stability.md promises is still there: test/stability/surface.txt has it, line by line. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { majorOf } from "../../script/project.ts";
import { useWorld } from "../e2e/cli/world.ts";
import { usePromotionWorld } from "../e2e/promote/world.ts";
import { version } from "../support/project.ts";
import { goneText, missing, newText, parseSurface, surfaceText } from "./file.ts";
import { helperSections, loginSections, migrationSections, promotionSections, trustSections } from "./outputs.ts";
import { promised } from "./promised.ts";

const peers = useWorld({ registry: false });
const promotions = usePromotionWorld();
const file = join(import.meta.dirname, "surface.txt");
const update = process.env.UPDATE_SURFACE === "1";

test("keeps everything that is promised", { timeout: 120_000 }, async () => {
  const sections = [
    ...promised(),
    ...(await loginSections(peers())),
    ...(await helperSections(peers())),
    ...(await trustSections(peers())),
    ...(await migrationSections()),
    ...(await promotionSections(promotions())),
  ];
  const now = new Map(sections);
  const major = majorOf(version);
  const before = parseSurface(readFileSync(file, "utf8"));
  // A new major version promises anew.
  const gone = before.major === major ? missing(before.surface, now) : [];
  const added = missing(now, before.surface);
  if (update && gone.length === 0) {
    writeFileSync(file, surfaceText(now, major));
    return;
  }
  expect.soft(gone, goneText(gone, major)).toEqual([]);
  expect.soft(added, newText(added)).toEqual([]);
  expect(readFileSync(file, "utf8"), "the order of its lines").toBe(surfaceText(now, major));
});
