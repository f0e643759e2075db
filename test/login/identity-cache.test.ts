import { expect, test } from "vitest";
import { cacheIdentity } from "../../src/login/identity-cache.ts";
import { claims, now, testPlatform, unsignedJwt } from "../fixtures.ts";

/** The identity of a job with three robots, from a variable; each fetch masks its token once. */
function keep(expiresAt: number) {
  const token = unsignedJwt({ ...claims, exp: expiresAt });
  const platform = testPlatform({ env: { TOKEN: token } });
  const robots = ["a1+ci", "b1+ci", "c1+ci"];
  const choice = { source: "environment", variable: "TOKEN", why: "the variable TOKEN" } as const;
  const identities = cacheIdentity({ choice, audience: "quay", opened: undefined, robots }, platform);
  const askAll = () => Promise.all(robots.map(identities.current));
  return { platform, identities, askAll, fetches: () => platform.reporter.secrets.length };
}

test("one token serves all robots, and is logged once", async () => {
  const { platform, askAll, fetches } = keep(now + 300);
  const [one, ...others] = [...(await askAll()), ...(await askAll())];
  expect(others.every((identity) => identity === one)).toBe(true);
  expect(fetches()).toBe(1);
  expect(platform.reporter.infos.filter((line) => line.includes("subject"))).toHaveLength(1);
});

test("one that is about to expire is replaced once for all robots", async () => {
  const { platform, identities, askAll, fetches } = keep(now + 5);
  await identities.first;
  await askAll();
  expect(fetches()).toBe(2);
  await askAll();
  expect(fetches()).toBe(3);
  expect(platform.reporter.infos.filter((line) => line.includes("subject"))).toHaveLength(1);
});
