/** token-command, with real processes: what it gets, what its output may be, and what ends it. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runTokenCommand } from "../../src/identity/command.ts";
import type { TokenCommand } from "../../src/identity/source.ts";
import { ExplainedError, formatError } from "../../src/platform/errors.ts";
import { failure, makeFolder, type TestPlatformOptions, testPlatform } from "../fixtures.ts";

const jwt = `eyJhbGciOiJSUzI1NiJ9.${Buffer.from('{"sub":"job-of-a-test"}').toString("base64url")}.c2lnbmF0dXJl`;
const command = (...words: TokenCommand["words"]): TokenCommand => ({ source: "command", words, withheld: [] });
const shell = (script: string): TokenCommand => command("sh", "-c", script);
const PATH = "/usr/bin:/bin";
const platformWith = (options: TestPlatformOptions = {}) => testPlatform({ ...options, env: { PATH, ...options.env } });
const run = (what: TokenCommand, platform = platformWith()) => runTokenCommand(what, platform);

test("takes the token from standard output, without the white space around it, and masks it", async () => {
  const platform = platformWith();
  expect(await run(shell(`echo; echo '  ${jwt} '; echo`), platform)).toBe(jwt);
  expect(platform.reporter.secrets).toEqual([jwt]);
});

test("passes each word on as it is, and no input", async () => {
  const folder = await makeFolder();
  const program = join(folder, "print");
  await writeFile(program, `#!/bin/sh\nprintf '%s\\0' "$@" >'${folder}/args'\ncat >'${folder}/input'\necho ${jwt}\n`);
  await chmod(program, 0o755);
  const words = ["$HOME", "a b", "", "*", '{"aud":"quay"}', "'"];
  expect(await run(command(program, ...words))).toBe(jwt);
  expect((await readFile(join(folder, "args"), "utf8")).split("\0").slice(0, -1)).toEqual(words);
  expect(await readFile(join(folder, "input"), "utf8")).toBe("");
});

test("shows what it says on standard error as a detail, without the token", async () => {
  const platform = platformWith();
  await run(shell(`echo "got ${jwt}" >&2; echo 'warning: old' >&2; echo ${jwt}`), platform);
  expect(platform.reporter.debugs).toEqual([expect.stringMatching(/^It says: got .+ warning: old$/)]);
  expect(platform.reporter.text()).not.toContain(jwt);
});

describe("its environment", () => {
  const ours = {
    ACTIONS_ID_TOKEN_REQUEST_URL: "https://x",
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token-of-the-job",
    ACTIONS_RUNTIME_TOKEN: "s",
    INPUT_ROBOT: "acme+ci",
    "INPUT_TOKEN-COMMAND": "x",
    QUAY_KEYLESS_ROBOT: "acme+ci",
    QUAY_ID_TOKEN: "s",
    QUAY_API_TOKEN: "s",
    ADMIN_TOKEN: "s",
  };
  const theirs = {
    HOME: "/home/ci",
    AWS_SECRET_ACCESS_KEY: "needed",
    BUILDKITE_AGENT_ACCESS_TOKEN: "needed",
    SPIFFE_ENDPOINT_SOCKET: "unix:///s",
    MY_INPUT_X: "kept",
  };

  test("is the caller's without what is ours, named by an option, or a known secret", async () => {
    const platform = platformWith({ env: { ...ours, ...theirs, DISGUISED: "prefix-a-known-secret-value" } });
    platform.reporter.secret("a-known-secret-value");
    const folder = await makeFolder();
    await run({ ...shell(`env >'${folder}/env'; echo ${jwt}`), withheld: ["ADMIN_TOKEN"] }, platform);
    const lines = (await readFile(join(folder, "env"), "utf8")).trim().split("\n");
    const names = lines.map((line) => line.split("=")[0]).filter((name) => !["PWD", "_", "SHLVL"].includes(name ?? ""));
    expect(names.sort()).toEqual(["PATH", ...Object.keys(theirs)].sort());
  });

  test.each([
    "QUAY_API_TOKEN",
    "QUAY_ID_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ADMIN_TOKEN",
  ])("has no copy of %s under another name", async (name) => {
    const secret = "a-secret-of-ours-by-name";
    const platform = platformWith({
      env: { [name]: `${secret}\n`, COPY: secret, WRAPPED: `Bearer ${secret}`, OTHER: "x" },
    });
    const script = `[ "$COPY$WRAPPED$OTHER" = x ] && echo ${jwt}`;
    expect(await run({ ...shell(script), withheld: ["ADMIN_TOKEN"] }, platform)).toBe(jwt);
  });
});

describe("the program", () => {
  test("is never one of the current folder, whatever PATH says", async () => {
    for (const path of [".", "", "bin", "./bin"]) {
      const error = await failure(run(command("cp"), platformWith({ env: { PATH: path } })));
      expect(error.code).toBe("token-command-failed");
      expect(error.message).toBe("The command cp was not started: cp is not on PATH, so there is no identity token.");
    }
  });

  test("is missing: the error says what PATH counts, and what a shell's builtin needs", async () => {
    const error = await failure(run(command("no-such-agent", "oidc", "--audience", "quay")));
    expect(formatError(error)).toContain(
      "The command no-such-agent oidc was not started: no-such-agent is not on PATH",
    );
    expect(formatError(error)).toContain("To use one: token-command: sh -c '…'");
  });

  test("can't be started", async () => {
    const file = join(await makeFolder(), "token");
    expect((await failure(run(command(file)))).message).toContain("ENOENT");
    await writeFile(file, "echo", { mode: 0o644 });
    const error = await failure(run(command(file)));
    expect(error.code).toBe("token-command-failed");
    expect(error.message).toContain("can't be started (");
  });
});

describe("a failure", () => {
  test("shows the exit code and the end of standard error as one line, and nothing of standard output", async () => {
    const error = await failure(
      run(
        shell(
          `echo half-a-secret; printf 'An error occurred (AccessDenied):\\n  User: arn:aws:sts::1:ci\\n' >&2; exit 254`,
        ),
      ),
    );
    expect(error.code).toBe("token-command-failed");
    expect(error.message).toBe("The command sh exited with 254, so there is no identity token.");
    expect(error.remedy[0]).toBe("It says: An error occurred (AccessDenied): User: arn:aws:sts::1:ci");
    expect(formatError(error)).not.toContain("half-a-secret");
  });

  test("hides tokens and known secrets before it cuts what was said", async () => {
    const platform = platformWith();
    platform.reporter.secret("a-known-secret-value");
    // The cut falls in the middle of each of them.
    for (const [secret, after] of [
      [jwt, 460],
      ["a-known-secret-value", 485],
    ] as const) {
      const script = `echo "${"y".repeat(99)} ${secret} $(head -c ${after} /dev/zero | tr '\\0' x) done" >&2; exit 1`;
      const said = formatError(await failure(run(shell(script), platform)));
      expect(said).not.toContain(secret.slice(-10));
      expect(said).toMatch(/^ {2}It says: …y* ?(?:…|\*\*\*) x+ done$/m);
    }
  });

  test("hides a token in pieces, and what standard output has too", async () => {
    const payload = Buffer.from(JSON.stringify({ sub: "job", jti: "3f9Qk-x_7LpZ" })).toString("base64url");
    const long = `eyJhbGciOiJSUzI1NiJ9.${payload.repeat(9)}.c2lnbmF0dXJlLW9mLWEtdGVzdA`;
    for (const print of ["fold -w 60 >&2", "fold -w 12 >&2", "fold -w 60 | sed 's/^/got: /; $d' >&2"]) {
      const said = formatError(await failure(run(shell(`echo begins now >&2; printf %s ${long} | ${print}; exit 1`))));
      expect(said).toContain("It says: begins now");
      for (let at = 0; at + 10 <= long.length; at++) {
        expect(said).not.toContain(long.slice(at, at + 10));
      }
    }
    const password = "correct-horse-battery-staple";
    for (const code of [0, 1]) {
      const script = `echo ${password} and more; echo "${password} ${"x".repeat(490)}" >&2; exit ${code}`;
      const said = formatError(await failure(run(shell(script))));
      expect(said).toContain("xxx");
      expect(said).not.toContain("staple");
    }
  });

  test("keeps what AWS says about rights", async () => {
    const says =
      "User: arn:aws:sts::123456789012:assumed-role/ci-role/i-0a1b is not authorized to perform: sts:GetWebIdentityToken";
    expect(formatError(await failure(run(shell(`echo '${says}' >&2; exit 1`))))).toContain(says);
  });

  test("names the variables that it did not get, and the way out", async () => {
    const env = { QUAY_ID_TOKEN: jwt, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token-of-job", INPUT_ROBOT: "acme+ci" };
    const errorOf = async (what: TokenCommand) => formatError(await failure(run(what, platformWith({ env }))));
    const printed = await errorOf(command("printenv", "QUAY_ID_TOKEN"));
    expect(printed).toContain("exited with 1");
    expect(printed).toContain("It does not get QUAY_ID_TOKEN: only quay-keyless-login does.");
    expect(printed).toContain("If QUAY_ID_TOKEN holds the token: token-env: QUAY_ID_TOKEN");
    const empty = await errorOf(shell('curl -s -H "x: $ACTIONS_ID_TOKEN_REQUEST_TOKEN" file:///dev/null; true'));
    expect(empty).toContain("is empty");
    expect(empty).toContain("For the job's own token: identity: github");
    const other = await errorOf(shell("exit 1"));
    expect(other).toContain("It does not get QUAY_ID_TOKEN, ACTIONS_ID_TOKEN_REQUEST_TOKEN: only");
    expect(other).not.toContain("INPUT_ROBOT");
    expect(await errorOf(shell("echo $INPUT_ROBOT"))).toContain("It does not get INPUT_ROBOT:");
    expect(formatError(await failure(run(shell("exit 1"))))).not.toContain("does not get");
  });

  test("of a signal", async () => {
    expect((await failure(run(shell("kill -9 $$")))).message).toContain("was killed");
  });
});

describe("an output that is no token", () => {
  test.each<[script: string, problem: string, remedy: string]>([
    ["true", "is empty", "Have it print the JWT and nothing else to standard output."],
    ["echo Using profile ci; echo a.b.c", "holds more than one word or line", "Messages belong on standard error"],
    [
      `echo '{"WebIdentityToken":"a.b.c"}'`,
      "holds a whole JSON answer, not the token in it",
      "--query WebIdentityToken --output text",
    ],
    [`echo '{"accessToken":"a.b.c"}'`, "holds a whole JSON answer", "--query accessToken --output tsv"],
    [`echo '{"oidcToken":"a.b.c"}'`, "holds a whole JSON answer", "token-command: sh -c '… | jq -r .oidcToken'"],
    [`echo '{"data":{"token":"a.b.c"}}'`, "holds a whole JSON answer", "token-command: sh -c '… | jq -r .data.token'"],
    ["echo null", "holds the word null", "jq and JavaScript print that word"],
    ["head -c 65537 /dev/zero | tr '\\0' x", "is longer than 64 KiB", "Have it print the JWT"],
  ])("%s", async (script, problem, remedy) => {
    const error = await failure(run(shell(script)));
    expect(error.code).toBe("token-command-unusable");
    expect(error.message).toContain(`The output of the command sh ${problem}`);
    expect(error.remedy.join("\n")).toContain(remedy);
  });

  test("takes 64 KiB", async () => {
    expect(await run(shell("head -c 65536 /dev/zero | tr '\\0' x"))).toHaveLength(65_536);
  });
});

/** Whether a process runs (a zombie does not). */
async function lives(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid.trim()}/stat`, "utf8").catch(() => "");
  return status !== "" && !/^\d+ \(.*\) Z/.test(status);
}

describe("its process group is killed", () => {
  /** A command whose own child ignores signals, writes its id, and then does what the script says. */
  async function withChild(script: string) {
    const file = join(await makeFolder(), "pid");
    const pid = async () => (await readFile(file, "utf8").catch(() => "")).trim();
    return { what: shell(`(trap '' TERM; exec sleep 60) & echo $! >'${file}'; ${script}`), pid };
  }

  test("when it writes more than the limit", async () => {
    const { what, pid } = await withChild("exec tr '\\0' x </dev/zero");
    expect((await failure(run(what))).message).toContain("longer than 64 KiB");
    await expect.poll(async () => lives(await pid())).toBe(false);
  });

  test("shortly before the timeout, and the error says so", async () => {
    const { what, pid } = await withChild("exec sleep 60");
    const error = await failure(run(what, platformWith({ timeoutMs: 1200 })));
    expect(error.code).toBe("token-command-failed");
    expect(error.message).toBe("The command sh took longer than 1 s and was killed, so there is no identity token.");
    expect(error.remedy.join("\n")).toContain("timeout: 600");
    await expect.poll(async () => lives(await pid())).toBe(false);
  });

  test("when the run is cancelled, with the reason of that", async () => {
    const { what, pid } = await withChild("exec sleep 60");
    const cancelled = new AbortController();
    const reason = new ExplainedError("cancelled", "Received SIGTERM.", { remedy: [] });
    const running = run(what, platformWith({ signal: cancelled.signal }));
    running.catch(() => {});
    await expect.poll(pid).not.toBe("");
    cancelled.abort(reason);
    await expect(running).rejects.toBe(reason);
    await expect.poll(async () => lives(await pid())).toBe(false);
  });

  test("after it has printed the token: what it leaves running does not delay the login", async () => {
    const { what, pid } = await withChild(`echo ${jwt}`);
    const began = performance.now();
    expect(await run(what)).toBe(jwt);
    expect(performance.now() - began).toBeLessThan(20_000);
    await expect.poll(async () => lives(await pid())).toBe(false);
  });
});
