/** Whether something of a plaintext is in a text: as it is, or in base64, wherever in it that begins. */
import { CANARY } from './estate.ts'

const NEEDLES = [CANARY, ...[0, 1, 2].map(inBase64)]

/** What its base64 has in common whatever stands before and after, so many bytes into a group of three. */
function inBase64(offset: number): string {
  return Buffer.from(`${'x'.repeat(offset)}${CANARY}`)
    .toString('base64')
    .slice(4, -4)
}

export function canariesIn(text: string): number {
  return NEEDLES.filter((needle) => text.includes(needle)).length
}
