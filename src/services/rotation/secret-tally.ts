/** What became of each Secret of one Transit key, so far. */
import type { SecretReport } from '../../contract.ts'
import { BLOCKED } from '../../contract.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { Blocked } from './inspect.ts'

export interface SecretTally {
  rewrapped(secret: SecretUnder, gitops: string | undefined): void
  current(secret: SecretUnder, gitops: string | undefined): void
  blocked(blocked: Blocked): void
  /** Somebody else keeps writing it; perhaps the tool that was seen on it. */
  contended(secret: SecretUnder): void
  isBlocked(secret: SecretUnder): boolean
  /** A Secret has this version: newer than the target where somebody else made one meanwhile. */
  found(version: number): void
  /** The newest version that any of them has; 0 where none was found. */
  newest(): number
  /** How many there is something to say of. */
  done(): number
  /** By outcome. What nothing was said of is left. */
  counts(): Readonly<Record<SecretReport['outcome'], number>>
  /** How many a GitOps tool writes, too. */
  gitops(): number
  reports(): readonly SecretReport[]
}

export function secretTally(secrets: readonly SecretUnder[]): SecretTally {
  const reports = new Map<string, SecretReport>(
    secrets.map((secret) => [idOf(secret), { ...nameOf(secret), outcome: 'left' }]),
  )
  let newest = 0
  let done = 0

  function note(
    secret: SecretUnder,
    report: Omit<SecretReport, 'namespace' | 'name'>,
    gitops: string | undefined,
  ): void {
    if (reports.get(idOf(secret))?.outcome === 'left') done += 1
    reports.set(idOf(secret), { ...nameOf(secret), ...report, ...(gitops !== undefined && { gitops }) })
  }

  function blocked({ secret, blocked: code, gitops }: Blocked): void {
    note(secret, { outcome: 'blocked', code, detail: BLOCKED[code] }, gitops)
  }

  return {
    rewrapped: (secret, gitops) => note(secret, { outcome: 'rewrapped' }, gitops),
    current(secret, gitops) {
      // What this rotation moved is found current now, and still counts as moved. A GitOps tool may have appeared since.
      const before = reports.get(idOf(secret))
      note(secret, { outcome: before?.outcome === 'rewrapped' ? 'rewrapped' : 'current' }, gitops ?? before?.gitops)
    },
    blocked,
    contended: (secret) => blocked({ secret, blocked: 'CONTENDED', gitops: reports.get(idOf(secret))?.gitops }),
    isBlocked: (secret) => reports.get(idOf(secret))?.outcome === 'blocked',
    found(version) {
      newest = Math.max(newest, version)
    },
    newest: () => newest,
    done: () => done,
    counts() {
      const counts = { rewrapped: 0, current: 0, blocked: 0, left: 0 }
      for (const { outcome } of reports.values()) counts[outcome] += 1
      return counts
    },
    gitops: () => [...reports.values()].filter(({ gitops }) => gitops !== undefined).length,
    reports: () => [...reports.values()],
  }
}

export function idOf({ namespace, secret }: SecretUnder): string {
  return `${namespace}/${secret}`
}

function nameOf({ namespace, secret }: SecretUnder): { readonly namespace: string; readonly name: string } {
  return { namespace, name: secret }
}
