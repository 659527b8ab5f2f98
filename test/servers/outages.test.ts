/** The servers fail while keyhole serves: never a wrong answer, never a restart, and back as soon as they are. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { controlled } from './control.ts'
import type { Reply, World } from './world.ts'
import { API, startWorld } from './world.ts'

const servers = controlled(inject('control'))

/** A server that hangs is to be told of soon, and one that is there has time to answer. */
const BOUNDS = {
  KEYHOLE_DEADLINE_MS: '30000',
  KEYHOLE_UPSTREAM_TIMEOUT_MS: '10000',
  KEYHOLE_AUDIT_TIMEOUT_MS: '10000',
}

let world: World
let token: string
beforeAll(async () => {
  world = await startWorld(inject('connection'), BOUNDS)
  token = await world.tokenOf(API)
})
afterAll(() => world[Symbol.asyncDispose]())

const answers = (wanted: string): Promise<number> => world.untilAnswered('/secrets/db', async () => token, wanted)

test('says that Vault is sealed, and serves again once it is unsealed', async () => {
  await answers('200')
  await world.operator.vault.seal()
  expect((await world.get('/secrets/db', token)).answer).toBe('503 VAULT_SEALED')
  await world.operator.vault.unseal()
  await answers('200')
})

test('says that Vault is away, that it is sealed after its start, and serves again', async () => {
  await answers('200')
  await servers.kill('vault')
  expect((await world.get('/secrets/db', token)).answer).toBe('503 VAULT_UNAVAILABLE')
  await servers.start('vault')
  expect((await world.get('/secrets/db', token)).answer).toBe('503 VAULT_SEALED')
  await world.operator.vault.unseal()
  await answers('200')
})

test('says that the API server is away, also for a token that was reviewed before, and serves again', async () => {
  await answers('200')
  await servers.kill('kubernetes')
  expect((await world.get('/secrets/db', token)).answer).toBe('503 KUBERNETES_UNAVAILABLE')
  await servers.start('kubernetes')
  await answers('200')
})

test('serves again after the API server was without its store', async () => {
  await answers('200')
  await servers.kill('etcd')
  expect((await world.get('/secrets/db', token)).answer).toMatch(/^50[34] (KUBERNETES_UNAVAILABLE|DEADLINE)$/)
  await servers.start('etcd')
  await answers('200')
})

test('answers rightly or not at all while the servers go away and come back', async () => {
  await answers('200')
  const { text: right } = await world.get('/secrets/db', token)
  const traffic = keepAsking()
  await world.operator.vault.seal()
  await world.operator.vault.unseal()
  await servers.kill('vault')
  await servers.kill('kubernetes')
  await servers.start('kubernetes')
  await servers.start('vault')
  await world.operator.vault.unseal()
  await answers('200')
  const replies = await traffic.stop()
  const served = replies.filter(({ answer }) => answer === '200')
  const refused = replies.filter(({ answer }) => answer !== '200')
  expect(new Set(served.map(({ text }) => text))).toEqual(new Set([right]))
  expect(refused.length).toBeGreaterThan(0)
  for (const { answer } of refused) expect(answer).toMatch(REFUSED)
})

test('tells its own management port, and not its callers, which server fails', async () => {
  await servers.kill('vault')
  const refused = await world.get('/secrets/db', token)
  expect(refused.text).not.toMatch(/127\.0\.0\.1|ECONN/)
  const readiness = await fetch(`${world.keyhole.managementUrl}/readyz?verbose`)
  expect(await readiness.text()).toMatch(/vault/)
  await servers.start('vault')
  await world.operator.vault.unseal()
  await answers('200')
})

/** An API server that has just started knows no roles yet, and says 403 of a Secret that it will give out a moment later. */
const REFUSED = /^503 (VAULT|KUBERNETES)_|^504 DEADLINE$|^422 SECRET_UNREADABLE$/

/** One request after the other, slower than callers are limited for being refused. */
function keepAsking(): { stop(): Promise<readonly Reply[]> } {
  const replies: Reply[] = []
  let going = true
  const asking = (async () => {
    while (going) {
      replies.push(await world.get('/secrets/db', token))
      await sleep(150)
    }
  })()
  return {
    async stop() {
      going = false
      await asking
      return replies
    },
  }
}
