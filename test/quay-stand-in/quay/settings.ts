/** The stand-in's release and configuration. Read at each request: tests may change it while it runs. */

/**
 * `main`: as of 2026-08-21. `newer`: source read later; bindings keep `audiences` and `api_scopes` and have `id` and
 * `version`. `without-federation`: before 3.13; the exchange and `/federation` are paths that don't exist.
 */
export type Release = "main" | "3.17" | "newer" | "without-federation";

export interface Settings {
  /** SERVER_HOSTNAME, with the port. */
  host: string;
  release: Release;
  /** ROBOTS_DISALLOW. */
  robotsDisallowed: boolean;
  readOnly: boolean;
  /** The same as on main: the exchange works, and the registry refuses everything. */
  registryReadOnly: boolean;
  /** Lifetime of a robot token, seconds; Quay's is 3600. */
  robotTokenLife: number;
  /** Tolerated clock difference, seconds; Quay's is 30. */
  leeway: number;
  /** Quay's clock minus ours, seconds. */
  clockOffset: number;
  /** How long discovery may take; Quay's is 5 s. */
  issuerTimeoutMs: number;
  /** How long a request may take at all; nginx's is 60 s. */
  gatewayTimeoutMs: number;
  /** Milliseconds of an exchange in addition to its work: a real one took about 145 ms. */
  exchangeMs: number;
  /** How exact the log's times are: `seconds` as with MySQL, and pages lose entries of the same time. */
  logTimes: "microseconds" | "seconds";
  /** ACTION_LOG_ROTATION: entries older than so many days are gone; undefined: it is off. */
  logRotationDays: number | undefined;
  /** A log store that can't search (Splunk without a search token): empty answers with `search_unavailable`. */
  searchUnavailable: boolean;
  /** The last page of logs has no entries. */
  emptyLastLogPage: boolean;
  /** Root that issuers are verified with, PEM. */
  ca: string;
}

export const DEFAULTS: Omit<Settings, "host" | "ca"> = {
  release: "main",
  robotsDisallowed: false,
  readOnly: false,
  registryReadOnly: false,
  robotTokenLife: 3600,
  leeway: 30,
  clockOffset: 0,
  issuerTimeoutMs: 5000,
  gatewayTimeoutMs: 60_000,
  exchangeMs: 0,
  logTimes: "microseconds",
  logRotationDays: undefined,
  searchUnavailable: false,
  emptyLastLogPage: false,
};
