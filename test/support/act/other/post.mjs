import { spawnSync } from "node:child_process";

const { status, stdout, stderr } = spawnSync("podman", ["logout", process.env.INPUT_HOST], { encoding: "utf8" });
console.log(`podman logout: ${status} ${stdout}${stderr}`);
process.exitCode = status === 0 ? 0 : 1;
