/** What of the environment no part of the program sees. */
import { expect, test } from "vitest";
import { withoutTlsSwitch } from "../../src/platform/environment.ts";

test("the variable that makes Node.js trust any server is gone, for children too; the rest stays", () => {
  const env: NodeJS.ProcessEnv = { NODE_TLS_REJECT_UNAUTHORIZED: "0", HOME: "/root" };
  expect(withoutTlsSwitch(env)).toEqual({ HOME: "/root" });
  expect(env).toEqual({ HOME: "/root" });
  expect(withoutTlsSwitch({ HOME: "/root" })).toEqual({ HOME: "/root" });
});
