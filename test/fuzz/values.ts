/** Values for parsers. */
import fc from "fast-check";

/** A placeholder for every secret. */
export const secret = "Hidden7MarkerOfAll";

/** Characters with a meaning: in a URL, a shell, a log, JSON, a regular expression. */
const meaning = [
  ..."\0\t\n\r \"'`\\/:;,.=+-_@#?%&*[]{}()<>|~^$!aZ09üß\u0085\u00a0\u2028\u200b\u202e\ufeff\u{1f511}\ud800",
];

const snippets = [
  "://",
  "::",
  "##[",
  "::add-mask::",
  "::stop-commands::",
  "\r\n",
  "--",
  "..",
  "%00",
  "%2f",
  "\u001b[31m",
  "__proto__",
  "constructor",
  "null",
  "NaN",
  "1e999",
  "-1",
  "unix:",
  "https://",
];

/** Short texts of characters with a meaning, and of any others. */
export const hostile: fc.Arbitrary<string> = fc.oneof(
  fc.array(fc.oneof(fc.constantFrom(...meaning), fc.constantFrom(...snippets)), { maxLength: 12 }).map(joined),
  fc.string({ unit: "binary", maxLength: 20 }),
);

/** One piece repeated: an expression that backtracks needs hours for it. */
export const endless: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(fc.constantFrom(...meaning, "a", "0", "a.", "a=", "a+b\n"), { minLength: 1, maxLength: 3 }).map(joined),
    fc.integer({ min: 1_000, max: 20_000 }),
    fc.constantFrom("", "!", "\n", "@"),
  )
  .map(([part, count, end]) => part.repeat(count / part.length) + end);

/** One of `texts` with a few letters added, removed or changed. */
export function nearly(...texts: readonly string[]): fc.Arbitrary<string> {
  const change = fc.tuple(
    fc.nat(),
    fc.nat({ max: 3 }),
    fc.oneof(fc.constant(""), fc.constantFrom(...meaning), hostile),
  );
  return fc.tuple(fc.constantFrom(...texts), fc.array(change, { maxLength: 3 })).map(([text, changes]) =>
    changes.reduce((changed, [at, drop, add]) => {
      const place = at % (changed.length + 1);
      return changed.slice(0, place) + add + changed.slice(place + drop);
    }, text),
  );
}

/** Valid, nearly valid, invalid, and far too long values. */
export const like = (...texts: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...texts) },
    { weight: 5, arbitrary: nearly(...texts) },
    { weight: 3, arbitrary: hostile },
    { weight: 1, arbitrary: endless },
  );

/** Valid names of an organization or robot in Quay. */
export const quayName: fc.Arbitrary<string> = fc
  .stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8}){0,2}$/)
  .filter((name) => name.length >= 2);

export const registryHost: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(fc.domain(), fc.constantFrom("localhost", "10.0.0.1", "[::1]", "[fd00::5]")),
    fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
  )
  .map(([host, port]) => (port === undefined ? host : `${host}:${port}`).toLowerCase())
  .filter((host) => URL.canParse(`https://${host}/`));

function joined(parts: readonly string[]): string {
  return parts.join("");
}
