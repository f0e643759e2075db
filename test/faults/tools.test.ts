/** Rows of the matrix: the tool that logs in. Scripts on PATH replace skopeo. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { exchangesOf, fault, keepsPromises, newWorld } from "./world.ts";

const peers = useWorld({ registry: false });

describe.concurrent("a tool that", () => {
  /** @param script runs in skopeo's place, in sh, with skopeo's arguments */
  function tool(id: string, script: string, says: RegExp, how: { terminal?: true; interpreter?: string } = {}) {
    fault(id, async ({ expect, row }) => {
      const world = await newWorld(peers(), { row, more: ["--tool", "skopeo"] });
      const file = join(world.machine.scratch, "tools/skopeo");
      await rm(file);
      await writeFile(file, `${how.interpreter ?? "#!/bin/sh"}\n${script}\n`, { mode: 0o755 });
      const ran = await world.machine.run(world.args, how.terminal ? { terminal: true } : {});
      if (how.terminal) {
        // Both of its outputs are one there; what it read comes first.
        ran.stderr = ran.stdout;
        ran.stdout = ran.stdout.slice(ran.stdout.indexOf("{"), ran.stdout.lastIndexOf("}") + 1);
      }
      await keepsPromises(expect, row, world, ran);
      expect(ran.stderr).toMatch(says);
      expect(exchangesOf(peers(), world.robot)).toBe(1);
    });
  }
  /** The file that the tool is to write: the argument after --authfile. */
  const write = (content: string) =>
    `cat >/dev/null; while [ "$1" != --authfile ]; do shift; done; printf '%s' '${content}' > "$2"`;

  tool("F161", "kill -9 $$", /skopeo login localhost:\d+: it was killed/);
  tool("F162", "exec sleep 60", /It was waiting for skopeo login/);
  tool("F163", "sleep 61; echo too late", /It was waiting for skopeo login/);
  tool("F164", "cat >/dev/null", /reported success, but wrote no login for/);
  tool("F165", write("{half"), /reported success, but wrote no login for/);
  tool("F166", write('{"auths": {"HOST": {"auth": "c29tZWJvZHk6ZWxzZQ=="}}}'), /but wrote no login for/);
  tool(
    "F167",
    "until read -r password </dev/tty; do printf 'Password: ' >/dev/tty; sleep 0.2; done",
    /It was waiting for skopeo login/,
    {
      terminal: true,
    },
  );
  tool(
    "F168",
    "echo 'Error: cannot read a password from a non TTY device'; exit 1",
    /skopeo login .*: .*non TTY device/,
  );
  tool("F169", 'read -r it; echo "wrong: $it"; echo "wrong: $it" >&2; exit 1', /skopeo login .*: wrong: \*\*\*/);
  tool("F170", "exec yes", /It was waiting for skopeo login/);
  tool("F171", "exec 0<&-; echo 'not today'; exit 7", /skopeo login .*: not today/);
  tool("F172", "", /skopeo login .*ENOENT/, { interpreter: "#!/no/such/interpreter" });
});
