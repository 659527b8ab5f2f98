/** Why a peer is not trusted, by certificates that are wrong in one way each. */

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { whyUntrusted } from '../../src/external/untrusted.ts'
import { createAuthority } from '../certificates.ts'
import { answering, never } from './api-server.ts'
import { startPeer } from './peer.ts'

const authority = createAuthority()
const other = createAuthority('another')

describe('a peer that is not trusted', () => {
  it('was signed by another CA, whichever that is', async () => {
    await using peer = await startPeer(answering(200, {}), authority.issue())
    const words = 'another CA than the one given signed its certificate'
    expect(await whyUntrusted(peer.url, other.ca, never)).toBe(words)
    expect(await whyUntrusted(peer.url, undefined, never)).toBe(words)
  })

  it('has other names', async () => {
    await using peer = await startPeer(answering(200, {}), authority.issue({ dns: ['elsewhere'], ips: [] }))
    expect(await whyUntrusted(peer.url, authority.ca, never)).toBe(
      'its certificate is for other names than that of its address',
    )
  })

  it('speaks no TLS', async () => {
    await using peer = await startPeer(answering(200, {}))
    expect(await whyUntrusted(peer.url.replace('http:', 'https:'), authority.ca, never)).toMatch(/^TLS fails \(\w+\)$/)
  })

  it('is trusted by now', async () => {
    await using peer = await startPeer(answering(200, {}), authority.issue())
    expect(await whyUntrusted(peer.url, authority.ca, never)).toBe('this time it was: look again')
  })

  it('says nothing: that is waited for no longer than the caller likes', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const giveUp = new AbortController()
    const asked = whyUntrusted(`https://127.0.0.1:${port}`, authority.ca, giveUp.signal)
    giveUp.abort()
    expect(await asked).toBe('it does not say why')
    silent.close()
  })
})
