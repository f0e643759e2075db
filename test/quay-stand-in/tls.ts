/**
 * A certificate authority made at run time, with openssl: every run has its own root, so the machine trusts nothing new
 * and no key is kept. EC P-256, because that takes milliseconds.
 */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A private key and its certificate, both PEM, as options of `node:https`. */
export interface Certificate {
  key: string;
  cert: string;
}

/** Flaws of a certificate, for tests of TLS verification. */
export type Flaw = "expired" | "other-name" | "other-root";

export interface Authority {
  /** Path of the root's PEM file. */
  caFile: string;
  /** A folder with that file as `ca.crt`, for `skopeo --cert-dir`. */
  certDir: string;
  /** The root itself, PEM. */
  ca: string;
  /** A server certificate for these names (host names or IPv4 addresses); the same names give the same one. */
  issue(names?: readonly string[]): Promise<Certificate>;
  /** A server certificate for localhost that a client must refuse. */
  issueFlawed(flaw: Flaw): Promise<Certificate>;
  close(): Promise<void>;
}

/** Makes this process trust it like the machine's roots, as NODE_EXTRA_CA_CERTS does for a process that starts. */
export function trustAsMachine({ ca }: Authority): void {
  setDefaultCACertificates([...getCACertificates("default"), ca]);
}

const LOOPBACK = ["localhost", "127.0.0.1"];

const CONFIG = `[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
[signing]
default_ca = signer
[signer]
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
email_in_dn = no
[any]
commonName = supplied
`;

export async function createAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-tls-"));
  await chmod(folder, 0o711); // other users trust it, too; its keys are for its owner alone
  const at = (name: string) => join(folder, name);
  await writeFile(at("openssl.cnf"), CONFIG);
  const makeRoot = (name: string) => openssl(["req", "-x509", "-days", "2", "-extensions", "root"], name);
  await makeRoot("ca");
  const ca = await readFile(at("ca.crt"), "utf8");
  const issued = new Map<string, Promise<Certificate>>();
  let foreignRoot: Promise<void> | undefined;

  /** Runs openssl with a new key `<name>.key`, to make `<name>.crt` (or a request, for `req -new`). */
  async function openssl(command: string[], name: string, output = "crt"): Promise<void> {
    await run("openssl", [
      ...command,
      ...["-config", at("openssl.cnf"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-subj", `/CN=quay-keyless-login test ${name}`],
      ...["-keyout", at(`${name}.key`), "-out", at(`${name}.${output}`)],
    ]);
  }

  async function sign(name: string, names: readonly string[], root: string): Promise<Certificate> {
    const alternatives = names.map((each) => (/^[\d.]+$/.test(each) ? `IP:${each}` : `DNS:${each}`)).join(",");
    const extensions = ["basicConstraints=critical,CA:FALSE", `subjectAltName=${alternatives}`];
    const signer = ["-CA", at(`${root}.crt`), "-CAkey", at(`${root}.key`), "-days", "2"];
    await openssl(["req", "-x509", ...signer, ...extensions.flatMap((each) => ["-addext", each])], name);
    return read(name);
  }

  /** `openssl ca` is the one command of OpenSSL 3.0 that takes dates of the past. */
  async function signExpired(name: string): Promise<Certificate> {
    await openssl(["req", "-new", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], name, "csr");
    await writeFile(at("index.txt"), "");
    const database = `[signer]\ndatabase = ${at("index.txt")}\nnew_certs_dir = ${folder}\ncopy_extensions = copy\n`;
    await writeFile(at("ca.cnf"), CONFIG.replace("[signer]\n", database));
    await run("openssl", [
      ...["ca", "-batch", "-notext", "-config", at("ca.cnf"), "-name", "signer"],
      ...["-cert", at("ca.crt"), "-keyfile", at("ca.key")],
      ...["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
      ...["-in", at(`${name}.csr`), "-out", at(`${name}.crt`)],
    ]);
    return read(name);
  }

  async function read(name: string): Promise<Certificate> {
    const [key, cert] = await Promise.all([readFile(at(`${name}.key`), "utf8"), readFile(at(`${name}.crt`), "utf8")]);
    return { key, cert };
  }

  /** Makes a certificate once per description. */
  function once(description: string, make: (name: string) => Promise<Certificate>): Promise<Certificate> {
    const known = issued.get(description) ?? make(`server${issued.size}`);
    issued.set(description, known);
    return known;
  }

  const makeFlawed: Record<Flaw, (name: string) => Promise<Certificate>> = {
    expired: signExpired,
    "other-name": (name) => sign(name, ["elsewhere.example"], "ca"),
    "other-root": async (name) => {
      foreignRoot ??= makeRoot("foreign");
      await foreignRoot;
      return sign(name, LOOPBACK, "foreign");
    },
  };

  // The folder for `--cert-dir` may hold nothing but certificates: a `.key` there would be taken for a client's.
  const certDir = await mkdtemp(join(folder, "certs-"));
  await chmod(certDir, 0o755);
  await writeFile(join(certDir, "ca.crt"), ca);
  return {
    caFile: join(certDir, "ca.crt"),
    certDir,
    ca,
    issue: (names = LOOPBACK) => once(names.join(), (name) => sign(name, names, "ca")),
    issueFlawed: (flaw) => once(flaw, makeFlawed[flaw]),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
