/** Every Secret under every TransitKey: there, readable, and holding what Transit encrypted. No value is shown. */
import { BLOCKED } from '../contract.ts'
import type { KeyWithSecrets, SecretUnder } from '../policy/secrets-under.ts'
import type { Inspected, Located } from '../services/rotation/inspect.ts'
import { inspector, isBlocked, isLocated } from '../services/rotation/inspect.ts'
import { patience } from '../services/rotation/patience.ts'
import { listed } from '../words.ts'
import { failed } from './failures.ts'
import type { Checking, Finding } from './finding.ts'
import { counted, ok, skipped, toFix, wait } from './finding.ts'
import type { Checked } from './policy.ts'
import { pathOf } from './policy.ts'
import type { CheckParts, KubernetesPort } from './ports.ts'
import { each } from './step.ts'

/** What lies under each TransitKey, by its name. */
export type Found = ReadonlyMap<string, readonly Located[]>

export async function* secrets(
  parts: CheckParts,
  kubernetes: KubernetesPort | undefined,
  policy: Checked | undefined,
): Checking<Found> {
  const found = new Map<string, readonly Located[]>()
  if (kubernetes === undefined || policy === undefined) {
    yield* skipped(policy === undefined ? 'policy' : 'kubernetes', 'secrets')
    return found
  }
  // Once: whoever waits for an answer here is a person.
  const inspect = inspector(kubernetes, patience(parts.clock, []))
  for (const key of policy.keys) {
    try {
      const inspected = await each(parts, key.secrets, inspect)
      yield* told(key, inspected)
      found.set(key.transitKey.name, inspected.filter(isLocated))
    } catch (error) {
      yield failed('secrets', error)
    }
  }
  if (policy.keys.length === 0) yield ok('secrets', 'the policy has no TransitKey, so there are none')
  return found
}

function* told({ transitKey }: KeyWithSecrets, inspected: readonly Inspected[]): Generator<Finding> {
  for (const one of inspected) if (isBlocked(one)) yield blocked(one.secret, one.blocked)
  const good = inspected.filter(isLocated)
  const versions = [...new Set(good.flatMap(({ parts }) => parts.map(({ keyVersion }) => keyVersion)))]
  const at =
    versions.length === 0
      ? ''
      : `, of versions ${listed(versions.sort((a, b) => a - b).map((version) => `v${version}`))}`
  if (good.length > 0 || inspected.length === 0) {
    yield ok('secrets', `${counted(good.length, 'Secret')} under ${pathOf(transitKey)}${at}`)
  }
}

function blocked({ namespace, secret, dataKeys }: SecretUnder, code: keyof typeof BLOCKED): Finding {
  const place = `Secret ${namespace}/${secret}`
  const where = code === 'SECRET_MISSING' || dataKeys === 'all' ? place : `${place}, data key ${listed(dataKeys)}`
  const detail = `${where}: ${code}`
  if (code === 'UNREADABLE') return { check: 'secrets', status: 'skip', detail: `${place}: see secret-rights` }
  return code === 'UNANSWERED' ? wait('secrets', detail) : toFix('secrets', detail, BLOCKED[code])
}
