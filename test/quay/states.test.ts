/** Quay's wordings for a refused push, from the registry's API and from the tools. */
import { expect, test } from "vitest";
import { exitCodeOf } from "../../src/cli/failure.ts";
import { explainState } from "../../src/quay/states.ts";
import { QUOTA_EXCEEDED, READ_ONLY, REGISTRY_READ_ONLY, tagImmutable } from "../quay-stand-in/quay/pages.ts";

const suspended = "System is currently read-only. Pulls will succeed but all write operations are currently suspended.";

test.each([
  [REGISTRY_READ_ONLY.body, "quay-read-only", 75],
  [READ_ONLY.body, "quay-read-only", 75],
  [`initiating layer upload to /v2/acme/app/blobs/uploads/ in quay.io: denied: ${suspended}`, "quay-read-only", 75],
  [`writing manifest: uploading manifest sha256:1234 to quay.io/acme/app: denied: ${suspended}`, "quay-read-only", 75],
  [tagImmutable("1.0").body, "tag-immutable", 1],
  ["Tag '1.0' is immutable and cannot be overwritten", "tag-immutable", 1],
  [
    "uploading manifest 1.0 to quay.io/acme/app: unknown: tag is immutable and cannot be overwritten",
    "tag-immutable",
    1,
  ],
  [QUOTA_EXCEEDED.body, "quota-exceeded", 1],
  ["Quota has been exceed on namespace", "quota-exceeded", 1],
  [
    "trying to reuse blob sha256:1234 at destination: denied: Quota has been exceeded on namespace",
    "quota-exceeded",
    1,
  ],
])("%s", (words, code, exitCode) => {
  const error = explainState(words, { registry: "quay.io", what: "quay.io/acme/app:1.0" });
  expect(error?.code).toBe(code);
  expect(error?.message).toMatch(/^quay\.io .*quay\.io\/acme\/app:1\.0/);
  expect(error && exitCodeOf(error)).toBe(exitCode);
});

test.each([
  "",
  "unauthorized: access to the requested resource is not authorized",
  "manifest unknown",
  "quay.io/read-only/immutable-tag: connection reset by peer",
  "quay.io/acme/quota: unexpected EOF",
])("does not recognize: %s", (words) => {
  expect(explainState(words, { registry: "quay.io", what: "it" })).toBeUndefined();
});
