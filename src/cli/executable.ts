/**
 * The entry point of the one file without Node (script/executable): the credential helper if it is called by that name, else the
 * command line. What the bundles of dist/ import from beside themselves is inside; each part still runs only when it is needed.
 */
import { basename } from "node:path";

if (basename(process.argv0) === "docker-credential-quay-keyless") {
  void import(/* webpackMode: "eager" */ "./helper.ts").then(({ runHelper }) =>
    runHelper(() => import(/* webpackMode: "eager" */ "./credential-exchange.ts")),
  );
} else {
  void import(/* webpackMode: "eager" */ "./all.ts");
}
