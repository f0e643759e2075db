/** The fourth act: an image that was tested becomes a release, byte for byte. */
import type { Pushed } from "./job.ts";
import type { Pod } from "./pod.ts";
import { chapter, say } from "./screen.ts";

export async function showPromotion({ run }: Pod, registry: string, { digest, rebuilt }: Pushed): Promise<void> {
  const promote = (source: string, report = "") =>
    `quay-keyless-login promote --registry ${registry} --source acme/app@${source} --destination acme/release --tag 1.2.3 --source-robot acme+deploy --destination-robot acme+promote --token-file tokens/quay-token --ca-file root.pem --quiet${report}`;

  chapter("The tested image becomes the release");
  say("Each build lands in acme/app. What was tested goes to acme/release by its digest, and its tag is set last.");
  await run(promote(digest), { ok: ({ stdout }) => stdout.includes(digest) });

  chapter("A tag that is taken");
  say("A rebuild has another digest. Promoted under the same tag, it would replace what was released.");
  await run(promote(rebuilt, " >report"), { code: 1, ok: ({ stderr }) => stderr.includes(digest) });
}
