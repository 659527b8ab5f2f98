/**
 * keyhole in a real cluster, from the first command of the tutorial to the renewal of its tokens. One file, since all of it is
 * one installation's day, in this order.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { withFleet } from './fleet.ts'
import { availability } from './scenarios/availability.ts'
import { badInstallations } from './scenarios/bad-installations.ts'
import { consumers } from './scenarios/consumers.ts'
import { networkPolicy } from './scenarios/network-policy.ts'
import { operations } from './scenarios/operations.ts'
import { outage } from './scenarios/outage.ts'
import { posture } from './scenarios/posture.ts'
import { renewal, startOldPod } from './scenarios/renewal.ts'
import { rights } from './scenarios/rights.ts'
import { rotation } from './scenarios/rotation.ts'
import { tutorial } from './scenarios/tutorial.ts'
import type { Block, Followed, Surroundings } from './script.ts'
import { blocksOf, follow } from './script.ts'
import type { ClusterWorld } from './world.ts'
import { openWorld, VAULT_OF_PODS } from './world.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** What a reader of the tutorial has of the repository. */
const CHECKOUT = ['deploy', 'docs', 'examples', 'src', 'openapi.yaml', 'package.json', 'policy.schema.json'] as const

/**
 * The suite's last test waits for the end of a pod's first tokens. The pod starts in this block: `keyhole check` in the one before
 * must pass at once, so nothing runs beside it.
 */
const FIRST_SERVICE = 'kubectl apply -k examples/payments-api'

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
    let old: Promise<void> | undefined
    followed = await inCheckout(withFleet(blocksOf(pageOf('docs/tutorial.md'))), {
      began({ line, commands }) {
        say(`block at line ${line} of the tutorial`)
        if (old !== undefined || !commands.includes(FIRST_SERVICE)) return
        old = startOldPod(opened())
        // Awaited below. If it fails before, nobody waits yet, and the run would fail for that and not say where.
        old.catch(() => {})
      },
    })
    await old
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

/** Of the repository. */
function pageOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

function inCheckout(blocks: readonly Block[], options: Partial<Surroundings> = {}): Promise<readonly Followed[]> {
  const { environment, vaultOfPods } = opened()
  const here = blocks.map(({ line, commands }) => ({ line, commands: commands.replaceAll(VAULT_OF_PODS, vaultOfPods) }))
  return follow(here, { cwd: checkout, env: environment, began: () => {}, ...options })
}

/** The dictionary that the tutorial stores. */
const DICTIONARY = {
  PGHOST: 'db.payments.svc',
  PGUSER: 'api',
  PGPASSWORD: 'correct horse battery staple',
  MIGRATOR_PASSWORD: 'only for the migrator',
} as const

tutorial(() => followed, pageOf('docs/tutorial.md'))
posture(opened)
consumers(opened, DICTIONARY)
rights(opened)
networkPolicy(opened)
rotation(opened)
availability(opened)
operations(opened, (path, preamble) => inCheckout(blocksOf(pageOf(path)), { preamble }))
badInstallations(opened)
outage(opened)
renewal(opened, async () => {
  await inCheckout(blocksOf(pageOf('docs/how-to/renew-the-certificate.md')))
})
