import { spawnSync } from "node:child_process";

const { status, stdout, stderr } = spawnSync("docker", ["logout", process.env.INPUT_REGISTRY], { encoding: "utf8" });
console.log(`docker logout: ${stdout}${stderr}`);
process.exitCode = status ?? 1;
