/** A rotator as a process of its own, watched through its audit records, and killed or stopped at a moment of its work. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RotateRequest } from '../../src/contract.ts'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import type { Answered, RotationWorld } from './rotation-world.ts'
import { rotate } from './rotation-world.ts'
import { until } from './until.ts'

/** So many milliseconds after so many records of the kind. */
export interface Moment {
  /** `advance begin`, `move end`, ...: an effect's; `rotation begin`: of the rotation itself. */
  readonly record: string
  readonly count: number
  readonly delayMs: number
}

export interface RotatorProcess extends AsyncDisposable {
  readonly url: string
  /** Kills it once its work has come to this moment, counted from here on; called before the work begins. */
  killAt(moment: Moment): Promise<void>
  /** Resolves once it has stopped itself. */
  hasStopped(): Promise<unknown>
  wake(): void
  readonly gone: Promise<unknown>
}

/** What a killed one holds is waited for, so it is short; but a Vault token of 10 s has to be had while it lasts longer than that. */
const LEASE_MS = 20_000

/** @param stopsAt where it stops itself, once. */
export async function startRotatorProcess(
  { policy, rotator }: RotationWorld,
  stopsAt?: Moment,
): Promise<RotatorProcess> {
  const settings = { ...rotator.settings, KEYHOLE_AUDIT: 'stdout', KEYHOLE_LEASE_MS: String(LEASE_MS) }
  const nodeFlags = stopsAt === undefined ? [] : stoppingAt(stopsAt)
  const keyhole = await startKeyholeProcess(rotator.upstreams, { policy, settings, nodeFlags })
  const records = watched(keyhole)
  return {
    url: keyhole.url,
    gone: keyhole.exited,
    async killAt({ record, count, delayMs }) {
      await records.seen(record, count)
      if (delayMs > 0) await sleep(delayMs)
      keyhole.process.kill('SIGKILL')
    },
    hasStopped: () => until('it has stopped itself', async () => (await stateOf(keyhole.pid)) === 'T'),
    wake: () => void keyhole.process.kill('SIGCONT'),
    [Symbol.asyncDispose]: () => keyhole[Symbol.asyncDispose](),
  }
}

/**
 * Flags of a node that stops itself, since whoever reads its records may hear of a moment when that is long over. Without a
 * delay it does so within the write, before the rotation knows that the record is written.
 */
function stoppingAt({ record, count, delayMs }: Moment): readonly string[] {
  const script = `
    const { write } = process.stdout
    const stop = () => process.kill(process.pid, 'SIGSTOP')
    let left = ${count}
    process.stdout.write = (bytes, ...rest) => {
      const taken = write.call(process.stdout, bytes, ...rest)
      for (const line of String(bytes).trimEnd().split('\\n')) {
        const { kind, effect, phase } = JSON.parse(line)
        if (\`\${effect ?? kind} \${phase}\` !== '${record}') continue
        left -= 1
        if (left === 0) ${delayMs === 0 ? 'stop()' : `setTimeout(stop, ${delayMs})`}
      }
      return taken
    }`
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`]
}

/** A letter, as `ps` has it. */
async function stateOf(pid: number): Promise<string | undefined> {
  return /\) (\w)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1]
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
  await until('the Lease is free', look, { everyMs: 1_000 })
  return answered as Answered
}
