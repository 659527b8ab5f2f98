/** The same rotation twice, two at once, one too soon: on one process, and on three. */
import { describe, expect, it } from 'vitest'
import type { RotationProgress, RotationStarted } from '../../src/contract.ts'
import { ask, problem } from './ask.ts'
import { holdCalls, reportIn, startRotationWorld, until } from './rotation-world.ts'

const KEY = { 'Idempotency-Key': 'monthly-2026-01' }

describe('an Idempotency-Key', () => {
  it('joins the rotation that it began, while it runs and when it is over', async () => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const first = world.rotate({ headers: KEY })
    await patch.arrived
    const second = world.rotate({ headers: KEY })
    const begun = await world.rotate({ headers: { ...KEY, Prefer: 'respond-async' } })
    expect(begun.status).toBe(202)
    patch.release()
    const { id } = JSON.parse(begun.body.toString()) as RotationStarted
    expect([reportIn(await first).id, reportIn(await second).id]).toEqual([id, id])
    world.forget()
    const later = await world.rotate({ headers: KEY })
    expect([later.status, reportIn(later).id, reportIn(later).complete]).toEqual([200, id, true])
    const streamed = await world.rotate({ headers: { ...KEY, Accept: 'application/x-ndjson' } })
    const lines = streamed.body.toString().trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual([id, id])
    expect(world.calls().filter((call) => /^(?:PUT|PATCH)|rewrap|rotate|config/.test(call))).toEqual([])
    const outcomes = (await world.keyhole.auditRecords())
      .filter(({ kind }) => kind === 'decision')
      .map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['started', 'joined', 'joined', 'joined', 'joined'])
  })

  it('is not forgotten by another process, which looks again and makes no second version for it', async () => {
    await using world = await startRotationWorld()
    await world.rotate({ headers: KEY })
    const again = await world.rotate({ headers: KEY, at: await world.start() })
    expect([again.status, reportIn(again).keys[0]?.advance]).toEqual([200, 'not-asked'])
    expect(world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
    const other = await world.rotate({ headers: KEY, body: { retire: 'never' }, at: await world.start() })
    expect(problem(other).code).toBe('IDEMPOTENCY_KEY_REUSED')
  })

  it.each([{ mode: 'rewrap' }, { dryRun: false, retire: 'never' }, { keys: ['payments'] }] as const)(
    'with another body is refused, while it runs and when it is over: %o',
    async (body) => {
      await using world = await startRotationWorld()
      const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
      const first = world.rotate({ headers: KEY })
      await patch.arrived
      expect(problem(await world.rotate({ headers: KEY, body })).code).toBe('IDEMPOTENCY_KEY_REUSED')
      patch.release()
      expect((await first).status).toBe(200)
      const answer = await world.rotate({ headers: KEY, body })
      expect([answer.status, problem(answer).code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    },
  )

  it('does not stand for a rotation that was not complete: that one goes on', async () => {
    await using world = await startRotationWorld()
    const tls = world.kubernetes.secret({ namespace: 'payments', name: 'payments-tls' })
    world.kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-tls' })
    expect((await world.rotate({ headers: KEY })).status).toBe(500)
    world.kubernetes.putSecret({ namespace: 'payments', name: 'payments-tls', data: tls?.data ?? {} })
    const again = await world.rotate({ headers: KEY })
    expect([again.status, world.standing()]).toEqual([200, { versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 }])
  })

  it('nowhere stands in clear: not on the Lease, not in a record', async () => {
    await using world = await startRotationWorld()
    const word = 'canary-idempotency-5f02'
    world.secret('an Idempotency-Key', word)
    await world.rotate({ headers: { 'Idempotency-Key': word } })
    const lease = world.kubernetes.lease({ namespace: 'keyhole', name: 'keyhole-rotation' })
    expect(JSON.stringify(lease)).toContain('idempotency')
    expect(JSON.stringify(lease)).not.toContain(word)
  })
})

describe('a second rotation', () => {
  it('while one runs here is told how far that one is, and changes nothing', async () => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const first = world.rotate()
    await patch.arrived
    const answer = await world.rotate()
    const told = problem(answer)
    expect([answer.status, told.code, told.retryable]).toEqual([409, 'ROTATION_IN_PROGRESS', true])
    expect(told.progress).toEqual({
      startedAt: '2026-01-15T00:00:00.000Z',
      done: 0,
      total: 2,
    } satisfies RotationProgress)
    patch.release()
    expect((await first).status).toBe(200)
    expect(world.standing().latest).toBe(2)
  })

  it('is not held up by a dry run, nor a dry run by it', async () => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const first = world.rotate()
    await patch.arrived
    expect((await world.rotate({ body: { dryRun: true } })).status).toBe(200)
    patch.release()
    expect((await first).status).toBe(200)
  })

  it('within the interval is 429 until it is over, where nothing is left to do', async () => {
    await using world = await startRotationWorld()
    await world.rotate()
    await world.clock.advance(600_000)
    world.forget()
    const answer = await world.rotate()
    expect([answer.status, problem(answer).code, answer.headers['retry-after']]).toEqual([
      429,
      'ROTATED_RECENTLY',
      '3000',
    ])
    expect(world.calls().filter((call) => /secrets|rewrap|PUT/.test(call))).toEqual([])
  })

  it.each([{ mode: 'rewrap' }, { dryRun: true }] as const)('within the interval goes ahead with %o', async (body) => {
    await using world = await startRotationWorld()
    await world.rotate()
    expect((await world.rotate({ body })).status).toBe(200)
    expect(world.standing().latest).toBe(2)
  })
})

describe('three replicas that are called at once', () => {
  it('rotate once: one works, the others say so', async () => {
    await using world = await startRotationWorld()
    const replicas = [world.keyhole, await world.start(), await world.start()]
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-db$/ })
    const answers: number[] = []
    const asked = replicas.map(async (at) => {
      const answer = await world.rotate({ at })
      answers.push(answer.status)
      if (answer.status === 409) expect(problem(answer).code).toBe('ROTATION_IN_PROGRESS')
    })
    await until(() => answers.length === 2)
    expect(answers).toEqual([409, 409])
    patch.release()
    await Promise.all(asked)
    expect(answers).toEqual([409, 409, 200])
    expect(world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
    expect(world.vault.requests.count('POST', /keys\/payments\/rotate$/)).toBe(1)
  })

  it('know of one another: each can say how far the one is that works, and how it ended', async () => {
    await using world = await startRotationWorld()
    const other = await world.start()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-db$/ })
    const first = world.rotate()
    await patch.arrived
    const told = problem(await world.rotate({ at: other }))
    expect(told).toMatchObject({ code: 'ROTATION_IN_PROGRESS', progress: { total: 2 } })
    const { running } = await world.status({ at: other })
    expect(running).toMatchObject({ total: 2 })
    patch.release()
    expect(reportIn(await first).id).toBe(running?.id)
    expect(await world.status({ at: other })).toMatchObject({
      running: null,
      last: { id: running?.id, complete: true },
    })
    const answer = await ask(other.url, '/secrets/db', { token: world.tokenOf('api') })
    expect(answer.status).toBe(200)
  })
})
