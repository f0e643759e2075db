/** Text of Quay, a token, an auth file and a public registry may be anything: nothing of it is trusted or executed. */
import { join } from "node:path";
import { afterAll, describe, test } from "vitest";
import { tokenText, tokenWith } from "../quay-stand-in/quay/server.ts";
import { answer } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import { createMachine, removeMachines } from "../support/command.ts";
import { entryOf, failure, newRobot, of, usePeers } from "./world.ts";

const peers = usePeers({ registry: false });
afterAll(removeMachines);

const evil =
  'no"\n::add-mask::x\r::error::forged\n##[error]forged\u2028::set-output name=a::b\n\u0085::stop-commands::t\n' +
  "Logged in to quay.io as acme+ci with skopeo.\u001b[2J\u001b]0;t\u0007\u009b31m\u202edlrow\u200b\ud800</pre><img src=x>";
const now = () => Math.floor(Date.now() / 1000);

const tokens = {
  "with a command in it": tokenText("eyJ\n::warning::forged.eyJ.c2ln"),
  "with sequences for a terminal": tokenText("\u001b[2J\u001b]0;owned\u0007eyJ.eyJ.c2ln"),
  "with a NUL": tokenText("eyJ\0.eyJ.c2ln"),
  "that has expired": tokenWith({ iat: now() - 7200, exp: now() - 3600 }),
  "that never expires": tokenWith({ exp: 1.7e308, iat: -1.7e308 }),
  "that lives for years": tokenWith({ exp: now() + 1e9 }),
};

describe.concurrent("a robot token", () => {
  test.for(Object.entries(tokens))("%s is rejected, and nothing stays", async ([, token], { expect }) => {
    const robot = newRobot(peers());
    peers().quay.exchangeScript.always(token, of(robot));
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, "docker-config": "true", "export-token": "true" });
    const message = failure(expect, main, "quay-answer-unusable");
    expect(message).not.toMatch(/forged|owned/);
    const post = await main.post();
    expect([post.code, post.annotations]).toEqual([0, []]);

    const machine = await createMachine({ peers: peers() });
    const file = await machine.write(join(machine.home, "token"), await peers().issuer.sign());
    const where = ["--registry", peers().registryHost, "--ca-file", peers().caFile, "--token-file", file];
    const ran = await machine.run(["login", ...where, "--robot", robot.name, "--export-token"]);
    expect([ran.code, ran.stdout]).toEqual([1, ""]);
  });
});

describe.concurrent("foreign text", () => {
  test("of Quay and of a token is in a line of ours, and begins none", async ({ expect }) => {
    const robot = newRobot(peers());
    peers().quay.exchangeScript.always(answer(400, { message: evil }), of(robot));
    const machine = await createMachine({ peers: peers() });
    const file = await machine.write(join(machine.home, "token"), await peers().issuer.sign({ sub: evil, aud: evil }));
    const where = ["--registry", peers().registryHost, "--ca-file", peers().caFile, "--token-file", file];
    const ran = await machine.run(["login", ...where, "--robot", robot.name]);
    expect(ran.code).toBe(1);
    for (const line of ran.stderr.split("\n")) {
      expect(line).not.toMatch(/^\s*(?:::|##\[|Logged in)/);
      expect(line).not.toMatch(/(?!\t)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }
    const identity = await machine.run(["identity", ...where.slice(2), "--output=json"]);
    expect(JSON.parse(identity.stdout).subject).toBe(evil);
    expect(identity.stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);

    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name });
    expect(failure(expect, main, "quay-refused").split("\n")[0]).toMatch(/^Quay refused .*no" ::add-mask::x/);
    expect(main.summary.split("</pre>")).toHaveLength(2);
    expect(main.summary).not.toMatch(/<img|\p{Cf}|(?!\n)\p{Cc}/u);
  });

  test("in an auth file forges no row", async ({ expect }) => {
    const machine = await createMachine();
    const forged = "quay.io/x\nquay.io/acme  acme+ci, until 2030-01-01T00:00:00Z, 999 min left\u202e";
    const auths = {
      [forged]: entryOf("a+b\n\u001b[2J", "pw"),
      "quay.io/y  acme+ci, until 2030": entryOf("acme+ci  (fine)", "pw"),
      "quay.io/acme": entryOf("acme+ci", await peers().issuer.sign({ exp: 1e300 })),
    };
    const file = await machine.write(join(machine.home, "auth.json"), JSON.stringify({ auths }));
    const text = await machine.run(["status", "--registry", "quay.io", "--auth-file", file]);
    const rows = text.stdout.trimEnd().split("\n");
    expect(rows).toHaveLength(4);
    expect(rows[1]).toMatch(/^"quay\.io\/x quay\.io\/acme {2}acme\+ci, .*\ufffd" {2}"a\+b ", a stored password/);
    expect(rows[2]).toMatch(/^"quay\.io\/y {2}acme\+ci, until 2030" +"acme\+ci {2}\(fine\)", a stored password/);
    // A time beyond all calendars is none.
    expect(rows[3]).toMatch(/^quay\.io\/acme +acme\+ci, a stored password, which does not expire$/);
    const json = await machine.run(["status", "--registry", "quay.io", "--auth-file", file, "--output=json"]);
    expect(JSON.parse(json.stdout).logins[0].scope).toBe(forged);
    expect(json.stdout).not.toContain("\u202e");
  });
});
