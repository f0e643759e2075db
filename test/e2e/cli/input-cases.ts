/** What can be typed wrongly, and what is said about it. Each is found out before anything is changed or anybody asked. */
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { Machine, MachineOptions } from "../../support/command.ts";
import { isRoot } from "../../support/root.ts";

export interface Case {
  args: readonly string[] | ((machine: Machine) => readonly string[] | Promise<readonly string[]>);
  /** What the message must name. */
  says: readonly (string | RegExp)[];
  /** Default `invalid-input`. */
  code?: string;
  /** Default 2. */
  exit?: number;
  options?: MachineOptions;
}

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl";
const secret = (value: string): MachineOptions => ({ secrets: [{ kind: "identity", value }] });
/** A login that would work, but for what follows. */
const login = (...more: string[]) => ["login", "--robot", "acme+ci", "--token-file", "/nowhere/token", ...more];

export const cases: Record<string, Case> = {
  nothing: { args: [], says: ["login, logout, status, identity", "--help"] },
  "an unknown command": { args: ["signin"], says: ['"signin"', "login, logout, status, identity"] },
  "a command with a slip": { args: ["logni", "--robot", "acme+ci"], says: ['"logni"', "quay-keyless-login login"] },
  "a command in upper case": { args: ["STATUS"], says: ['"STATUS"'] },
  "an option without a command": { args: ["--robot", "acme+ci"], says: ["--robot"] },
  "an unknown option": { args: login("--password", "x"), says: ["--password", "login --help"] },
  "an option with a slip": { args: login("--regsitry", "quay.io"), says: ["--regsitry", "--registry"] },
  "an option with underscores": { args: ["login", "--token_file", "/x"], says: ["--token_file", "--token-file"] },
  "a short option": { args: login("-r", "quay.io"), says: ["-r"] },
  "an option of another command": { args: login("--for", "10m"), says: ["--for", "status"] },
  "an input of the Action that is none here": { args: login("--logout", "false"), says: ["--logout"] },
  "an option without its value, at the end": { args: login("--registry"), says: ["--registry", "needs a value"] },
  "an option without its value, before another": {
    args: ["login", "--registry", "--robot", "acme+ci"],
    says: ["--registry", "needs a value"],
  },
  "one value given twice": {
    args: login("--registry", "quay.io", "--registry=quay.example.com"),
    says: ["--registry", "quay.io", "quay.example.com"],
  },
  "one value given twice, the same": { args: login("--timeout=5", "--timeout", "5"), says: ["--timeout"] },
  "a flag with a value that is none": { args: login("--export-token=perhaps"), says: ["--export-token", "perhaps"] },
  "no robot": { args: ["login", "--token-file", "/x"], says: ["--robot", "acme+ci"] },
  "a robot that is none": { args: ["login", "acme", "--token-file", "/x"], says: ['"acme"', "organization+name"] },
  "a robot's name as it is not written": { args: ["login", "--robot", "Acme+CI"], says: ['"Acme+CI"'] },
  "a registry with a scheme": { args: login("--registry", "https://quay.io"), says: ["--registry", "scheme"] },
  "a file and a SPIFFE socket": {
    args: login("--spiffe-socket", "unix:///run/spire.sock"),
    says: ["--spiffe-socket", "token-file"],
  },
  "a file and a variable": { args: login("--token-env", "QUAY_ID_TOKEN"), says: ["--token-env", "token-file"] },
  "the token itself in place of its variable's name": {
    args: ["login", "acme+ci", "--token-env", token],
    says: ["--token-env", "name of a variable"],
    options: secret(token),
  },
  "a SPIFFE socket as a bare path": {
    args: ["login", "acme+ci", "--spiffe-socket", "/run/spire.sock"],
    says: ["--spiffe-socket", "unix:///run/spire.sock"],
  },
  "a SPIFFE socket of another kind": {
    args: ["identity", "--spiffe-socket", "http://127.0.0.1:80"],
    says: ["--spiffe-socket", "http://127.0.0.1:80"],
  },
  "an unknown source": { args: ["identity", "--identity", "gitlab"], says: ["--identity", "gitlab", "spiffe"] },
  "an unknown tool": { args: login("--tool", "crane"), says: ["--tool", "crane", "skopeo"] },
  "an unknown form of output": {
    args: ["status", "--output", "yaml"],
    says: ["--output", "yaml", "text, json", "--output text"],
  },
  "a flag with another value": { args: ["status", "--verbose=yes"], says: ["--verbose", "true, false"] },
  "a mode that is none": { args: login("--auth-file-mode", "rw"), says: ["--auth-file-mode", "rw"] },
  "a time that is none": { args: login("--timeout", "2m"), says: ["--timeout", "2m", "seconds"] },
  "an access that names no actions": { args: login("--access", "acme/app"), says: ["--access", "acme/app"] },
  "the token and JSON": { args: login("--export-token", "--output", "json"), says: ["--output", "export-token"] },
  "the token of several robots": {
    args: ["login", "--export-token", "quay.io/acme=acme+ci", "quay.io/other=other+ci"],
    says: ["--export-token", "several"],
  },
  "a duration that is none": { args: ["status", "--for", "soon"], says: ["--for", "soon", "10m"] },
  "a duration in days": { args: ["status", "--for", "1d"], says: ["--for", "1d"] },
  "a negative duration": { args: ["status", "--for=-5m"], says: ["--for", "-5m"] },
  "a duration with a point": { args: ["status", "--for", "1.5h"], says: ["--for", "1.5h"] },
  "a scope on another host": {
    args: ["status", "--registry", "quay.io", "--scope", "ghcr.io/acme"],
    says: ["--scope", "ghcr.io/acme"],
  },
  "arguments for status": { args: ["status", "quay.io"], says: ["status", '"quay.io"'] },
  "arguments for logout": { args: ["logout", "quay.io"], says: ["logout", '"quay.io"'] },
  "arguments for identity": { args: ["identity", "acme+ci"], says: ["identity", '"acme+ci"'] },
  "a session and a file to log out of": {
    args: ["logout", "--session", "session", "--auth-file", "auth.json"],
    says: ["--auth-file", "session"],
  },
  "a result without a file": { args: login("--result", "robot"), says: ["--result", "robot", "NAME=FILE"] },
  "a result of an unknown name": { args: login("--result", "digest=/tmp/x"), says: ["--result", "digest=/tmp/x"] },
  "the token as a result": { args: login("--result", "token=/tmp/x"), says: ["--result", "token=/tmp/x"] },
  "a result in a folder that isn't there": {
    args: login("--result", "robot=/nowhere/robot"),
    says: ["--result", "/nowhere/robot", "is in a folder that does not exist"],
  },
  "a result that is a folder": { args: login("--result", "robot=/"), says: ["--result", "robot=/", "is a folder"] },
  "a result in a folder that can't be written to": {
    args: login("--result", "robot=/root-only"),
    says: ["--result", "/root-only", "may not be written by this user"],
    options: { uid: 1234 },
  },
  "roots that aren't there": { args: login("--ca-file", "/nowhere/ca.pem"), says: ["--ca-file", "does not exist"] },
  "roots that aren't there, for identity": {
    args: ["identity", "--token-file", "/x", "--ca-file=/nowhere/ca.pem"],
    says: ["--ca-file", "does not exist"],
  },
  "roots that are none": {
    args: async (machine) => login("--ca-file", await machine.write(join(machine.home, "ca.pem"), "not PEM")),
    says: ["--ca-file", "no PEM certificate"],
  },
  "a session in a folder of others": {
    args: async (machine) => {
      await machine.write(join(machine.home, "mine/letter"), "to whom it may concern");
      return login("--session", join(machine.home, "mine"));
    },
    says: ["--session", "mine"],
  },
  "a session that is a file": {
    args: async (machine) => login("--session", await machine.write(join(machine.home, "file"), "")),
    says: ["--session", "file"],
  },
  "an auth file where this user may not write": {
    args: login("--auth-file", "/etc/auth.json"),
    says: ["/etc/auth.json", "--auth-file /path"],
    code: "auth-file-unusable",
    exit: 1,
    options: { uid: 1234 },
  },
  "no place where the tools look": {
    args: login(),
    says: [`/run/containers/${isRoot ? 1234 : process.getuid?.()}/auth.json`, "--auth-file /path"],
    code: "auth-file-unusable",
    exit: 1,
    options: { uid: 1234, env: { XDG_RUNTIME_DIR: undefined } },
  },
  "a scope with a scheme": {
    args: ["status", "--scope", "https://quay.io/acme"],
    says: ["--scope", "https://quay.io"],
  },
  "no tool": { args: login(), says: ["skopeo", "PATH"], code: "tool-not-found", exit: 1, options: { tools: [] } },
  "an auth file that is not JSON": {
    args: async (machine) => login("--auth-file", await machine.write(join(machine.home, "auth.json"), "{")),
    says: ["auth.json is not JSON"],
    code: "auth-file-unusable",
    exit: 1,
  },
  "an auth file that is a folder": {
    args: async (machine) => {
      await mkdir(join(machine.home, "folder"));
      return login("--auth-file", join(machine.home, "folder"));
    },
    says: ["folder"],
    code: "auth-file-unusable",
    exit: 1,
  },
  "an auth file that is a link to nothing": {
    args: async (machine) => {
      await symlink("nowhere", join(machine.home, "link"));
      return login("--auth-file", join(machine.home, "link"));
    },
    says: ["link"],
    code: "auth-file-unusable",
    exit: 1,
  },
  "the place where the tools look is not usable": {
    args: async (machine) => {
      await machine.write(machine.usualFile, "");
      return login();
    },
    says: ["containers/auth.json is empty"],
    code: "auth-file-unusable",
    exit: 1,
  },
};
