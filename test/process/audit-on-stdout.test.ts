/** Audit records on standard output: what becomes of keyhole when nobody reads there, or nobody is left to. */
import { Agent } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verify } from '../../src/audit-log/verify.ts'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import type { Reply } from './world.ts'
import { get, parsed, until } from './world.ts'

describe('audit records on standard output', () => {
  const agent = new Agent({ keepAlive: true })
  const settings = { ...UNBOUNDED, KEYHOLE_AUDIT: 'stdout', KEYHOLE_LOG_LEVEL: 'debug' }
  let standins: Standins
  let token: string

  beforeAll(async () => {
    standins = await startStandins()
    token = standins.tokenOf('api')
  })
  afterAll(async () => {
    agent.destroy()
    await standins[Symbol.asyncDispose]()
  })

  const ask = (keyhole: KeyholeProcess, path = '/secrets/db'): Promise<Reply> =>
    get(keyhole.url + path, { token, agent })
  const codeOf = ({ body }: Reply): unknown => JSON.parse(body).code

  /** Without a connection that is kept alive, nothing waits for another request on it. */
  async function ended({ process, exited }: KeyholeProcess) {
    agent.destroy()
    process.kill('SIGTERM')
    return await exited
  }

  /** Asks until it is answered so, and hands over every answer on the way. */
  async function untilStatus(keyhole: KeyholeProcess, status: number): Promise<Reply> {
    return await until(async () => {
      const reply = await ask(keyhole)
      expect([200, 503]).toContain(reply.status)
      return reply.status === status && reply
    })
  }

  test('are alone there, and the log is alone on standard error', async () => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings })
    expect((await ask(keyhole)).status).toBe(200)
    expect((await ask(keyhole, '/secrets/nothing')).status).toBe(403)
    await ended(keyhole)
    expect(verify(keyhole.outputLines)).toMatchObject({ broken: undefined, lines: 4, chains: [{ stopped: true }] })
    expect(parsed(keyhole.outputLines)).toHaveLength(4)
    expect(parsed(keyhole.logLines)).toHaveLength(keyhole.logLines.length)
    for (const line of parsed(keyhole.logLines))
      expect(line).toMatchObject({ level: expect.any(String), msg: expect.any(String) })
  })

  test('that nobody can take any more make every answer a 503, and do not end the process', async () => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings })
    expect((await ask(keyhole)).status).toBe(200)
    keyhole.process.stdout?.destroy()
    const reply = await untilStatus(keyhole, 503)
    expect([codeOf(reply), reply.headers['retry-after'], reply.body.includes('battery')]).toEqual([
      'AUDIT_UNAVAILABLE',
      '2',
      false,
    ])
    const asked = standins.vault.requests.count('POST', /decrypt/)
    expect(codeOf(await ask(keyhole))).toBe('AUDIT_UNAVAILABLE')
    expect(standins.vault.requests.count('POST', /decrypt/)).toBe(asked)
    const ready = await get(`${keyhole.managementUrl}/readyz?verbose`)
    expect([ready.status, ready.body]).toEqual([503, expect.stringContaining('[-] audit: failed')])
    expect((await get(`${keyhole.managementUrl}/livez`)).status).toBe(200)
    expect(await ended(keyhole)).toEqual({ code: 0, signal: null })
  })

  test('that nobody reads fill the pipe, then cost their requests a 503 in time, until somebody reads again', async () => {
    // This bound is waited for, and so it is short: a machine that is slower now and then is put up with.
    const short = { ...settings, KEYHOLE_AUDIT_TIMEOUT_MS: '2000' }
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings: short })
    keyhole.process.stdout?.pause()
    const refused = await untilStatus(keyhole, 503)
    expect(codeOf(refused)).toBe('AUDIT_UNAVAILABLE')
    expect(codeOf(await ask(keyhole))).toBe('AUDIT_UNAVAILABLE')
    expect((await get(`${keyhole.managementUrl}/readyz`)).status).toBe(503)
    keyhole.process.stdout?.resume()
    await untilStatus(keyhole, 200)
    expect((await get(`${keyhole.managementUrl}/readyz`)).status).toBe(200)
    expect(await ended(keyhole)).toEqual({ code: 0, signal: null })
    expect(verify(keyhole.outputLines).broken).toBeUndefined()
  })
})
