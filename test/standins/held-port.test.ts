import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { holdPort } from '../../src/standins/held-port.ts'
import { connectionsTo } from '../../src/testing/process-state.ts'
import { call } from './call.ts'

describe('a held port', () => {
  it('refuses whoever dials it, but while somebody listens there who knows its number', async () => {
    using held = await holdPort()
    const url = `http://127.0.0.1:${held.port}`
    await expect(call(url)).rejects.toThrow('ECONNREFUSED')
    for (const _again of [1, 2]) {
      const server = createServer((_request, response) => response.end('hello')).listen(held.port, '127.0.0.1')
      await once(server, 'listening')
      expect((await call(url)).text).toBe('hello')
      server.close()
      await once(server, 'close')
      await expect(call(url)).rejects.toThrow('ECONNREFUSED')
    }
  })

  it('is kept by one connection, and given away with it', async () => {
    const held = await holdPort()
    expect(await connectionsTo(process.pid, held.port)).toBe(1)
    held[Symbol.dispose]()
    held[Symbol.dispose]()
    expect(await connectionsTo(process.pid, held.port)).toBe(0)
  })

  it('is not to be had where somebody listens', async () => {
    using held = await holdPort()
    const server = createServer().listen(held.port, '127.0.0.1')
    await once(server, 'listening')
    await expect(holdPort(held.port)).rejects.toThrow('EADDRINUSE')
    server.close()
  })
})
