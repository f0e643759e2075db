import { spawnSync } from "node:child_process";

const { INPUT_REGISTRY, INPUT_USERNAME, INPUT_PASSWORD } = process.env;
const { status, stdout, stderr } = spawnSync(
  "docker",
  ["login", "--username", INPUT_USERNAME, "--password-stdin", INPUT_REGISTRY],
  { input: INPUT_PASSWORD, encoding: "utf8" },
);
console.log(`docker login: ${stdout}${stderr}`);
process.exitCode = status ?? 1;
