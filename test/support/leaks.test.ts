/** Proves the leak harness: it catches a fake action that leaks its secret in one way, and not one that doesn't. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createJob, removeJobs } from "./action.ts";
import { kindsIn, type Secret, secretsIn, unmasked } from "./leaks.ts";

const secret = "correct/horse+battery~staple?!";
const secrets: Secret[] = [{ kind: "robot", value: secret }];

/** What the fake action does, by name: in main, and optionally in post. */
const ways = {
  "nothing at all": { main: "" },
  "prints it": { main: "console.log('token: ' + secret)", caught: "log" },
  "masks it, then prints it": { main: "mask(); console.log('token: ' + secret)" },
  "prints it, then masks it": { main: "console.log('token: ' + secret); mask()", caught: "log" },
  "masks it, prints it in base64": {
    main: "mask(); console.log(Buffer.from('u:' + secret).toString('base64'))",
    caught: "log",
  },
  "prints it in an error's title": { main: "console.log('::error title=' + secret + '::x')", caught: "log" },
  "prints it as a debug line": { main: "console.log('::debug::' + secret)", caught: "log" },
  "masks it, prints it URL-encoded": { main: "mask(); console.log(encodeURIComponent(secret))", caught: "log" },
  "masks it, prints it on stderr": { main: "mask(); console.error(secret)", caught: "stderr" },
  "hands it out": { main: "file('OUTPUT', 'auth-file', secret)", caught: "output auth-file" },
  "hands the token out unasked": { main: "file('OUTPUT', 'token', secret)", caught: "output token" },
  "hands the token out, asked": { main: "file('OUTPUT', 'token', secret)", inputs: { "export-token": "true" } },
  "keeps it for the post step": { main: "file('STATE', 'token', secret)", caught: "state" },
  "exports it": { main: "file('ENV', 'QUAY_TOKEN', secret)", caught: "env" },
  "writes it into the summary": {
    main: "fs.appendFileSync(process.env.GITHUB_STEP_SUMMARY, secret)",
    caught: "summary",
  },
  "gives it to a child as an argument": { main: "child(['--password', secret])", caught: "argv of {tools}/skopeo" },
  "gives it to a child in the environment": {
    main: "child([], { PASSWORD: Buffer.from(secret).toString('base64url') })",
    caught: "environment of {tools}/skopeo",
  },
  "leaves a file in HOME": { main: "write(process.env.HOME + '/x')", caught: "{home}/x" },
  "leaves a file in RUNNER_TEMP": { main: "write(process.env.RUNNER_TEMP + '/x/y')", caught: "{temp}/x/y" },
  "leaves a file in the workspace": { main: "write('x')", caught: "{workspace}/x" },
  "adds it to a file that was there": { main: "write(process.env.HOME + '/note')", caught: "{home}/note" },
  "leaves a link that names it": { main: "fs.symlinkSync(encodeURIComponent(secret), 'x')", caught: "{workspace}/x" },
  "leaves it in its auth file until post": { main: "login()", post: "logout()" },
  "leaves it in its auth file after post": { main: "login()", caughtInPost: "{temp}/s/auth.json" },
  "gives the auth file another mode": { main: "login(0o644)", caught: "{temp}/s/auth.json" },
  "gives the auth file the mode asked for": {
    main: "login(0o640)",
    post: "logout()",
    inputs: { "auth-file-mode": "0640" },
  },
  "leaves the auth file's folder open": { main: "login(0o600, 0o755)", caught: "{temp}/s" },
  "prints it in post": { main: "", post: "console.log(secret)", caughtInPost: "log" },
} satisfies Record<string, { main: string; post?: string; inputs?: object; caught?: string; caughtInPost?: string }>;

const prelude = `
import fs from "node:fs";
import { dirname } from "node:path";
import { execFileSync } from "node:child_process";
const secret = ${JSON.stringify(secret)};
const mask = () => console.log("::add-mask::" + secret.replaceAll("%", "%25"));
const file = (name, key, value) => fs.appendFileSync(process.env["GITHUB_" + name], key + "=" + value + "\\n");
const child = (args, env) => { try { execFileSync("skopeo", args, { env: { ...process.env, ...env }, stdio: "ignore" }); } catch {} };
const write = (path, mode = 0o600, folderMode = 0o700) => {
  fs.mkdirSync(dirname(path), { recursive: true, mode: folderMode });
  fs.writeFileSync(path, "x" + secret, { mode });
};
const session = process.env.RUNNER_TEMP + "/s";
const login = (mode, folderMode) => {
  write(session + "/auth.json", mode, folderMode);
  file("STATE", "session", session);
  file("OUTPUT", "logged-in", "true");
};
const logout = () => fs.rmSync(session, { recursive: true });
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "quay-keyless-leaks-"));
});
afterAll(async () => {
  await Promise.all([rm(folder, { recursive: true }), removeJobs()]);
});

describe.concurrent("an action that", () => {
  test.for(Object.entries(ways))("%s", async ([name, way]) => {
    const {
      main,
      post = "",
      inputs = {},
      caught,
      caughtInPost,
    } = { caught: undefined, caughtInPost: undefined, ...way } as {
      main: string;
      post?: string;
      inputs?: Record<string, string>;
      caught: string | undefined;
      caughtInPost: string | undefined;
    };
    const action = join(folder, name.replaceAll(/\W/g, "-"));
    await mkdir(action);
    const description = ["inputs:", "  export-token:", "  auth-file-mode:", "runs:", "  using: node24"];
    await writeFile(join(action, "action.yml"), [...description, "  main: main.mjs", "  post: post.mjs"].join("\n"));
    await writeFile(join(action, "main.mjs"), prelude + main);
    await writeFile(join(action, "post.mjs"), prelude + post);
    const job = await createJob({ action, secrets, tolerateLeaks: true });
    await job.write(join(job.home, "note"), "something else");
    const place = (where: string | undefined) =>
      where?.replace(/\{(\w+)\}/, (_, key: string) => join(job.scratch, key));

    const step = await job.run(inputs);
    expect(step).toMatchObject({ code: 0 });
    expect(step.leaks.map(({ where }) => where)).toEqual(caught === undefined ? [] : [place(caught)]);
    if (caught === undefined) {
      const after = await step.post();
      expect(after).toMatchObject({ code: 0 });
      expect(after.leaks.map(({ where }) => where)).toEqual(caughtInPost === undefined ? [] : [place(caughtInPost)]);
    }
  });
});

test("a leak fails its test", async () => {
  const action = join(folder, "fails");
  await mkdir(action);
  await writeFile(join(action, "action.yml"), "runs:\n  using: node24\n  main: main.mjs\n  post: main.mjs\n");
  await writeFile(join(action, "main.mjs"), `${prelude}console.log(secret)`);
  const job = await createJob({ action, secrets });
  await expect(job.run()).rejects.toThrow("robot in log");
});

describe("finds a secret", () => {
  const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLW9mLWl0";
  const found = (text: string) => [...kindsIn(text, [{ kind: "identity", value: jwt }])];
  test.each([
    ["as it is", `x${jwt}x`],
    ["by its payload alone", "eyJzdWIiOiJzb21lYm9keSJ9"],
    ["by its signature alone", "c2lnbmF0dXJlLW9mLWl0"],
    ["in base64", Buffer.from(jwt).toString("base64")],
    ["in base64, one byte in", Buffer.from(`:${jwt}`).toString("base64")],
    ["in base64, two bytes in", Buffer.from(`a:${jwt}`).toString("base64")],
    ["in base64url", Buffer.from(`a+ci:${jwt}`).toString("base64url")],
    ["in base64, URL-encoded", encodeURIComponent(Buffer.from(`a:${jwt}`).toString("base64"))],
  ])("%s", (_, text) => {
    expect(found(text)).toEqual(["identity"]);
  });
  test("but not without one", () => {
    expect(found(Buffer.from("something else altogether").toString("base64"))).toEqual([]);
  });
  test.each([
    [["entry", "token"], 0],
    [["token"], 1],
    [["entry"], 1],
    [[], 2],
  ] as const)("as not masked, with %j masked: %i", (masked, count) => {
    const entry = Buffer.from(`acme+ci:${jwt}`).toString("base64");
    const masks = masked.map((name) => (name === "entry" ? entry : jwt));
    expect(unmasked(JSON.stringify({ auths: { "quay.io": { auth: entry } } }), [jwt], masks)).toHaveLength(count);
  });
  test("in an auth file of the test", () => {
    const auth = Buffer.from("somebody:a-long-password").toString("base64");
    expect(secretsIn(JSON.stringify({ auths: { "example.com": { auth } } })).map(({ value }) => value)).toEqual([
      auth,
      "a-long-password",
    ]);
  });
});
