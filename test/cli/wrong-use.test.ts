/** Wrong use that the commands themselves reject, before any file or request. As processes: test/e2e/cli/input.test.ts. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import type { Call, Outcome } from "../../src/cli/command.ts";
import { identity } from "../../src/cli/commands/identity.ts";
import { login } from "../../src/cli/commands/login.ts";
import { logout } from "../../src/cli/commands/logout.ts";
import { status } from "../../src/cli/commands/status.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { asNobody, failureText, makeFolder } from "../fixtures.ts";

const commands: Readonly<Record<string, (call: Call) => Promise<Outcome>>> = { identity, login, logout, status };

/** The output of the command `line`; FOLDER in it is a new folder, which stays empty. */
async function refused(line: string): Promise<string> {
  const folder = await makeFolder();
  const output = await failureText("invalid-input", async () => {
    const invocation = parseArguments(line.replaceAll("FOLDER", folder).split(" "));
    if (invocation.kind !== "run") return invocation;
    const env = { HOME: folder, TMPDIR: folder, PATH: folder };
    return commands[invocation.command]?.({ values: invocation.values, env, terminal: createTerminal() });
  });
  expect(await readdir(folder)).toEqual([]);
  return output;
}

const usual = "login --robot acme+ci --token-file /nowhere/token";

describe("rejects", () => {
  test.each<[line: string, ...says: string[]]>([
    ["login --token_file /x", "--token_file", "--token-file"],
    [`${usual} --timeout=5 --timeout 5`, "timeout", '"5"'],
    [`${usual} --export-token --output json`, "output", "export-token"],
    [`${usual} --result robot`, "result", '"robot"', "NAME=FILE"],
    [`${usual} --result digest=/tmp/x`, "result", "digest=/tmp/x", "robot, "],
    [`${usual} --result token=/tmp/x`, "result", "token=/tmp/x"],
    [`${usual} --result robot=FOLDER/no/robot`, "/no/robot", "is in a folder that does not exist"],
    [`${usual} --result robot=FOLDER`, "result", "is a folder"],
    ["logout --session FOLDER/session --auth-file auth.json", "auth-file", "session"],
    ["logout --session FOLDER/session --scope quay.io", "scope", "session"],
    ["identity --token-file /x --ca-file=FOLDER/ca.pem", "ca-file", "does not exist"],
    ...["soon", "1d", "-5m", "1.5h"].map((time): [string, ...string[]] => [`status --for=${time}`, `"${time}"`, "10m"]),
  ])("%s", async (line, ...says) => {
    const output = await refused(line);
    for (const words of says) expect(output).toContain(words);
  });
});

test("rejects a result in a folder without write permission", async () => {
  const folder = join(await makeFolder(), "theirs");
  await mkdir(folder, { mode: 0o500 });
  await writeFile(join(folder, "robot"), "").catch(() => {});
  const output = await asNobody(
    ["cli/results.ts"],
    (src: typeof import("../../src/cli/results.ts"), result) => src.parseResults({ result }, ["robot"], "robot"),
    `robot=${folder}/robot`,
  );
  expect(output).toContain("can't be written by this user");
});
