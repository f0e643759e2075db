/** Which hosts an issuer can have, for Quay to reach it. Pure. */

type Reach = "cluster" | "loopback" | "private" | "public";

/**
 * Why a Quay can't reach an issuer, as words that follow its name. Only what is certain: a Quay of your own may reach a private
 * name, and one on this machine its neighbours.
 * @param registry host or host:port
 * @param issuer an address
 * @returns undefined if it may reach it
 */
export function unreachableFrom(registry: string, issuer: string): string | undefined {
  const { hostname } = new URL(issuer);
  // The API server's own name says that the cluster has no issuer for others, even where Quay runs in it.
  if (/^kubernetes(?:\.default)?(?:\.svc(?:\..+)?)?\.?$/.test(hostname)) {
    return "exists only inside its cluster";
  }
  const own = reachOf(new URL(`https://${registry}`).hostname);
  switch (reachOf(hostname)) {
    case "cluster":
      return own === "cluster" || own === "loopback" ? undefined : "exists only inside its cluster";
    case "loopback":
      return own === "loopback" ? undefined : "is the machine that asks for it";
    case "private":
      return own === "public" && isQuayIo(registry) ? "is a private name or address" : undefined;
    default:
      return undefined;
  }
}

const isQuayIo = (registry: string): boolean => /^(?:[a-z0-9-]+\.)*quay\.io(?::[0-9]+)?$/.test(registry);

/** RFC 6761, 6762, 8375, ICANN's .internal; RFC 1918, 3927, 4193, 6598. A name without a dot is one of a private network. */
function reachOf(hostname: string): Reach {
  const host = hostname.toLowerCase().replace(/\.$/, "");
  if (/(?:^|\.)localhost$|^127\.|^0\.0\.0\.0$|^\[::1?\]$|^\[::ffff:7f/.test(host)) {
    return "loopback";
  }
  if (/\.svc$|\.svc\.|\.cluster\.local$/.test(host)) {
    return "cluster";
  }
  const isPrivateAddress =
    /^(?:10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.)[0-9.]+$|^\[f[cd]|^\[fe[89ab]/;
  const isPrivateName = /\.(?:local|internal|intranet|lan|corp|home|home\.arpa|test|invalid)$|^[^.:[\]]+$/;
  return isPrivateAddress.test(host) || isPrivateName.test(host) ? "private" : "public";
}
