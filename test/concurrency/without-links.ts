/** Preloaded: a file system without hard links, as far as this process can tell. Whoever asks for one ends it. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const refuse = () => {
  process.stderr.write("a hard link was asked for\n");
  process.exit(3);
};
Object.assign(fs, { link: refuse, linkSync: refuse });
Object.assign(fs.promises, { link: refuse });
syncBuiltinESMExports();
