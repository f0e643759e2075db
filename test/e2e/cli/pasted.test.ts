/** A secret that was pasted into the wrong place is not shown, whether as option, command or word. */
import { join } from "node:path";
import { describe, test } from "vitest";
import { type Command, commands, optionsOf } from "../../../src/options/table.ts";
import { createMachine, type Machine } from "../../support/command.ts";
import { useWorld } from "./world.ts";

useWorld({ registry: false });

const secrets = [
  ["a JWT", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl", /eyj|c2lnbmF0/i],
  ["a robot with its password", "acme+ci:PASSWORD9of8The7Robot", /PASSWORD9/i],
] as const;

/** Arguments with which each command runs until something is missing. */
const usual: Record<Command, readonly string[]> = {
  login: ["--robot", "acme+ci", "--token-file", "/nowhere/token"],
  configure: ["--robot", "acme+ci", "--token-file", "/nowhere/token"],
  logout: [],
  status: [],
  identity: ["--token-file", "/nowhere/token"],
  promote: [
    ...["--source", "acme/app:1.0", "--destination", "acme/release", "--tag", "1.0"],
    ...["--destination-robot", "acme+ci", "--token-file", "/nowhere/token"],
  ],
  federate: ["--robot", "acme+ci", "--token-file", "/nowhere/token"],
  audit: ["--organization", "acme", "--api-token-file", "/nowhere/token"],
  "retire-static-token": ["--robot", "acme+ci", "--yes", "acme+ci", "--api-token-file", "/nowhere/token"],
  migrate: [],
};

async function shown(machine: Machine, args: readonly string[]): Promise<string> {
  const { stdout, stderr, children } = await machine.run(args);
  return `${stdout}${stderr}${JSON.stringify(children)}`;
}

describe.concurrent("a pasted secret", { timeout: 120_000 }, () => {
  for (const command of commands) {
    test.for(secrets)(`in an option of ${command}: %s`, async ([, secret, part], { expect }) => {
      const machine = await createMachine();
      for (const { name, takes } of optionsOf(command)) {
        // Valid input is used, and results are not rewritten: no folder and no file gets the secret as its name here.
        if (name === "result" || name === "session") continue;
        const others = [...usual[command]];
        const index = others.indexOf(`--${name}`);
        if (index >= 0) others.splice(index, 2);
        const given = takes === "flag" ? [`--${name}=${secret}`] : [`--${name}`, secret];
        for (const args of [
          [...others, ...given],
          // A second value is refused in the same way for all options that take one.
          ...(takes === "list" || name === "registry" ? [[...others, ...given, ...given]] : []),
          [...others, ...given, "--output=json"],
        ]) {
          const text = await shown(machine, [command, ...args]);
          // If it is a valid name of a file, the result names the file.
          if (command !== "status" || name !== "auth-file")
            expect([name, text]).toEqual([name, expect.not.stringMatching(part)]);
        }
      }
    });
  }

  test.for(secrets)("in place of a command, of a flag, of a word: %s", async ([, secret, part], { expect }) => {
    const machine = await createMachine({ env: { QUAY_ID_TOKEN: secret } });
    for (const args of [
      [secret],
      [`--${secret}`],
      [`-${secret}`],
      ["login", `--${secret}`],
      ["login", `--password=${secret}`],
      ["login", `--token=${secret}`],
      ["login", "--robot", `-${secret}`],
      ["login", "--robot", "acme+ci", secret],
      ["status", secret],
      ["logout", secret],
      ["promote", ...usual.promote, secret],
      ["login", "--robot", "acme+ci", "--token-env", "QUAY_ID_TOKEN"],
    ]) {
      const text = await shown(machine, args);
      expect([args[0] === secret ? "" : args.slice(0, 2), text]).toEqual([
        args[0] === secret ? "" : args.slice(0, 2),
        expect.not.stringMatching(part),
      ]);
    }
  });

  test.for(secrets)("in a file of promotions, as a key and as a value: %s", async ([, secret, part], { expect }) => {
    const machine = await createMachine();
    const entries = [
      `- ${JSON.stringify(secret)}: x`,
      `- source: ${JSON.stringify(secret)}\n  destination: acme/app\n  tags: ["1.0"]`,
      `- source: acme/app:1.0\n  destination: ${JSON.stringify(secret)}\n  tags: ["1.0"]`,
      `- source: acme/app:1.0\n  destination: acme/app\n  tags: [${JSON.stringify(secret)}]`,
      `- source: acme/app:1.0\n  destination: acme/app\n  tags: ${JSON.stringify(secret)}`,
      `- *${secret}`,
      `${secret}`,
      `"${secret}`,
    ];
    for (const text of entries) {
      const file = await machine.write(join(machine.home, "release.yaml"), text);
      const args = ["promote", "--file", file, "--destination-robot", "acme+ci", "--token-file", "/nowhere/token"];
      expect(await shown(machine, args)).not.toMatch(part);
    }
  });

  test.for(["me:%zz-of-the-proxy", "me%zz:password-of-the-proxy", "me:50%-of-the-proxy"])(
    "in a proxy variable that can't be decoded: %s",
    async (user, { expect }) => {
      const machine = await createMachine();
      const token = await machine.write(join(machine.home, "token"), secrets[0][1]);
      for (const name of ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY"]) {
        const ran = await machine.run(["identity", "--token-file", token], {
          env: { [name]: `http://${user}@localhost:1` },
        });
        expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(/"HTTPS?_PROXY" is "…".*%25/)]);
        expect(ran.stderr).not.toMatch(/-of-the-proxy/);
      }
    },
  );
});
