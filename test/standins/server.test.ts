import { afterEach, describe, expect, it } from 'vitest'
import type { Handler, ServeOptions, Standin } from '../../src/standins/server.ts'
import { serve } from '../../src/standins/server.ts'
import { connectionsTo } from '../../src/testing/process-state.ts'
import { createAuthority } from '../certificates.ts'
import { virtualClock } from '../virtual-clock.ts'
import { call, open } from './call.ts'

const running: Standin[] = []

afterEach(async () => {
  for (const standin of running.splice(0)) await standin[Symbol.asyncDispose]()
})

async function start(handler: Handler, options: Partial<ServeOptions> = {}): Promise<Standin> {
  const standin = await serve({ clock: virtualClock(), handler, ...options })
  running.push(standin)
  return standin
}

const hello: Handler = () => ({ status: 200, body: 'hello' })

describe('serve', () => {
  it('listens on loopback, on a port of its own', async () => {
    const [one, two] = [await start(hello), await start(hello)]
    expect(one.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(one.url).not.toBe(two.url)
    expect((await call(one.url)).text).toBe('hello')
  })

  it('hands path and query on as they came', async () => {
    const standin = await start((request) => ({ status: 200, body: `${request.path} ${request.query.get('a')}` }))
    expect((await call(`${standin.url}/a%2fb?a=1`)).text).toBe('/a%2fb 1')
  })

  it('refuses connections once stopped', async () => {
    const standin = await start(hello)
    await standin.stop()
    await expect(call(standin.url)).rejects.toThrow('ECONNREFUSED')
  })

  it('cuts what is in flight when it stops', async () => {
    const arrived = Promise.withResolvers<void>()
    const standin = await start((request) => {
      arrived.resolve()
      return new Promise((resolve) => request.signal.addEventListener('abort', () => resolve({ status: 200 })))
    })
    const pending = call(standin.url)
    await arrived.promise
    const [outcome] = await Promise.allSettled([pending, standin.stop()])
    expect(outcome.status).toBe('rejected')
  })

  it('comes back on the same port, which nobody is given meanwhile', async () => {
    const standin = await start(hello)
    await standin.stop()
    expect(await connectionsTo(process.pid, Number(new URL(standin.url).port)), 'that hold it').toBe(1)
    await standin.restart()
    expect((await call(standin.url)).text).toBe('hello')
  })

  it('stops twice and restarts twice without complaint', async () => {
    const standin = await start(hello)
    await standin.stop()
    await standin.stop()
    await standin.restart()
    await standin.restart()
    expect((await call(standin.url)).status).toBe(200)
  })

  it('speaks TLS given a certificate, and hands its CA on', async () => {
    const authority = createAuthority()
    const standin = await start(hello, { tls: { ...authority.issue(), ca: authority.ca } })
    expect(standin.url).toMatch(/^https:/)
    expect((await call(standin.url, { ca: standin.ca })).text).toBe('hello')
    await expect(call(standin.url)).rejects.toThrow(/certificate/)
  })

  it('says that it is broken when its own handler throws', async () => {
    const standin = await start(() => {
      throw new Error('a defect')
    })
    const answer = await call(standin.url)
    expect([answer.status, answer.text]).toEqual([500, 'the stand-in is broken: Error: a defect'])
  })

  it('answers HEAD with the headers alone', async () => {
    const standin = await start(hello)
    const answer = await call(standin.url, { method: 'HEAD' })
    expect([answer.headers['content-length'], answer.text]).toEqual(['5', ''])
  })

  it('does not announce that it will close idle connections', async () => {
    const standin = await start(hello)
    const incoming = await open(standin.url, { headers: { connection: 'keep-alive' } })
    expect(incoming.headers['keep-alive']).toBeUndefined()
    incoming.destroy()
  })
})
