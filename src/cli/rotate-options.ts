/** What `keyhole rotate` is asked: flags and environment, with every complaint at once. */
import type { Retire, RotationMode } from '../contract.ts'
import { parseDuration } from './durations.ts'
import type { Access } from './environment.ts'
import { readAccess } from './environment.ts'
import type { Flag } from './flags.ts'
import { oneOf, readFlags } from './flags.ts'
import type { World } from './world.ts'

export interface RotateOptions {
  readonly access: Access
  /** Names of TransitKeys, distinct; empty: all that the caller may rotate. */
  readonly keys: readonly string[]
  readonly mode: RotationMode
  readonly dryRun: boolean
  readonly retire: Retire
  readonly ifOlderThan: OlderThan | undefined
  readonly budgetMs: number
}

export interface OlderThan {
  /** As it was typed. */
  readonly text: string
  readonly ms: number
}

export type Asked =
  | { readonly help: true }
  | { readonly complaints: readonly string[]; readonly output: OutputFormat }
  | { readonly options: RotateOptions; readonly output: OutputFormat }

export type OutputFormat = 'text' | 'json'

export function parseRotateOptions(args: readonly string[], environment: World['environment']): Asked {
  const complaints: string[] = []
  const flags = readFlags(args, FLAGS, complaints)
  if (flags.has('help')) return { help: true }
  const output = flags.value('output') === 'json' ? 'json' : 'text'
  const older = flags.value('if-older-than')
  if (older !== undefined && flags.has('rewrap')) {
    complaints.push('--rewrap and --if-older-than do not go together: a rewrap makes no version, whatever the age.')
  }
  if (older !== undefined && flags.value('retire') === 'now') {
    complaints.push('--retire=now and --if-older-than do not go together: a compromised version is retired at any age.')
  }
  const access = readAccess(environment, complaints)
  if (complaints.length > 0) return { complaints, output }
  const options: RotateOptions = {
    access,
    keys: [...new Set(flags.values('key'))],
    mode: flags.has('rewrap') ? 'rewrap' : 'rotate',
    dryRun: flags.has('dry-run'),
    retire: (flags.value('retire') ?? 'after-grace') as Retire,
    ifOlderThan: older === undefined ? undefined : { text: older, ms: parseDuration(older) ?? 0 },
    budgetMs: parseDuration(flags.value('budget') ?? DEFAULT_BUDGET) ?? 0,
  }
  return { options, output }
}

const DEFAULT_BUDGET = '15m'
const MAX_BUDGET_MS = 86_400_000

const duration: NonNullable<Flag['check']> = (value) =>
  parseDuration(value) === undefined ? 'must be a whole number and a unit, s, m, h or d, e.g. 20d.' : undefined

const FLAGS = {
  key: {
    value: 'NAME',
    many: true,
    check: (value) => (/^[\x21-\x7e]{1,128}$/.test(value) ? undefined : 'must be the name of a TransitKey.'),
  },
  rewrap: {},
  'dry-run': {},
  retire: { value: 'after-grace|now|never', check: oneOf(['after-grace', 'now', 'never']) },
  'if-older-than': { value: '20d', check: duration },
  budget: {
    value: DEFAULT_BUDGET,
    check: (value) =>
      duration(value) ?? ((parseDuration(value) ?? 0) > MAX_BUDGET_MS ? 'must be at most 1d.' : undefined),
  },
  output: { value: 'text|json', check: oneOf(['text', 'json']) },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>
