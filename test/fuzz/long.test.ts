/** A megabyte of text from outside: reading and printing it takes time linear in its length. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { readEntry } from "../../src/authfile/entry.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { createReporter } from "../../src/github/annotations.ts";
import { failureSummary } from "../../src/github/summary.ts";
import { readToken } from "../../src/identity/token.ts";
import { readTokenText } from "../../src/identity/token-text.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { parseSource, shownOf } from "../../src/promotion/reference.ts";
import { readExchangeAnswer } from "../../src/quay/answers.ts";
import { withoutUserinfo } from "../../src/quay/scope.ts";
import { grantIn, readBearer, registryReason } from "../../src/registry/access.ts";
import { readManifest } from "../../src/registry/manifest.ts";
import { readToolFailure } from "../../src/tools/failures.ts";
import { everyOption, failureOf } from "../fixtures.ts";
import { outcome } from "./property.ts";

const streams = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write }));
beforeEach(() => {
  for (const { stream } of streams) stream.write = () => true;
});
afterEach(() => {
  for (const { stream, write } of streams) stream.write = write;
});

const length = 1_000_000;
const parts = [
  ...["\n", "\r", "\r\n", " ", "\t", "\u0085", "\u2028", "\u00a0", ":", "::", "\n::", " \n", "\u0085\n ", "##[", "%"],
  ...["a", "a ", "a-", "a.", "a_", "a/", "/", "//", "@", "a@", "<", "<>", ">", ";", "=", '"', "\\", '\\"', 'msg="'],
  ...["\u001b", "\u001b[", "\u001b]", "\u001b[;", "\u001b[1;", "\u009b", "\u009d", "-", "--"],
  ...["eyJ.", "{", "[", '{"a":', "sha256:", "0", "0.", "?", "? ", "not ", "is ", "must be ", "Copying blob ", "é"],
];

const answer = (body: string, status = 400) => ({ status, headers: { location: body.slice(0, 16_000) }, body });
const refuse = () => new ExplainedError("invalid-input", "", { remedy: [] });
const reporter = createReporter(everyOption);
const terminal = createTerminal("verbose");

const readers: Readonly<Record<string, (text: string) => unknown>> = {
  "the log of GitHub's runner": reporter.info,
  "its warnings": reporter.warning,
  "a terminal": terminal.info,
  "a summary": (text) => failureSummary(failureOf(new ExplainedError("quay-refused", text, { remedy: [text] }))),
  "an identity token": (text) => readToken(text, { source: "file", origin: "a test", wantedAudience: "quay" }),
  "the file of a token": readTokenText,
  "an answer of Quay's": (text) => readExchangeAnswer(answer(text), "acme+ci", 0),
  "a reason of Quay's": (text) => readExchangeAnswer(answer(JSON.stringify({ message: text })), "acme+ci", 0),
  "a redirect": (text) => readExchangeAnswer(answer(text, 302), "acme+ci", 0),
  "a bearer token": (text) => readBearer(JSON.stringify({ token: text })),
  "a grant": (text) => grantIn(text, "acme/app"),
  "a registry's reason": registryReason,
  "a tool's failure": readToolFailure,
  "a manifest": readManifest,
  "a digest": (text) => readManifest(JSON.stringify({ manifests: [{ mediaType: text, digest: text, size: 1 }] })),
  "an entry of an auth file": (text) => readEntry({ auth: Buffer.from(text).toString("base64") }),
  "a reference": (text) => parseSource(text, "quay.io", refuse),
  "a reference that is shown": shownOf,
  "an address that is shown": withoutUserinfo,
};

test.each(Object.entries(readers))("%s", (_, read) => {
  const slow: string[] = [];
  for (const part of parts) {
    const text = part.repeat(length / part.length);
    const began = performance.now();
    outcome(() => read(`${text}x`));
    if (performance.now() - began > 2_000) slow.push(`${JSON.stringify(part)} ${performance.now() - began} ms`);
  }
  expect(slow).toEqual([]);
});
