/** Each right that an operator gives keyhole is needed: without it reading stops, with the code that names it; with it, it goes on. */
import { afterAll, beforeAll, inject, test } from 'vitest'
import type { Installation } from './set-up.ts'
import { installationOf } from './set-up.ts'
import type { World } from './world.ts'
import { API, startWorld } from './world.ts'

let world: World
let rights: Installation['rights']
beforeAll(async () => {
  world = await startWorld(inject('connection'))
  rights = installationOf(world.operator).rights
})
afterAll(() => world[Symbol.asyncDispose]())

// A token never seen each time, so that no review is remembered; and as long as a Vault token of keyhole's may live.
const patience = { withinMs: 60_000, everyMs: 500 }

test.each([
  ['to create TokenReviews', 'reviewTokens', '503 KUBERNETES_UNAVAILABLE'],
  ['to get the Secret by its name', 'getSecrets', '422 SECRET_UNREADABLE'],
  ['to decrypt with the Transit key', 'decrypt', '422 KEY_UNUSABLE'],
  ['to log in to Vault with its role', 'vaultRole', '503 VAULT_UNAVAILABLE'],
] as const)('needs the right %s', async (_title, name, refusal) => {
  const unseen = (): Promise<string> => world.tokenOf(API)
  await world.untilAnswered('/secrets/db', unseen, '200', patience)
  await rights[name].take()
  try {
    const tookMs = await world.untilAnswered('/secrets/db', unseen, refusal, patience)
    process.stdout.write(`measured: right ${name} taken away, refused after ${(tookMs / 1_000).toFixed(1)} s\n`)
  } finally {
    await rights[name].give()
  }
  await world.untilAnswered('/secrets/db', unseen, '200', patience)
})
