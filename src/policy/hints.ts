/** Tells that a directory may have changed. Only a hint: it may be late, double, or missing, as on network file systems. */

import type { FSWatcher } from 'node:fs'
import { watch } from 'node:fs'

export interface Hints {
  /** Watches exactly these directories from now on. */
  follow(directories: readonly string[]): void
  close(): void
}

export function directoryHints(hint: () => void): Hints {
  const watchers = new Map<string, FSWatcher>()

  function drop(directory: string): void {
    watchers.get(directory)?.close()
    watchers.delete(directory)
  }

  return {
    follow(directories) {
      const wanted = new Set(directories)
      for (const directory of watchers.keys()) if (!wanted.has(directory)) drop(directory)
      for (const directory of wanted) {
        if (watchers.has(directory)) continue
        try {
          const watcher = watch(directory, { persistent: false }, hint)
          watcher.on('error', () => drop(directory))
          watchers.set(directory, watcher)
        } catch {
          // No more watches to be had, or it is gone again: the clock will notice changes.
        }
      }
    },
    close() {
      for (const directory of watchers.keys()) drop(directory)
    },
  }
}
