/** Hints that a directory may have changed. A hint may be late, come twice, or never come, as on network file systems. */
import type { FSWatcher } from 'node:fs'
import { watch as watchFiles } from 'node:fs'

export interface Hints {
  /** Watches exactly these directories from now on. */
  follow(directories: readonly string[]): void
  close(): void
}

/** @throws the system's error if there is nothing to watch, or if no more watches are available. */
export type Watch = (directory: string, hint: () => void) => Pick<FSWatcher, 'on' | 'close'>

export function directoryHints(hint: () => void, watch: Watch = watchDirectory): Hints {
  const watchers = new Map<string, ReturnType<Watch>>()

  function drop(directory: string): void {
    watchers.get(directory)?.close()
    watchers.delete(directory)
  }

  function add(directory: string): void {
    try {
      const watcher = watch(directory, hint)
      watchers.set(directory, watcher)
      watcher.on('error', () => drop(directory))
    } catch {
      // Without hints, the regular check still finds every change.
    }
  }

  return {
    follow(directories) {
      const wanted = new Set(directories)
      for (const directory of watchers.keys()) if (!wanted.has(directory)) drop(directory)
      for (const directory of wanted) if (!watchers.has(directory)) add(directory)
    },
    close() {
      for (const directory of watchers.keys()) drop(directory)
    },
  }
}

function watchDirectory(directory: string, hint: () => void): FSWatcher {
  return watchFiles(directory, { persistent: false }, hint)
}
