/** What Fastify and Node complain of, in our codes. Their own texts quote the request, so none of them is kept. */
import { asKeyholeError, KeyholeError } from '../errors.ts'
import { bodyTooLarge } from './admission.ts'

/** Anything that a handler, a hook or Fastify itself threw. */
export function frameworkRefusal(thrown: unknown): KeyholeError {
  const code = codeOf(thrown)
  if (code === 'FST_ERR_BAD_URL' || code === 'FST_ERR_ASYNC_CONSTRAINT') {
    return new KeyholeError('MALFORMED_REQUEST', { why: 'url', detail: 'The URL is not well-formed.' })
  }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return bodyTooLarge()
  if (code?.startsWith('FST_ERR_CTP_') === true) {
    return new KeyholeError('MALFORMED_REQUEST', {
      why: 'content-type',
      detail: 'Send the body as JSON, with Content-Type: application/json.',
    })
  }
  if (code === 'FST_ERR_MAX_PARAM_LENGTH') return new KeyholeError('URL_TOO_LONG', { why: 'param' })
  return asKeyholeError(thrown)
}

/** What a connection did that never became a request; undefined when nobody is there to be told. */
export function clientErrorOf(error: Error): KeyholeError | undefined {
  const code = codeOf(error)
  // Where TLS failed there is no channel to say anything on: what is written waits for a handshake that never comes.
  if (code !== undefined && /^ERR_(?:SSL|TLS)_/.test(code)) return undefined
  switch (code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return undefined
    case 'HPE_HEADER_OVERFLOW':
      return new KeyholeError('HEADERS_TOO_LARGE', { why: 'header-overflow' })
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new KeyholeError('REQUEST_TIMEOUT', { why: 'request-timeout' })
    default:
      return new KeyholeError('MALFORMED_REQUEST', {
        why: 'http',
        detail: 'This is not a well-formed HTTP/1.1 request.',
      })
  }
}

function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined
}
