/** Audit records of what a rotation changes outside of keyhole, before and after it does. Without the first it does not. */
import type { Effect, EffectName, EffectOutcome, Rotation, RotationPhase } from '../../audit-log/record.ts'
import type { Clock } from '../../clock.ts'
import { KeyholeError } from '../../errors.ts'
import type { TransitKey } from '../../policy/schema.ts'
import { isTransient } from './patience.ts'

declare const begun: unique symbol

/** Proof that the begin is recorded. Every function that changes something takes one. */
export interface Begun {
  readonly [begun]: true
}

/** Which rotation, and who asked for it. */
export interface Rotating {
  readonly id: string
  readonly caller: { readonly namespace: string; readonly serviceAccount: string }
  readonly policyHash: string
}

export interface What {
  readonly effect: EffectName
  readonly transitKey: TransitKey
  readonly secret?: { readonly namespace: string; readonly name: string }
  readonly dataKeys?: readonly string[]
  readonly from: number
  readonly to: number
}

export interface Effects {
  /**
   * Records the begin, acts, and records the end. If the end cannot be recorded the rotation fails, but the effect stands.
   * @param isDone whether this result means that the effect took place; default: it always does.
   * @throws KeyholeError AUDIT_UNAVAILABLE; what `act` throws.
   */
  record<T>(
    rotating: Rotating,
    what: What,
    act: (begun: Begun) => Promise<T>,
    isDone?: (result: T) => boolean,
  ): Promise<T>
  /** Writes a record of the rotation itself. @throws KeyholeError AUDIT_UNAVAILABLE */
  tell(rotating: Rotating, record: Pick<Rotation, 'transitKeys'> & RotationPhase): Promise<void>
}

export interface EffectLog {
  /** Resolves once the record is written. */
  append(record: Effect | Rotation): Promise<void>
}

export function effects(log: EffectLog, clock: Clock): Effects {
  async function append(record: Effect | Rotation): Promise<void> {
    try {
      await log.append(record)
    } catch (cause) {
      throw new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-record-not-written', cause })
    }
  }

  return {
    async record<T>(
      { id, caller }: Rotating,
      { transitKey: { mount, name }, ...what }: What,
      act: (begun: Begun) => Promise<T>,
      isDone: (result: T) => boolean = () => true,
    ): Promise<T> {
      const record = { kind: 'effect', rotation: id, caller, transitKey: { mount, name }, ...what } as const
      const end = (outcome: EffectOutcome) => append({ ...record, phase: 'end', timeMs: clock.now(), outcome })
      await append({ ...record, phase: 'begin', timeMs: clock.now() })
      let result: T
      try {
        result = await act({} as Begun)
      } catch (error) {
        await end(isTransient(error) ? 'unknown' : 'failed').catch(() => {})
        throw error
      }
      await end(isDone(result) ? 'done' : 'failed')
      return result
    },
    async tell({ id, caller, policyHash }, record) {
      await append({ kind: 'rotation', rotation: id, caller, policyHash, timeMs: clock.now(), ...record })
    },
  }
}
