/** The spec of a Lease as the real server reads it: 32-bit numbers, and times of exactly six digits behind the second. */
import { member, mistyped, objectOf, Undecodable } from './decode.ts'
import type { JsonObject } from './json-patch.ts'
import type { LeaseSpec } from './store.ts'

/** What it does not know is left out. @throws Undecodable */
export function leaseSpecIn(value: unknown): LeaseSpec {
  const given = objectOf(value, 'Lease.spec of type v1.LeaseSpec')
  const read = {
    holderIdentity: member(given, 'holderIdentity', 'string', 'LeaseSpec.spec.holderIdentity of type string'),
    leaseDurationSeconds: int32(given, 'leaseDurationSeconds'),
    acquireTime: microTime(given, 'acquireTime'),
    renewTime: microTime(given, 'renewTime'),
    leaseTransitions: int32(given, 'leaseTransitions'),
  }
  return Object.fromEntries(Object.entries(read).filter(([, field]) => field !== undefined))
}

const INT32_BOUND = 2 ** 31

function int32(given: JsonObject, name: string): number | undefined {
  const what = `LeaseSpec.spec.${name} of type int32`
  const value = member(given, name, 'number', what)
  if (value === undefined || (Number.isInteger(value) && value >= -INT32_BOUND && value < INT32_BOUND)) return value
  throw new Undecodable(`json: cannot unmarshal number ${value} into Go struct field ${what}`)
}

const LAYOUT = '2006-01-02T15:04:05.000000Z07:00'
const MICRO_TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})(Z|[-+]\d\d:\d\d)$/

/** In UTC, as the real server answers it. */
function microTime(given: JsonObject, name: string): string | undefined {
  const value = given[name] ?? undefined
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw mistyped(value, `LeaseSpec.spec.${name} of type string`)
  const [, second = '', micros = '', zone = ''] = MICRO_TIME.exec(value) ?? []
  const ms = Date.parse(`${second}${zone}`)
  // At which character Go gave up is not known here.
  if (Number.isNaN(ms)) throw new Undecodable(`parsing time ${JSON.stringify(value)} as "${LAYOUT}": cannot parse`)
  return `${new Date(ms).toISOString().slice(0, 19)}.${micros}Z`
}
