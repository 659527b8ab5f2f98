/** What can become of the last call of a rotation, which gives the Lease back with what is to be remembered of it. */
import { describe, expect, test } from 'vitest'
import { parseState } from '../../src/services/rotation/journal-state.ts'
import { settled } from '../virtual-clock.ts'
import type { Call } from './call.ts'
import { PATIENCE } from './effort.ts'
import type { FaultName } from './mishaps.ts'
import { faultsOf } from './mishaps.ts'
import { ROTATE } from './scenarios.ts'
import type { Story } from './story.ts'
import { LEASE_OVER_MS, tell } from './story.ts'

/** Asked again, the API server would say the same. */
const FOR_GOOD: ReadonlySet<FaultName> = new Set(['403', '413', '422'])

async function releaseOf(): Promise<Call> {
  const { process } = await tell({ ...ROTATE, seed: 0, title: 'a clean run' }).rotate()
  const last = process.calls.at(-1)
  if (last?.act !== 'lease-write') throw new Error('a rotation does not end with its Lease')
  return last
}

function leaseIn({ world }: Story): { readonly holder: string | undefined; readonly last: string | undefined } {
  const { spec, metadata } = world.lease() ?? {}
  const state = parseState(metadata?.annotations?.['keyhole.dev/rotation'] ?? '')
  return { holder: spec?.holderIdentity, last: state?.last?.id }
}

test('whatever befalls it once, the Lease is free and says what the rotation came to', PATIENCE, async () => {
  const release = await releaseOf()
  for (const fault of faultsOf(release).filter((one) => !FOR_GOOD.has(one))) {
    const story = tell({ ...ROTATE, seed: 0, title: `${fault} at the release` })
    const { report } = await story.rotate(({ number }) => (number === release.number ? fault : undefined))
    expect(report?.complete, fault).toBe(true)
    expect(leaseIn(story), fault).toEqual({ holder: '', last: report?.id })
    // What comes too late finds another Lease.
    await story.world.time.advance(LEASE_OVER_MS)
    expect(leaseIn(story), fault).toEqual({ holder: '', last: report?.id })
    await story.converge()
  }
})

describe.each([true, false])('who is stopped in it, and wakes up while another rotates', (timersFirst) => {
  test(`takes no Lease away from that one; timers first: ${timersFirst}`, PATIENCE, async () => {
    const release = await releaseOf()
    for (const moment of ['stop-before', 'stop-after'] as const) {
      let delayMs = 10
      const story = tell({ ...ROTATE, seed: 0, title: `${moment} of the release`, delayMs: () => () => delayMs })
      const first = story.begin(({ number }) => (number === release.number ? moment : undefined))
      await story.until(() => first.process.isStopped)
      await story.world.time.advance(LEASE_OVER_MS)
      const second = story.begin(undefined, { mode: 'rewrap', retire: 'after-grace' })
      await story.until(() => leaseIn(story).holder?.startsWith(second.process.name) === true)
      // The other's next call is on its way: what the first does at once comes before it.
      delayMs = 0
      first.process.proceed(timersFirst)
      await settled()
      delayMs = 10
      await story.until(() => first.ending() !== undefined)
      expect(leaseIn(story).holder, moment).toMatch(second.process.name)
      await story.until(() => second.ending() !== undefined)
      expect(second.ending()?.report?.complete, moment).toBe(true)
      await story.converge()
    }
  })
})
