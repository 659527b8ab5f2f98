/** What a rotation decides, as pure functions: a rotation and its dry run ask the same ones. */
import type { KeyReport, RetirementWhy } from '../../contract.ts'
import type { TransitKey } from '../../policy/schema.ts'
import type { Untold } from './dropped.ts'
import type { Intent } from './journal-state.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { Wanted } from './wanted.ts'

export interface Target {
  readonly from: number
  readonly target: number
  /** `made`: the target is to be made; anything else: why not. */
  readonly advance: NonNullable<KeyReport['advance']>
}

/** Only making a version waits for minInterval: within it, a key's Secrets are brought to the version there is. */
export function targetOf({ mode, retire, transitKey }: Wanted, info: TransitKeyInfo, nowMs: number): Target {
  const from = info.latestVersion
  if (mode === 'rewrap') return { from, target: from, advance: 'not-asked' }
  // A compromised version does not wait.
  if (retire !== 'now' && recentForMs(transitKey, info, nowMs) > 0) return { from, target: from, advance: 'recent' }
  return { from, target: from + 1, advance: 'made' }
}

/** An intent that is taken up keeps its own, which an earlier attempt may have made. */
export function takenUp({ from, target }: Intent): Target {
  return { from, target, advance: 'there' }
}

/**
 * How much longer the newest version counts as recent, by Vault's own record of when it was made; 0: no more. Unknown counts
 * as long ago: the key came from a backup.
 */
export function recentForMs(
  { rotation }: TransitKey,
  { latestVersion, createdAtMs }: TransitKeyInfo,
  nowMs: number,
): number {
  const madeAtMs = createdAtMs.get(latestVersion)
  return madeAtMs === undefined ? 0 : Math.max(0, madeAtMs + rotation.minIntervalMs - nowMs)
}

/** What is known once every Secret was read and opened again. */
export interface Standing {
  readonly wanted: Pick<Wanted, 'transitKey' | 'retire'>
  readonly target: number
  readonly minDecryptionVersion: number
  /** The lowest version that any Secret of the key holds; undefined where none holds any. */
  readonly lowest: number | undefined
  readonly blocked: number
  readonly left: number
  readonly gitops: number
  readonly policyChanged: boolean
  /** Secrets that the policy had under this key not long ago, or why they are not known. */
  readonly dropped: number | Untold
}

export type Retirement = { readonly raiseTo: number } | { readonly why: RetirementWhy; readonly detail: string }

/**
 * Whether an old version loses its use. Everything that could still hold ciphertext of it withholds that: a Secret that
 * could not be moved, one that git will bring back, one that has just left the policy, anybody else who encrypts.
 */
export function retirementOf(standing: Standing): Retirement {
  const { wanted, target, minDecryptionVersion: before, lowest = target } = standing
  const { retire, transitKey } = wanted
  const keep = keptBy(wanted)
  if (retire === 'never') return withheld('not-asked', 'Retirement was not asked for.')
  if (!transitKey.exclusive) {
    return withheld(
      'not-exclusive',
      'Others may encrypt with this key. Set exclusive: true on its TransitKey if nobody does.',
    )
  }
  const raiseTo = Math.min(target - keep, lowest)
  if (target - keep <= before) {
    return withheld('nothing-older', `Versions from ${before} on are usable, as many as the grace of ${keep} keeps.`)
  }
  if (standing.left > 0) return withheld('secrets-left', `${secrets(standing.left, 'is', 'are')} not moved yet.`)
  if (standing.blocked > 0) {
    return withheld(
      'secrets-blocked',
      `${secrets(standing.blocked)} cannot be moved: see what to do about each, then rotate again.`,
    )
  }
  if (standing.gitops > 0) {
    return withheld(
      'gitops',
      `${secrets(standing.gitops, 'is', 'are')} also written by a GitOps tool, whose repository may hold the old ciphertext: take it out of there, and the tool's mark off the Secret; or commit the new one, and raise min_decryption_version in Vault.`,
    )
  }
  if (standing.policyChanged) {
    return withheld('policy-changed', 'The policy changed meanwhile. The next rotation retires, if it stands still.')
  }
  const { dropped } = standing
  if (typeof dropped !== 'number') return withheld('secrets-unknown', UNTOLD[dropped])
  if (dropped > 0) {
    const detail = `${secrets(dropped, 'was', 'were')} taken out of the policy lately, and may hold an old version still.`
    return withheld('secrets-dropped', detail)
  }
  if (raiseTo <= before)
    return withheld('nothing-older', `Some Secret holds version ${lowest}, the oldest that is usable.`)
  return { raiseTo }
}

/** How many versions older than the target stay usable. */
export function keptBy({ retire, transitKey }: Pick<Wanted, 'retire' | 'transitKey'>): number {
  return retire === 'now' ? 0 : transitKey.rotation.grace
}

export const RAISED = {
  done: true,
  why: 'raised',
  detail: 'Older versions do not open any more.',
} as const

/** A version that is compromised opens nothing any more; whoever asks for that now is not done before. */
export function isRetiredAsAsked(
  { retire }: Pick<Wanted, 'retire'>,
  target: number,
  minDecryptionVersion: number,
): boolean {
  return retire !== 'now' || minDecryptionVersion >= target
}

const UNTOLD: Readonly<Record<Untold, string>> = {
  'too-many':
    'The policy has more Secrets than the Lease of this rotator can remember, about 19,000 under all its TransitKeys together, so it is not known whether one left lately. Let another rotator, with a policy and a Lease of its own, have some of the TransitKeys.',
  forgotten:
    'What the Lease remembered was lost, so it is not known which Secrets left the policy before. A rotation after seven days retires, if the Lease is left alone.',
}

/** `1 Secret is`, `2 Secrets are`. */
function secrets(count: number, one = '', many = ''): string {
  return (count === 1 ? `1 Secret ${one}` : `${count} Secrets ${many}`).trimEnd()
}

function withheld(why: RetirementWhy, detail: string): Retirement {
  return { why, detail }
}
