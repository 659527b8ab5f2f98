/** keyhole's codes, as far as a caller decides by them. */
import type { Code } from '../contract.ts'
import { CODES, ruleOf } from '../contract.ts'

/** Whether the same may succeed later. A code that this version does not know may, for all it knows. */
export function mayPass(code: string): boolean {
  return !isCode(code) || ruleOf(code).retryAfterSeconds !== undefined
}

function isCode(code: string): code is Code {
  return Object.hasOwn(CODES, code)
}
