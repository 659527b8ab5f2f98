/** Answers in the API server's shapes: objects, and Status for refusals. */
import type { StandinReply } from '../server.ts'

/** Compact JSON with a newline, as the real server gives to whatever is not curl or a browser. */
export function object(status: number, body: unknown): StandinReply {
  return { status, headers: HEADERS, body: `${JSON.stringify(body)}\n` }
}

const HEADERS = { 'cache-control': 'no-cache, private', 'content-type': 'application/json' }

export function text(status: number, body: string): StandinReply {
  const headers = {
    'cache-control': 'no-cache, private',
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
  }
  return { status, headers, body }
}

export function refusal(code: number, reason: string, message: string, details?: object): StandinReply {
  return object(code, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  })
}

/** A resource of the core group, or of the one named. */
export function notFound(resource: string, name: string, group = ''): StandinReply {
  return refusal(404, 'NotFound', `${qualified(resource, group)} "${name}" not found`, about(resource, name, group))
}

export function conflict(resource: string, name: string, why: string, group = ''): StandinReply {
  const message = `Operation cannot be fulfilled on ${qualified(resource, group)} "${name}": ${why}`
  return refusal(409, 'Conflict', message, about(resource, name, group))
}

export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again'

export interface Flaw {
  readonly field: string
  readonly reason: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueTooLong'
  readonly message: string
}

export function invalid(kind: string, name: string, flaws: readonly Flaw[], group = ''): StandinReply {
  const sentences = [...new Set(flaws.map(({ field, message }) => `${field}: ${message}`))]
  const whole = sentences.length === 1 ? sentences[0] : `[${sentences.join(', ')}]`
  const details = {
    ...about(kind, name, group),
    causes: flaws.map(({ reason, message, field }) => ({ reason, message, field })),
  }
  return refusal(422, 'Invalid', `${qualified(kind, group)} "${name}" is invalid: ${whole}`, details)
}

function qualified(resource: string, group: string): string {
  return group === '' ? resource : `${resource}.${group}`
}

function about(kind: string, name: string, group: string): object {
  return group === '' ? { name, kind } : { name, group, kind }
}

export function unknownResource(): StandinReply {
  return refusal(404, 'NotFound', 'the server could not find the requested resource', {})
}

export function methodNotAllowed(): StandinReply {
  return refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})
}

export function badRequest(message: string): StandinReply {
  return refusal(400, 'BadRequest', message)
}

/** The stand-in's own word, where the real server would do something: a loud gap beats a false answer. */
export function notServed(): StandinReply {
  return refusal(501, 'NotImplemented', 'the stand-in does not serve this call of the real API server')
}

/** For names that are no name, in every path. */
export function badName(name: string): StandinReply | undefined {
  if (name !== '.' && name !== '..') return undefined
  return badRequest(`Name parameter invalid: "${name}": may not be '${name}'`)
}

/** An object sent to the place of another. An absent namespace is taken for the right one. */
export function misplaced(
  meta: { readonly namespace: string; readonly name: string },
  namespace: string,
  name: string,
): StandinReply | undefined {
  if (meta.namespace !== '' && meta.namespace !== namespace) {
    return badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  if (meta.name === '') {
    return badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
  }
  if (meta.name === name) return undefined
  return badRequest(`the name of the object (${meta.name}) does not match the name on the URL (${name})`)
}

export function mediaTypeOf(contentType: string | undefined): string | undefined {
  return contentType?.split(';')[0]?.trim()
}

/** The body as an object of the wanted kind, or the real server's complaint. An empty kind or version is taken for the right one. */
export function parseObject(
  body: Buffer,
  contentType: string | undefined,
  kind: string,
  apiVersion = 'authentication.k8s.io/v1',
): { readonly value: Record<string, unknown> } | { readonly refused: StandinReply } {
  if ((mediaTypeOf(contentType) ?? 'application/json') !== 'application/json') {
    const message =
      'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf'
    return { refused: refusal(415, 'UnsupportedMediaType', message) }
  }
  const value = parse(body)
  if (value === undefined) {
    const message = `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${syntaxError(body)} (${summary(body)})`
    return { refused: badRequest(message) }
  }
  const givenKind = textOr(value['kind'], kind)
  const givenVersion = textOr(value['apiVersion'], apiVersion)
  if (givenKind !== kind || givenVersion !== apiVersion) {
    const short = givenVersion.slice(givenVersion.indexOf('/') + 1)
    const message = `${givenKind} in version "${short}" cannot be handled as a ${kind}: no kind "${givenKind}" is registered for version "${givenVersion}" in scheme "pkg/runtime/scheme.go:111"`
    return { refused: badRequest(message) }
  }
  return { value }
}

const SUMMARY_BYTES = 30

/** As text only where it may be JSON. */
function summary(body: Buffer): string {
  if (body.length === 0) return '<empty>'
  const encoding = body.toString().startsWith('{') ? 'utf8' : 'hex'
  const more = body.length > SUMMARY_BYTES ? ' ...' : ''
  return `${body.subarray(0, SUMMARY_BYTES).toString(encoding)}${more}`
}

function textOr(given: unknown, otherwise: string): string {
  return typeof given === 'string' && given !== '' ? given : otherwise
}

function parse(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** What Go's decoder says, as far as it can be told from the first character. */
export function syntaxError(body: Buffer): string {
  const first = /^\s*([^\s])/.exec(body.toString())?.[1]
  if (first === undefined || /[{["\-0-9tfn]/.test(first)) return 'unexpected end of JSON input'
  return `invalid character '${first}' looking for beginning of value`
}

/** What Go calls a JSON value that it cannot put where it should go. */
export function goTypeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}
