/** The one way to wait for a server: look again and again, with a bound. */
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 50

/** Milliseconds until `look` said yes; throws after `withinMs`. What `look` throws is not hidden. */
export async function until(what: string, look: () => Promise<boolean>, withinMs = 30_000): Promise<number> {
  const startedMs = performance.now()
  for (;;) {
    const seen = await look()
    const tookMs = performance.now() - startedMs
    if (seen) return Math.round(tookMs)
    if (tookMs > withinMs) throw new Error(`waited ${withinMs} ms in vain: ${what}`)
    await sleep(POLL_MS)
  }
}
