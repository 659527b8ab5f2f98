/** The Lease of whoever rotates, and what it remembers. Read only. */

import type { JournalState } from '../services/rotation/journal-state.ts'
import { EMPTY_STATE, parseState, STATE_ANNOTATION } from '../services/rotation/journal-state.ts'
import type { LeaseRecord } from '../services/rotation/ports.ts'
import { listed } from '../words.ts'
import { failed } from './failures.ts'
import type { Checking, Finding } from './finding.ts'
import { ok, skipped, toFix, wait } from './finding.ts'
import type { CheckParts, KubernetesPort } from './ports.ts'
import { step } from './step.ts'

export interface Remembered {
  readonly state: JournalState
  /** Nobody has ever held it. */
  readonly isNew: boolean
  /** Somebody rotates now. */
  readonly isHeld: boolean
}

/** Undefined where nothing is known, or nothing rotates here. */
export async function* lease(
  parts: CheckParts,
  kubernetes: KubernetesPort | undefined,
): Checking<Remembered | undefined> {
  const { config } = parts
  if (!config.serves.rotate) return undefined
  if (kubernetes === undefined) return void (yield* skipped('kubernetes', 'lease'))
  const [namespace = '', name = ''] = config.KEYHOLE_ROTATION_LEASE.split('/')
  try {
    const record = await step(parts, (signal) => kubernetes.readLease({ namespace, name }, signal))
    const state = record === undefined ? undefined : parseState(record.annotations.get(STATE_ANNOTATION) ?? '')
    const isHeld = record !== undefined && record.holder !== '' && runsOutAt(record) > parts.clock.now()
    yield toldOf(config.KEYHOLE_ROTATION_LEASE, record, state, isHeld)
    if (record === undefined) return { state: EMPTY_STATE, isNew: true, isHeld }
    return state && { state, isNew: record.transitions === 0, isHeld }
  } catch (error) {
    yield failed('lease', error)
    return undefined
  }
}

function runsOutAt({ renewedAtMs, durationMs }: LeaseRecord): number {
  return renewedAtMs + durationMs
}

function toldOf(
  name: string,
  record: LeaseRecord | undefined,
  state: JournalState | undefined,
  isHeld: boolean,
): Finding {
  // Whether it may, lease-rights has told.
  if (record === undefined) return ok('lease', `${name} is not there yet: the first rotation creates it`)
  if (state === undefined) {
    const fix = 'see who else may edit it: the next rotation overwrites it, and retires nothing for a week'
    return toFix('lease', `${name} holds something that keyhole did not write`, fix)
  }
  const unfinished = state.intents.map(({ key }) => key)
  if (!isHeld && unfinished.length > 0) {
    return wait(
      'lease',
      `${name}: the rotation of ${listed(unfinished)} is unfinished`,
      'rotate again: it goes on with that',
    )
  }
  const last = state.last === undefined ? 'none' : new Date(state.last.finishedAtMs).toISOString()
  const now = isHeld ? 'a rotation runs' : 'nobody rotates now'
  return ok('lease', `${name}: ${now}, last rotation ${last}`)
}
