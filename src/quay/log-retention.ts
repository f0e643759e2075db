/** Whether a Quay keeps its usage log. */

import { isObject, parseObject } from "../platform/json.ts";
import type { Platform } from "../platform/platform.ts";

/**
 * `/config`, which needs no token and gets none, names the feature that moves old entries out of the log. It does not say how old.
 * @returns false also if it is not known
 */
export async function keepsWholeLog(
  registry: string,
  { http, signal }: Pick<Platform, "http" | "signal">,
): Promise<boolean> {
  try {
    const limits = { timeoutMs: 10_000, maxBytes: 1024 * 1024 };
    const { status, body } = await http.open(new URL(`https://${registry}/config`), limits).send();
    const features = parseObject(body)?.features;
    return status === 200 && isObject(features) && features.ACTION_LOG_ROTATION === false;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
