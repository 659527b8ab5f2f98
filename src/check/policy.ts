/** The policy, as the service would take it at a start. */
import type { Policy } from '../policy/in-force.ts'
import { formatProblem } from '../policy/problems.ts'
import type { TransitKey } from '../policy/schema.ts'
import type { KeyWithSecrets } from '../policy/secrets-under.ts'
import { keysWithSecrets } from '../policy/secrets-under.ts'
import type { Checking } from './finding.ts'
import { counted, ok, toFix } from './finding.ts'
import type { CheckParts } from './ports.ts'
import { unlessMissing } from './tokens.ts'

export interface Checked {
  readonly policy: Policy
  /** Each TransitKey in force, with the Secrets that rest under it. */
  readonly keys: readonly KeyWithSecrets[]
}

export async function* policyInForce({ openPolicy }: CheckParts): Checking<Checked | undefined> {
  const fix = 'mount the ConfigMap of the policy there'
  const opened = yield* unlessMissing('policy', openPolicy, fix)
  if (opened === undefined) return undefined
  const source = opened.found
  source.close()
  for (const problem of source.problems()) {
    yield toFix('policy', formatProblem(problem), 'fix the document: until then it is not in force as it is written')
  }
  const policy = source.current()
  const { grants, transitKeys, hash } = policy
  const { denied } = source.refused()
  const told = `${counted(transitKeys.size, 'TransitKey')} and ${counted(grants.size, 'SecretGrant')} in force, ${denied} denied, ${hash}`
  yield ok('policy', told)
  return { policy, keys: keysWithSecrets(policy) }
}

/** As Vault has it: the mount, and the key. */
export function pathOf({ mount, name }: TransitKey): string {
  return `${mount}/${name}`
}
