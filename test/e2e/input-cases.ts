/** Input that can't work: what the Action says to each. */
import { chmod, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Job, JobOptions } from "../support/job.ts";
import { needsRoot } from "../support/root.ts";
import { type Inputs, toolNames } from "../support/runner.ts";
import { entryOf } from "./world.ts";

export interface Case {
  inputs: Inputs | ((job: Job, host: string) => Inputs | Promise<Inputs>);
  code?: string;
  /** What the message must name: the option, the value, what to do. */
  says: readonly (string | RegExp)[];
  options?: JobOptions;
}

const badFile = async (job: Job, content: string | Buffer, mode = 0o600): Promise<string> => {
  const path = join(job.temp, "bad-file");
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
};
const withAuthFile = (content: string, mode?: number) => async (job: Job) => ({
  "auth-file": await badFile(job, content, mode),
});
const withDockerConfig = (content: object) => async (job: Job) => {
  await job.write(join(job.home, ".docker/config.json"), JSON.stringify(content));
  return { "docker-config": "true" };
};
const own = JSON.stringify({ auths: { "registry.example.com": entryOf("somebody", "a-foreign-password") } });

export const cases: Record<string, Case> = {
  "no robot": { inputs: { robot: "" }, says: ['"robot"', "it is required", "robot: acme+ci"] },
  "robot without +": { inputs: { robot: "acme" }, says: ['"robot" is "acme"', "organization+name", "robot: acme+ci"] },
  "robot with spaces": { inputs: { robot: "acme + ci" }, says: ['"robot" is "acme + ci"', "no blank"] },
  "robots on one line": { inputs: { robot: "acme+ci, acme+cd" }, says: ["acme+ci, acme+cd", "a line each"] },
  "robot in upper case": { inputs: { robot: "Acme+CI" }, says: ['"Acme+CI"', "lower case", "robot: acme+ci"] },
  "robot with two +": { inputs: { robot: "acme+ci+x" }, says: ['"acme+ci+x"', /letters and digits/] },
  "several robots with the same scope": {
    inputs: { robot: "acme+ci\nacme+cd" },
    says: [
      '"robot" is "acme+cd"',
      /acme\+ci logs in for localhost:\d+\/acme already/,
      /localhost:\d+\/acme\/app=acme\+cd/,
    ],
  },
  "several robots with the same explicit scope": {
    inputs: (_, host) => ({ robot: `${host}/acme/x=acme+ci\n${host}/acme/x=other+ci` }),
    says: ['"other+ci"', /already/],
  },
  "a scope on another host": {
    inputs: { robot: "ghcr.io/acme=acme+ci" },
    says: ["ghcr.io/acme=…", /another host than registry \(localhost:\d+\)/, /localhost:\d+\/acme=acme\+ci/],
  },
  "a scope that only begins like the host": {
    inputs: (_, host) => ({ robot: `${host}.evil.example/acme=acme+ci` }),
    says: [".evil.example/acme=…", "another host"],
  },
  "a scope that is no path": {
    inputs: (_, host) => ({ robot: `${host}/Acme=acme+ci` }),
    says: ["/Acme=…", "host/organization"],
  },
  "registry with a scheme": {
    inputs: { registry: "https://quay.io" },
    says: ['"registry" is "https://quay.io"', "without a scheme", "registry: quay.example.com:8443"],
  },
  "registry with a path": { inputs: { registry: "quay.io/acme" }, says: ['"quay.io/acme"', "without a path"] },
  "registry with userinfo": {
    inputs: { registry: "me:a-secret-password@quay.io" },
    options: { secrets: [{ kind: "foreign", value: "a-secret-password" }] },
    says: ['"registry" is "…@quay.io"', "without a user or password"],
  },
  "registry with userinfo and a scheme": {
    inputs: { registry: "https://me:a-secret-password@quay.io" },
    options: { secrets: [{ kind: "foreign", value: "a-secret-password" }] },
    says: ['"https://…@quay.io"', "without a scheme"],
  },
  "registry that is no host": { inputs: { registry: "quay_io:…" }, says: ['"quay_io:…"', "not a host"] },
  "registry with a port out of range": { inputs: { registry: "quay.io:99999" }, says: ['"quay.io:99999"'] },
  "unknown tool": {
    inputs: { tool: "nerdctl" },
    says: ['"tool" is "nerdctl"', `it is one of auto, ${toolNames.join(", ")}`],
  },
  "unknown identity": {
    inputs: { identity: "gitlab" },
    says: ['"identity" is "gitlab"', "github, file, spiffe, environment"],
  },
  "no tool installed": {
    inputs: {},
    options: { tools: [] },
    code: "tool-not-found",
    says: [toolNames.join(", "), "PATH", "apt-get install"],
  },
  "the tool asked for is not installed": {
    inputs: { tool: "podman" },
    options: { tools: ["skopeo"] },
    code: "tool-not-found",
    says: ["podman", "PATH"],
  },
  "only docker is installed, and the login is for an organization": {
    inputs: (_, host) => ({ robot: `${host}/acme=acme+ci` }),
    options: { tools: ["docker"] },
    code: "tool-not-found",
    says: ["skopeo, buildah, podman"],
  },
  "docker for an organization": {
    inputs: (_, host) => ({ tool: "docker", robot: `${host}/acme=acme+ci` }),
    says: ['"tool" is "docker"', /one login per host/],
  },
  "docker's configuration for an organization": {
    inputs: (_, host) => ({ "docker-config": "true", robot: `${host}/acme=acme+ci` }),
    says: ['"docker-config" is "true"', /every repository/, "docker-config: false"],
  },
  "docker without its configuration": {
    inputs: { tool: "docker", "docker-config": "false" },
    says: ['"docker-config" is "false"', "docker-config: auto"],
  },
  "ca-file that isn't there": {
    inputs: { "ca-file": "/nowhere/ca.pem" },
    says: ['"ca-file" is "/nowhere/ca.pem"', "does not exist"],
  },
  "ca-file that is a folder": { inputs: ({ temp }) => ({ "ca-file": temp }), says: ['"ca-file"', "is a folder"] },
  [`ca-file of another user ${needsRoot}`]: {
    inputs: async (job) => ({ "ca-file": await badFile(job, "theirs") }),
    options: { uid: 1234 },
    says: ['"ca-file"', "may not be read by this user"],
  },
  "ca-file that is empty": {
    inputs: async (job) => ({ "ca-file": await badFile(job, " \n") }),
    says: ['"ca-file"', "bad-file", "is empty", "ca-file: /path/to/root.pem"],
  },
  "ca-file that is not PEM": {
    inputs: async (job) => ({ "ca-file": await badFile(job, Buffer.from([0x30, 0x82, 0x01, 0x0a, 0xff])) }),
    says: ['"ca-file"', "no PEM certificate"],
  },
  "ca-file with a damaged certificate": {
    inputs: async (job) => ({
      "ca-file": await badFile(job, "-----BEGIN CERTIFICATE-----\nMIIBhTCC\n-----END CERTIFICATE-----\n"),
    }),
    says: ['"ca-file"', "certificate 1 in the file is damaged"],
  },
  "auth file that is not JSON": {
    inputs: withAuthFile(`${own}}`),
    code: "auth-file-unusable",
    says: ["bad-file is not JSON", "Mend or delete it", "{}"],
  },
  "auth file that is empty": {
    inputs: withAuthFile(""),
    code: "auth-file-unusable",
    says: ["bad-file is empty", "{}"],
  },
  "auth file that is another JSON": {
    inputs: withAuthFile('["auths"]'),
    code: "auth-file-unusable",
    says: ["bad-file is JSON, but not an auth file"],
  },
  "auth file whose logins are none": {
    inputs: withAuthFile('{"auths": "none"}'),
    code: "auth-file-unusable",
    says: ["bad-file is JSON, but not an auth file"],
  },
  "auth file that is a folder": {
    inputs: ({ temp }) => ({ "auth-file": temp }),
    code: "auth-file-unusable",
    says: ["is a folder", "auth-file: /path/auth.json"],
  },
  "auth file that is a dangling link": {
    inputs: async ({ temp }) => {
      await symlink("nowhere", join(temp, "link"));
      return { "auth-file": join(temp, "link") };
    },
    code: "auth-file-unusable",
    says: [/link is a symbolic link to nothing/],
  },
  "auth file below a file": {
    inputs: async (job) => ({ "auth-file": join(await badFile(job, own), "auth.json") }),
    code: "auth-file-unusable",
    says: [/bad-file\/auth\.json/],
  },
  "auth file that is read-only": {
    inputs: withAuthFile(own, 0o400),
    code: "auth-file-unusable",
    says: ["bad-file is read-only", "chmod u+w", "auth-file: /path"],
  },
  [`auth file of another user ${needsRoot}`]: {
    inputs: async (job) => ({ "ca-file": "", "auth-file": await badFile(job, own) }),
    options: { uid: 1234 },
    code: "auth-file-unusable",
    says: ["bad-file may not be read by this user"],
  },
  "auth file in the workspace": {
    inputs: ({ workspace }) => ({ "auth-file": join(workspace, "auth.json") }),
    says: ['"auth-file"', "images and artifacts", /auth-file: \$\{\{ runner\.temp \}\}\/auth\.json/],
  },
  "auth file in the workspace, by a relative path": {
    inputs: { "auth-file": "auth.json" },
    says: ['"auth-file" is "auth.json"', "images and artifacts"],
  },
  "auth file whose helper hides the login": {
    inputs: async (job, host) => ({
      "auth-file": await badFile(job, JSON.stringify({ credHelpers: { [host]: "pass" } })),
    }),
    code: "credential-helper",
    says: [/bad-file sets credHelpers\.localhost:\d+/, /Remove credHelpers/],
  },
  "docker's credsStore hides the login": {
    inputs: withDockerConfig({ credsStore: "desktop", auths: {} }),
    code: "credential-helper",
    says: [".docker/config.json sets credsStore", "docker-config: false"],
  },
  "docker's configuration is not JSON": {
    inputs: async (job) => {
      await job.write(join(job.home, ".docker/config.json"), "{");
      return { "docker-config": "true" };
    },
    code: "auth-file-unusable",
    says: [".docker/config.json is not JSON"],
  },
  "no place for docker's configuration": {
    inputs: { "docker-config": "true" },
    options: { env: { HOME: undefined } },
    says: ["docker's configuration", "HOME", "docker-config: false"],
  },
  "auth-file-mode that is no mode": { inputs: { "auth-file-mode": "rw" }, says: ['"auth-file-mode" is "rw"', "0640"] },
  "auth-file-mode that locks us out": { inputs: { "auth-file-mode": "0444" }, says: ['"auth-file-mode" is "0444"'] },
  "auth-file-mode with execution": { inputs: { "auth-file-mode": "0755" }, says: ['"auth-file-mode" is "0755"'] },
  "timeout that is no number": {
    inputs: { timeout: "soon" },
    says: ['"timeout" is "soon"', "seconds", "timeout: 120"],
  },
  "timeout with a unit": { inputs: { timeout: "2m" }, says: ['"timeout" is "2m"'] },
  "timeout of zero": { inputs: { timeout: "0" }, says: ['"timeout" is "0"'] },
  "timeout that is negative": { inputs: { timeout: "-5" }, says: ['"timeout" is "-5"'] },
  "timeout that is too long": { inputs: { timeout: "999999999999" }, says: ['"timeout" is "999999999999"'] },
  "logout neither true nor false": { inputs: { logout: "yes" }, says: ['"logout" is "yes"', "true, false"] },
  "export-token neither true nor false": {
    inputs: { "export-token": "1" },
    says: ['"export-token" is "1"', "true, false"],
  },
  "docker-config neither": {
    inputs: { "docker-config": "no" },
    says: ['"docker-config" is "no"', "auto, true, false"],
  },
  "without-identity neither": { inputs: { "without-identity": "ignore" }, says: ['"without-identity"', "fail, skip"] },
  "export-token with several robots": {
    inputs: (_, host) => ({ "export-token": "true", robot: `${host}=acme+ci\n${host}/acme=acme+cd` }),
    says: ['"export-token" is "true"', "several robots"],
  },
  "audience with blanks": { inputs: { audience: "quay sts" }, says: ['"audience" is "quay sts"', "audience: quay"] },
  "access that names no repository": {
    inputs: { access: "app:pull" },
    says: ['"access" is "app:pull"', "organization/repository"],
  },
  "access without actions": {
    inputs: { access: "acme/app" },
    says: ['"access" is "acme/app"', "access: acme/app:pull,push"],
  },
  "access with an action that isn't one": {
    inputs: { access: "acme/app:pull,delete" },
    says: ['"delete"', "neither pull nor push"],
  },
  "access for which no robot logs in": {
    inputs: (_, host) => ({ access: "other/app:pull", robot: `${host}/acme=acme+ci` }),
    says: ['"access" is "other/app:pull"', "none of the robots", "/other/app"],
  },
  "access on another host": { inputs: { access: "ghcr.io/Acme/app:pull" }, says: ['"access"'] },
  "token-file and token-env": {
    inputs: { "token-file": "/x", "token-env": "Y" },
    says: ['"token-env"', "token-file is set too"],
  },
  "token-file with identity: github": {
    inputs: { "token-file": "/x", identity: "github" },
    says: ['"token-file" is "/x"', "identity is github"],
  },
  "identity: environment without a variable": {
    inputs: { identity: "environment" },
    says: ['"token-env"', "QUAY_ID_TOKEN"],
  },
  "the token itself in token-env": {
    inputs: { "token-env": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl" },
    options: { secrets: [{ kind: "identity", value: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl" }] },
    says: ['"token-env" is "…"', "name of a variable, not the token"],
  },
};
