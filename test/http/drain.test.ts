import { describe, expect, it } from 'vitest'
import { hold, startWorld } from '../routes/world.ts'
import { dial, get } from './line.ts'

/** A keyhole with one request that waits for its review. */
async function withOneInFlight() {
  // A disk takes its own time, and the clock of these tests would not wait for it.
  const world = await startWorld({
    audited: () => {},
    settings: { KEYHOLE_DRAIN_MS: '7000', KEYHOLE_DEADLINE_MS: '60000', KEYHOLE_UPSTREAM_TIMEOUT_MS: '30000' },
  })
  const review = hold(world.kubernetes, /tokenreviews/)
  const line = await dial(world.url)
  const request = get('/secrets', { Authorization: `Bearer ${world.tokenOf('api')}` })
  line.send(request)
  await review.arrived
  return { world, review, line, request }
}

describe('a drain', () => {
  it('gives a request in flight its answer, and ends with it', async () => {
    const { world, review, line } = await withOneInFlight()
    const stopped = world.stop()
    review.release()
    const { status, headers } = await line.answer()
    expect([status, headers['connection']]).toEqual([200, 'close'])
    expect(await line.closed()).toBe('')
    await stopped
  })

  it('takes no new connection, and closes those that are idle', async () => {
    const { world, review, line } = await withOneInFlight()
    await using idle = await dial(world.url)
    idle.send(get('/elsewhere'))
    await idle.answer()
    const stopped = world.stop()
    expect(await idle.closed()).toBe('')
    await expect(dial(world.url)).rejects.toThrow('ECONNREFUSED')
    review.release()
    expect((await line.answer()).status).toBe(200)
    await stopped
  })

  it('closes a connection whose request had Expect with its answer, too', async () => {
    const { world, review, line } = await withOneInFlight()
    const other = hold(world.kubernetes, /tokenreviews/)
    await using expecting = await dial(world.url)
    expecting.send(get('/secrets', { Authorization: `Bearer ${world.tokenOf('migrator')}`, Expect: 'anything' }))
    await other.arrived
    const stopped = world.stop()
    review.release()
    other.release()
    expect((await expecting.answer()).headers['connection']).toBe('close')
    expect((await line.answer()).status).toBe(200)
    await stopped
  })

  it('waits for a request no longer than it may', async () => {
    const { world, review, line } = await withOneInFlight()
    const stopped = world.stop()
    await world.clock.advance(7_000)
    expect(await line.closed()).toBe('')
    review.release()
    await stopped
  })
})
