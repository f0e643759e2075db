import { describe, expect, test } from "vitest";
import { decodeResponse, encodeRequest } from "../../../src/identity/spiffe/wire.ts";
import { encodeResponse, field, frame, varint } from "../../support/workload-api.ts";

const one = { id: "spiffe://example.org/ci", token: "eyJ.eyJ.sig", hint: "" };
const two = { id: "spiffe://example.org/ü", token: "x".repeat(20_000), hint: "internal" };
const notOne = { problem: "its message is not a JWTSVIDResponse" };

describe("a request", () => {
  test.each<[string, string | undefined, string]>([
    ["quay", undefined, "00 00000006 0a04 71756179"],
    ["quay", "", "00 00000006 0a04 71756179"],
    ["q", "spiffe://a", "00 0000000f 0a01 71 120a 7370696666653a2f2f61"],
  ])("for %s and %s", (audience, id, hex) => {
    expect(encodeRequest(audience, id).toString("hex")).toBe(hex.replaceAll(" ", ""));
  });

  test.each([127, 128, 16_383, 16_384, 70_000])("with an audience of %i bytes", (size) => {
    const audience = "a".repeat(size);
    expect(encodeRequest(audience).equals(frame(field(1, audience)))).toBe(true);
  });
});

describe("an answer", () => {
  test.each([[[]], [[one]], [[one, two]], [[two, two, one]]])("with its SVIDs, in order: %#", (svids) => {
    expect(decodeResponse(frame(encodeResponse(svids)))).toEqual(svids);
  });

  test("with fields of a later version, of every type", () => {
    const later = [
      Buffer.concat([varint(9 * 8), varint(2 ** 40)]),
      Buffer.concat([varint(10 * 8 + 1), Buffer.alloc(8, 255)]),
      Buffer.concat([varint(11 * 8 + 5), Buffer.alloc(4, 255)]),
      field(2 ** 29 - 1, "something"),
      // A number instead of a text is not the field of that number.
      Buffer.concat([varint(1 * 8), varint(5)]),
    ];
    const svid = field(1, Buffer.concat([...later, field(1, one.id), ...later, field(2, one.token), ...later]));
    expect(decodeResponse(frame(Buffer.concat([...later, svid, ...later])))).toEqual([one]);
  });

  test("with a field twice: the last one counts", () => {
    const svid = Buffer.concat([field(1, "spiffe://other"), field(2, "other"), field(1, one.id), field(2, one.token)]);
    expect(decodeResponse(frame(field(1, svid)))).toEqual([one]);
  });
});

describe("invalid answers", () => {
  test.each<[string, Buffer, string]>([
    ["nothing", Buffer.alloc(0), "it holds no message"],
    ["half a frame's head", Buffer.alloc(4), "it holds no message"],
    [
      "a compressed message",
      frame(Buffer.alloc(3), { compressed: 1 }),
      "its message is compressed, which was not asked for",
    ],
    ["less than it says", frame(Buffer.alloc(3), { length: 4 }), "its message does not have the length that it states"],
    [
      "4 GiB, it says",
      frame(Buffer.alloc(3), { length: 2 ** 32 - 1 }),
      "its message does not have the length that it states",
    ],
    [
      "two messages",
      Buffer.concat([frame(field(1, "")), frame(Buffer.alloc(0))]),
      "its message does not have the length that it states",
    ],
  ])("%s", (_, body, problem) => {
    expect(decodeResponse(body)).toEqual({ problem });
  });

  test.each<[string, Buffer]>([
    ["an SVID without an ID", field(1, field(2, "token"))],
    ["an SVID without a token", field(1, field(1, one.id))],
    ["an SVID with an empty one", field(1, Buffer.concat([field(1, one.id), Buffer.of(18, 0)]))],
    ["an SVID with nothing", Buffer.of(10, 0)],
    ["one good and one bad", Buffer.concat([encodeResponse([one]), field(1, "?")])],
    ["a token that is not UTF-8", field(1, Buffer.concat([field(1, one.id), field(2, Buffer.of(255, 254))]))],
    [
      "a hint that is not UTF-8",
      field(1, Buffer.concat([field(1, one.id), field(2, "t"), field(3, Buffer.of(192, 128))])),
    ],
    ["a field longer than the message", Buffer.of(10, 5, 1)],
    [
      "a field of 2^62 bytes",
      Buffer.concat([Buffer.of(10), Buffer.from("ffffffffffffffff3f", "hex"), Buffer.alloc(20)]),
    ],
    ["a number without an end", Buffer.alloc(30, 255)],
    ["a length without an end", Buffer.concat([Buffer.of(10), Buffer.alloc(30, 255)])],
    ["a skipped number without an end", Buffer.concat([Buffer.of(72), Buffer.alloc(30, 255)])],
    ["a number of eleven bytes", Buffer.concat([Buffer.of(72), Buffer.alloc(10, 128), Buffer.of(1)])],
    ["64 bits cut short", Buffer.of(73, 1, 2)],
    ["32 bits cut short", Buffer.of(77, 1, 2)],
    ["a group", Buffer.of(75, 76)],
    ["a type that does not exist", Buffer.of(78, 0)],
    ["field 0", Buffer.of(2, 0)],
    ["a field number over the limit", Buffer.concat([varint(2 ** 32 + 2), Buffer.of(0)])],
  ])("%s", (_, message) => {
    expect(decodeResponse(frame(message))).toEqual(notOne);
  });

  test("rejects every truncation of a good one", () => {
    const message = encodeResponse([one, { ...one, hint: "external" }]);
    const good = decodeResponse(frame(message));
    for (let length = 0; length < message.length; length++) {
      const read = decodeResponse(frame(message.subarray(0, length)));
      expect(read, `${length} bytes`).not.toEqual(good);
      expect(decodeResponse(frame(message).subarray(0, length + 5))).toHaveProperty("problem");
    }
  });

  test("returns quickly for random bytes", () => {
    // A seeded generator: a failure can be repeated.
    let state = 20_261_124;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state % below;
    };
    const good = encodeResponse([one, { ...two, token: "y".repeat(300) }]);
    for (let round = 0; round < 20_000; round++) {
      const message = Buffer.from(round % 2 ? good : Buffer.alloc(random(64)));
      for (let change = 0; change <= random(4); change++) {
        if (message.length > 0) {
          message[random(message.length)] = random(256);
        }
      }
      const read = decodeResponse(frame(message));
      expect(Array.isArray(read) || "problem" in read).toBe(true);
    }
  });

  test("parses a megabyte of the smallest fields quickly", () => {
    const started = performance.now();
    expect(decodeResponse(frame(Buffer.alloc(1024 * 1024, Buffer.of(10, 0))))).toEqual(notOne);
    expect(decodeResponse(frame(Buffer.alloc(1024 * 1024, Buffer.of(18, 0))))).toEqual([]);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
