/** The one way to wait for a server: look again and again, with a bound. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Patience {
  /** Give up after this; default 120 s, which only ends what hangs. */
  readonly withinMs?: number
  /** Between two looks; default 50 ms. */
  readonly everyMs?: number
}

/** Milliseconds until `look` said yes; throws once patience ends. What `look` throws is not hidden. */
export async function until(what: string, look: () => Promise<boolean>, patience: Patience = {}): Promise<number> {
  const { withinMs = 120_000, everyMs = 50 } = patience
  const startedMs = performance.now()
  for (;;) {
    const seen = await look()
    const tookMs = performance.now() - startedMs
    if (seen) return Math.round(tookMs)
    if (tookMs > withinMs) throw new Error(`waited ${withinMs} ms in vain: ${what}`)
    await sleep(everyMs)
  }
}
