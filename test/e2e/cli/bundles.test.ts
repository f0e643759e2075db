/** The first bundle has the commands of logins, and hands the others over to the second. */
import { test } from "vitest";
import { createMachine } from "../../support/command.ts";
import { failed, useWorld } from "./world.ts";

useWorld({ registry: false });

test("a name look-up does not end a command of the second bundle, as the end of the first would", async ({
  expect,
}) => {
  const machine = await createMachine({ env: { QUAY_API_TOKEN: "A1B2C3D4".repeat(5) } });
  const binding = ["--issuer", "https://issuer.invalid", "--subject", "ci"];
  const ran = await machine.run(["federate", "--registry", "quay.invalid", "--robot", "acme+ci", ...binding]);
  expect(failed(expect, ran, 75, "quay-unreachable")).toContain("The issuer https://issuer.invalid cannot be reached");
});
