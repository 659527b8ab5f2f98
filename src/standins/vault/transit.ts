/** POST <mount>/encrypt/:key and <mount>/decrypt/:key, single and batch. */
import type { StandinReply } from '../server.ts'
import { envelope, errors, unrecognized, wrapped } from './answers.ts'
import { decodeLikeGo } from './base64.ts'
import type { Keyring } from './keyring.ts'
import { TransitError } from './keyring.ts'

type Body = Readonly<Record<string, unknown>>

export interface Item {
  readonly input: string
  readonly context: string
  readonly reference: string
  readonly keyVersion: number
}

/** `error` is Vault's text; `output` what the item became. */
export type Outcome = { readonly error: string } | { readonly output: Readonly<Record<string, unknown>> }

const COMMON = ['associated_data', 'batch_input', 'context', 'name', 'nonce', 'partial_failure_response_code']
const DECRYPT_FIELDS = new Set([...COMMON, 'ciphertext', 'padding_scheme'])
const ENCRYPT_FIELDS = new Set([
  ...COMMON,
  'plaintext',
  'type',
  'key_version',
  'convergent_encryption',
  'padding_scheme',
])

export function decrypt(body: Body, key: Keyring | undefined): StandinReply {
  return operate(body, 'ciphertext', DECRYPT_FIELDS, (items) => {
    if (key === undefined) return errors(400, 'encryption key not found')
    return items.map((item) =>
      attempt(item, (context) => ({ plaintext: key.decrypt(item.input, context).toString('base64') })),
    )
  })
}

/** @param find looks the key up, and makes it when the caller may create: derived exactly when a context came with it. */
export function encrypt(body: Body, find: (contextGiven: boolean) => Keyring): StandinReply {
  return operate(body, 'plaintext', ENCRYPT_FIELDS, (items) => {
    const key = find(items.some((item) => item.context !== ''))
    return items.map((item) =>
      attempt(item, (context) => {
        const plaintext = decodeLikeGo(item.input)
        if ('error' in plaintext) throw new TransitError(plaintext.error)
        const { ciphertext, keyVersion } = key.encrypt(plaintext.bytes, context, item.keyVersion)
        return { ciphertext, key_version: keyVersion }
      }),
    )
  })
}

function operate(
  body: Body,
  field: 'ciphertext' | 'plaintext',
  known: ReadonlySet<string>,
  run: (items: readonly Item[]) => readonly Outcome[] | StandinReply,
): StandinReply {
  const batch = body['batch_input']
  const items = batch === undefined || batch === null ? [body] : batch
  const verb = field === 'ciphertext' ? 'decrypt' : 'encrypt'
  const flaw = shapeFlaw(items, field, verb, items !== batch)
  if (flaw !== undefined) return flaw
  const read = (items as readonly Body[]).map((item) => itemOf(item, field))
  if (mixedContexts(read)) {
    return errors(400, 'context should be set either in all the request blocks or in none')
  }
  const outcomes = run(read)
  if (!Array.isArray(outcomes)) return outcomes as StandinReply
  const warnings = unrecognized(body, known)
  return items === batch ? batchAnswer(body, field, read, outcomes, warnings) : singleAnswer(outcomes[0], warnings)
}

function shapeFlaw(items: unknown, field: string, verb: string, single: boolean): StandinReply | undefined {
  const missing = `missing ${field} to ${verb}`
  if (!Array.isArray(items)) {
    const kind = typeof items === 'object' ? 'map[string]interface {}' : typeof items
    return wrapped(500, `failed to parse batch input: source data must be an array or slice, got ${kind}`)
  }
  if (items.length === 0) return errors(400, 'missing batch input to process')
  for (const [index, item] of items.entries()) {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) {
      return wrapped(500, `failed to parse batch input: [${index}] expected a map, got '${typeof item}'`)
    }
    const given = (item as Body)[field]
    // An empty plaintext may be encrypted; an empty ciphertext is none.
    if (single && (given === undefined || given === null || (given === '' && field === 'ciphertext'))) {
      return errors(400, missing)
    }
    if (!single && given === undefined) {
      return wrapped(500, `failed to parse batch input: 1 error(s) decoding:\n\n* '[${index}].${field}' ${missing}`)
    }
  }
  return undefined
}

/** Some have one, some have none. */
export function mixedContexts(items: readonly Item[]): boolean {
  const withContext = items.filter((item) => item.context !== '').length
  return withContext !== 0 && withContext !== items.length
}

/** Vault decodes weakly: a number becomes its digits. */
export function itemOf(item: Body, field: string): Item {
  return {
    input: String(item[field] ?? ''),
    context: String(item['context'] ?? ''),
    reference: String(item['reference'] ?? ''),
    keyVersion: Number(item['key_version'] ?? 0),
  }
}

export function attempt(item: Item, act: (context: Buffer | undefined) => Readonly<Record<string, unknown>>): Outcome {
  const context = decodeLikeGo(item.context)
  if ('error' in context) return context
  try {
    return { output: act(item.context === '' ? undefined : context.bytes) }
  } catch (thrown) {
    if (thrown instanceof TransitError) return { error: thrown.message }
    throw thrown
  }
}

export function singleAnswer(outcome: Outcome | undefined, warnings: readonly string[]): StandinReply {
  if (outcome === undefined || 'error' in outcome)
    return errors(400, outcome?.error ?? 'missing batch input to process')
  return envelope(200, { data: outcome.output, warnings, mountType: 'transit' })
}

/** A failed item fails the status, yet the plaintexts of the others are in the body all the same. */
function batchAnswer(
  body: Body,
  field: string,
  items: readonly Item[],
  outcomes: readonly Outcome[],
  warnings: readonly string[],
): StandinReply {
  const results = outcomes.map((outcome, index) => ({
    ...('error' in outcome
      ? { ...(field === 'ciphertext' ? { plaintext: '' } : {}), error: outcome.error }
      : outcome.output),
    reference: items[index]?.reference ?? '',
  }))
  const failed = outcomes.some((outcome) => 'error' in outcome)
  const someSucceeded = outcomes.some((outcome) => 'output' in outcome)
  const wanted = Number(body['partial_failure_response_code'] ?? 0)
  const status = !failed ? 200 : someSucceeded && wanted >= 1 && wanted <= 599 ? wanted : 400
  return envelope(status, { data: { batch_results: results }, warnings, mountType: failed ? '' : 'transit' })
}
