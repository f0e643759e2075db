/** The fault matrix: the credential helper, its cache and its configuration. */
import { elsewhere, type Group, row } from "./row.ts";

const cache = "e2e/helper/cache.test.ts";
const configuration = "e2e/helper/configuration.test.ts";
const configure = "helper/configure.test.ts";
const notTrusted = (name: string) => `a cache that can't be trusted is not used, and is replaced: > ${name}`;
const forEveryHost = (name: string) => `a file that can't be trusted fails for every host: > ${name}`;
const anew = "an exchange; the cache is replaced";
const without = "an exchange, and a warning";

export const helperRows: readonly Group[] = [
  {
    title: "The credential helper",
    about:
      "A tool asks, and gets a robot token or one line that says why not. Clients know one exit code for a failure, 1. Faults of the identity, of Quay and of the registry have the codes above.",
    rows: [
      elsewhere(row("F601", "the cache is damaged", "recovered", anew), cache, notTrusted("a damaged one")),
      elsewhere(
        row("F602", "others can write to the cache", "recovered", anew),
        cache,
        notTrusted("one that all can write to"),
      ),
      elsewhere(
        row("F603", "a folder in the cache's place", "recovered", without),
        cache,
        notTrusted("a folder in its place never keeps a token back"),
      ),
      elsewhere(
        row("F604", "another program's lock at the cache", "recovered", without),
        cache,
        notTrusted("another program's lock never keeps a token back"),
      ),
      elsewhere(
        row("F605", "the lock of a call that was killed", "recovered", "within five seconds"),
        cache,
        "at the same time > a lock that a killed call has left is taken over within five seconds",
      ),
      elsewhere(
        row("F606", "another call's exchange hangs", "timeout", "exit code 1, after this call's own timeout"),
        cache,
        "at the same time > waiting for another call, and an exchange after that, end with the timeout",
      ),
      elsewhere(
        row(
          "F607",
          "an exchange takes longer than a lock may stay without renewal",
          "recovered",
          "one exchange for all that ask",
        ),
        cache,
        "at the same time > an exchange of six seconds keeps its lock, and the others wait for it",
      ),
      elsewhere(
        row("F608", "a thousand calls, some killed at any moment", "recovered", "each that lives gets a token"),
        "concurrency/helper.test.ts",
        "a thousand calls with kills: each that lives gets a token, and few exchange",
      ),
      elsewhere(
        row("F609", "the clock is set back", "recovered", "an exchange: the cached token seems to live too long"),
        cache,
        "a token from the cache > if the clock was set back since: 3700 of 3600 s, false",
      ),
      elsewhere(
        row("F611", "others can write to the configuration", "configuration-unusable", "nothing is sent"),
        configuration,
        forEveryHost("writable by all"),
      ),
      elsewhere(
        row(
          "F612",
          "the configuration is not JSON",
          "configuration-unusable",
          'for every host: it is never "not found"',
        ),
        configuration,
        forEveryHost("not JSON"),
      ),
      elsewhere(
        row("F613", "the registry sends logins to another host", "realm-refused", "the tool gets no token"),
        "e2e/helper/get.test.ts",
        "refuses to hand out a token if the registry sends logins to another host",
      ),
      elsewhere(
        row("F614", "twenty `configure` at once", "recovered", "each registry is configured"),
        configure,
        "configure > twenty at once configure each registry",
      ),
      elsewhere(
        row("F615", "the record of `configure` is gone", "recovered", "`configure --remove` takes out its entries"),
        configure,
        "the removal > works where its record is gone",
      ),
      elsewhere(
        row("F616", "the program is gone", "recovered", "`configure --remove` works all the same"),
        configure,
        "the removal > works where its program is gone",
      ),
    ],
  },
];
