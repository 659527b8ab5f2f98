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

export function notFound(resource: string, name: string): StandinReply {
  return refusal(404, 'NotFound', `${resource} "${name}" not found`, { name, kind: resource })
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

/** The body as an object of the wanted kind, or the real server's complaint. An empty kind is taken for the right one. */
export function parseObject(
  body: Buffer,
  contentType: string | undefined,
  kind: string,
): { readonly value: Record<string, unknown> } | { readonly refused: StandinReply } {
  const mediaType = (contentType ?? 'application/json').split(';')[0]?.trim()
  if (mediaType !== 'application/json') {
    const message =
      'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf'
    return { refused: refusal(415, 'UnsupportedMediaType', message) }
  }
  const value = parse(body)
  if (value === undefined) {
    const shown = body.length === 0 ? '<empty>' : body.toString()
    const message = `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: unexpected end of JSON input (${shown})`
    return { refused: badRequest(message) }
  }
  const given = value['kind']
  if (typeof given === 'string' && given !== '' && given !== kind) {
    const message = `${given} in version "v1" cannot be handled as a ${kind}: no kind "${given}" is registered for version "authentication.k8s.io/v1" in scheme "pkg/runtime/scheme.go:111"`
    return { refused: badRequest(message) }
  }
  return { value }
}

function parse(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
