/** What an incomplete report leaves: whether a rerun may do more, and why this one did not. */
import type { RotationReport } from '../contract.ts'
import { mayPass } from './codes.ts'

/** Whether a rerun may do more: something was left although nothing is wrong with its key, or what was wrong may pass. */
export function mayGoOn({ keys }: RotationReport): boolean {
  return keys.some(({ failure, secrets }) =>
    failure === undefined
      ? secrets.some(({ outcome }) => outcome === 'left')
      : // To rotate what was rotated a moment ago is never what somebody waits for.
        failure.code !== 'ROTATED_RECENTLY' && mayPass(failure.code),
  )
}

/** The first thing that went wrong; or else how much is left. */
export function whyLeft({ keys }: RotationReport): string {
  const failure = keys.find((key) => key.failure !== undefined)?.failure
  if (failure !== undefined) return `${failure.code}: ${failure.detail}`
  const left = keys.flatMap(({ secrets }) => secrets.filter(({ outcome }) => outcome === 'left')).length
  return left === 1 ? '1 Secret is left.' : `${left} Secrets are left.`
}
