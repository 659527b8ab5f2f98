import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { UpstreamError } from '../../src/errors.ts'
import type { Send, Sender } from '../../src/external/send.ts'
import { openSend } from '../../src/external/send.ts'
import { openVaultAdmin } from '../../src/external/vault-admin.ts'
import { token } from '../../src/opaque.ts'
import type { VaultAdmin } from '../../src/vault-setup/port.ts'
import type { Handler, Peer } from './peer.ts'
import { json, startPeer, startRawPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const senders: Sender[] = []
const never = new AbortController().signal
const TOKEN = 'hvs.canary'
const ROLE = { token_ttl: 10, token_policies: ['keyhole'] }

function sendTo(peer: Peer, maxBodyBytes = 64 * 1024): Send {
  const sender = openSend({ origin: peer.url, connections: 4, maxBodyBytes, callTimeoutMs: 60_000, clock: systemClock })
  senders.push(sender)
  return sender.send
}

function adminAt(peer: Peer, namespace?: string): VaultAdmin {
  return openVaultAdmin({ send: sendTo(peer), token: token(TOKEN), ...(namespace !== undefined && { namespace }) })
}

afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(senders.splice(0).map((sender) => sender.close()))
})

const answering =
  (status: number, body: unknown): Handler =>
  (reply) =>
    json(reply, status, body)

type Act = (vault: VaultAdmin, path?: string, signal?: AbortSignal) => Promise<unknown>

const read: Act = (vault, path = 'auth/kubernetes/role/keyhole', signal = never) => vault.read(path, signal)
const list: Act = (vault, path = 'sys/policies/acl', signal = never) => vault.list(path, signal)
const write: Act = (vault, path = 'auth/kubernetes/role/keyhole', signal = never) => vault.write(path, ROLE, signal)

const CALLS: readonly [string, Act][] = [
  ['read', read],
  ['list', list],
  ['write', write],
]

/** The error, which holds neither the token nor what the peer says. */
async function errorOf(act: Promise<unknown>): Promise<UpstreamError> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(UpstreamError)
  expectNoTraceOf(['canary'], error)
  return error as UpstreamError
}

describe('read', () => {
  it('tells what is there, as it is', async () => {
    await using peer = await startPeer(answering(200, { request_id: 'x', data: ROLE, warnings: ['canary'] }))
    expect(await read(adminAt(peer))).toEqual(ROLE)
    expect(peer.seen).toMatchObject([{ method: 'GET', path: '/v1/auth/kubernetes/role/keyhole', body: '' }])
    expect(peer.seen[0]?.headers['content-type']).toBeUndefined()
  })

  it('tells nothing for what is not there', async () => {
    await using peer = await startPeer(answering(404, { errors: [] }))
    expect(await read(adminAt(peer))).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['a mount that is not there', { errors: ['no handler for route "canary". route entry not found.'] }],
    ['another engine', { errors: ['1 error occurred:\n\t* unsupported path\n\n'] }],
    ['a versioned key-value store', { data: null, warnings: ['Invalid path for a versioned canary'] }],
    ['errors that are none', { errors: {} }],
    ['a proxy', '<html>canary</html>'],
    ['nothing', ''],
  ])('takes a 404 of %s for no word that nothing is there', async (_what, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(404).end(typeof body === 'string' ? body : JSON.stringify(body))
    })
    expect(await errorOf(read(adminAt(peer)))).toMatchObject({ kind: 'mount-missing', status: 404 })
  })

  it.each([
    [200, ''],
    [200, '{}'],
    [200, '{"data":null}'],
    [204, ''],
  ])('takes an empty %i (%j) for no word that nothing is there: something would be made', async (status, body) => {
    await using peer = await startPeer((reply) => reply.writeHead(status).end(body))
    expect(await errorOf(read(adminAt(peer)))).toMatchObject({ kind: 'garbage' })
  })

  it('takes no field for a prototype', async () => {
    await using peer = await startPeer((reply) =>
      reply.writeHead(200).end('{"data":{"__proto__":{"audience":"vault"}}}'),
    )
    const data = await adminAt(peer).read('a', never)
    expect(data?.['audience']).toBeUndefined()
    expect({}).not.toHaveProperty('audience')
  })
})

describe('list', () => {
  it('asks by a query, and tells the names', async () => {
    await using peer = await startPeer(answering(200, { data: { keys: ['default', 'root'] } }))
    expect(await list(adminAt(peer))).toEqual(['default', 'root'])
    expect(peer.seen).toMatchObject([{ method: 'GET', path: '/v1/sys/policies/acl?list=true', body: '' }])
  })

  it('tells no names where nothing is', async () => {
    await using peer = await startPeer(answering(404, { errors: [] }))
    expect(await list(adminAt(peer))).toEqual([])
  })

  it.each<[string, unknown]>([
    ['no names', {}],
    ['null for names', { keys: null }],
    ['one name', { keys: 'canary' }],
    ['a name that is none', { keys: ['canary', 1] }],
    ['names by name', { keys: { canary: true } }],
  ])('is "garbage" with %s', async (_what, data) => {
    await using peer = await startPeer(answering(200, { data }))
    expect(await errorOf(list(adminAt(peer)))).toMatchObject({ kind: 'garbage', status: 200 })
  })
})

describe('write', () => {
  it('posts what is to be written, once, and has nothing to say', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(204).end())
    expect(await write(adminAt(peer))).toBeUndefined()
    expect(peer.seen).toMatchObject([{ method: 'POST', path: '/v1/auth/kubernetes/role/keyhole' }])
    expect(peer.seen[0]?.headers['content-type']).toBe('application/json')
    expect(JSON.parse(peer.seen[0]?.body ?? '')).toEqual(ROLE)
  })

  it.each([
    ['data', { data: { name: 'payments' }, warnings: ['canary'] }],
    ['no data', { data: null, warnings: ['canary'] }],
    ['warnings alone', { warnings: ['canary'] }],
  ])('is done with a 200 of %s', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    expect(await write(adminAt(peer))).toBeUndefined()
  })

  it.each([
    [404, { errors: [] }, 'key-missing'],
    [404, { errors: ['no handler for route'] }, 'mount-missing'],
    [400, { errors: ['path is already in use at canary/'] }, 'bad-request'],
    [405, { errors: ['canary'] }, 'mount-missing'],
  ])('is an error with %i and %j', async (status, body, kind) => {
    await using peer = await startPeer(answering(status, body))
    expect(await errorOf(write(adminAt(peer)))).toMatchObject({ kind, status })
  })
})

describe.each(CALLS)('%s', (_name, act) => {
  it('asks as Vault wants it, with the token and without what the environment says', async () => {
    vi.stubEnv('VAULT_TOKEN', 'of-the-environment')
    vi.stubEnv('VAULT_NAMESPACE', 'of-the-environment')
    await using peer = await startPeer(answering(200, { data: { keys: [] } }))
    await act(adminAt(peer))
    expect(peer.seen[0]?.headers).toMatchObject({ 'x-vault-token': TOKEN, 'x-vault-request': 'true' })
    expect(peer.seen[0]?.headers).not.toHaveProperty('x-vault-namespace')
  })

  it('asks in the namespace that it was given', async () => {
    await using peer = await startPeer(answering(200, { data: { keys: [] } }))
    await act(adminAt(peer, 'team/a'))
    expect(peer.seen[0]?.headers['x-vault-namespace']).toBe('team/a')
  })

  it.each([
    [403, { errors: ['1 error occurred:\n\t* permission denied canary\n\n'] }, 'forbidden'],
    [403, '<html>canary</html>', 'forbidden'],
    [401, {}, 'unauthorized'],
    [400, { errors: ['canary'] }, 'bad-request'],
    [400, { errors: ['no existing key named canary could be found'] }, 'key-missing'],
    [413, {}, 'too-large'],
    [429, {}, 'throttled'],
    [500, { errors: ['canary'] }, 'unavailable'],
    [500, { errors: ['local node not active but active cluster node not found'] }, 'standby'],
    [503, { errors: ['Vault is sealed'] }, 'sealed'],
    [472, {}, 'standby'],
    [201, { data: { keys: [] } }, 'garbage'],
    [302, {}, 'redirected'],
  ])('says what a %i of %j means', async (status, body, kind) => {
    await using peer = await startPeer(answering(status, body))
    expect(await errorOf(act(adminAt(peer)))).toMatchObject({ upstream: 'vault', kind, status })
  })

  it.each<[string, string]>([
    ['a page of a proxy', '<html>canary</html>'],
    ['half an object', '{"data":{"canary":'],
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[{"data":{"keys":[]}}]'],
    ['a text', '"canary"'],
    ['data that is a text', '{"data":"canary"}'],
    ['data that is a list', '{"data":["canary"]}'],
    ['data that is a number', '{"data":1}'],
    ['objects within objects', `${'{"data":'.repeat(2000)}1`],
  ])('is "garbage" for a 200 of %s', async (_what, body) => {
    await using peer = await startPeer((reply) => reply.writeHead(200).end(body))
    expect(await errorOf(act(adminAt(peer)))).toMatchObject({ kind: 'garbage', status: 200 })
  })

  it('follows no redirect, with which the token would go elsewhere', async () => {
    await using elsewhere = await startPeer(answering(200, { data: { keys: [] } }))
    await using peer = await startPeer((reply) => reply.writeHead(307, { location: `${elsewhere.url}/v1/a` }).end())
    expect(await errorOf(act(adminAt(peer)))).toMatchObject({ kind: 'redirected', status: 307 })
    expect(elsewhere.seen).toEqual([])
  })

  it.each([
    ['', 'nothing'],
    ['../sys/raw', 'what is above'],
    ['auth/../sys/raw', 'what is beside'],
    ['auth/./role', 'a dot'],
    ['auth//role', 'no name'],
    ['auth/role/', 'a slash at the end'],
    ['/sys/raw', 'a slash at the beginning'],
    ['auth/role/a b', 'a blank'],
    ['auth/role/a%2fb', 'an escape'],
    ['auth/role/a\\b', 'a slash of another kind'],
    ['auth/role/a#b', 'a fragment'],
    ['auth/role/a\r\nx-vault-token: b', 'a line of its own'],
    ['auth/role/ä', 'a letter that would be escaped'],
    ['auth/role/a?list=true&b=/', 'a query that is none'],
    [`auth/role/${'a'.repeat(3000)}`, 'a name beyond all names'],
  ])('does not leave for %j: %s', async (path) => {
    await using peer = await startPeer(answering(200, { data: { keys: [] } }))
    expect(await errorOf(act(adminAt(peer), path))).toMatchObject({ kind: 'bad-request' })
    expect(peer.seen).toEqual([])
  })

  it('wipes the answer, whatever it was', async () => {
    const bodies: Buffer[] = []
    const answers = [
      [200, { data: { keys: ['canary'] } }],
      [200, 'canary'],
      [403, { errors: ['canary'] }],
      [404, { errors: [] }],
    ] as const
    await using peer = await startPeer((reply) => {
      const [status, body] = answers[peer.seen.length - 1] ?? [500, {}]
      json(reply, status, body)
    })
    const send = sendTo(peer)
    const recording: Send = async (request, signal) => {
      const answer = await send(request, signal)
      bodies.push(answer.body)
      return answer
    }
    const vault = openVaultAdmin({ send: recording, token: token(TOKEN) })
    for (const _ of answers) await act(vault).catch(() => {})
    expect(bodies.map(({ length }) => length > 0)).toEqual(answers.map(() => true))
    expect(bodies.every((body) => body.every((byte) => byte === 0))).toBe(true)
  })

  it('is "too-large" for more than it may be', async () => {
    await using peer = await startPeer(answering(200, { data: { keys: ['canary'.repeat(1000)] } }))
    const vault = openVaultAdmin({ send: sendTo(peer, 1024), token: token(TOKEN) })
    expect(await errorOf(act(vault))).toMatchObject({ kind: 'too-large' })
  })

  it('is "unavailable" for a Vault that breaks off', async () => {
    await using peer = await startRawPeer((socket) => socket.destroy())
    expect(await errorOf(act(adminAt(peer)))).toMatchObject({ kind: 'unavailable' })
  })

  it('is "aborted" where it was given up', async () => {
    await using peer = await startPeer(answering(200, { data: { keys: [] } }))
    expect(await errorOf(act(adminAt(peer), undefined, AbortSignal.abort()))).toMatchObject({ kind: 'aborted' })
    expect(peer.seen).toEqual([])
  })

  it('lets a defect through as what it is', async () => {
    const defect = new RangeError('a bug of ours')
    const vault = openVaultAdmin({ send: () => Promise.reject(defect), token: token(TOKEN) })
    expect(await thrownBy(act(vault))).toBe(defect)
  })
})
