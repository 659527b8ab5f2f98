/** A rotator over a world, as the routes see it; several of them are several processes. */
import type { RotationEvent, RotationReport } from '../../../src/contract.ts'
import type { KeyholeError } from '../../../src/errors.ts'
import type { RotatableKey, RotationGrant } from '../../../src/services/authorize.ts'
import { allKeysRotator } from '../../../src/services/rotation/all-keys.ts'
import { ledger as ledgerOf } from '../../../src/services/rotation/ledger.ts'
import type { Order, Started } from '../../../src/services/rotation/run.ts'
import { rotations as rotationsOf } from '../../../src/services/rotation/run.ts'
import { surveyor } from '../../../src/services/rotation/survey.ts'
import { settled } from '../../virtual-clock.ts'
import { journalOf, keyOf, policyOf, rotationGrantOf, stagesOf } from './stages.ts'
import type { World } from './world.ts'
import { NEVER, sealed, world } from './world.ts'

export const ORDER: Order = { mode: 'rotate', retire: 'after-grace', dryRun: false }
export const BUDGET_MS = 900_000
export const DRAIN_MS = 5_000

const PAYMENTS = keyOf(policyOf(['payments/a', 'payments/b']))
const OTHER = renamed(keyOf(policyOf(['payments/c'])), 'other')

function renamed({ transitKey, secrets }: RotatableKey, name: string): RotatableKey {
  return { transitKey: { ...transitKey, name }, secrets }
}

/** The Secrets payments/a and payments/b under the key `payments`, and payments/c under `other`; and grants of one and of both. */
export function estate() {
  const there = world()
  there.putKey('payments')
  there.putKey('other')
  for (const name of ['payments/a', 'payments/b']) there.putSecret(name, { 'secrets.json': sealed(1, name) })
  const other = sealed(1, 'payments/c', 'secrets.json', { key: 'other' })
  there.putSecret('payments/c', { 'secrets.json': other })
  return {
    there,
    mine: rotationGrantOf(PAYMENTS),
    theirs: rotationGrantOf(OTHER),
    both: rotationGrantOf(PAYMENTS, OTHER),
    /** As `mine`, where others may encrypt with the key. */
    shared: rotationGrantOf({ ...PAYMENTS, transitKey: { ...PAYMENTS.transitKey, exclusive: false } }),
    /** As `mine`, once payments/a has left the policy. */
    fewer: rotationGrantOf({ ...PAYMENTS, secrets: PAYMENTS.secrets.slice(1) }),
  }
}

/** One process: `us`, unless the test says otherwise. Its rotations are a1, a2, ...; those of any other b1, b2, ... */
export function rotator(there: World, holder = 'us') {
  const halting = new AbortController()
  const failures: [code: string, rotation: string][] = []
  const stages = stagesOf(there, { halt: halting.signal })
  const failed = ({ code }: KeyholeError, rotation: string) => void failures.push([code, rotation])
  const survey = surveyor({
    ...stages,
    clock: there.clock,
    inForce: () => [PAYMENTS, OTHER],
    policyHash: () => 'sha256:0',
    keepMs: 10_000,
    ending: halting.signal,
  })
  let ids = 0
  const rotations = rotationsOf({
    ...stages,
    survey,
    ledger: ledgerOf({ survey, clock: there.clock, patienceMs: 2_500 }),
    journal: journalOf(there, { holder }),
    rotateAll: allKeysRotator({ ...stages, clock: there.clock, halt: halting.signal, failed }),
    clock: there.clock,
    newId: () => {
      ids += 1
      return `${holder === 'us' ? 'a' : 'b'}${ids}`
    },
    budgetMs: BUDGET_MS,
    drainMs: DRAIN_MS,
    failed,
    halting,
  })
  const start = (grant: RotationGrant, order: Partial<Order> = {}, signal = NEVER): Promise<Started> =>
    there.elapsed(rotations.start(grant, { ...ORDER, ...order }, signal))
  return {
    rotations,
    failures,
    start,
    /** From start to report. */
    async rotate(grant: RotationGrant, order: Partial<Order> = {}): Promise<RotationReport> {
      const { report } = (await start(grant, order)).begin()
      const ended = await there.elapsed(report)
      // What is done once it is over.
      await settled()
      return ended
    },
    status: (grant: RotationGrant) => there.elapsed(rotations.status(grant, NEVER)),
  }
}

export function listening(started: Started) {
  const events: RotationEvent[] = []
  const run = started.begin()
  return { run, events, deaf: run.listen((event) => events.push(event)) }
}
