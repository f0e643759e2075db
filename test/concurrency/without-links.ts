/** Preloaded: a file system without hard links, as this process sees it. A request for one ends the process. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const refuse = () => {
  process.stderr.write("a hard link was asked for\n");
  process.exit(3);
};
Object.assign(fs, { link: refuse, linkSync: refuse });
Object.assign(fs.promises, { link: refuse });
syncBuiltinESMExports();
