/**
 * What `POST /rotate` and `GET /rotate` are asked. As with reads, all of it is the caller's: matched against shapes, and
 * the Idempotency-Key kept as a digest only.
 */
import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import * as z from 'zod'
import { members } from '../dictionary.ts'
import { KeyholeError } from '../errors.ts'
import type { Caller } from '../services/authenticate.ts'
import type { Order } from '../services/rotation/run.ts'
import { accepted } from './accept.ts'

export interface RotateAsk {
  /** Names of TransitKeys, sorted and distinct; absent: all that the caller may rotate. */
  readonly keys: readonly string[] | undefined
  readonly reply: 'report' | 'stream' | 'async'
  /** The order of this caller. */
  order(caller: Caller): Order
}

/** Of the body of POST /rotate, in bytes. */
export const MAX_BODY_BYTES = 4_096
const MAX_BODY_DEPTH = 4
const MAX_KEYS = 100

const Body = z.strictObject({
  keys: z
    .array(z.string().min(1).max(128))
    .min(1)
    .max(MAX_KEYS)
    .transform((keys) => [...new Set(keys)].sort())
    .optional(),
  mode: z.enum(['rotate', 'rewrap']).default('rotate'),
  dryRun: z.boolean().default(false),
  retire: z.enum(['after-grace', 'now', 'never']).default('after-grace'),
})

/** @throws KeyholeError MALFORMED_REQUEST or NOT_ACCEPTABLE. */
export function parseRotateRequest(request: FastifyRequest): RotateAsk {
  refuseQuery(request)
  const { keys, ...order } = bodyOf(request.body)
  const idempotencyKey = idempotencyKeyOf(request)
  return {
    keys,
    reply: replyOf(request),
    order: (caller) => ({
      ...order,
      idempotency:
        idempotencyKey === undefined
          ? undefined
          : {
              key: digest([idempotencyKey, caller.uid]),
              request: digest([idempotencyKey, caller.uid, keys ?? null, order.mode, order.dryRun, order.retire]),
            },
    }),
  }
}

/**
 * Bounded before it comes here. What two readers could read in two ways is refused, such as `dryRun` twice; and in words
 * of ours: a parser's quote the body.
 * @throws KeyholeError MALFORMED_REQUEST.
 */
export function parseJson(body: Buffer): unknown {
  try {
    members(body, { maxBytes: MAX_BODY_BYTES, maxDepth: MAX_BODY_DEPTH })
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new KeyholeError('MALFORMED_REQUEST', { why: 'json', detail: 'The body is not one well-formed JSON object.' })
  }
}

/** @throws KeyholeError MALFORMED_REQUEST. */
export function refuseQuery(request: FastifyRequest): void {
  if (Object.keys(request.query as object).length === 0) return
  throw new KeyholeError('MALFORMED_REQUEST', { why: 'query', detail: 'This call takes no query.' })
}

function bodyOf(body: unknown): z.infer<typeof Body> {
  const result = Body.safeParse(body ?? {})
  if (result.success) return result.data
  throw new KeyholeError('MALFORMED_REQUEST', { why: 'body', detail: BODY_ADVICE })
}

const BODY_ADVICE = `The body is one JSON object with at most: "keys" (1 to ${MAX_KEYS} names of TransitKeys), "mode" ("rotate" or "rewrap"), "dryRun" (true or false), "retire" ("after-grace", "now" or "never").`

function idempotencyKeyOf({ raw }: FastifyRequest): string | undefined {
  const values = raw.headersDistinct['idempotency-key']
  if (values === undefined) return undefined
  const [value = ''] = values
  if (values.length === 1 && /^[\x21-\x7e]{1,128}$/.test(value)) return value
  throw new KeyholeError('MALFORMED_REQUEST', {
    why: 'idempotency-key',
    detail: 'Idempotency-Key is one header of 1 to 128 printable ASCII characters without blanks.',
  })
}

function replyOf({ headers }: FastifyRequest): RotateAsk['reply'] {
  const prefer = [headers['prefer'] ?? []].flat().join(',')
  if (/(?:^|,)\s*respond-async\s*(?:[,;]|$)/i.test(prefer)) return 'async'
  const { json, names } = accepted(headers.accept)
  if (names('application/x-ndjson')) return 'stream'
  if (json) return 'report'
  throw new KeyholeError('NOT_ACCEPTABLE', {
    why: 'media-type',
    detail: 'Accept application/json for the report, or application/x-ndjson to watch it being made.',
  })
}

function digest(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}
