/** Rotations that go as they should: what is answered, what is changed, and what a reader sees meanwhile. */
import { describe, expect, it } from 'vitest'
import type { RotationEvent, RotationReport, RotationStarted } from '../../src/contract.ts'
import type { SendDecorator } from '../../src/external/send.ts'
import type { RotationWorld } from './rotation-world.ts'
import { effectsOf, holdCalls, ID, reportIn, startRotationWorld, until } from './rotation-world.ts'

const MOVED = [
  { namespace: 'payments', name: 'payments-db', outcome: 'rewrapped' },
  { namespace: 'payments', name: 'payments-tls', outcome: 'rewrapped' },
]

const isPatched = ({ kubernetes }: RotationWorld, name: string) =>
  kubernetes.requests
    .entries()
    .some(({ method, path, status }) => method === 'PATCH' && path.endsWith(`/${name}`) && status === 200)

describe('a rotation', () => {
  it('makes a version, moves every Secret to it, and tells what it did', async () => {
    await using world = await startRotationWorld()
    const answer = await world.rotate()
    expect(answer.status).toBe(200)
    expect(reportIn(answer)).toMatchObject({
      type: 'report',
      id: ID,
      mode: 'rotate',
      retire: 'after-grace',
      dryRun: false,
      complete: true,
      keys: [
        {
          key: 'payments',
          from: 1,
          to: 2,
          advance: 'made',
          resumed: false,
          minDecryptionVersion: { before: 1, after: 1 },
          retirement: { done: false, why: 'nothing-older' },
          secrets: MOVED,
        },
      ],
    })
    expect(world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
  })

  it('changes no value for a reader: before, in the middle, and after', async () => {
    await using world = await startRotationWorld()
    const before = [await world.read('db'), await world.read('tls')]
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const rotated = world.rotate()
    await patch.arrived
    await until(() => isPatched(world, 'payments-db'))
    expect(world.standing().versions).toEqual(['v2', 'v1', 'v1'])
    expect([await world.read('db'), await world.read('tls')]).toEqual(before)
    patch.release()
    expect((await rotated).status).toBe(200)
    expect([await world.read('db'), await world.read('tls')]).toEqual(before)
  })

  it('never asks Vault to decrypt, nor shows it another role than its own', async () => {
    await using world = await startRotationWorld()
    await world.rotate()
    expect(world.calls().filter((call) => /decrypt/.test(call))).toEqual([])
    expect(world.vault.requests.count('POST', '/v1/transit/keys/payments/rotate')).toBe(1)
    expect(world.calls().every((call) => !/PUT .*secrets/.test(call))).toBe(true)
  })

  it('has a record of who was let in, and one before and after each effect', async () => {
    await using world = await startRotationWorld()
    const { id } = reportIn(await world.rotate())
    const records = await world.keyhole.auditRecords()
    expect(records.find(({ kind }) => kind === 'decision')).toMatchObject({
      action: 'rotate',
      outcome: 'started',
      rotation: id,
      rotates: ['payments'],
      caller: { namespace: 'keyhole', serviceAccount: 'keyhole-cron', pod: expect.anything() },
      keys: [],
    })
    const effects = await effectsOf(world.keyhole)
    expect(effects.slice(0, 2)).toEqual(['advance begin', 'advance end'])
    expect(effects.slice(2).toSorted()).toEqual([
      'move begin payments-db',
      'move begin payments-tls',
      'move end payments-db',
      'move end payments-tls',
    ])
    expect(records.filter(({ kind }) => kind === 'rotation')).toEqual([
      expect.objectContaining({ phase: 'begin', rotation: id }),
      expect.objectContaining({ phase: 'end', rotation: id, complete: true }),
    ])
  })

  it('as rewrap makes no version', async () => {
    await using world = await startRotationWorld()
    const { keys } = reportIn(await world.rotate({ body: { mode: 'rewrap', keys: ['payments'] } }))
    expect(keys[0]).toMatchObject({ advance: 'not-asked', secrets: [{ outcome: 'current' }, { outcome: 'current' }] })
    expect(world.standing()).toEqual({ versions: ['v1', 'v1', 'v1'], latest: 1, min: 1 })
  })

  it('that leaves a Secret behind is a 500 with its report, which can be repeated', async () => {
    await using world = await startRotationWorld()
    world.kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-tls' })
    const answer = await world.rotate()
    const problem = JSON.parse(answer.body.toString()) as { readonly report: RotationReport }
    expect(problem).toMatchObject({ code: 'ROTATION_INCOMPLETE', retryable: true, report: { complete: false } })
    expect([answer.status, answer.headers['retry-after']]).toEqual([500, '30'])
    expect(problem.report.keys[0]?.secrets).toMatchObject([
      { name: 'payments-db', outcome: 'rewrapped' },
      { name: 'payments-tls', outcome: 'blocked', code: 'SECRET_MISSING' },
    ])
  })
})

describe('a key that goes no further', () => {
  it('says in the report what to do, and in the log why, under the same id', async () => {
    await using world = await startRotationWorld()
    world.vault.putPolicy('keyhole-rotate', [{ path: 'transit/keys/payments', capabilities: ['read'] }])
    for (const body of [{}, { dryRun: true }]) {
      const text = (await world.rotate({ body })).body.toString()
      const { report = JSON.parse(text) as RotationReport } = JSON.parse(text) as { report?: RotationReport }
      expect(report.keys[0]?.failure).toMatchObject({
        code: 'KEY_UNUSABLE',
        detail: expect.stringMatching(/^give the/),
      })
      const lines = world.keyhole.logLines.map((line) => JSON.parse(line) as Record<string, unknown>)
      expect(lines.filter(({ requestId }) => requestId === report.id)).toMatchObject([
        { msg: 'refused: KEY_UNUSABLE', why: 'vault-forbidden', upstream: 'vault', kind: 'forbidden' },
      ])
    }
  })

  it('for a defect of ours leaves its place in the log, and none of its words anywhere', async () => {
    let broken = false
    const decorate: SendDecorator = (send) => (request, signal) => {
      if (broken && request.method === 'PATCH') throw new TypeError('correct horse battery staple')
      return send(request, signal)
    }
    await using world = await startRotationWorld({ surroundings: { decorate } })
    broken = true
    const answer = await world.rotate()
    expect(answer.status).toBe(500)
    const logged = world.keyhole.logLines.filter((line) => /"refused: INTERNAL"/.test(line))
    expect(logged).toEqual([expect.stringMatching(/"why":"defect".*"cause":"TypeError","at":\[".*rotation\.test\.ts/)])
    broken = false
    const again = await world.rotate()
    expect([again.status, reportIn(again).keys[0]?.resumed]).toEqual([200, true])
  })
})

describe('a dry run', () => {
  it('tells what would happen, and writes nothing anywhere', async () => {
    await using world = await startRotationWorld()
    const answer = await world.rotate({ body: { dryRun: true } })
    expect(answer.status).toBe(200)
    expect(reportIn(answer)).toMatchObject({ dryRun: true, keys: [{ from: 1, to: 2, advance: 'made' }] })
    const { versions, latest } = world.standing()
    expect([versions, latest]).toEqual([['v1', 'v1', 'v1'], 1])
    const writes = world.calls().filter((call) => !/^GET /.test(call) && !/tokenreviews$|rewrap/.test(call))
    expect(writes).toEqual([])
    expect(await effectsOf(world.keyhole)).toEqual([])
    expect(world.kubernetes.lease({ namespace: 'keyhole', name: 'keyhole-rotation' })).toBeUndefined()
  })

  it('foresees that a compromised version does not wait for the interval, and is retired whole', async () => {
    await using world = await startRotationWorld()
    await world.rotate()
    const foreseen = reportIn(await world.rotate({ body: { dryRun: true, retire: 'now' } }))
    expect(foreseen.keys[0]).toMatchObject({
      advance: 'made',
      to: 3,
      minDecryptionVersion: { before: 1, after: 3 },
      retirement: { done: false, why: 'dry-run' },
    })
  })

  it('is answered with 200 also where something would be blocked', async () => {
    await using world = await startRotationWorld()
    world.kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-tls' })
    const answer = await world.rotate({ body: { dryRun: true } })
    expect([answer.status, reportIn(answer).complete]).toEqual([200, false])
  })
})

describe('Prefer: respond-async', () => {
  it('answers before it is over, and GET /rotate shows how it goes and how it ended', async () => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const answer = await world.rotate({ headers: { Prefer: 'wait=5, respond-async' } })
    expect([answer.status, answer.headers['location']]).toEqual([202, '/rotate'])
    const { id, keys } = JSON.parse(answer.body.toString()) as RotationStarted
    expect(keys).toEqual(['payments'])
    expect(await world.status()).toMatchObject({ running: { id, total: 2 }, last: null })
    patch.release()
    await until(async () => (await world.status()).running === null)
    // The ledger is as old as ten seconds, so that asking again and again does not read all Secrets each time.
    await world.clock.advance(10_000)
    expect(await world.status()).toMatchObject({
      running: null,
      last: { id, complete: true, rewrapped: 2, blocked: 0, left: 0, failures: [] },
      ledger: [{ key: 'payments', latestVersion: 2, secrets: 2, versions: { '2': 2 }, drift: [], blocked: [] }],
    })
  })
})

describe('Accept: application/x-ndjson', () => {
  it('streams its start, its steps and its report, in order', async () => {
    await using world = await startRotationWorld()
    const answer = await world.rotate({ headers: { Accept: 'application/x-ndjson' } })
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/x-ndjson'])
    const lines = answer.body.toString().trimEnd().split('\n')
    const events = lines.map((line) => JSON.parse(line) as RotationEvent | RotationReport)
    expect(events[0]).toMatchObject({ type: 'started', keys: ['payments'], dryRun: false })
    const stages = events.flatMap((event) => (event.type === 'step' ? [event.stage] : []))
    expect(stages).toEqual(['intend', 'advance', 'move', 'verify', 'close'])
    expect(events).toContainEqual({ type: 'progress', key: 'payments', stage: 'move', done: 2, total: 2 })
    expect(events.at(-1)).toMatchObject({ type: 'report', complete: true, keys: [{ secrets: MOVED }] })
  })

  it('ends with a report that says what is blocked: its status is out by then', async () => {
    await using world = await startRotationWorld()
    world.kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-tls' })
    const answer = await world.rotate({ headers: { Accept: 'application/x-ndjson' } })
    const last = JSON.parse(answer.body.toString().trimEnd().split('\n').at(-1) ?? '') as RotationReport
    expect([answer.status, last.type, last.complete]).toEqual([200, 'report', false])
  })
})
