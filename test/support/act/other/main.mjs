// Puts a login where podman would put it: to log in, podman wants a registry.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const { REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, INPUT_HOST } = process.env;
const file = REGISTRY_AUTH_FILE || `${XDG_RUNTIME_DIR}/containers/auth.json`;
mkdirSync(dirname(file), { recursive: true });
let content = { auths: {} };
try {
  content = JSON.parse(readFileSync(file, "utf8"));
} catch {
  // There is none yet.
}
content.auths[INPUT_HOST] = { auth: "dTpw" };
writeFileSync(file, JSON.stringify(content), { mode: 0o600 });
