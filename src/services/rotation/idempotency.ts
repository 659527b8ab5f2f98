/** Whether what is asked for was asked for before. */
import { KeyholeError } from '../../errors.ts'
import type { Idempotency } from './journal-state.ts'

export function isSameRequest(asked: Idempotency | undefined, known: Idempotency | undefined): boolean {
  return asked !== undefined && asked.key === known?.key && asked.request === known.request
}

/** @throws KeyholeError IDEMPOTENCY_KEY_REUSED: the same word for another request. */
export function refuseReuse(asked: Idempotency | undefined, known: Idempotency | undefined): void {
  if (asked !== undefined && asked.key === known?.key && asked.request !== known.request)
    throw new KeyholeError('IDEMPOTENCY_KEY_REUSED', { why: 'another-body' })
}
