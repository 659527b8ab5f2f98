/** A rotator as a process of its own, watched through its audit records, and stopped at a moment of its work. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RotateRequest } from '../../src/contract.ts'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import type { Answered, RotationWorld } from './rotation-world.ts'
import { rotate } from './rotation-world.ts'
import { until } from './until.ts'

/** So many milliseconds after so many records of the kind, from when it is asked for. */
export interface Moment {
  /** `advance begin`, `move end`, ...: an effect's; `rotation begin`: of the rotation itself. */
  readonly record: string
  readonly count: number
  readonly delayMs: number
}

export interface RotatorProcess extends AsyncDisposable {
  readonly url: string
  /** Sends the signal once its work has come to this moment; called before it begins. */
  signalAt(moment: Moment, signal: NodeJS.Signals): Promise<void>
  signal(signal: NodeJS.Signals): void
  readonly gone: Promise<unknown>
}

export async function startRotatorProcess({ policy, rotator }: RotationWorld): Promise<RotatorProcess> {
  const settings = { ...rotator.settings, KEYHOLE_AUDIT: 'stdout' }
  const keyhole = await startKeyholeProcess(rotator.upstreams, { policy, settings })
  const records = watched(keyhole)
  return {
    url: keyhole.url,
    gone: keyhole.exited,
    signal: (name) => void keyhole.process.kill(name),
    async signalAt({ record, count, delayMs }, name) {
      await records.seen(record, count)
      if (delayMs > 0) await sleep(delayMs)
      keyhole.process.kill(name)
    },
    [Symbol.asyncDispose]: () => keyhole[Symbol.asyncDispose](),
  }
}

/** Reads stdout as it comes: a moment is over by the time that somebody polls for it. */
function watched({ process }: KeyholeProcess): { seen(record: string, count: number): Promise<void> } {
  const counts = new Map<string, number>()
  const waiting = new Set<() => void>()
  let rest = ''
  process.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const { kind, effect, phase } = JSON.parse(line) as Record<string, unknown>
      const record = `${effect ?? kind} ${phase}`
      counts.set(record, (counts.get(record) ?? 0) + 1)
    }
    for (const look of waiting) look()
  })
  return {
    seen(record, count) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const before = counts.get(record) ?? 0
      const look = () => {
        if ((counts.get(record) ?? 0) >= before + count) resolve()
      }
      waiting.add(look)
      return promise.finally(() => waiting.delete(look))
    },
  }
}

/** Asks again while another one's Lease holds, or a server is too busy to answer in time: as any caller does for these codes. */
export async function rotateOnceFree(
  rotator: { readonly url: string },
  world: RotationWorld,
  body: RotateRequest = {},
): Promise<Answered> {
  let answered: Answered | undefined
  const look = async () => {
    answered = await rotate(rotator, world, body)
    return !/^(?:409|503) /.test(answered.answer)
  }
  await until('the Lease is free', look, { withinMs: 60_000, everyMs: 1_000 })
  return answered as Answered
}
