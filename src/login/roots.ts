/** Installs the roots of ca-file for the tools of later steps, in the user's folders for this host, until logout. */
import { certificatesFolders } from "../authfile/locations.ts";
import { leadsInto } from "../platform/fs.ts";
import type { Platform } from "../platform/platform.ts";
import { mention, text } from "../platform/wording.ts";
import { type CertificateRecord, installRoots } from "../tools/certificates.ts";
import type { Journal } from "./journal.ts";
import type { Workplace } from "./workplace.ts";

/** Never throws: it warns if the roots can't be installed. */
export async function installRootsForJob(
  registry: string,
  { roots, willLogOut, workspace }: Workplace,
  journal: Journal,
  { env, reporter }: Platform,
): Promise<void> {
  if (roots === undefined || !willLogOut) {
    return;
  }
  const warn = (why: string) =>
    reporter.warning(
      text`The roots of ${mention("ca-file")} could not be installed for later steps (${why}): give them --cert-dir, or --src-cert-dir and --dest-cert-dir.`,
    );
  const folders = certificatesFolders(env, registry);
  if (folders.length === 0) {
    warn(env.HOME ? "HOME is not an absolute path" : "HOME is not set");
  }
  const certificates: CertificateRecord[] = [];
  for (const folder of folders) {
    try {
      if (workspace && (await leadsInto(workspace, folder))) {
        throw new Error(`${folder} is in the workspace`);
      }
      await installRoots(roots, folder, journal.session.id, async (record) => {
        await journal.write({ certificates: [...certificates, record] });
        certificates.push(record);
      });
    } catch (error) {
      warn((error as Error).message);
    }
  }
}
