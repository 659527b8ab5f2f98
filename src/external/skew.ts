/** How far a peer's clock is before ours, as its answers say. */
import type { Clock } from '../clock.ts'
import type { Send } from './send.ts'

interface Skewed {
  readonly send: Send
  /** Undefined before an answer has told. */
  skewMs(): number | undefined
}

export function skewed(send: Send, clock: Clock): Skewed {
  let skewMs: number | undefined
  return {
    skewMs: () => skewMs,
    async send(request, signal) {
      const sentAt = clock.now()
      const answer = await send(request, signal)
      const dateMs = Date.parse(answer.headers['date'] ?? '')
      // In whole seconds, rounded down: half of one is the best guess.
      if (!Number.isNaN(dateMs)) skewMs = dateMs + 500 - (sentAt + clock.now()) / 2
      return answer
    },
  }
}
