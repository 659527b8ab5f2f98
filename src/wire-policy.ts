/** The policy, watched for as long as keyhole runs, and told to the log and to whoever else asks to hear of a change. */
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import type { PolicyChange, PolicySource } from './policy/current.ts'
import { openPolicy, PolicyDirectoryError } from './policy/current.ts'
import { formatProblem } from './policy/problems.ts'
import { starting } from './starting.ts'

export interface WatchedPolicy extends PolicySource {
  /** When the one in force was taken, in epoch ms. */
  takenAtMs(): number
  /** Tells `listener` of every change from now on. */
  onChange(listener: (change: PolicyChange) => void): void
}

/** @throws StartError: a policy directory that is gone again. */
export async function wirePolicy(
  config: Config,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<WatchedPolicy> {
  const listeners: ((change: PolicyChange) => void)[] = []
  let takenAtMs = clock.now()
  const open = () =>
    openPolicy({
      directory: config.KEYHOLE_POLICY_DIR,
      clock,
      watch: true,
      recheckMs: config.KEYHOLE_POLICY_RECHECK_MS,
      changed(change) {
        takenAtMs = clock.now()
        const { from, to, added, changed, removed } = change
        log.info('policy changed', { from, to, added, changed, removed })
        for (const listener of listeners) listener(change)
      },
      reported(problems) {
        for (const problem of problems) log.warn('policy problem', { problem: formatProblem(problem) })
      },
    })
  const policy = await starting('KEYHOLE_POLICY_DIR', open, PolicyDirectoryError)
  return { ...policy, takenAtMs: () => takenAtMs, onChange: (listener) => void listeners.push(listener) }
}
