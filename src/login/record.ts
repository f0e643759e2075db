/**
 * What of a session's record is believed. Its folder may lie in a checkout, where anybody's commit can put a record, or in a
 * place where others may write: so whose it is, and what each part may say, is looked at before anything is done.
 */
import type { Stats } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve, sep } from "node:path";
import { changesMore, type FileRecord } from "../authfile/change.ts";
import { parseAuthFile, readAuthFile } from "../authfile/read.ts";
import { ExplainedError } from "../platform/errors.ts";
import { FileFailure, maxSize, readOwnFile } from "../platform/files.ts";
import { isObject } from "../platform/json.ts";
import { isTime } from "../platform/jwt.ts";
import { isId } from "../platform/replace.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { Life } from "../quay/answers.ts";
import type { RobotLogin } from "../quay/scope.ts";
import { type CertificateRecord, isCertificateOf } from "../tools/certificates.ts";

/** Of the record's form: another program version must not guess what it means. */
export const recordVersion = 1;

export interface Session {
  readonly version: number;
  /** Private to the user; holds the private auth file, the record of this session, and folders of tools at work. */
  readonly folder: string;
  /** Whether the user chose the folder, so that others may have put something there. */
  readonly named: boolean;
  /** Distinguishes what is ours in folders shared with others. */
  readonly id: string;
  readonly files: readonly FileRecord[];
  readonly certificates: readonly CertificateRecord[];
  /** What is logged in, and when its robot token ends (seconds since 1970): Quay has no revocation for it. */
  readonly robots: readonly (RobotLogin & Life)[];
  /** Of the login of a job, whose later steps use it. */
  readonly job?: JobLogin | undefined;
}

/** What the end of a job has to know besides. */
export interface JobLogin {
  /** Whether the end of the job takes the login back. */
  readonly logout: boolean;
  /** Whether a process keeps it alive. */
  readonly refresh: boolean;
  /** REGISTRY_AUTH_FILE before this login; empty: not set. */
  readonly authFileBefore: string;
}

/**
 * @returns undefined where there is none
 * @throws ExplainedError `logout-incomplete`; nothing has been touched then
 */
export async function readRecord(folder: string, name: string): Promise<Session | undefined> {
  const path = join(folder, name);
  const fail = (problem: string, remedy: Words) =>
    new ExplainedError("logout-incomplete", `The record of the login, ${path}, ${problem}.`, { remedy: [remedy] });
  let found: Awaited<ReturnType<typeof readOwnFile>>;
  try {
    found = await readOwnFile(path, maxSize.session);
  } catch (error) {
    if (!(error instanceof FileFailure)) {
      throw error;
    }
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      return undefined;
    }
    throw fail(error.message, byHand);
  }
  const problem = (await whyNotOurs(folder)) ?? whoseIsIt(found.info, await lstat(folder));
  if (problem !== undefined) {
    throw fail(`is not believed: ${problem}. Nothing was changed`, elsewhere);
  }
  let session: Session;
  try {
    session = JSON.parse(found.bytes.toString());
    assertForm(session);
    JSON.stringify(session); // a renewal writes it again: nothing in it is nested too deep for that
  } catch {
    // A parser's message quotes the text, which holds secrets: it is not passed on.
    throw fail("is damaged, or of another version of this program", byHand);
  }
  const beyond = (found.info.mode & 0o020) === 0 ? undefined : await beyondGroup(session.files, found.info.gid);
  if (beyond !== undefined) {
    const { gid } = found.info;
    throw fail(`can be written by group ${gid}, and would change more of ${beyond} than that group can`, byHand);
  }
  return session;
}

const byHand = "Log out by hand, of each file that held the login: skopeo logout --authfile FILE HOST";
const elsewhere = text`Log out as the user who logged in. For a new login name a folder of its own: ${mention("session", "/path/of/a/new/folder")}`;

/**
 * A folder of this user's, or root's, that nobody else may write to; but for a volume's group (a pod's fsGroup makes folders
 * 02770 and files 0660): who is in it may write to the volume's auth files as well.
 * @returns in words what is wrong with it
 */
export async function whyNotOurs(folder: string): Promise<string | undefined> {
  const info = await lstat(folder);
  if (!info.isDirectory()) {
    return "the folder is a link, or no folder";
  }
  const user = process.geteuid?.();
  if (info.uid !== user && info.uid !== 0) {
    return `the folder belongs to user ${info.uid}, and this is user ${user}`;
  }
  return whoElseWrites("the folder", info, (info.mode & 0o2000) !== 0);
}

function whoseIsIt(info: Stats, folder: Stats): string | undefined {
  const user = process.geteuid?.();
  if (info.uid !== user) {
    return `it belongs to user ${info.uid}, and this is user ${user}`;
  }
  if (info.nlink !== 1) {
    return "it has another name besides";
  }
  return whoElseWrites("it", info, (folder.mode & 0o2020) === 0o2020 && folder.gid === info.gid);
}

function whoElseWrites(what: string, { mode, gid }: Stats, isVolumes: boolean): string | undefined {
  if ((mode & 0o002) !== 0) {
    return `everybody may write to ${what}`;
  }
  return (mode & 0o020) !== 0 && !isVolumes ? `group ${gid} may write to ${what}` : undefined;
}

/**
 * In a file that this group can't write, a record that it can write takes our entries out, and that is all.
 * @returns the file that it would change otherwise
 */
async function beyondGroup(files: readonly FileRecord[], gid: number): Promise<string | undefined> {
  for (const record of files) {
    const info = await stat(record.path).catch(() => undefined);
    const isGroups = info?.gid === gid && (info.mode & 0o020) !== 0;
    if (info && !isGroups && changesMore(record, await readAuthFile(record.path, "read"))) {
      return record.path;
    }
  }
  return undefined;
}

/** @throws where a part is missing, or has another form than what a login writes */
export function assertForm({ version, id, files, certificates, robots }: Session): void {
  const sound =
    version === recordVersion &&
    isId(id) &&
    files.every(isFile) &&
    certificates.every((each) => isCertificate(each, id)) &&
    robots.every(
      ({ robot, scope, expiresAt, lifeSeconds }) =>
        isWord(robot) && isWord(scope) && isTime(expiresAt) && isTime(lifeSeconds),
    );
  if (!sound) {
    throw new Error("a part is missing");
  }
}

function isFile({ path, before, mode, folders, scopes, after }: FileRecord): boolean {
  return (
    isPath(path) &&
    (before === null || typeof parseAuthFile(Buffer.from(before, "base64")) === "object") &&
    Number.isInteger(mode) &&
    mode >= 0 &&
    mode <= 0o777 &&
    areFoldersOf(path, folders) &&
    isObject(scopes) &&
    Object.entries(scopes).every(
      ([scope, entry]) => isWord(scope) && entry.before !== undefined && areHashes(entry.written),
    ) &&
    areHashes(after)
  );
}

const isCertificate = (record: CertificateRecord, id: string): boolean =>
  isPath(record.path) &&
  isCertificateOf(record.path, id) &&
  areHashes([record.hash]) &&
  areFoldersOf(record.path, record.folders);

const isPath = (path: string): boolean => isAbsolute(path) && resolve(path) === path && !path.includes("\0");

/** On the way to the file: no other folder is ever made for it. */
const areFoldersOf = (path: string, folders: readonly string[]): boolean =>
  folders.every((folder) => isPath(folder) && `${dirname(path)}${sep}`.startsWith(folder + sep));

const areHashes = (hashes: readonly unknown[]): boolean => hashes.every((each) => typeof each === "string");

/** A robot's name, or what a login stands under. */
const isWord = (text: unknown): boolean => typeof text === "string" && /^[\w.+:[\]/-]{1,4096}$/.test(text);
