/**
 * What `GET /secrets/:name` is asked, from its path, query and headers. All of it is the caller's: it is matched
 * against shapes, compared, and counted; it never becomes part of a path, a message or a record unless it proved to
 * be a well-formed name.
 */
import type { FastifyRequest } from 'fastify'
import * as z from 'zod'
import { KeyholeError } from '../errors.ts'
import { LABEL } from '../label.ts'
import type { Ask } from '../services/authorize.ts'
import { accepted } from './accept.ts'
import type { IfNoneMatch } from './etag.ts'
import { parseIfNoneMatch } from './etag.ts'

export interface ReadRequest {
  readonly ask: Ask
  readonly ifNoneMatch: IfNoneMatch
}

/** As many keys as one request may name. */
export const MAX_KEYS = 100

/** Neither half holds a dot, so the dot between them is unambiguous. */
const Params = z.strictObject({
  name: z
    .string()
    .transform((name) => name.split('.'))
    .pipe(z.union([z.tuple([z.string().regex(LABEL)]), z.tuple([z.string().regex(LABEL), z.string().regex(LABEL)])])),
})

const Key = z.string().min(1).max(256)

const Query = z.strictObject({
  key: z.union([Key.transform((key) => [key]), z.array(Key).max(MAX_KEYS)]).optional(),
})

/** @throws KeyholeError MALFORMED_REQUEST or NOT_ACCEPTABLE. */
export function parseReadRequest(request: FastifyRequest): ReadRequest {
  const { name } = parsed(Params, request.params, {
    why: 'name',
    detail: 'A secret is named NAME or NAME.NAMESPACE, each of at most 63 characters a-z, 0-9 and "-".',
  })
  const { key } = parsed(Query, request.query, {
    why: 'query',
    detail: `The query takes only ?key=NAME, up to ${MAX_KEYS} times, each of 1 to 256 characters.`,
  })
  const ask = {
    secret: name.length === 1 ? { name: name[0] } : { name: name[0], namespace: name[1] },
    ...(key !== undefined && { keys: [...new Set(key)].sort() }),
    raw: wantsRaw(request.headers.accept),
  }
  return { ask, ifNoneMatch: parseIfNoneMatch(request.headers['if-none-match']) }
}

/** `GET /secrets` takes no query. @throws KeyholeError MALFORMED_REQUEST. */
export function parseListRequest(request: FastifyRequest): void {
  parsed(z.strictObject({}), request.query, { why: 'query', detail: 'This call takes no query.' })
}

function parsed<T extends z.ZodType>(schema: T, input: unknown, refusal: { why: string; detail: string }): z.infer<T> {
  const result = schema.safeParse(input)
  if (!result.success) throw new KeyholeError('MALFORMED_REQUEST', refusal)
  return result.data
}

/** Bytes as they are, only for who takes nothing that JSON would satisfy. @throws KeyholeError NOT_ACCEPTABLE. */
function wantsRaw(accept: string | undefined): boolean {
  const { json, names } = accepted(accept)
  if (json) return false
  if (names('application/octet-stream')) return true
  throw new KeyholeError('NOT_ACCEPTABLE', { why: 'media-type' })
}
