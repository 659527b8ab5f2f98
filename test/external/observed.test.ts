import { describe, expect, it } from 'vitest'
import type { ObservedCall } from '../../src/external/observed.ts'
import { observed } from '../../src/external/observed.ts'
import type { Answer, Outbound } from '../../src/external/send.ts'
import { SendError } from '../../src/external/send.ts'
import { virtualClock } from '../virtual-clock.ts'
import { thrownBy } from './traces.ts'

const request: Outbound = { method: 'GET', path: '/canary-path', headers: { authorization: 'Bearer canary-token' } }
const answer: Answer = { status: 503, headers: {}, body: Buffer.alloc(0) }
const never = new AbortController().signal

function watching(act: () => Promise<Answer>) {
  const clock = virtualClock()
  const calls: ObservedCall[] = []
  const send = observed(
    async () => {
      await clock.advance(7)
      return await act()
    },
    { upstream: 'vault', clock, observe: (call) => calls.push(call) },
  )
  return { calls, send }
}

describe('observed', () => {
  it('reports status and duration, and nothing of the request', async () => {
    const { calls, send } = watching(async () => answer)
    expect(await send(request, never)).toBe(answer)
    expect(calls).toEqual([{ upstream: 'vault', outcome: 503, durationMs: 7 }])
  })

  it('reports the code of a call that failed, and throws the same error on', async () => {
    const error = new SendError('reset')
    const { calls, send } = watching(() => Promise.reject(error))
    expect(await thrownBy(send(request, never))).toBe(error)
    expect(calls).toEqual([{ upstream: 'vault', outcome: 'reset', durationMs: 7 }])
  })

  it('has no word for a defect, and lets it through', async () => {
    const defect = new RangeError('a bug of ours')
    const { calls, send } = watching(() => Promise.reject(defect))
    expect(await thrownBy(send(request, never))).toBe(defect)
    expect(calls).toEqual([])
  })
})
