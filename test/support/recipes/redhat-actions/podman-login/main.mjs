import { spawnSync } from "node:child_process";

const { INPUT_REGISTRY, INPUT_USERNAME, INPUT_PASSWORD } = process.env;
const { status, stdout, stderr } = spawnSync(
  "podman",
  ["login", "--username", INPUT_USERNAME, "--password-stdin", INPUT_REGISTRY],
  { input: INPUT_PASSWORD, encoding: "utf8" },
);
console.log(`podman login: ${stdout}${stderr}`);
process.exitCode = status ?? 1;
