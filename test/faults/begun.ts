/** Which begin an effect must have, by the call that makes it. */
import type { Call } from './call.ts'
import type { AuditRecord } from './process.ts'

/** Undefined for calls that change nothing the log is about. */
export function recordOf(call: Call): ((records: readonly AuditRecord[]) => boolean) | undefined {
  const { act, about } = call
  if (act === 'rotate')
    return (records) => isOpen(records, (one) => one.effect === 'advance' && one.transitKey.name === about)
  if (act === 'secret-write') {
    return (records) =>
      isOpen(records, (one) => one.effect === 'move' && about === `${one.secret?.namespace}/${one.secret?.name}`)
  }
  if (act !== 'config') return undefined
  const version = (JSON.parse(call.body) as { min_decryption_version: number }).min_decryption_version
  return (records) =>
    isOpen(records, (one) => {
      const isOne = one.effect === 'retire' || one.effect === 'restore'
      return isOne && one.transitKey.name === about && one.to === version
    })
}

type Effect = Extract<AuditRecord, { kind: 'effect' }>

function isOpen(records: readonly AuditRecord[], isOne: (effect: Effect) => boolean): boolean {
  const effects = records.filter((record): record is Effect => record.kind === 'effect').filter(isOne)
  const begun = effects.filter(({ phase }) => phase === 'begin').length
  return begun > effects.length - begun
}
