/** Asking Vault: a few calls at once, and the first that fails ends them all. */
import type { UpstreamKind } from '../errors.ts'
import { UpstreamError } from '../errors.ts'
import { gate } from '../services/rotation/pool.ts'
import type { Seen } from './found.ts'
import type { Fields, VaultAdmin } from './port.ts'

export interface Looking {
  readonly vault: VaultAdmin
  readonly signal: AbortSignal
  /** Called as it goes: how much has been looked at, and of how much. */
  progress(done: number, total: number): void
}

/** Both throw UpstreamError for whatever is not a matter of rights. */
export interface Asking {
  read(path: string): Promise<Seen<Fields>>
  list(path: string): Promise<readonly string[] | 'hidden'>
}

const AT_ONCE = 4

export function asking({ vault, signal, progress }: Looking): Asking {
  const few = gate(AT_ONCE)
  const over = new AbortController()
  const both = AbortSignal.any([signal, over.signal])
  let failure: unknown
  let [done, total] = [0, 0]

  async function ask<T>(act: () => Promise<T>): Promise<T | 'hidden'> {
    total += 1
    try {
      return await few(act)
    } catch (error) {
      if (error instanceof UpstreamError && HIDDEN.has(error.kind)) return 'hidden'
      failure ??= error
      over.abort()
      throw failure
    } finally {
      done += 1
      progress(done, total)
    }
  }

  return {
    read: (path) =>
      ask(async () => {
        const there = await vault.read(path, both)
        return there === undefined ? 'missing' : { there }
      }),
    list: (path) => ask(() => vault.list(path, both)),
  }
}

/** Where mounts may not be looked at, one that is not there answers like this. */
const HIDDEN: ReadonlySet<string> = new Set<UpstreamKind>(['forbidden', 'mount-missing'])
