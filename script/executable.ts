// Puts the blob of a single executable application into a Node program for Linux: executable.ts NODE BLOB FILE.
// Node's documentation names postject for this. It can't remove the symbols of another architecture's program, which are 15 % of it.
// All that Node needs is a note of this name in a PT_NOTE segment (deps/postject/postject-api.h), and its fuse set (src/node_sea.cc).
import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const noteName = "NODE_SEA_BLOB\0";
const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:";

/** Offsets in the headers of a 64-bit ELF file (man 5 elf). */
const ofFile = { class: 4, order: 5, segments: 32, sections: 40, segmentSize: 54, segmentCount: 56, sectionCount: 60 };
const ofSegment = { type: 0, offset: 8, address: 16, physical: 24, fileSize: 32, memorySize: 40, alignment: 48 };
const [load, note] = [1, 4];

interface Segment {
  /** Where its header is. */
  readonly header: number;
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

function segmentsOf(file: Buffer): Segment[] {
  const number = (offset: number) => Number(file.readBigUInt64LE(offset));
  return Array.from({ length: file.readUInt16LE(ofFile.segmentCount) }, (_, index) => {
    const header = number(ofFile.segments) + index * file.readUInt16LE(ofFile.segmentSize);
    return {
      header,
      type: file.readUInt32LE(header + ofSegment.type),
      offset: number(header + ofSegment.offset),
      address: number(header + ofSegment.address),
      fileSize: number(header + ofSegment.fileSize),
      memorySize: number(header + ofSegment.memorySize),
    };
  });
}

/** A note (elf.h, Elf64_Nhdr): three lengths, the name, the content. */
function noteOf(content: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(noteName.length, 0);
  header.writeUInt32LE(content.length, 4);
  const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  return Buffer.concat([header, padded(Buffer.from(noteName)), padded(content)]);
}

/**
 * The blob follows the data of the last loaded segment, whose zeroed part is written out: no segment is added, none moves.
 * What no segment loads goes: symbols and debug information, and the table of sections, which only a debugger reads.
 */
function inject(node: Buffer, blob: Buffer): Buffer {
  if (node.toString("latin1", 0, 4) !== "\x7fELF" || node[ofFile.class] !== 2 || node[ofFile.order] !== 1) {
    throw new Error("not a 64-bit little-endian ELF file");
  }
  const segments = segmentsOf(node);
  const last = segments.filter(({ type }) => type === load).at(-1);
  const notes = segments.find(({ type }) => type === note);
  const at = node.indexOf(`${fuse}0`);
  if (!last || !notes || at < 0) {
    throw new Error("not a Node program that takes a blob");
  }
  const own = node.subarray(notes.offset, notes.offset + notes.fileSize);
  // V8 copies a code cache that is not aligned.
  const start = Math.ceil(last.memorySize / 64) * 64;
  const added = Buffer.concat([own, noteOf(blob)]);
  const file = Buffer.alloc(last.offset + start + added.length);
  node.copy(file, 0, 0, last.offset + last.fileSize);
  added.copy(file, last.offset + start);
  const set = (segment: Segment, field: number, value: number) =>
    file.writeBigUInt64LE(BigInt(value), segment.header + field);
  set(last, ofSegment.fileSize, start + added.length);
  set(last, ofSegment.memorySize, start + added.length);
  set(notes, ofSegment.offset, last.offset + start);
  set(notes, ofSegment.address, last.address + start);
  set(notes, ofSegment.physical, last.address + start);
  set(notes, ofSegment.fileSize, added.length);
  set(notes, ofSegment.memorySize, added.length);
  file.writeBigUInt64LE(0n, ofFile.sections);
  file.fill(0, ofFile.sectionCount, ofFile.sectionCount + 4); // and the index of their names
  file.write("1", at + fuse.length);
  return file;
}

const [node = "", blob = "", target = ""] = process.argv.slice(2);
const draft = `${target}.tmp`;
writeFileSync(draft, inject(readFileSync(node), readFileSync(blob)));
chmodSync(draft, 0o755); // whatever the umask is
renameSync(draft, target); // it is there when it is whole
