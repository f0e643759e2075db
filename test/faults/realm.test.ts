/** Rows of the matrix: what a registry answers to the question where it sends logins. The exchange works each time. */
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { newRobot } from "../e2e/world.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { LOADING } from "../quay-stand-in/quay/pages.ts";
import { startQuay } from "../quay-stand-in/quay/server.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { answer, hang, page, type Scripted, switching } from "../quay-stand-in/scripted.ts";
import { fault, logIn, newWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

describe.concurrent("the registry says", () => {
  const challenging = (...ways: string[]) => answer(401, "", { "www-authenticate": ways.join(", ") });
  const bearer = (address: string, own: string) => `Bearer realm="${address}/v2/auth",service="${new URL(own).host}"`;

  /** Another Quay, and a registry that names it so: always, or once. */
  function says(
    id: string,
    given: (other: { host: string; url: string; httpUrl: string }, own: string) => Scripted,
    how: { first?: true; tokenHost?: true } = {},
  ) {
    fault(id, async ({ expect, row }) => {
      const { authority, issuer } = peers();
      const [quay, other] = await Promise.all([startQuay(authority), startQuay(authority)]);
      closers.push(quay.close, other.close);
      const robot = newRobot(peers());
      for (const { store } of [quay, other]) addRobot(store, robot.name, [{ issuer: issuer.url, subject: SUBJECT }]);
      other.tokens.verify = quay.tokens.verify; // one Quay by two names
      other.tokens.bearerToken = quay.tokens.bearerToken;
      if (how.first) quay.registryScript.next(given(other, quay.url));
      else quay.registryScript.always(given(other, quay.url), ({ headers }) => !headers.authorization);
      const more = how.tokenHost ? ["--token-host", other.host] : [];
      const ran = await logIn(expect, row, await newWorld(peers(), { registry: quay.host, robot, row, more }));
      const withLogin = [...quay.requests, ...other.requests].filter(({ path, user }) => user && path === "/v2/auth");
      if (row.outcome !== "recovered") expect(withLogin).toEqual([]);
      if (row.outcome === "realm-refused") {
        const asked = quay.requests.filter(({ path, scheme }) => path === "/v2/" && !scheme);
        expect([asked.length, other.requests]).toEqual([1, []]);
        expect(ran.stderr).not.toContain("Retrying");
      }
    });
  }

  says("F246", ({ url }, own) => challenging(bearer(url, own)));
  says("F247", ({ url }, own) => challenging(bearer(url, own)), { tokenHost: true });
  says("F248", ({ httpUrl }, own) => challenging(bearer(httpUrl, own)));
  says("F249", (_, own) => challenging(bearer(own, own), 'Basic realm="registry"'));
  says("F250", ({ url }) => answer(307, "", { location: `${url}/v2/` }));
  says("F251", switching);
  says("F252", () => page(LOADING));
  says("F253", () => page(LOADING), { first: true });
  says("F254", hang);
});
