import { describe, expect, test } from 'vitest'
import type { Code, KeyReport, RotationEvent } from '../../../src/contract.ts'
import { KeyholeError, UpstreamError } from '../../../src/errors.ts'
import { allKeysRotator } from '../../../src/services/rotation/all-keys.ts'
import type { Intent } from '../../../src/services/rotation/journal-state.ts'
import { hasRoom, withIntent } from '../../../src/services/rotation/journal-state.ts'
import type { Order } from '../../../src/services/rotation/run.ts'
import { grant, policyFrom, transitKey } from '../../policy/documents.ts'
import { claimOf, keyOf, RUN, rotationGrantOf, stagesOf } from './stages.ts'
import { NEVER, sealed, world } from './world.ts'

const NAMES = ['a', 'b', 'c'] as const
const ORDER: Order = { mode: 'rotate', retire: 'after-grace', dryRun: false }

interface Surroundings {
  /** Left behind by an earlier rotation. */
  readonly intent?: Partial<Intent>
  readonly halt?: AbortSignal
  readonly onEvent?: (event: RotationEvent) => void
}

/** Three keys with one Secret each; `asked` are those that the caller may rotate. */
async function rotating(asked: readonly string[] = NAMES, { intent, halt = NEVER, onEvent }: Surroundings = {}) {
  const there = world()
  const rotation = { grace: 0, admins: [{ namespace: 'keyhole', serviceAccount: 'cron' }] }
  const policy = policyFrom(
    ...NAMES.map((name) => transitKey({ exclusive: true, rotation }, name)),
    ...NAMES.map((name) => grant({ secretRef: { name: `of-${name}`, key: 'secrets.json' }, transitKey: name }, name)),
  )
  for (const name of NAMES) {
    there.putKey(name)
    const place = `payments/of-${name}`
    there.putSecret(place, { 'secrets.json': sealed(1, place, 'secrets.json', { key: name }) })
  }
  const failures: [code: Code, rotation: string][] = []
  const stages = stagesOf(there, { halt })
  const rotateAll = allKeysRotator({
    ...stages,
    clock: there.clock,
    halt,
    failed: ({ code }, rotation_) => failures.push([code, rotation_]),
  })
  const claim = await claimOf(there)
  if (intent !== undefined) {
    const left: Intent = {
      ...{ id: '0b', key: 'c', mount: 'transit', from: 1, target: 2, mode: 'rotate', retire: 'after-grace' },
      ...{ by: 'keyhole/cron', startedAtMs: 1 },
      ...intent,
    } as Intent
    await claim.write((state) => withIntent(state, left))
  }
  const events: RotationEvent[] = []
  const rotating_ = { id: RUN.id, caller: { namespace: 'keyhole', serviceAccount: 'cron' }, policyHash: 'sha256:0' }
  return {
    there,
    claim,
    failures,
    events,
    versions: () => NAMES.map((name) => there.keys.get(name)?.latestVersion),
    run: (order = ORDER) =>
      there.elapsed(
        rotateAll(claim, {
          grant: rotationGrantOf(...asked.map((name) => keyOf(policy, name))),
          order,
          rotating: rotating_,
          onEvent: onEvent ?? ((event) => events.push(event)),
        }),
      ),
  }
}

function outcomes(reports: readonly KeyReport[]): readonly string[] {
  return reports.map(({ key, complete, failure }) => `${key} ${failure?.code ?? complete}`)
}

describe('rotateAll: a failure', () => {
  test('for want of room on the Lease is of that key: what stands there already is finished, and makes some', async () => {
    const { there, claim, versions, run } = await rotating(NAMES, { intent: { key: 'c' } })
    const other = (index: number): Intent => ({
      ...(claim.state().intents[0] as Intent),
      // Of a size that leaves no gap in which another would fit.
      key: `k${index}`,
    })
    let full = claim.state()
    for (let next = full; hasRoom(next); next = withIntent(full, other(full.intents.length))) full = next
    await claim.write(() => full)
    expect(outcomes(await run())).toEqual(['a LEASE_UNUSABLE', 'b LEASE_UNUSABLE', 'c true'])
    expect(versions()).toEqual([1, 1, 2])
    expect(there.count(/^rotate [ab]/)).toBe(0)
    expect(claim.state().intents).toHaveLength(full.intents.length - 1)
  })

  test('of one key does not stop the next, and what was begun of it stays to be finished', async () => {
    const { there, claim, failures, versions, run } = await rotating()
    there.fail(/^rotate b/, new UpstreamError('vault', 'forbidden'), 2)
    expect(outcomes(await run())).toEqual(['a true', 'b KEY_UNUSABLE', 'c true'])
    expect(versions()).toEqual([2, 1, 2])
    expect(claim.state().intents).toMatchObject([{ key: 'b', target: 2 }])
    expect(failures).toEqual([['KEY_UNUSABLE', RUN.id]])
  })

  test('of a key that cannot even be read leaves nothing to be finished', async () => {
    const { there, claim, run } = await rotating()
    there.fail(/^read b/, new UpstreamError('vault', 'key-missing'))
    expect(outcomes(await run())).toEqual(['a true', 'b KEY_UNUSABLE', 'c true'])
    expect(claim.state().intents).toEqual([])
  })

  test('that is a defect is of that key, and not a word of it is told', async () => {
    const { there, run } = await rotating()
    there.fail(/^hold payments\/of-a/, new TypeError('canary'))
    const reports = await run()
    expect(outcomes(reports)).toEqual(['a INTERNAL', 'b true', 'c true'])
    expect(JSON.stringify(reports)).not.toContain('canary')
  })

  test('to get an answer about one key does not stop the next; about two in a row there is no reason to ask on', async () => {
    const one = await rotating()
    one.there.fail(/^rotate a/, new UpstreamError('vault', 'unavailable'))
    expect(outcomes(await one.run())).toEqual(['a VAULT_UNAVAILABLE', 'b true', 'c true'])
    const two = await rotating()
    two.there.fail(/^rotate [ab]/, new UpstreamError('vault', 'unavailable'), 2)
    const reports = await two.run()
    expect(outcomes(reports)).toEqual(['a VAULT_UNAVAILABLE', 'b VAULT_UNAVAILABLE', 'c VAULT_UNAVAILABLE'])
    expect(reports[2]).toMatchObject({ secrets: [{ outcome: 'left' }] })
    expect(two.versions()).toEqual([1, 1, 1])
    expect(two.failures).toHaveLength(2)
  })

  test('to get an answer now and then does not add up', async () => {
    const { there, run } = await rotating()
    there.fail(/^rotate [ac]/, new UpstreamError('vault', 'unavailable'), 2)
    expect(outcomes(await run())).toEqual(['a VAULT_UNAVAILABLE', 'b true', 'c VAULT_UNAVAILABLE'])
  })

  test.each<[string, RegExp, Error, Code]>([
    ['the audit log', /^audit begin/, new Error('no space left on device'), 'AUDIT_UNAVAILABLE'],
    ['the Lease', /^write-lease/, new UpstreamError('kubernetes', 'forbidden'), 'LEASE_UNUSABLE'],
  ])('of %s is of all keys, and is told once', async (_, call, error, code) => {
    const { there, failures, versions, run } = await rotating()
    there.fail(call, error)
    expect(outcomes(await run())).toEqual([`a ${code}`, `b ${code}`, `c ${code}`])
    expect(versions()).toEqual([1, 1, 1])
    expect(failures).toEqual([[code, RUN.id]])
  })

  test('is what a Lease that was taken is', async () => {
    const { there, versions, run } = await rotating()
    there.fail(/^rewrap a/, () => there.setLease(undefined))
    const lost = 'ROTATION_IN_PROGRESS'
    expect(outcomes(await run())).toEqual([`a ${lost}`, `b ${lost}`, `c ${lost}`])
    expect(versions()).toEqual([2, 1, 1])
  })

  test('told to stop while it finishes what was left begins nothing of what is asked', async () => {
    const halting = new AbortController()
    const onEvent = (event: RotationEvent) => {
      if (event.type === 'step' && event.stage === 'close') halting.abort(new KeyholeError('ROTATION_INCOMPLETE'))
    }
    const intent = { target: 1, mode: 'rewrap', retire: 'never' } as const
    const { claim, versions, run } = await rotating(['c'], { intent, halt: halting.signal, onEvent })
    expect(await run()).toMatchObject([
      { key: 'c', resumed: true, complete: true },
      { key: 'c', complete: false, failure: { code: 'ROTATION_INCOMPLETE' } },
    ])
    expect(versions()).toEqual([1, 1, 1])
    expect(claim.state().intents).toEqual([])
  })

  test('is to be told to stop: no other key begins', async () => {
    const halting = new AbortController()
    const { there, versions, run } = await rotating(NAMES, { halt: halting.signal })
    const stop = () => halting.abort(new KeyholeError('ROTATION_INCOMPLETE', { why: 'stopping' }))
    there.fail(/^hold payments\/of-a/, () => stop())
    expect(outcomes(await run())).toEqual(['a ROTATION_INCOMPLETE', 'b ROTATION_INCOMPLETE', 'c ROTATION_INCOMPLETE'])
    expect(versions()).toEqual([2, 1, 1])
  })
})

describe('rotateAll: what is told of the version', () => {
  test('is decided once: an interval that is over while the intent is written makes none, and none is told', async () => {
    const { there, versions, run } = await rotating(['a'])
    const { clock } = there
    there.keys.get('a')?.createdAtMs.set(1, clock.now() - 3_600_000 + 5)
    there.fail(/^write-lease/, { afterwards: () => clock.set(clock.now() + 10) })
    expect(await run()).toMatchObject([{ complete: true, from: 1, to: 1, advance: 'recent' }])
    expect(versions()).toEqual([1, 1, 1])
  })

  test('is not that it was made where it was not', async () => {
    const { there, versions, run } = await rotating(['a'])
    there.fail(/^rotate a/, new UpstreamError('vault', 'forbidden'), 2)
    const [report] = await run()
    expect(report).toMatchObject({ from: 1, failure: { code: 'KEY_UNUSABLE' } })
    expect(report?.advance).toBeUndefined()
    expect(versions()).toEqual([1, 1, 1])
  })
})

describe('rotateAll: what an earlier rotation has left', () => {
  test('of a key that is asked for is finished first, told as resumed, and made no second version of', async () => {
    const { there, claim, versions, run } = await rotating(NAMES, { intent: { key: 'b' } })
    const reports = await run()
    expect(outcomes(reports)).toEqual(['a true', 'b true', 'c true'])
    expect(reports.map(({ resumed }) => resumed)).toEqual([false, true, false])
    expect(versions()).toEqual([2, 2, 2])
    expect(claim.state().intents).toEqual([])
    expect(there.records.filter(({ phase }) => phase === 'resumed')).toMatchObject([
      { transitKeys: ['b'], resumed: { by: 'keyhole/cron', target: 2, retire: 'after-grace' } },
    ])
  })

  test('of other keys waits for whoever may rotate them', async () => {
    const { claim, versions, events, run } = await rotating(['a'], { intent: {} })
    expect(outcomes(await run())).toEqual(['a true'])
    expect(versions()).toEqual([2, 1, 1])
    expect(claim.state().intents).toMatchObject([{ key: 'c' }])
    expect(new Set(events.map((event) => 'key' in event && event.key))).toEqual(new Set(['a']))
  })

  test('with another retirement is finished with its own, then comes what is asked for', async () => {
    const { there, claim, run } = await rotating(['c'], { intent: { retire: 'never' } })
    const reports = await run()
    // Its one Secret counts once.
    expect(claim.state().run?.done).toBe(1)
    expect(outcomes(reports)).toEqual(['c true', 'c true'])
    expect(reports.map(({ resumed, retirement }) => [resumed, retirement?.why])).toEqual([
      [true, 'not-asked'],
      [false, 'raised'],
    ])
    // Within its interval: no second version.
    expect(there.count(/^rotate c/)).toBe(1)
  })

  test('of a mere rewrap is no rotation: the version that is asked for is made', async () => {
    const { versions, run } = await rotating(['c'], { intent: { mode: 'rewrap', target: 1 } })
    expect((await run()).map(({ resumed, advance }) => [resumed, advance])).toEqual([
      [true, 'there'],
      [false, 'made'],
    ])
    expect(versions()).toEqual([1, 1, 2])
  })

  test('is all there is to do where only a rewrap is asked for', async () => {
    const { run } = await rotating(['c'], { intent: { mode: 'rewrap', target: 1 } })
    expect(outcomes(await run({ ...ORDER, mode: 'rewrap' }))).toEqual(['c true'])
  })

  test('is all there is to do where Vault has made its version lately', async () => {
    const { there, versions, run } = await rotating(['c'], { intent: {} })
    Object.assign(there.keys.get('c') ?? {}, { latestVersion: 2 })
    there.keys.get('c')?.createdAtMs.set(2, there.clock.now())
    expect(outcomes(await run())).toEqual(['c true'])
    expect(versions()).toEqual([1, 1, 2])
  })

  test.each<[string, Partial<Intent>, string]>([
    ['another mount', { mount: 'other' }, 'other-mount'],
    ['a version far beyond', { target: 9 }, 'target-elsewhere'],
    ['somebody who may not rotate that key', { by: 'payments/api' }, 'not-an-admin'],
  ])('of %s is not believed: that is told, and what is asked for begins anew', async (_, intent, why) => {
    const { there, claim, versions, run } = await rotating(['c'], { intent })
    const reports = await run()
    expect(outcomes(reports)).toEqual(['c true'])
    expect(reports[0]?.resumed).toBe(false)
    expect(there.records[0]).toMatchObject({ phase: 'discarded', transitKeys: ['c'], why })
    expect(versions()).toEqual([1, 1, 2])
    expect(claim.state().intents).toEqual([])
  })

  test('is not taken up without a record of that', async () => {
    const { there, claim, run } = await rotating(['c'], { intent: {} })
    there.fail(/^audit resumed/, new Error('no space left on device'))
    expect(outcomes(await run())).toEqual(['c AUDIT_UNAVAILABLE'])
    expect(claim.state().intents).toHaveLength(1)
  })

  test('that cannot be finished is reported as that', async () => {
    const { there, run } = await rotating(['c'], { intent: {} })
    there.fail(/^rotate c/, new UpstreamError('vault', 'forbidden'), 2)
    const reports = await run()
    expect(outcomes(reports)).toEqual(['c KEY_UNUSABLE'])
    expect(reports[0]?.resumed).toBe(true)
  })
})
