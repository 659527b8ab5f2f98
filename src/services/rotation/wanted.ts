/** What a rotation of one Transit key is asked to do, and what is found out on the way, for the report. */
import type { KeyReport, RotationEvent, RotationStage, SecretReport } from '../../contract.ts'
import { BLOCKED } from '../../contract.ts'
import type { KeyholeError } from '../../errors.ts'
import type { TransitKey } from '../../policy/schema.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { Rotating } from './effects.ts'
import type { Blocked } from './inspect.ts'

export interface Wanted {
  readonly rotating: Rotating
  readonly transitKey: TransitKey
  readonly secrets: readonly SecretUnder[]
  readonly mode: 'rotate' | 'rewrap'
  readonly retire: 'after-grace' | 'now' | 'never'
  /** `namespace/serviceAccount` of who asked for it. */
  readonly by: string
  readonly draft: Draft
}

type Mutable<T> = { -readonly [K in keyof T]?: T[K] }

export interface Draft {
  /** Fields of the report, as they become known. */
  readonly known: Mutable<Pick<KeyReport, 'from' | 'to' | 'advance' | 'minDecryptionVersion' | 'retirement'>> & {
    resumed?: boolean
  }
  stage(stage: RotationStage, versions?: { readonly from?: number; readonly to?: number }): void
  progress(stage: 'move' | 'verify', done: number): void
  rewrapped(secret: SecretUnder, gitops: string | undefined): void
  current(secret: SecretUnder, gitops: string | undefined): void
  blocked(blocked: Blocked): void
  /** Somebody else keeps writing it; perhaps the tool that was seen on it. */
  contended(secret: SecretUnder): void
  isBlocked(secret: SecretUnder): boolean
  /** A Secret has this version: newer than the target where somebody else made one meanwhile. */
  found(version: number): void
  /** Old versions were to lose their use now, and have not: whatever withheld that, the key is not done. */
  stillOpens(): void
  /** Counts by outcome; what nothing was said of is left. */
  counts(): Readonly<Record<SecretReport['outcome'], number>>
  gitops(): number
  report(failure?: KeyholeError): KeyReport
}

/** @param onEvent gets each step as it is made. */
export function draftOf(
  transitKey: TransitKey,
  secrets: readonly SecretUnder[],
  onEvent: (event: RotationEvent) => void,
): Draft {
  const reports = new Map<string, SecretReport>(
    secrets.map((secret) => [idOf(secret), { ...nameOf(secret), outcome: 'left' }]),
  )
  const known: Draft['known'] = {}
  let isRetired = true
  const key = transitKey.name

  function note(
    secret: SecretUnder,
    report: Omit<SecretReport, 'namespace' | 'name'>,
    gitops: string | undefined,
  ): void {
    reports.set(idOf(secret), { ...nameOf(secret), ...report, ...(gitops !== undefined && { gitops }) })
  }

  function blocked({ secret, blocked: code, gitops }: Blocked): void {
    note(secret, { outcome: 'blocked', code, detail: BLOCKED[code] }, gitops)
  }

  function counts(): Record<SecretReport['outcome'], number> {
    const found = { rewrapped: 0, current: 0, blocked: 0, left: 0 }
    for (const { outcome } of reports.values()) found[outcome] += 1
    return found
  }

  return {
    known,
    stage: (stage, versions = {}) => onEvent({ type: 'step', key, stage, ...versions }),
    progress: (stage, done) => onEvent({ type: 'progress', key, stage, done, total: secrets.length }),
    rewrapped: (secret, gitops) => note(secret, { outcome: 'rewrapped' }, gitops),
    current(secret, gitops) {
      // What was moved a moment ago is found in its place now, and was moved all the same; whoever else writes it may be new.
      const before = reports.get(idOf(secret))
      note(secret, { outcome: before?.outcome === 'rewrapped' ? 'rewrapped' : 'current' }, gitops ?? before?.gitops)
    },
    blocked,
    contended: (secret) => blocked({ secret, blocked: 'CONTENDED', gitops: reports.get(idOf(secret))?.gitops }),
    isBlocked: (secret) => reports.get(idOf(secret))?.outcome === 'blocked',
    found(version) {
      known.to = Math.max(known.to ?? version, version)
    },
    stillOpens() {
      isRetired = false
    },
    counts,
    gitops: () => [...reports.values()].filter(({ gitops }) => gitops !== undefined).length,
    report(failure) {
      const found = counts()
      const { resumed = false, ...rest } = known
      return {
        key,
        mount: transitKey.mount,
        complete: failure === undefined && isRetired && found.blocked === 0 && found.left === 0,
        resumed,
        ...rest,
        secrets: [...reports.values()],
        ...(failure !== undefined && { failure: { code: failure.code, detail: failure.fix ?? failure.detail } }),
      }
    },
  }
}

export function idOf({ namespace, secret }: SecretUnder): string {
  return `${namespace}/${secret}`
}

function nameOf({ namespace, secret }: SecretUnder): { readonly namespace: string; readonly name: string } {
  return { namespace, name: secret }
}
