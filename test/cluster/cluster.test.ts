/**
 * keyhole in a real cluster, from the first command of the tutorial to the renewal of its tokens. One file, since all of it is
 * one installation's day, in this order.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { availability } from './scenarios/availability.ts'
import { badInstallations } from './scenarios/bad-installations.ts'
import { consumers } from './scenarios/consumers.ts'
import { networkPolicy } from './scenarios/network-policy.ts'
import { outage } from './scenarios/outage.ts'
import { posture } from './scenarios/posture.ts'
import { renewal, startOldPod } from './scenarios/renewal.ts'
import { rights } from './scenarios/rights.ts'
import { rotation } from './scenarios/rotation.ts'
import { tutorial } from './scenarios/tutorial.ts'
import type { Block, Followed } from './script.ts'
import { blocksOf, follow } from './script.ts'
import type { ClusterWorld } from './world.ts'
import { openWorld } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** What a reader of the tutorial has of the repository. */
const CHECKOUT = ['deploy', 'docs', 'examples', 'src', 'openapi.yaml', 'package.json', 'policy.schema.json'] as const

const say = (line: string) => void process.stdout.write(`cluster: ${line}\n`)

let world: ClusterWorld | undefined
let checkout = ''
let followed: readonly Followed[] = []

beforeAll(async () => {
  world = await openWorld(say)
  checkout = mkdtempSync(join(tmpdir(), 'keyhole-checkout-'))
  for (const part of CHECKOUT) cpSync(join(ROOT, part), join(checkout, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
  try {
    followed = await inCheckout(blocksOf(readFileSync(join(ROOT, 'docs', 'tutorial.md'), 'utf8')))
    await startOldPod(opened())
  } catch (thrown) {
    say(opened().tails())
    throw thrown
  }
})

afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  if (checkout !== '') rmSync(checkout, { recursive: true, force: true })
})

function opened(): ClusterWorld {
  if (world === undefined) throw new Error('there is no cluster: what went wrong is told above')
  return world
}

function inCheckout(blocks: readonly Block[]): Promise<readonly Followed[]> {
  return follow(blocks, { cwd: checkout, env: opened().environment, say })
}

/** The dictionary that the tutorial stores. */
const DICTIONARY = {
  PGHOST: 'db.payments.svc',
  PGUSER: 'api',
  PGPASSWORD: 'correct horse battery staple',
  MIGRATOR_PASSWORD: 'only for the migrator',
} as const

tutorial(() => followed)
posture(opened)
consumers(opened, DICTIONARY)
rights(opened)
networkPolicy(opened)
rotation(opened)
availability(opened)
badInstallations(opened)
outage(opened)
renewal(opened, async () => {
  const howTo = readFileSync(join(ROOT, 'docs', 'how-to', 'renew-the-certificate.md'), 'utf8')
  await inCheckout(blocksOf(howTo))
})
