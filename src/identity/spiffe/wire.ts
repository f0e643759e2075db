/**
 * The wire format: two messages of the Workload API in Protocol Buffers' encoding, each in gRPC's frame. Pure.
 *
 *     message JWTSVIDRequest { repeated string audience = 1; string spiffe_id = 2; }
 *     message JWTSVIDResponse { repeated JWTSVID svids = 1; }
 *     message JWTSVID { string spiffe_id = 1; string svid = 2; string hint = 3; }
 */
import { isUtf8 } from "node:buffer";

export interface JwtSvid {
  readonly id: string;
  /** The JWT: a secret. */
  readonly token: string;
  readonly hint: string;
}

/** @returns a JWTSVIDRequest, framed */
export function encodeRequest(audience: string, id = ""): Buffer {
  const message = Buffer.concat([encodeString(1, audience), ...(id === "" ? [] : [encodeString(2, id)])]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/**
 * @param body the whole answer: one frame with a JWTSVIDResponse
 * @returns the SVIDs, or what is wrong, as a phrase
 */
export function decodeResponse(body: Buffer): readonly JwtSvid[] | { readonly problem: string } {
  if (body.length < 5) {
    return { problem: "it holds no message" };
  }
  if (body[0] !== 0) {
    return { problem: "its message is compressed, which was not asked for" };
  }
  // The stated length is only compared, never allocated.
  if (body.readUInt32BE(1) !== body.length - 5) {
    return { problem: "its message does not have the length that it states" };
  }
  const svids = fieldsOf(body.subarray(5))
    ?.filter(({ number }) => number === 1)
    .map(({ value }) => decodeSvid(value));
  return svids?.every((svid) => svid !== undefined) ? svids : { problem: "its message is not a JWTSVIDResponse" };
}

function decodeSvid(bytes: Buffer): JwtSvid | undefined {
  const fields = fieldsOf(bytes);
  // If a field occurs twice, the last one counts.
  const [id, token, hint] = [1, 2, 3].map((wanted) => fields?.findLast(({ number }) => number === wanted)?.value);
  const texts = [id, token, hint].every((value) => value === undefined || isUtf8(value));
  return texts && id?.length && token?.length
    ? { id: id.toString(), token: token.toString(), hint: hint?.toString() ?? "" }
    : undefined;
}

interface Field {
  readonly number: number;
  readonly value: Buffer;
}

/** The fields with a length, as all fields of these messages have; skips others. @returns undefined if it is not a message */
function fieldsOf(bytes: Buffer): readonly Field[] | undefined {
  const fields: Field[] = [];
  // NaN once the message turns out to be broken.
  let at = 0;
  const varint = (): number => {
    let value = 0;
    // 64 bits take ten bytes.
    for (let factor = 1; factor < 2 ** 70; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) {
        break;
      }
      value += (byte % 128) * factor;
      if (byte < 128) {
        return value;
      }
    }
    at = Number.NaN;
    return at;
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (number >= 1 && number < 2 ** 29 ? tag % 8 : undefined) {
      case 0:
        varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        fields.push({ number, value: bytes.subarray(at, at + length) });
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        // Groups, which version 3 doesn't have, and invalid types.
        return undefined;
    }
  }
  return at === bytes.length ? fields : undefined;
}

function encodeString(field: number, text: string): Buffer {
  const value = Buffer.from(text);
  const head = [field * 8 + 2];
  let length = value.length;
  for (; length >= 128; length = Math.floor(length / 128)) {
    head.push(128 + (length % 128));
  }
  return Buffer.concat([Buffer.from([...head, length]), value]);
}
