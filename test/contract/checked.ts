/**
 * Holds an answer to openapi.yaml: its status, its headers, its content type and its body. Every test of a route sends
 * its answers through here, so that what the suite sees is what the contract says.
 */
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Answer } from '../http/line.ts'
import type { Documented, HeaderObject, ResponseObject } from './document.ts'
import { document, escaped, operations, resolved } from './document.ts'

export interface Asked {
  readonly method: string
  /** As sent: path and query. */
  readonly path: string
}

/** The answer, unless it is none that the contract knows; then an Error that says everything that is wrong. */
export function checked(asked: Asked, answer: Answer): Answer {
  const problems = problemsOf(asked, answer)
  if (problems.length > 0) {
    throw new Error(`${asked.method} ${asked.path} ${answer.status} is not in openapi.yaml:\n${problems.join('\n')}`)
  }
  return answer
}

/** Undefined where openapi.yaml has no such operation. */
export function operationOf({ method, path }: Asked): Documented | undefined {
  return operationsAt(path).find((operation) => operation.method === method)
}

function operationsAt(path: string): readonly Documented[] {
  const bare = path.replace(/^https?:\/\/[^/]*(?=\/)/, '').split(/[?#]/, 1)[0] ?? ''
  return operations.filter((one) => new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]*')}$`).test(bare))
}

function problemsOf(asked: Asked, answer: Answer): string[] {
  const operation = operationOf(asked)
  if (operation === undefined) return elsewhere(asked, answer)
  const status = String(answer.status)
  const documented = operation.responses[status]
  // In prose: what a process does not serve is no route of its.
  if (documented === undefined && isRouteUnknown(answer)) return elsewhere(asked, answer)
  if (documented === undefined) return [`${operation.operationId} has no status ${status}`]
  const { value, pointer } = resolved(documented, `${operation.pointer}/responses/${status}`)
  return [...headersWrong(value, pointer, answer), ...contentWrong(value, pointer, answer)]
}

function isRouteUnknown({ status, body }: Answer): boolean {
  return status === 404 && (json(body) as { code?: unknown } | undefined)?.code === 'ROUTE_UNKNOWN'
}

/** Prose says what a path or a method that is none gets. */
function elsewhere({ method, path }: Asked, answer: Answer): string[] {
  if (method === 'HEAD') return answer.status === 404 || answer.status === 405 ? [] : ['HEAD is 404 or 405']
  const allowed = operationsAt(path)
    .map((operation) => operation.method)
    .sort()
    .join(', ')
  const code = (json(answer.body) as { code?: unknown } | undefined)?.code
  const allow = answer.headers['allow']
  return [
    ...bodyWrong('#/components/schemas/Problem', answer),
    ...(answer.headers['x-request-id'] === undefined ? ['no X-Request-Id'] : []),
    ...(code === 'METHOD_NOT_ALLOWED' && allow !== allowed ? [`405 without Allow: ${allowed}`] : []),
    ...(answer.status < 400 ? ['a success of no operation'] : []),
  ]
}

function headersWrong(response: ResponseObject, pointer: string, { headers }: Answer): string[] {
  return Object.entries(response.headers ?? {}).flatMap(([name, documented]) => {
    const header = resolved<HeaderObject>(documented, `${pointer}/headers/${escaped(name)}`)
    const text = headers[name.toLowerCase()]
    if (text === undefined) return header.value.required === true ? [`no ${name}`] : []
    const value = header.value.schema.type === 'integer' ? Number(text) : text
    return invalid(`#${header.pointer}/schema`, value).map((problem) => `${name} ${problem}`)
  })
}

function contentWrong({ content }: ResponseObject, pointer: string, answer: Answer): string[] {
  const mediaType = answer.headers['content-type']?.split(';')[0]
  if (content === undefined) return answer.body.length > 0 || mediaType !== undefined ? ['content where none is'] : []
  if (mediaType === undefined || content[mediaType] === undefined) return [`content type ${mediaType}`]
  const schema = `#${pointer}/content/${escaped(mediaType)}/schema`
  return mediaType === 'application/x-ndjson' ? linesWrong(schema, answer.body) : bodyWrong(schema, answer)
}

/** Whole lines, each of them documented: that it began first; last the report or why there is none, and only there. */
function linesWrong(schema: string, body: Buffer): string[] {
  const text = body.toString('utf8')
  const lines = text.split('\n').slice(0, -1)
  const types = lines.map((line) => (json(Buffer.from(line)) as { type?: unknown } | undefined)?.type)
  return [
    ...(text.endsWith('\n') ? [] : ['a last line without its end']),
    ...(types.indexOf('started') === 0 && types.lastIndexOf('started') === 0
      ? []
      : ['it does not begin with its start']),
    ...(types.findIndex((type) => type === 'report' || type === 'failed') === types.length - 1
      ? []
      : ['it does not end with its report']),
    ...lines.flatMap((line) => {
      const value = json(Buffer.from(line))
      return value === undefined ? ['a line that is no JSON'] : invalid(schema, value)
    }),
  ]
}

function bodyWrong(schema: string, { headers, body }: Answer): string[] {
  if (headers['content-type'] === 'application/octet-stream') return []
  const value = json(body)
  return value === undefined ? ['a body that is no JSON'] : invalid(schema, value)
}

function json(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

// The document is no schema, but its schemas refer to one another through it.
const ajv = new Ajv2020({ strict: false, allErrors: true })
addFormats.default(ajv)
ajv.addSchema(document, 'openapi')

/** What ajv finds wrong with a value under the schema at this pointer of openapi.yaml. */
export function invalid(pointer: string, value: unknown): string[] {
  const validate =
    ajv.getSchema(`openapi${encodeURI(pointer)}`) ?? ajv.compile({ $ref: `openapi${encodeURI(pointer)}` })
  if (validate(value)) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? 'is wrong'}`)
}
