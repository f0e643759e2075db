/** A reporter for vitest, beside its own: prints the progress of a run every 20 seconds. */
import type { Reporter } from "vitest/node";

const everyMs = 20_000;

export default class Progress implements Reporter {
  #files = 0;
  #ended = 0;
  #failed = 0;
  #began = 0;
  #said = 0;

  onTestRunStart(files: readonly unknown[]): void {
    this.#files = files.length;
    this.#began = this.#said = performance.now();
  }

  onTestModuleEnd(module: { ok(): boolean }): void {
    this.#ended += 1;
    if (!module.ok()) this.#failed += 1;
    const now = performance.now();
    if (now - this.#said < everyMs) return;
    this.#said = now;
    const seconds = Math.round((now - this.#began) / 1000);
    const failed = this.#failed > 0 ? `, ${this.#failed} with failures` : "";
    console.log(
      `-- ${this.#ended} of ${this.#files} files${failed}, ${Math.floor(seconds / 60)} min ${seconds % 60} s`,
    );
  }
}
