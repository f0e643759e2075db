/** What networks do to a connection, for the tests of all peers. */
import { afterAll, beforeAll } from "vitest";
import { type Passage, startToxiproxy, type Toxic, type Toxiproxies } from "../support/toxiproxy.ts";

/** A Toxiproxy for the tests of a group. @returns a function that makes a route to a port, damaged by `prepare` */
export function usePassages(): (port: number, prepare?: (passage: Passage) => Promise<void>) => Promise<Passage> {
  let toxiproxy: Toxiproxies | undefined;
  beforeAll(async () => {
    toxiproxy = await startToxiproxy();
  });
  afterAll(() => toxiproxy?.close());
  return async (port, prepare) => {
    if (toxiproxy === undefined) throw new Error("Toxiproxy has not started");
    const passage = await toxiproxy.open(port);
    await prepare?.(passage);
    return passage;
  };
}

export const poisonedBy =
  (...toxics: Toxic[]) =>
  (passage: Passage): Promise<void> =>
    passage.poison(...toxics);

export const shut = (passage: Passage): Promise<void> => passage.shut();

/** At the first bytes of an answer. */
export const resetting: Toxic = { type: "reset_peer", attributes: { timeout: 0 } };
/** 150 ms more in each direction. */
export const far: Toxic = { type: "latency", attributes: { latency: 150, jitter: 20 } };
/** Nothing gets through. */
export const silent: Toxic = { type: "timeout", attributes: { timeout: 0 } };
export const endingAfter = (bytes: number): Toxic => ({ type: "limit_data", attributes: { bytes } });
/** Kilobytes a second. */
export const narrow = (rate: number): Toxic => ({ type: "bandwidth", attributes: { rate } });
