/** Rotations whose caller leaves, whose process is told to stop, or whose audit log fails. */
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { RotationReport } from '../../src/contract.ts'
import { dial, get } from '../http/line.ts'
import type { FragileSink } from '../read-path/sink.ts'
import { fragileSink } from '../read-path/sink.ts'
import { problem } from './ask.ts'
import type { RotationWorld } from './rotation-world.ts'
import { holdCalls, ID, reportIn, startRotationWorld, until } from './rotation-world.ts'

const UNTOUCHED = { versions: ['v1', 'v1', 'v1'], latest: 1, min: 1 }
const DONE = { versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 }
const LEASE = { namespace: 'keyhole', name: 'keyhole-rotation' }

const holder = (world: RotationWorld) => world.kubernetes.lease(LEASE)?.spec.holderIdentity ?? ''

describe('a caller that leaves', () => {
  it.each([
    ['waiting for the report', {}],
    ['watching', { Accept: 'application/x-ndjson' }],
  ])('in the middle, %s, ends nothing', async (_what, headers) => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const line = await dial(world.keyhole.url)
    line.send(get('/rotate', { Authorization: `Bearer ${world.tokenOf('rotator')}`, ...headers }, 'POST'))
    await patch.arrived
    const { turnstile } = world.keyhole.serving.wired.services
    line.socket.resetAndDestroy()
    await until(() => turnstile.inside() === 0)
    patch.release()
    await until(async () => (await world.status()).running === null)
    expect((await world.status()).last).toMatchObject({ complete: true, rewrapped: 2 })
    expect(world.standing()).toEqual(DONE)
    expect(world.keyhole.logLines.filter((text) => /"level":"error"/.test(text))).toEqual([])
  })

  it('before it was let in has begun nothing, and left no Lease behind', async () => {
    await using world = await startRotationWorld()
    const lease = holdCalls(world.kubernetes, { method: 'PUT', path: /leases/ })
    const line = await dial(world.keyhole.url)
    line.send(get('/rotate', { Authorization: `Bearer ${world.tokenOf('rotator')}` }, 'POST'))
    await lease.arrived
    line.socket.resetAndDestroy()
    const { turnstile } = world.keyhole.serving.wired.services
    await until(() => turnstile.inside() === 0)
    lease.release()
    await until(() => world.kubernetes.lease(LEASE) !== undefined && holder(world) === '')
    expect(world.standing()).toEqual(UNTOUCHED)
    expect((await world.rotate()).status).toBe(200)
  })
})

/** What was changed is not undone, and nothing of it may be told. */
const STOPPED = {
  code: 'AUDIT_UNAVAILABLE',
  detail:
    'The audit record could not be written, so the rotation stopped, and its report is withheld. What was changed until then stays changed: a new version, and each Secret that was moved. Once the audit log works, GET /rotate shows how every Secret stands, and the next rotation goes on where this one stopped.',
  retryable: true,
}

describe('an audit log that fails', () => {
  async function withSink(): Promise<{ world: RotationWorld; sink: FragileSink }> {
    const sink = fragileSink()
    const surroundings = { stdout: sink.stream }
    const world = await startRotationWorld({ settings: { KEYHOLE_AUDIT: 'stdout' }, surroundings })
    return { world, sink }
  }

  it('lets nobody rotate: 503, and nothing is changed', async () => {
    const { world, sink } = await withSink()
    await using _ = world
    sink.fail('ENOSPC')
    const answer = await world.rotate()
    expect([answer.status, problem(answer).code]).toEqual([503, 'AUDIT_UNAVAILABLE'])
    // Nothing had begun, so nothing stays changed.
    expect(problem(answer).detail).not.toContain('stays changed')
    await until(() => holder(world) === '')
    expect(world.standing()).toEqual(UNTOUCHED)
    world.forget()
    expect((await world.rotate()).status).toBe(503)
    expect(world.calls()).toEqual([])
  })

  it('before the first effect stops it there: no begin, no effect', async () => {
    const { world, sink } = await withSink()
    await using _ = world
    const key = holdCalls(world.vault, { method: 'GET', path: /keys\/payments$/ })
    const rotated = world.rotate()
    await key.arrived
    sink.fail('EIO')
    key.release()
    const answer = await rotated
    expect([answer.status, problem(answer)]).toEqual([503, expect.objectContaining(STOPPED)])
    expect(world.standing()).toEqual(UNTOUCHED)
    await until(() => holder(world) === '')
  })

  it('in the middle stops it with what is done, and the next one goes on', async () => {
    const { world, sink } = await withSink()
    await using _ = world
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-(?:db|tls)$/ })
    const rotated = world.rotate()
    await patch.arrived
    sink.fail('EIO')
    patch.release()
    const answer = await rotated
    expect([answer.status, problem(answer)]).toEqual([503, expect.objectContaining(STOPPED)])
    expect(world.standing().latest).toBe(2)
    sink.mend()
    await until(async () => {
      await world.clock.advance(250)
      return world.keyhole.serving.wired.health.ready()
    })
    const again = await world.rotate()
    expect([again.status, reportIn(again).keys[0]?.resumed]).toEqual([200, true])
    expect(world.standing()).toEqual(DONE)
  })
})

describe('an audit log that fails under a stream', () => {
  it('ends it with what became of the rotation', async () => {
    const sink = fragileSink()
    const surroundings = { stdout: sink.stream }
    await using world = await startRotationWorld({ settings: { KEYHOLE_AUDIT: 'stdout' }, surroundings })
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-(?:db|tls)$/ })
    const rotated = world.rotate({ headers: { Accept: 'application/x-ndjson' } })
    await patch.arrived
    sink.fail('EIO')
    patch.release()
    const answer = await rotated
    const last = answer.body.toString().trimEnd().split('\n').at(-1) ?? ''
    expect(answer.status).toBe(200)
    expect(JSON.parse(last)).toEqual({ type: 'failed', id: ID, ...STOPPED })
  })
})

describe('SIGTERM in the middle', () => {
  it('finishes what is begun, begins nothing else, gives the Lease back, and the next process goes on', async () => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const rotated = world.rotate()
    await patch.arrived
    const auditFile = `${world.keyhole.directory}/audit.log`
    const stopped = world.keyhole.stop()
    patch.release()
    const answer = await rotated
    const { code, report } = JSON.parse(answer.body.toString()) as { code: string; report: RotationReport }
    expect([answer.status, code]).toEqual([500, 'ROTATION_INCOMPLETE'])
    expect(report.keys[0]?.failure).toEqual({
      code: 'ROTATION_INCOMPLETE',
      detail: 'keyhole was told to stop. Rotate again: it goes on where this one stopped.',
    })
    await stopped
    await expect(readFile(auditFile)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(holder(world)).toBe('')
    const successor = await world.start()
    const again = await world.rotate({ at: successor })
    expect([again.status, reportIn(again).keys[0]?.resumed]).toEqual([200, true])
    expect(world.standing()).toEqual(DONE)
  })

  it('ends a stream with its report', async () => {
    await using world = await startRotationWorld()
    const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
    const rotated = world.rotate({ headers: { Accept: 'application/x-ndjson' } })
    await patch.arrived
    const stopped = world.keyhole.stop()
    patch.release()
    const last = (await rotated).body.toString().trimEnd().split('\n').at(-1) ?? ''
    expect(JSON.parse(last)).toMatchObject({ type: 'report', complete: false })
    await stopped
  })

  it('lets nobody begin another one', async () => {
    await using world = await startRotationWorld()
    const review = holdCalls(world.kubernetes, { path: /tokenreviews/ })
    const rotated = world.rotate()
    await review.arrived
    const stopped = world.keyhole.stop()
    review.release()
    const answer = await rotated
    expect([answer.status, problem(answer).code]).toEqual([503, 'OVERLOADED'])
    await stopped
    expect(world.standing()).toEqual(UNTOUCHED)
  })
})
