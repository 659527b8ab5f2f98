/** How a rotation leaves, with runs that a test holds in its hand. */
import { request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import type { RotationEvent, RotationReport } from '../../src/contract.ts'
import { KeyholeError } from '../../src/errors.ts'
import type { Run, Started } from '../../src/services/rotation/run.ts'
import { checked } from '../contract/checked.ts'
import type { RotationWorld } from '../routes/rotation-world.ts'
import { startRotationWorld } from '../routes/rotation-world.ts'
import type { Face } from './face.ts'
import { face } from './face.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const REPORT: RotationReport = {
  type: 'report',
  id: ID,
  mode: 'rotate',
  retire: 'never',
  dryRun: false,
  complete: true,
  startedAt: '2026-01-15T00:00:00.000Z',
  finishedAt: '2026-01-15T00:00:00.000Z',
  keys: [],
}

interface Staged {
  readonly world: RotationWorld
  readonly face: Face
  tell(event: RotationEvent): void
  listeners(): number
  /** Somebody has been let in. */
  readonly begun: Promise<void>
  end(report: RotationReport | KeyholeError): void
}

let staged: Staged
afterEach(async () => {
  await staged.face.stop()
  await staged.world[Symbol.asyncDispose]()
})

/** A keyhole whose every rotation is the one that the test leads. */
async function stage(): Promise<Staged> {
  const world = await startRotationWorld()
  const listeners = new Set<(event: RotationEvent) => void>()
  const begun = Promise.withResolvers<void>()
  const report = Promise.withResolvers<RotationReport>()
  report.promise.catch(() => {})
  const run: Run = {
    id: ID,
    keys: ['payments'],
    dryRun: false,
    report: report.promise,
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const watched = await face(world.keyhole, {}, (services) => {
    const { rotating } = services
    if (rotating === undefined) return services
    const start = async (grant: Started['grant']): Promise<Started> => ({
      grant,
      id: ID,
      joined: false,
      begin() {
        begun.resolve()
        return run
      },
      [Symbol.dispose]() {},
    })
    return { ...services, rotating: { ...rotating, rotations: { ...rotating.rotations, start } } }
  })
  staged = {
    world,
    face: watched,
    tell: (event) => {
      for (const listener of listeners) listener(event)
    },
    listeners: () => listeners.size,
    begun: begun.promise,
    end: (outcome) => (outcome instanceof KeyholeError ? report.reject(outcome) : report.resolve(outcome)),
  }
  return staged
}

/** The stream of a rotation, as a reader gets it who can be told to wait. */
function watch({ world, face: { url } }: Staged) {
  const headers = { authorization: `Bearer ${world.tokenOf('rotator')}`, accept: 'application/x-ndjson' }
  const opened = Promise.withResolvers<import('node:http').IncomingMessage>()
  const outgoing = request(`${url}/rotate`, { method: 'POST', headers, agent: false }, opened.resolve)
  outgoing.on('error', opened.reject).end()
  return {
    response: opened.promise,
    leave: () => outgoing.destroy(),
    async lines(): Promise<RotationEvent[]> {
      const chunks: Buffer[] = []
      for await (const chunk of await opened.promise) chunks.push(chunk as Buffer)
      const text = Buffer.concat(chunks)
      const { statusCode = 0, headers: received } = await opened.promise
      checked(
        { method: 'POST', path: '/rotate' },
        { status: statusCode, headers: received as Record<string, string>, body: text },
      )
      return text
        .toString()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as RotationEvent)
    },
  }
}

const STEP = { type: 'step', key: 'payments', stage: 'move' } as const

describe('a stream', () => {
  it('says at once that it has begun, then each step as it is made, the report last', async () => {
    const { tell, end } = await stage()
    const reader = watch(staged)
    const response = await reader.response
    const first = await new Promise<Buffer>((resolve) => response.once('data', resolve))
    response.pause()
    response.unshift(first)
    expect(JSON.parse(first.toString())).toEqual({ type: 'started', id: ID, keys: ['payments'], dryRun: false })
    tell(STEP)
    end(REPORT)
    expect(await reader.lines()).toEqual([JSON.parse(first.toString()), STEP, REPORT])
  })

  it('waits for no reader: one that is slow misses steps, and gets the report all the same', async () => {
    const { tell, end } = await stage()
    const reader = watch(staged)
    const response = await reader.response
    response.pause()
    const total = 200_000
    // All at once, so that nothing of it can leave meanwhile.
    for (let done = 0; done < total; done += 1) tell({ type: 'progress', key: 'payments', stage: 'move', done, total })
    end(REPORT)
    const lines = await reader.lines()
    expect(lines[0]).toMatchObject({ type: 'started' })
    expect(lines.at(-1)).toEqual(REPORT)
    expect(lines.length).toBeGreaterThan(100)
    expect(lines.length).toBeLessThan(10_000)
  })

  it('whose run has no record ends with why, and without the report', async () => {
    const { end } = await stage()
    const reader = watch(staged)
    await reader.response
    end(new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-record-not-written' }))
    expect(await reader.lines()).toEqual([
      expect.objectContaining({ type: 'started' }),
      {
        type: 'failed',
        id: expect.any(String),
        code: 'AUDIT_UNAVAILABLE',
        detail: expect.any(String),
        retryable: true,
      },
    ])
  })

  it('is not listened for any more once its reader has left', async () => {
    const { tell, end, listeners } = await stage()
    const reader = watch(staged)
    await reader.response
    expect(listeners()).toBe(1)
    reader.leave()
    while (listeners() > 0) await new Promise(setImmediate)
    tell(STEP)
    end(REPORT)
    expect(staged.world.keyhole.logLines.filter((text) => /"level":"error"/.test(text))).toEqual([])
  })
})

describe('a report', () => {
  it('of a run without a record is 503, and says nothing of what was done', async () => {
    const { world, face: watched, end } = await stage()
    end(new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-record-not-written' }))
    const answer = await world.rotate({ at: { ...world.keyhole, url: watched.url } })
    expect([answer.status, JSON.parse(answer.body.toString())]).toMatchObject([503, { code: 'AUDIT_UNAVAILABLE' }])
  })

  it('that is not waited for does not end in a rejection that nobody handles', async () => {
    const { world, face: watched, end } = await stage()
    const answer = await world.rotate({
      headers: { Prefer: 'respond-async' },
      at: { ...world.keyhole, url: watched.url },
    })
    expect(answer.status).toBe(202)
    end(REPORT)
  })

  it('may take as long as a rotation may, and no longer', async () => {
    const { world, face: watched, begun, end } = await stage()
    const { turnstile } = world.keyhole.serving.wired.services
    const cut = world.rotate({ at: { ...world.keyhole, url: watched.url } }).catch((error: unknown) => error)
    await begun
    await world.clock.advance(15_000)
    expect(turnstile.inside()).toBe(1)
    await world.clock.advance(900_000)
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
    end(REPORT)
  })
})
