import { spawnSync } from "node:child_process";

const { status, stdout, stderr } = spawnSync("podman", ["logout", process.env.INPUT_REGISTRY], { encoding: "utf8" });
console.log(`podman logout: ${stdout}${stderr}`);
process.exitCode = status ?? 1;
