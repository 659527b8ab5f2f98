/** What keyhole asks by itself, at the start and again and again: of its upstreams, of Transit keys, of Secrets. */
import type { Clock } from './clock.ts'
import { every } from './clock.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import type { TransitKeys } from './services/transit-keys.ts'
import { surveyLog } from './survey-log.ts'
import type { WatchedPolicy } from './wire-policy.ts'
import type { Rotator } from './wire-rotation.ts'

export interface Rounds {
  /** Asks both upstreams for a word, so that whatever is wrong between them and keyhole is in the log before a caller asks. */
  greet(): Promise<void>
  /** Asks Vault about every key of the policy; given up when keyhole ends. */
  checkKeys(): Promise<void>
  /** Looks at every Secret of the policy, where rotations are served. */
  takeSurvey(): Promise<void>
  /** Ends them, also what is under way. */
  stop(): void
}

export interface RoundsParts {
  readonly clock: Clock
  readonly log: Log
  readonly policy: WatchedPolicy
  readonly upstreams: { greet(signal: AbortSignal): Promise<void>; isUntrusted(): boolean }
  readonly keys: TransitKeys
  readonly rotator: Rotator | undefined
}

/** How often every key is asked about. */
export const PROBE_EVERY_MS = 3_600_000
const GREET_AGAIN_MS = 10_000

export function openRounds(config: Config, parts: RoundsParts): Rounds {
  const { clock, policy, upstreams, keys, rotator } = parts
  const ending = new AbortController()
  const { signal } = ending
  const tellSurvey = surveyLog(parts.log)
  const greet = () => upstreams.greet(signal)
  const checkKeys = async () => {
    // Who only rotates may not decrypt, and reads of a key what it needs to know.
    if (config.serves.read) await keys.recheck(policy.current().transitKeys.values(), signal)
  }
  const takeSurvey = async () => {
    // Its failures are in the ledger, key by key. What is wrong with the Lease, the next rotation tells.
    await Promise.allSettled([rotator?.survey.recent(signal).then(tellSurvey), rotator?.recall(signal)])
  }
  const stops = [
    // Not ready, keyhole is asked nothing: it would never find out that its CA was mended.
    every(clock, GREET_AGAIN_MS, () => void (upstreams.isUntrusted() && greet())),
    every(clock, PROBE_EVERY_MS, () => void checkKeys()),
    ...(rotator === undefined ? [] : [every(clock, config.KEYHOLE_SURVEY_MS, () => void takeSurvey())]),
  ]
  policy.onChange(() => void checkKeys())
  return {
    greet,
    checkKeys,
    takeSurvey,
    stop() {
      for (const stop of stops) stop()
      ending.abort()
    },
  }
}
