/** What a rotation of one Transit key is asked to do, and where it tells of its steps and its Secrets. */
import type { TransitKey } from '../../policy/schema.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { Rotating } from './effects.ts'
import type { SecretTally } from './secret-tally.ts'
import type { Steps } from './steps.ts'

export interface Wanted {
  readonly rotating: Rotating
  readonly transitKey: TransitKey
  readonly secrets: readonly SecretUnder[]
  readonly mode: 'rotate' | 'rewrap'
  readonly retire: 'after-grace' | 'now' | 'never'
  /** `namespace/serviceAccount` of who asked for it. */
  readonly by: string
  readonly steps: Steps
  readonly tally: SecretTally
}

/** An intent that is taken up keeps the options it was created with. */
export function takingUp(wanted: Wanted, { mode, retire, by }: Pick<Wanted, 'mode' | 'retire' | 'by'>): Wanted {
  return { ...wanted, mode, retire, by }
}
