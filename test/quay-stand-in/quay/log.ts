/**
 * The usage log: what the exchange, `/v2/auth`, the registry's front and the management API write by themselves, and
 * tests with `addLogEntry`. The API that reads it is management/logs.ts.
 */
import type { LogEntry, Store, StoredEntry } from "./store.ts";

/** Entries of one time stay in the order of the calls; those of an earlier time go before later ones. */
export function addLogEntry(store: Store, entry: LogEntry): void {
  const { time: date, ...rest } = entry;
  const entries = store.logs.get(entry.namespace) ?? [];
  store.logs.set(entry.namespace, entries);
  const time = date === undefined ? now() : date.getTime() * 1000;
  entries.splice(
    firstAfter(entries, (each) => each.time > time),
    0,
    { ...rest, time, id: nextId++ },
  );
}

/** The index of the first entry for which `isAfter` holds; it holds for all those behind it. */
export function firstAfter(entries: StoredEntry[], isAfter: (entry: StoredEntry) => boolean): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isAfter(entries[middle] as StoredEntry)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** What the registry adds to a pull's and a push's metadata. */
const RESOLVED_IP = {
  ...{ provider: "internet", service: null, sync_token: "1645662201" },
  ...{ country_iso_code: null, aws_region: null, continent: null },
};

/**
 * The kinds that tell which robot was used how, with Quay's metadata, word for word; the stand-in itself logs by them.
 * Each is an entry without a time.
 */
export const used = {
  /** @param robot full name; Quay logs the short one */
  exchange: (robot: string, issuer: string, subject: string): LogEntry => {
    const [namespace = "", short] = robot.split("+");
    return { kind: "federated_robot_token_exchange", namespace, metadata: { subject, issuer, robot: short } };
  },
  login: (robot: string, useragent = "skopeo/1.9.3"): LogEntry => ({
    kind: "login_success",
    namespace: robot.split("+")[0] ?? "",
    performer: robot,
    metadata: { kind: "robot", robot, type: "v2auth", useragent },
  }),
  pull: (account: string | undefined, repository: string, what: Manifest = { tag: "latest" }): LogEntry =>
    ofManifest("pull_repo", account, repository, what),
  push: (account: string, repository: string, what: Manifest = { tag: "latest" }): LogEntry =>
    ofManifest("push_repo", account, repository, what),
};

export type Manifest = ({ tag: string } | { manifest_digest: string }) & { userAgent?: string; mediaType?: string };

function ofManifest(kind: string, account: string | undefined, name: string, what: Manifest): LogEntry {
  const { userAgent = "skopeo/1.9.3", mediaType = "application/vnd.oci.image.manifest.v1+json", ...manifest } = what;
  const [namespace = "", ...rest] = name.split("/");
  const repository = rest.join("/");
  const who = account === undefined ? {} : { username: account, is_robot: account.includes("+") };
  return {
    ...{ kind, namespace, repository, ...(account === undefined ? {} : { performer: account }) },
    metadata: {
      ...{ repo: repository, namespace, "user-agent": userAgent, ...manifest, mediaType, ...who },
      resolved_ip: RESOLVED_IP,
    },
  };
}

let nextId = 1;
let last = 0;

/** The clock here counts milliseconds: the entries of one get different microseconds, as in PostgreSQL. */
function now(): number {
  last = Math.max(Date.now() * 1000, last + 1);
  return last;
}
