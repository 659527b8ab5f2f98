import { describe, expect, it } from 'vitest'
import { vaultHealth } from '../../src/external/vault-health.ts'
import { answering, never, sendingTo } from './api-server.ts'
import { nobody, startPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const HEALTH = { initialized: true, sealed: false, standby: false, version: '1.21.0', cluster_name: 'x' }

describe('the health of Vault', () => {
  it('is asked for without a token', async () => {
    await using peer = await startPeer(answering(200, HEALTH))
    const { cluster_name: _, ...told } = HEALTH
    expect(await vaultHealth(sendingTo(peer), never)).toEqual(told)
    expect(peer.seen[0]).toMatchObject({ method: 'GET', path: '/v1/sys/health', body: '' })
    expect(peer.seen[0]?.headers).not.toHaveProperty('x-vault-token')
  })

  it.each([429, 472, 473, 501, 503])('is told by a %i as well', async (status) => {
    await using peer = await startPeer(answering(status, { ...HEALTH, sealed: status === 503 }))
    expect(await vaultHealth(sendingTo(peer), never)).toMatchObject({ sealed: status === 503 })
  })

  it.each<[string, unknown]>([
    ['no word of the seal', { ...HEALTH, sealed: undefined }],
    ['a text for a state', { ...HEALTH, standby: 'false' }],
    ['a page of a proxy', '<html>canary'],
    ['nothing', null],
  ])('is garbage with %s', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    const error = await thrownBy(vaultHealth(sendingTo(peer), never))
    expect(error).toMatchObject({ upstream: 'vault', kind: 'garbage' })
    expectNoTraceOf(['canary'], error)
  })

  it('has no version where it tells of none that is one', async () => {
    await using peer = await startPeer(answering(200, { ...HEALTH, version: 'x\ny' }))
    expect(await vaultHealth(sendingTo(peer), never)).toMatchObject({ version: '' })
  })

  it('of one that is away is how the call ended', async () => {
    using gone = await nobody()
    expect(await thrownBy(vaultHealth(sendingTo(gone), never))).toMatchObject({
      kind: 'unavailable',
      cause: { code: 'refused' },
    })
  })
})
