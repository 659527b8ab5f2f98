/** What Vault says, by its type or not at all: an answer may be anything. */
import type { Fields } from './port.ts'

export function wordsIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((word) => typeof word === 'string') : []
}

/** Empty where it is no text. */
export function wordIn(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

export function fieldsIn(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}
