/** The stages, put together over a world as wire-rotation.ts puts them together over the clients; and what they are handed. */
import type { BlockedCode, RotationEvent, SecretReport } from '../../../src/contract.ts'
import type { Policy } from '../../../src/policy/in-force.ts'
import { secretsUnder } from '../../../src/policy/secrets-under.ts'
import type { RotatableKey, RotationGrant } from '../../../src/services/authorize.ts'
import type { Advanced } from '../../../src/services/rotation/advance.ts'
import { advancer } from '../../../src/services/rotation/advance.ts'
import { closer } from '../../../src/services/rotation/close.ts'
import { effects as effectsOf } from '../../../src/services/rotation/effects.ts'
import { foreseer } from '../../../src/services/rotation/foresee.ts'
import { inspector } from '../../../src/services/rotation/inspect.ts'
import { intender } from '../../../src/services/rotation/intend.ts'
import type { Claim, Journal, JournalOptions } from '../../../src/services/rotation/journal.ts'
import { journal } from '../../../src/services/rotation/journal.ts'
import type { RunMark } from '../../../src/services/rotation/journal-state.ts'
import { transitKeyring } from '../../../src/services/rotation/keys.ts'
import { mover } from '../../../src/services/rotation/move.ts'
import { patience } from '../../../src/services/rotation/patience.ts'
import { gate as gateOf } from '../../../src/services/rotation/pool.ts'
import { minimumKeeper } from '../../../src/services/rotation/raise.ts'
import { restorer } from '../../../src/services/rotation/restore.ts'
import { retirer } from '../../../src/services/rotation/retire.ts'
import { rewrapper } from '../../../src/services/rotation/rewrap.ts'
import { keyRotator } from '../../../src/services/rotation/rotate-key.ts'
import { secretTally } from '../../../src/services/rotation/secret-tally.ts'
import { stepsOf } from '../../../src/services/rotation/steps.ts'
import { verifier } from '../../../src/services/rotation/verify.ts'
import type { Wanted } from '../../../src/services/rotation/wanted.ts'
import { secretWriter } from '../../../src/services/rotation/write-secret.ts'
import { vaultSessions } from '../../../src/services/vault-sessions.ts'
import { grant, policyFrom, transitKey } from '../../policy/documents.ts'
import { callerOf } from '../permits.ts'
import type { World } from './world.ts'
import { LEASE, NEVER, REALM, sealed, world } from './world.ts'

export const ROLE = 'keyhole-rotate'

/** One grant for each of these Secrets, all under the key `payments`, which is ours alone and keeps no old version. */
export function policyOf(secrets: readonly string[], spec: Readonly<Record<string, unknown>> = {}): Policy {
  const namespaces = [...new Set(['payments', ...secrets.map((name) => name.split('/')[0])])]
  const rotation = { grace: 0, minInterval: '1h', admins: [{ namespace: 'keyhole', serviceAccount: 'cron' }] }
  return policyFrom(
    transitKey({ namespaces, exclusive: true, rotation, ...spec }),
    ...secrets.map((name) => {
      const [namespace, secret] = name.split('/')
      return grant({ secretRef: { name: secret, key: 'secrets.json' } }, secret, namespace)
    }),
  )
}

export function keyOf(policy: Policy, name = 'payments'): RotatableKey {
  const found = policy.transitKeys.get(name)
  if (found === undefined) throw new Error(`no key ${name} in the policy of this test`)
  return { transitKey: found, secrets: secretsUnder(policy, found) }
}

export function rotationGrantOf(...keys: readonly RotatableKey[]): RotationGrant {
  const caller = callerOf({ namespace: 'keyhole', serviceAccount: 'cron' })
  return { caller, keys, policyHash: 'sha256:0' } as Partial<RotationGrant> as RotationGrant
}

export interface Surroundings {
  readonly halt?: AbortSignal
  readonly policyHash?: () => string
}

export type Stages = ReturnType<typeof stagesOf>

export function stagesOf(world: World, { halt = NEVER, policyHash = () => 'sha256:0' }: Surroundings = {}) {
  const { clock, store, transit, logins } = world
  const patiently = patience(clock)
  const gate = gateOf(4)
  const effects = effectsOf(world.log, clock)
  const inspect = inspector(store, patiently)
  const sessions = vaultSessions({ logins, clock, marginMs: 2_000, maxUseMs: 10_000, overlong: () => {} })
  const rewrap = rewrapper({ transit, sessions, patiently, realm: REALM, role: ROLE })
  const keys = transitKeyring({ transit, sessions, logins, clock, patiently, role: ROLE })
  const verify = verifier({ inspect, rewrap, gate, halt })
  const writeSecret = secretWriter({ secrets: store, effects, gate, halt })
  const minimum = minimumKeeper({ keys, inspect, effects, patiently, gate })
  const stages = {
    intend: intender({ keys, effects, clock }),
    restore: restorer(minimum.restoreIfFallen),
    advance: advancer({ keys, effects, halt }),
    move: mover({ inspect, rewrap, writeSecret, clock, gate, halt }),
    verify,
    retire: retirer({ keys, verify, minimum, clock, halt, policyHash }),
    close: closer(clock),
  }
  return {
    ...stages,
    patiently,
    gate,
    effects,
    inspect,
    rewrap,
    keys,
    rotateKey: keyRotator(stages),
    foresee: foreseer({ keys, inspect, rewrap, clock, gate }),
  }
}

export function journalOf(world: World, over: Partial<JournalOptions> = {}): Journal {
  const { leases, clock } = world
  return journal({ leases, name: LEASE, clock, holder: 'us', durationMs: 30_000, skewMs: 10_000, ...over })
}

export const RUN: RunMark = { id: '0a', startedAtMs: 1_000, done: 0, total: 4 }

export async function claimOf(world: World, signal = NEVER): Promise<Claim> {
  return await (await journalOf(world).look(signal)).claim(RUN, signal)
}

export interface Asked extends Partial<Wanted> {
  /** Gets what the stages tell. */
  readonly onEvent?: (event: RotationEvent) => void
}

/** @param key which rests under `payments`, unless the test says otherwise. */
export function wantedOf(
  { transitKey: key, secrets }: RotatableKey,
  { onEvent = () => {}, ...over }: Asked = {},
): Wanted {
  return {
    rotating: { id: RUN.id, caller: { namespace: 'keyhole', serviceAccount: 'cron' }, policyHash: 'sha256:0' },
    transitKey: key,
    secrets,
    mode: 'rotate',
    retire: 'after-grace',
    by: 'keyhole/cron',
    steps: stepsOf(key.name, secrets.length, onEvent),
    tally: secretTally(secrets),
    ...over,
  }
}

/** As far as `advance`. */
export async function advancedOf(stages: Stages, claim: Claim, wanted: Wanted): Promise<Advanced> {
  return await stages.advance(await stages.restore(await stages.intend(claim, wanted)))
}

/** What is told of each Secret, by its name. */
export function outcomesIn({ tally }: Wanted): Readonly<Record<string, SecretReport['outcome'] | BlockedCode>> {
  return Object.fromEntries(tally.reports().map(({ name, outcome, code }) => [name, code ?? outcome]))
}

export interface Estate extends Surroundings {
  /** The newest version. */
  readonly latest?: number
  /** Of the TransitKey. */
  readonly spec?: Readonly<Record<string, unknown>>
}

/** A world with the key `payments`, and under it these Secrets, each on its version; and the stages over it. */
export function estateOf(secrets: Readonly<Record<string, number>>, { latest = 1, spec = {}, ...around }: Estate = {}) {
  const there = world()
  there.putKey('payments', { latestVersion: latest })
  for (const [name, version] of Object.entries(secrets))
    there.putSecret(name, { 'secrets.json': sealed(version, name) })
  return { there, key: keyOf(policyOf(Object.keys(secrets), spec)), stages: stagesOf(there, around) }
}
