/**
 * Caller, name -> Grant. Pure, from the policy in memory, before anything is fetched: a caller that is refused has
 * cost no upstream call but its own review, and learns nothing of what exists.
 */
import type { Clock } from '../clock.ts'
import type { ListedSecret } from '../contract.ts'
import { KeyholeError } from '../errors.ts'
import type { Granted } from '../policy/decide.ts'
import { decide, listFor, rotatable } from '../policy/decide.ts'
import type { Policy } from '../policy/in-force.ts'
import type { KeyWithSecrets } from '../policy/secrets-under.ts'
import { keysWithSecrets } from '../policy/secrets-under.ts'
import type { Caller } from './authenticate.ts'

declare const decided: unique symbol

/** A caller's right to read some keys of one Secret, as the policy stood when it was asked. */
export interface Grant extends Granted {
  readonly [decided]: 'read'
  readonly caller: Caller
  /** As answers and records name it to this caller: `db`, or `db.payments` for another namespace's. */
  readonly name: string
  /** One key's bytes as they are, rather than a JSON document. */
  readonly raw: boolean
  /** The hash of the policy that granted it. */
  readonly policyHash: string
}

/** A caller's right to rotate some Transit keys, and the Secrets that rest under them, as the policy stood. */
export interface RotationGrant {
  readonly [decided]: 'rotate'
  readonly caller: Caller
  /** By name; at least one. */
  readonly keys: readonly RotatableKey[]
  readonly policyHash: string
}

/** What a rotation is about, whoever asks for it. */
export type RotatableKey = KeyWithSecrets

/** A name as the path gives it: `db` or `db.payments`. */
export interface SecretName {
  readonly name: string
  /** Absent: the caller's own. */
  readonly namespace?: string
}

export interface Ask {
  readonly secret: SecretName
  /** Keys asked for by `?key=`, sorted and distinct; absent: all that are granted. */
  readonly keys?: readonly string[]
  readonly raw: boolean
}

export interface Authorize {
  /** @throws KeyholeError NOT_GRANTED (the same for every reason), KEY_UNUSABLE or NOT_ACCEPTABLE (to readers only). */
  read(caller: Caller, ask: Ask): Grant
  list(caller: Caller): Listing
  /**
   * @param keys names; absent: all that the caller may rotate.
   * @throws KeyholeError NOT_GRANTED: the same for a key that does not exist, one of somebody else's, and none at all.
   */
  rotate(caller: Caller, keys?: readonly string[]): RotationGrant
}

export interface Listing {
  readonly secrets: readonly ListedSecret[]
  readonly policyHash: string
}

export function authorizer(policyInForce: () => Policy, clock: Clock): Authorize {
  return {
    read(caller, { secret, keys, raw }) {
      const policy = policyInForce()
      const asked = { namespace: secret.namespace ?? caller.namespace, name: secret.name }
      const decision = decide(policy, caller, asked, keys, clock.now())
      if ('why' in decision) throw notGranted(caller, decision.why)
      if ('condition' in decision) throw new KeyholeError('KEY_UNUSABLE', { why: decision.condition, fix: FIX })
      const { granted } = decision
      if (raw && !(granted.format === 'files' && keys?.length === 1)) {
        throw new KeyholeError('NOT_ACCEPTABLE', { why: 'raw-needs-one-file' })
      }
      return { ...granted, caller, name: nameFor(caller, asked), raw, policyHash: policy.hash } as Grant
    },
    list(caller) {
      const policy = policyInForce()
      const secrets = listFor(policy, caller, clock.now()).map(({ keys, all, ...secret }) => ({
        name: nameFor(caller, secret),
        keys,
        all,
      }))
      return { secrets, policyHash: policy.hash }
    },
    rotate(caller, asked) {
      const policy = policyInForce()
      const may = rotatable(policy, caller)
      const keys = asked === undefined ? may : may.filter(({ name }) => asked.includes(name))
      if (keys.length === 0) throw mayNotRotate(caller, 'not-an-admin')
      if (asked?.some((name) => !keys.some((key) => key.name === name))) throw mayNotRotate(caller, 'key-not-granted')
      const rotated = keysWithSecrets(policy, keys)
      return { caller, keys: rotated, policyHash: policy.hash } as Partial<RotationGrant> as RotationGrant
    },
  }
}

const FIX = "see the policy's problems in keyhole's log and /readyz?verbose: the grant's TransitKey does not admit it"

/** Names only the caller, never what it asked for: one answer for what exists and what does not. */
function notGranted(caller: Caller, why: string): KeyholeError {
  return new KeyholeError('NOT_GRANTED', {
    why,
    detail: `${caller.namespace}/${caller.serviceAccount} has no such grant. GET /secrets lists what it has.`,
  })
}

function mayNotRotate(caller: Caller, why: string): KeyholeError {
  return new KeyholeError('NOT_GRANTED', {
    why,
    detail: `${caller.namespace}/${caller.serviceAccount} may not rotate that. TransitKeys name who may, in spec.rotation.admins.`,
  })
}

function nameFor(caller: Caller, secret: { readonly namespace: string; readonly name: string }): string {
  return secret.namespace === caller.namespace ? secret.name : `${secret.name}.${secret.namespace}`
}
