/** POST <mount>/rewrap/:key, single and batch: the one call of Transit whose batch is a 200 though items failed. */
import type { StandinReply } from '../server.ts'
import { envelope, errors, unrecognized, wrapped } from './answers.ts'
import type { Fields } from './body.ts'
import type { Keyring } from './keyring.ts'
import type { Item, Outcome } from './transit.ts'
import { attempt, itemOf, mixedContexts, singleAnswer } from './transit.ts'

const MISSING = 'missing ciphertext to decrypt'
const FIELDS = new Set([
  'batch_input',
  'ciphertext',
  'context',
  'decrypt_padding_scheme',
  'encrypt_padding_scheme',
  'key_version',
  'name',
  'nonce',
])

export function rewrap(body: Fields, key: Keyring | undefined): StandinReply {
  const batch = body['batch_input'] ?? undefined
  if (batch === undefined && (body['ciphertext'] ?? '') === '') return errors(400, MISSING)
  const given = batch === undefined ? [body] : batch
  const flaw = shapeFlaw(given)
  if (flaw !== undefined) return wrapped(500, `failed to parse batch input: ${flaw}`)
  const items = (given as readonly (Fields | null)[]).map((item) => itemOf(item ?? {}, 'ciphertext'))
  if (items.length === 0) return errors(400, 'missing batch input to process')
  if (mixedContexts(items)) return errors(400, 'context should be set either in all the request blocks or in none')
  if (key === undefined) return errors(400, 'encryption key not found')
  const outcomes = items.map((item) => outcomeOf(item, key))
  const warnings = unrecognized(body, FIELDS)
  if (batch === undefined) return singleAnswer(outcomes[0], warnings)
  const results = outcomes.map((outcome, index) => ({
    ...('error' in outcome ? outcome : outcome.output),
    reference: items[index]?.reference ?? '',
  }))
  return envelope(200, { data: { batch_results: results }, warnings, mountType: 'transit' })
}

function outcomeOf(item: Item, key: Keyring): Outcome {
  if (item.input === '') return { error: MISSING }
  return attempt(item, (context) => {
    const { ciphertext, keyVersion } = key.encrypt(key.decrypt(item.input, context), context, item.keyVersion)
    return { ciphertext, key_version: keyVersion }
  })
}

/** Says of each item what is wrong with it. To Go's decoder a number is its digits, and null an item without fields. */
function shapeFlaw(items: unknown): string | undefined {
  if (!Array.isArray(items)) return `'': source data must be an array or slice, got ${kindOf(items)}`
  const flaws = items.flatMap((item: unknown, index) => {
    if (kindOf(item) !== 'map') return [`'[${index}]' expected a map, got '${kindOf(item)}'`]
    const { key_version: version } = (item ?? {}) as Fields
    if (typeof version !== 'string') return []
    return [`'[${index}].key_version' expected type 'int', got unconvertible type 'string', value: '${version}'`]
  })
  if (flaws.length === 0) return undefined
  return `${flaws.length} error(s) decoding:\n\n${flaws.map((flaw) => `* ${flaw}`).join('\n')}`
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'slice'
  if (typeof value === 'object') return 'map'
  return typeof value === 'boolean' ? 'bool' : 'string'
}
