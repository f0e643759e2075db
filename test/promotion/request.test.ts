import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { OptionValues } from "../../src/options/table.ts";
import { formatReference, pathOf } from "../../src/promotion/reference.ts";
import { readPromotionRequest } from "../../src/promotion/request.ts";
import { failure, makeFolder } from "../fixtures.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

const one = {
  source: `acme/staging@${digest}`,
  destination: "acme/app",
  tag: "1.0",
  "destination-robot": "acme+release",
} as const satisfies OptionValues;

test("needs source, destination, a tag and a robot; everything else has its default", async () => {
  expect(await readPromotionRequest(one)).toEqual({
    promotions: [
      {
        source: { registry: "quay.io", repository: "acme/staging", by: { digest } },
        destination: { registry: "quay.io", repository: "acme/app" },
        tags: ["1.0"],
      },
    ],
    sourceRobot: undefined,
    destinationRobot: "acme+release",
    existingTags: "stay",
    allowExpiring: false,
    sourceAuthFile: undefined,
    platforms: [],
    withSignatures: false,
    verifyCommand: undefined,
    dryRun: false,
    parallel: 4,
    identity: { wanted: { source: "auto" }, spiffeId: undefined, audience: "quay", workflowRef: undefined },
    sourceTokenHost: undefined,
    destinationTokenHost: undefined,
    caFile: undefined,
    timeoutSeconds: 120,
  });
});

test("a blank option, which a runner passes, counts as absent", async () => {
  const blank: OptionValues = {
    registry: "",
    "source-robot": " ",
    file: "",
    "move-tags": "",
    "create-only": "\n",
    platform: "\n\n",
    "with-signatures": "",
    "verify-command": " ",
    "dry-run": "",
    parallel: "",
    identity: "",
    audience: "",
    "token-file": "",
    "ca-file": "",
    timeout: "",
    "workflow-ref": "",
  };
  expect(await readPromotionRequest({ ...blank, ...one })).toEqual(await readPromotionRequest(one));
});

test.each<[OptionValues, object]>([
  [{ "source-robot": "acme+ci" }, { sourceRobot: "acme+ci" }],
  [{ "source-robot": "acme+release" }, { sourceRobot: "acme+release", destinationRobot: "acme+release" }],
  [{ "move-tags": "true" }, { existingTags: "move" }],
  [{ "allow-expiring": "true" }, { allowExpiring: true }],
  [{ "source-auth-file": "a.json" }, { sourceAuthFile: "a.json" }],
  [{ "create-only": "TRUE" }, { existingTags: "forbidden" }],
  [{ "move-tags": "false", "create-only": "false" }, { existingTags: "stay" }],
  [{ platform: "linux/amd64\r\n\n linux/arm/v7 " }, { platforms: ["linux/amd64", "linux/arm/v7"] }],
  [{ platform: "linux/s390x\nlinux/s390x\nwindows/amd64" }, { platforms: ["linux/s390x", "windows/amd64"] }],
  [{ "with-signatures": "true" }, { withSignatures: true }],
  [{ "verify-command": " cosign verify --key release.pub " }, { verifyCommand: "cosign verify --key release.pub" }],
  [{ "verify-command": "a\nb" }, { verifyCommand: "a\nb" }],
  [{ "dry-run": "true" }, { dryRun: true }],
  [{ parallel: "1" }, { parallel: 1 }],
  [{ parallel: "32" }, { parallel: 32 }],
  [{ "ca-file": "ca.pem" }, { caFile: "ca.pem" }],
  [
    { "source-robot": "acme+reader", "source-token-host": "Auth.one", "destination-token-host": "auth.two:8443" },
    { sourceTokenHost: "auth.one", destinationTokenHost: "auth.two:8443" },
  ],
  [{ timeout: "3600" }, { timeoutSeconds: 3600 }],
  [{ "token-file": "/t" }, { identity: { wanted: { source: "file", path: "/t" } } }],
  [
    { identity: "github", audience: "quay-staging" },
    { identity: { wanted: { source: "github" }, audience: "quay-staging" } },
  ],
  [{ "spiffe-id": "internal" }, { identity: { spiffeId: "internal" } }],
  [
    { "workflow-ref": "acme/app/.github/workflows/b.yml@r" },
    { identity: { workflowRef: "acme/app/.github/workflows/b.yml@r" } },
  ],
])("accepts %j", async (values, expected) => {
  expect(await readPromotionRequest({ ...one, ...values })).toMatchObject(expected);
});

test("a token host belongs to a robot", async () => {
  const values = { ...one, "source-robot": "", "source-token-host": "auth.example.com" };
  const error = await failure(readPromotionRequest(values));
  expect(error.message).toContain('The option "source-token-host" is "auth.example.com": it belongs to source-robot');
});

describe("one promotion", () => {
  test.each<[string, OptionValues, string, string, string[]]>([
    [
      "by tag, with several tags",
      { source: "acme/staging:nightly", tag: "1.4.2\r\n1.4\n\n 1 \nlatest" },
      "quay.io/acme/staging:nightly",
      "quay.io/acme/app",
      ["1.4.2", "1.4", "1", "latest"],
    ],
    [
      "between two registries",
      { source: "docker.io/library/alpine:3", destination: "quay.example.com:8443/mirror/alpine", "source-robot": "" },
      "docker.io/library/alpine:3",
      "quay.example.com:8443/mirror/alpine",
      ["1.0"],
    ],
    [
      "on the registry of the option",
      { registry: "Quay.Example.com" },
      `quay.example.com/acme/staging@${digest}`,
      "quay.example.com/acme/app",
      ["1.0"],
    ],
    [
      "within one repository, by another tag",
      { source: "acme/app:1.0-rc1" },
      "quay.io/acme/app:1.0-rc1",
      "quay.io/acme/app",
      ["1.0"],
    ],
    // The digest counts, wherever the tag points meanwhile.
    [
      "within one repository, by digest",
      { source: `acme/app:1.0@${digest}` },
      `quay.io/acme/app@${digest}`,
      "quay.io/acme/app",
      ["1.0"],
    ],
    [
      "to the same names on another registry",
      { source: "other.example/acme/app:1.0" },
      "other.example/acme/app:1.0",
      "quay.io/acme/app",
      ["1.0"],
    ],
  ])("%s", async (_, values, source, destination, tags) => {
    const { promotions } = await readPromotionRequest({ ...one, ...values });
    const said = promotions.map((promotion) => [
      formatReference(promotion.source),
      pathOf(promotion.destination),
      promotion.tags,
    ]);
    expect(said).toEqual([[source, destination, tags]]);
  });
});

test("reads promotions from a file with any path", async () => {
  const path = join(await makeFolder(), "release 1.yaml");
  await writeFile(path, `[{source: "acme/staging:1", destination: acme/app, tags: [1, 1.10]}]`);
  const values: OptionValues = { registry: "quay.example.com", file: path, "destination-robot": "acme+release" };
  expect((await readPromotionRequest(values)).promotions).toEqual([
    {
      source: { registry: "quay.example.com", repository: "acme/staging", by: { tag: "1" } },
      destination: { registry: "quay.example.com", repository: "acme/app" },
      tags: ["1", "1.10"],
    },
  ]);
  const text = `- {source: one.example/a/b:1, destination: acme/app, tags: [1]}
- {source: two.example/a/b:1, destination: acme/app, tags: [2]}`;
  await writeFile(path, text);
  expect((await readPromotionRequest(values)).promotions).toHaveLength(2);
  const error = await failure(readPromotionRequest({ ...values, "source-robot": "acme+ci" }));
  expect(error.message).toContain("one robot logs in to one registry");
});

test("names all missing options at once; with a file, only the robot", async () => {
  const missing = (values: OptionValues) => failure(readPromotionRequest(values));
  expect(await missing({ tag: " \n \n" })).toMatchObject({
    code: "invalid-input",
    message: "Missing required options source, destination, tag, destination-robot.",
    remedy: [
      "Write, for example, source: quay.io/acme/staging:1.0",
      "Write, for example, destination: quay.io/acme/app",
      "Write, for example, tag: 1.0",
      "Write, for example, destination-robot: acme+release",
    ],
  });
  expect((await missing({ file: "release.yaml" })).message).toBe("Missing required option destination-robot.");
});

const platform = "it is os/architecture or os/architecture/variant";
const number = "it is a whole number, 1 to 32";
const robotName = "organization and name are 2 to 255 lower-case letters and digits, with single . _ - between them";
const oneOfTwo = "Set only one of the two.";

type Bad = [values: OptionValues, option: string, shown: string, problem: string, example: string];

test.each<Bad>([
  [
    { source: "acme/staging" },
    "source",
    "acme/staging",
    "it has neither a digest nor a tag",
    "source: quay.io/acme/staging:1.0",
  ],
  [
    { source: "me:secret@quay.io/acme/app:1" },
    "source",
    "…@quay.io/acme/app:1",
    "a reference has no user or password: the robots log in",
    "source: quay.io/acme/app",
  ],
  [
    { destination: "acme/app:1.0" },
    "destination",
    "acme/app:1.0",
    "it has a tag; tags go into the option tag",
    "destination: quay.io/acme/app",
  ],
  [
    { destination: "https://quay.io/acme/app" },
    "destination",
    "https://quay.io/acme/app",
    "a reference has no scheme: leave https:// out",
    "destination: quay.io/acme/app",
  ],
  [{ tag: "1\n2\n1" }, "tag", "1", "it is given twice", "tag: 1"],
  [{ tag: "1, 2" }, "tag", "1, 2", "a tag has no blank, comma or semicolon; give several one by one", "tag: 1.0"],
  [{ source: "acme/app:1.0" }, "tag", "1.0", "quay.io/acme/app:1.0 is the source itself", "tag: 1.0-released"],
  [
    { source: "quay.io/acme/app:1", tag: "2\n1" },
    "tag",
    "1",
    "quay.io/acme/app:1 is the source itself",
    "tag: 1-released",
  ],
  [
    { "destination-robot": "acme" },
    "destination-robot",
    "acme",
    "a robot's full name has a +: organization+name",
    "destination-robot: acme+ci",
  ],
  [{ "source-robot": "Acme+CI" }, "source-robot", "Acme+CI", "names in Quay are lower case", "source-robot: acme+ci"],
  [
    { "source-robot": "acme+ci\nacme+cd" },
    "source-robot",
    "acme+ci\nacme+cd",
    "a name contains no space, comma or semicolon; this option takes one robot",
    "source-robot: acme+ci",
  ],
  [{ "source-robot": "quay.io=acme+ci" }, "source-robot", "quay.io=acme+ci", robotName, "source-robot: acme+ci"],
  [
    { "move-tags": "true", "create-only": "true" },
    "create-only",
    "true",
    "move-tags is true too, and only an existing tag can move",
    oneOfTwo,
  ],
  [
    { "source-auth-file": "a.json", "source-robot": "acme+reader" },
    "source-auth-file",
    "a.json",
    "source-robot is set too, and the source has one login",
    oneOfTwo,
  ],
  [{ "move-tags": "yes" }, "move-tags", "yes", "it must be one of true, false", "move-tags: false"],
  ...["0", "33", "x", "-1", "1.5", "1e1", "99999999999999999999"].map(
    (value): Bad => [{ parallel: value }, "parallel", value, number, "parallel: 4"],
  ),
  [{ timeout: "0" }, "timeout", "0", "it must be a whole number of seconds, 1 to 3600", "timeout: 120"],
  [{ platform: "amd64" }, "platform", "amd64", platform, "platform: linux/amd64"],
  [{ platform: "ARM64" }, "platform", "ARM64", platform, "platform: linux/arm64"],
  [{ platform: "aarch64" }, "platform", "aarch64", platform, "platform: linux/arm64"],
  [{ platform: "linux" }, "platform", "linux", platform, "platform: linux/amd64"],
  [{ platform: "linux/amd64\nlinux/" }, "platform", "linux/", platform, "platform: linux/amd64"],
  [{ platform: "linux/arm/v7/x" }, "platform", "linux/arm/v7/x", platform, "platform: linux/amd64"],
  [
    { platform: "linux/x86_64" },
    "platform",
    "linux/x86_64",
    "images call this architecture amd64",
    "platform: linux/amd64",
  ],
  [
    { platform: "Linux/Aarch64/v8" },
    "platform",
    "Linux/Aarch64/v8",
    "images call this architecture arm64",
    "platform: linux/arm64/v8",
  ],
  [{ platform: "Linux/ARM/V7" }, "platform", "Linux/ARM/V7", "platform names are lower case", "platform: linux/arm/v7"],
  [
    { platform: "linux/amd64,linux/arm64" },
    "platform",
    "linux/amd64,linux/arm64",
    "a platform has no blank, comma or semicolon; write one per line",
    "platform: linux/amd64",
  ],
  [{ file: "r.yaml" }, "file", "r.yaml", `source is set too ("acme/staging@${digest}")`, oneOfTwo],
  [
    { file: "r.yaml", source: "me:secret@quay.io/acme/app:1" },
    "file",
    "r.yaml",
    'source is set too ("…@quay.io/acme/app:1")',
    oneOfTwo,
  ],
  [{ file: "r.yaml", source: "" }, "file", "r.yaml", 'destination is set too ("acme/app")', oneOfTwo],
  [{ file: "r.yaml", source: "", destination: "" }, "file", "r.yaml", 'tag is set too ("1.0")', oneOfTwo],
  [
    { registry: "https://quay.io" },
    "registry",
    "https://quay.io",
    "it must be a host, without a scheme such as https://",
    "registry: quay.io",
  ],
  [
    { identity: "github", "token-file": "/t" },
    "token-file",
    "/t",
    "identity is github, which does not use it",
    "identity: auto",
  ],
])("rejects %j", async (values, option, shown, problem, example) => {
  const given = { ...one, ...values };
  const error = await failure(readPromotionRequest(given));
  expect(error.code).toBe("invalid-input");
  expect(error.message).toBe(`The option "${option}" is ${JSON.stringify(shown)}: ${problem}.`);
  expect(error.remedy).toEqual([example === oneOfTwo ? oneOfTwo : `Write, for example, ${example}`]);
  // The example works if nothing else is wrong. Half an image looks like a whole one.
  const [name = "", better = ""] = example.split(": ");
  if (name === option && problem !== "a reference has no user or password: the robots log in") {
    await expect(readPromotionRequest({ ...given, [name]: better })).resolves.toBeTruthy();
  }
});
