/**
 * Which session records are trusted. A record's folder may be in a checkout, where any author's commit can put a record, or in
 * a folder that others may write to: its owner and the form of each part are checked before anything is done.
 */
import type { Stats } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve, sep } from "node:path";
import { changesMore, type FileRecord } from "../authfile/change.ts";
import { isOurHelper } from "../authfile/cred-helpers.ts";
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
import type { ConfiguredRecord } from "./configured.ts";

/** The version of the record's format: another version of the program must not guess what a record means. */
export const recordVersion = 1;

export interface Session {
  readonly version: number;
  /** Private to the user; holds the private auth file, the record of this session, and the folders of running tools. */
  readonly folder: string;
  /** Whether the user chose the folder: other processes may have put files there. */
  readonly named: boolean;
  /** Distinguishes what is ours in folders shared with others. */
  readonly id: string;
  readonly files: readonly FileRecord[];
  readonly certificates: readonly CertificateRecord[];
  /** Set for a session of `configure`. */
  readonly configured?: ConfiguredRecord | undefined;
  /** The robots that are logged in, and when their tokens expire (seconds since 1970): Quay has no revocation for them. */
  readonly robots: readonly (RobotLogin & Life)[];
  /** Set for a login of a job, whose later steps use it. */
  readonly job?: JobLogin | undefined;
}

/** What the end of a job needs to know too. */
export interface JobLogin {
  /** Whether the end of the job removes the login. */
  readonly logout: boolean;
  /** Whether a process renews it. */
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
    throw fail(`is not trusted: ${problem}`, elsewhere);
  }
  let session: Session;
  try {
    session = JSON.parse(found.bytes.toString());
    assertForm(session);
    JSON.stringify(session); // a renewal writes it again: nothing in it is nested too deep for that
  } catch {
    // A parser's message quotes the text, which holds secrets: drop it.
    throw fail("is damaged, or of another version of this program", byHand);
  }
  const beyond = (found.info.mode & 0o020) === 0 ? undefined : await beyondGroup(session.files, found.info.gid);
  if (beyond !== undefined) {
    const { gid } = found.info;
    throw fail(`can be written by group ${gid}, and would change more of ${beyond} than that group can`, byHand);
  }
  return session;
}

const byHand = "Log out of each file that held the login: skopeo logout --authfile FILE HOST";
const elsewhere = text`Nothing was changed. Log out as the user who logged in. For a new login name a folder of its own: ${mention("session", "/path/of/a/new/folder")}`;

/**
 * A folder of this user or root to which no other user may write, except a volume's group (a pod's fsGroup makes folders
 * 02770 and files 0660): its members may write to the volume's auth files too.
 * @returns what is wrong with it; undefined: nothing
 */
export async function whyNotOurs(folder: string): Promise<string | undefined> {
  const info = await lstat(folder);
  if (!info.isDirectory()) {
    return "the folder is a link, or not a folder";
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
    return "it has a second hard link";
  }
  return whoElseWrites("it", info, (folder.mode & 0o2020) === 0o2020 && folder.gid === info.gid);
}

function whoElseWrites(what: string, { mode, gid }: Stats, isVolumes: boolean): string | undefined {
  if ((mode & 0o002) !== 0) {
    return `every user may write to ${what}`;
  }
  return (mode & 0o020) !== 0 && !isVolumes ? `group ${gid} may write to ${what}` : undefined;
}

/**
 * A record that a group can write only removes our entries from a file that the group can't write.
 * @returns the first file that the record would change in another way
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

/** @throws if a part is missing, or has a form that no login writes */
export function assertForm({ version, id, files, certificates, configured, robots }: Session): void {
  const sound =
    version === recordVersion &&
    isId(id) &&
    files.every(isFile) &&
    certificates.every((each) => isCertificate(each, id)) &&
    (configured === undefined || isConfigured(configured)) &&
    robots.every(
      ({ robot, scope, expiresAt, lifeSeconds }) =>
        isName(robot) && isName(scope) && isTime(expiresAt) && isTime(lifeSeconds),
    );
  if (!sound) {
    throw new Error("a part is missing");
  }
}

function isFile({ path, before, mode, folders, scopes, helpers, after }: FileRecord): boolean {
  return (
    isPath(path) &&
    (before === null || typeof parseAuthFile(Buffer.from(before, "base64")) === "object") &&
    Number.isInteger(mode) &&
    mode >= 0 &&
    mode <= 0o777 &&
    areFoldersOf(path, folders) &&
    isObject(scopes) &&
    Object.entries(scopes).every(
      ([scope, entry]) => isName(scope) && entry.before !== undefined && areHashes(entry.written),
    ) &&
    (helpers === undefined ||
      (isObject(helpers) && Object.entries(helpers).every(([host, name]) => isName(host) && isOurHelper(name)))) &&
    areHashes(after)
  );
}

/** Only in a file of the helper's own name and folder. */
const isConfigured = ({ path, registry, written, folders }: ConfiguredRecord): boolean =>
  isPath(path) &&
  path.endsWith("/quay-keyless/config.json") &&
  isName(registry) &&
  areHashes(written) &&
  areFoldersOf(path, folders);

const isCertificate = (record: CertificateRecord, id: string): boolean =>
  isPath(record.path) &&
  isCertificateOf(record.path, id) &&
  areHashes([record.hash]) &&
  areFoldersOf(record.path, record.folders);

const isPath = (path: string): boolean => isAbsolute(path) && resolve(path) === path && !path.includes("\0");

/** Folders above the file: a login makes no others. */
const areFoldersOf = (path: string, folders: readonly string[]): boolean =>
  folders.every((folder) => isPath(folder) && `${dirname(path)}${sep}`.startsWith(folder + sep));

const areHashes = (hashes: readonly unknown[]): boolean => hashes.every((each) => typeof each === "string");

/** A robot's name, or a scope. */
const isName = (text: unknown): boolean => typeof text === "string" && /^[\w.+:[\]/@,-]{1,4096}$/.test(text);
