/** A signal as the clients of a process see it, which keep their connections alive and hear of no signal. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { dial, get } from '../http/line.ts'
import { parsed, until } from './world.ts'

/** A fifth of the drain bound, and of no other length: what is idle then is closed by a timer. Nothing here may come to that. */
const LINGER_MS = 59_999
const settings = { ...UNBOUNDED, KEYHOLE_DRAIN_MS: String(5 * LINGER_MS) }
const ALARM = 'the timer that closes what is idle has fired'
/** Has the process say so. */
const SAYING = `
  const { setTimeout } = globalThis
  globalThis.setTimeout = (act, ms, ...rest) =>
    setTimeout(ms === ${LINGER_MS} ? () => act(console.error('${ALARM}')) : act, ms, ...rest)`
const nodeFlags = ['--import', `data:text/javascript,${encodeURIComponent(SAYING)}`]

let standins: Standins
beforeAll(async () => {
  standins = await startStandins()
})
afterAll(() => standins[Symbol.asyncDispose]())

const drains = ({ logLines }: KeyholeProcess) => until(() => parsed(logLines).some(({ msg }) => msg === 'draining'))

describe('a signal under a connection that is kept alive', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s lets it end with the answer to its next request', async (signal) => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings, nodeFlags })
    await using line = await dial(keyhole.url)
    const request = get('/secrets/db', { Authorization: `Bearer ${standins.tokenOf('api')}` })
    line.send(request)
    expect((await line.answer()).headers['connection']).toBe('keep-alive')
    keyhole.process.kill(signal)
    await drains(keyhole)
    line.send(request)
    const { status, headers } = await line.answer()
    expect([status, headers['connection'], await line.closed()]).toEqual([200, 'close', ''])
    expect(await keyhole.exited).toEqual({ code: 0, signal: null })
    expect(keyhole.logLines).not.toContain(ALARM)
  })

  test('that comes twice does not wait for that, and exits with 1', async () => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings, nodeFlags })
    await using line = await dial(keyhole.url)
    line.send(get('/elsewhere'))
    await line.answer()
    keyhole.process.kill('SIGTERM')
    await drains(keyhole)
    keyhole.process.kill('SIGTERM')
    expect(await keyhole.exited).toEqual({ code: 1, signal: null })
    expect(keyhole.logLines).not.toContain(ALARM)
    expect(await line.closed()).toBe('')
  })
})
