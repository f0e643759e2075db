/** The part of @actions/core in dist/: its half of the runner's protocol, in the Actions only. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const dist = join(import.meta.dirname, "../../dist");
const bundles = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".js"));
const read = (name: string) => readFileSync(join(dist, name), "utf8");

test.each(bundles)("%s has no HTTP client but Node's", (name) => {
  expect(read(name)).not.toMatch(/undici/i);
});

test("only the Actions have @actions/core", () => {
  const speaking = bundles.filter((name) => /ghadelimiter_|"add-mask"/.test(read(name)));
  expect(speaking.toSorted()).toEqual(["federate/index.js", "main/index.js", "post/index.js", "promote/index.js"]);
});

test.each(["main", "post", "promote", "federate"])(
  "the licences of %s name it, and none of what it could bring along",
  (folder) => {
    const packages = [...read(`${folder}/licenses.txt`).matchAll(/^(\S+) [\d.]+ \(/gm)].map(([, name]) => name);
    expect(packages).toContain("@actions/core");
    expect(packages.filter((name) => !["@actions/core", "jose", "yaml"].includes(name ?? ""))).toEqual([]);
  },
);
