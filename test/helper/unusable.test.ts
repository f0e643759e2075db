import { describe, expect, test } from "vitest";
import { malformed, untrusted } from "../../src/helper/unusable.ts";
import type { Distrust } from "../../src/platform/trusted-file.ts";
import { plainly } from "../../src/platform/wording.ts";

const path = "/home/my user/config.json";
const remedyOf = (kind: "file" | "job", reason: Distrust["reason"], at = path) =>
  untrusted({ kind, path }, { reason, at, problem: "is odd" }).remedy.map(plainly);

const moved = `mv '${path}' '${path}.old'`;

describe("a user's file has a remedy for each reason:", () => {
  test.each<[Distrust["reason"], string, string]>([
    ["link", path, `cp --remove-destination "$(readlink --canonicalize '${path}')" '${path}'`],
    ["not-a-file", path, moved],
    ["large", path, moved],
    ["unreadable", path, `chmod u+r '${path}'`],
    ["writable", path, `chmod go-w '${path}'`],
    ["writable", "/home", "chmod go-w /home"],
    ["owner", path, `sudo chown ${process.geteuid?.()} '${path}'`],
    ["owner", "/home", "Set XDG_CONFIG_HOME to a folder of this user"],
    ["broken", path, `ls -ld '${path}'`],
  ])("%s at %s", (reason, at, words) => {
    expect(remedyOf("file", reason, at).join()).toContain(words);
  });

  test("one of another form is moved away: other registries may be in it", () => {
    expect(malformed({ kind: "file", path }, "is not JSON").remedy.map(plainly).join()).toContain(moved);
  });
});

test("a job's file is never changed by hand", () => {
  for (const reason of ["link", "not-a-file", "large", "unreadable", "writable", "broken"] as const) {
    expect(remedyOf("job", reason)).toEqual(["A later step has changed it. Run the job again, without that change."]);
  }
  expect(malformed({ kind: "job", path }, "is not JSON").remedy.map(plainly).join()).not.toContain("mv ");
  const ofOther = remedyOf("job", "owner").join("\n");
  expect(ofOther).toContain("not with sudo");
  expect(ofOther).toContain("sudo --preserve-env=REGISTRY_AUTH_FILE");
});
