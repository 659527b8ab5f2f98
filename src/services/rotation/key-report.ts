/** What became of one Transit key, put together from how far its rotation came. */
import type { KeyReport } from '../../contract.ts'
import type { KeyholeError } from '../../errors.ts'
import type { Advanced } from './advance.ts'
import type { Intended } from './intend.ts'
import { isRetiredAsAsked } from './plan.ts'
import type { RetirementOutcome } from './raise.ts'
import type { SecretTally } from './secret-tally.ts'
import type { Wanted } from './wanted.ts'

/** The permits of a rotation as far as there are any; a dry run has none, and foresees what they would say. */
export interface Reached {
  readonly intended?: Pick<Intended, 'wanted' | 'isResumed' | 'plan' | 'info'> & Partial<Pick<Intended, 'minimum'>>
  readonly restored?: { readonly fellBack: RetirementOutcome | undefined }
  readonly advanced?: Pick<Advanced, 'version'>
  readonly retired?: RetirementOutcome
}

/** @param failure why it went no further. */
export function keyReport(wanted: Wanted, reached: Reached, failure?: KeyholeError): KeyReport {
  const { transitKey, tally } = wanted
  const { intended, advanced } = reached
  const outcome = reached.retired ?? reached.restored?.fellBack
  const minimum = outcome?.minimum ?? intended?.minimum
  const { blocked, left } = tally.counts()
  const isRetired = !intended || !minimum || isRetiredAsAsked(intended.wanted, intended.plan.target, minimum.after)
  return {
    key: transitKey.name,
    mount: transitKey.mount,
    complete: failure === undefined && isRetired && blocked === 0 && left === 0,
    resumed: intended?.isResumed ?? false,
    ...(intended && versionsIn(intended, tally)),
    ...(advanced && { advance: advanced.version }),
    ...(minimum && { minDecryptionVersion: minimum }),
    ...(outcome && { retirement: outcome.retirement }),
    secrets: tally.reports(),
    ...(failure && { failure: { code: failure.code, detail: failure.fix ?? failure.detail } }),
  }
}

/** Somebody else may have made a version after the target, and a Secret have it. */
function versionsIn({ plan, info }: NonNullable<Reached['intended']>, tally: SecretTally) {
  return { from: plan.from, to: Math.max(plan.target, info.latestVersion, tally.newest()) }
}
