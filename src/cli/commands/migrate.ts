import { type Migration, migrate as migrateCheckout } from "../../migration/migrate.ts";
import { readMigrationRequest } from "../../migration/request.ts";
import { type Call, interruption, type Outcome } from "../command.ts";
import { commandsOf, migrationDiff, migrationObject, migrationReport } from "../migration-report.ts";

export async function migrate({ values, env, terminal }: Call): Promise<Outcome> {
  const request = readMigrationRequest(values);
  const signal = interruption("Run the same again.");
  const found = await migrateCheckout(request, { folder: process.cwd(), env, signal });
  found.passwords.forEach(terminal.secret);
  return {
    lines: migrationReport(found, request),
    diff: migrationDiff(found),
    object: migrationObject(found, request),
    // Only after the commands of `federate` are printed: the changed files work only once these have run.
    afterOutput: request.write ? () => write(found, terminal) : undefined,
  };
}

async function write(found: Migration, terminal: Call["terminal"]): Promise<void> {
  const written = await found.write();
  for (const path of written) {
    terminal.info(`Wrote ${path}.`);
  }
  if (written.length > 0 && commandsOf(found).length > 0) {
    terminal.info("Run the federate commands above before you push this change.");
  }
}
