/** A Send that reports each call: what metrics count. */
import type { Clock } from '../clock.ts'
import type { Send, SendErrorCode } from './send.ts'
import { SendError } from './send.ts'

export interface ObservedCall {
  readonly upstream: 'kubernetes' | 'vault'
  /** The HTTP status, or how the call ended without one. */
  readonly outcome: number | SendErrorCode
  readonly durationMs: number
}

export interface Observation {
  readonly upstream: 'kubernetes' | 'vault'
  readonly clock: Clock
  readonly observe: (call: ObservedCall) => void
}

export function observed(send: Send, { upstream, clock, observe }: Observation): Send {
  return async (request, signal) => {
    const startedAt = clock.now()
    const report = (outcome: number | SendErrorCode) =>
      observe({ upstream, outcome, durationMs: clock.now() - startedAt })
    try {
      const answer = await send(request, signal)
      report(answer.status)
      return answer
    } catch (error) {
      if (error instanceof SendError) report(error.code)
      throw error
    }
  }
}
