/** Scenario 4: others are at work while keyhole rotates. */
import { describe, expect, test } from 'vitest'
import type { Call } from './call.ts'
import { LONG, PATIENCE, seeds } from './effort.ts'
import {
  atOnce,
  auditFails,
  begun,
  DECIDING,
  deleted,
  droppedBetween,
  gitOps,
  halted,
  lateForLease,
  melee,
  olderBackAndCrash,
  olderBackBeforeRaise,
  pasted,
  rotatedMeanwhile,
  sealedFor,
  TAMPERINGS,
  tampered,
  writesBetweenRewrapAndPatch,
} from './scenarios.ts'
import { parallelOf } from './story.ts'

async function cleanCalls(): Promise<readonly Call[]> {
  const { process } = await begun('a clean run', { seed: 0 }).rotate()
  return process.calls
}

/** Every so-manieth, where there is no time for all. */
function some(calls: readonly Call[], every: number): readonly number[] {
  return calls.map(({ number }) => number).filter((number) => LONG || number % every === 0)
}

describe('owners', () => {
  test.each(['pay', 'led'] as const)(
    'an older ciphertext comes back before the minimum of %s rises',
    PATIENCE,
    async (key) => {
      for (const seed of seeds(3)) await olderBackBeforeRaise({ seed }, key)
    },
  )

  test.each(['crash-before', 'crash-after', 'crash-answered'] as const)(
    'the same, and %s of it',
    PATIENCE,
    async (moment) => {
      for (const seed of seeds(2)) await olderBackAndCrash({ seed }, seed % 2 === 0 ? 'pay' : 'led', moment)
    },
  )

  test.each([false, true])(
    'a value written while ciphertext is rewrapped wins; a new object: %s',
    PATIENCE,
    async (anew) => {
      for (const seed of seeds(6)) await writesBetweenRewrapAndPatch({ seed }, anew)
    },
  )

  test('a pasted ciphertext is told, and bars retirement', PATIENCE, async () => {
    for (const seed of seeds(6)) await pasted({ seed })
  })

  test('a Secret that is deleted at any call is told, moves nobody else, and bars retirement', PATIENCE, async () => {
    for (const { number } of await cleanCalls()) {
      const told = { seed: number, parallel: parallelOf(number >> 2) }
      for (const which of LONG ? [0, 1, 2, 3] : [number]) await deleted(told, number, which)
    }
  })

  test('a GitOps tool may bring its ciphertext back whenever it likes', PATIENCE, async () => {
    for (const seed of seeds(8)) await gitOps({ seed })
  })
})

describe('operators', () => {
  test.each([2, 3])('%s rotators at once make one version', PATIENCE, async (count) => {
    for (const seed of seeds(6)) await atOnce({ seed }, count)
  })

  test('one that is late to take the Lease does not take it', PATIENCE, async () => {
    for (const seed of seeds(2)) await lateForLease({ seed })
  })

  test('a Secret that leaves the policy still opens after the next rotation', PATIENCE, async () => {
    for (const seed of seeds(4)) await droppedBetween({ seed })
  })

  describe.each(['pay', 'led'] as const)('a version of %s that Vault makes by itself', (key) => {
    test.each(DECIDING)(
      'after %s %s: nothing fails of it, and the next one moves to it',
      PATIENCE,
      async (...moment) => {
        for (const parallel of [1, 16]) await rotatedMeanwhile({ seed: moment[1], parallel }, key, moment)
      },
    )
  })

  test('SIGTERM after any call: what was begun is in order', PATIENCE, async () => {
    for (const number of some(await cleanCalls(), 5)) await halted({ seed: number }, number)
  })

  test.each([false, true])(
    'an audit log that fails from any record on ends it; written all the same: %s',
    async (isWritten) => {
      const appends = (await cleanCalls()).filter(({ act }) => act === 'append')
      for (const [index, { number }] of appends.entries())
        if (LONG || index % 2 === Number(isWritten)) await auditFails({ seed: number }, number, isWritten)
    },
  )

  test('a sealed Vault is waited for, or the next rotation goes on', PATIENCE, async () => {
    for (const number of some(await cleanCalls(), 11)) await sealedFor({ seed: number }, number)
  })

  test.each(TAMPERINGS)('a Lease that says %s moves nobody', PATIENCE, async (tampering) => {
    const calls = await cleanCalls()
    expect(calls.length).toBeGreaterThan(50)
    for (const number of some(calls, 23)) await tampered({ seed: number }, tampering, number)
  })
})

test('several of them at once, at any moment', PATIENCE, async () => {
  for (const seed of seeds(60)) await melee({ seed })
})
