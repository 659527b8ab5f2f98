/** A call of a process to the outside, in the words of this harness: what it is about, whichever SDK wrote it. */
import type { Outbound } from '../../src/external/send.ts'

export type Act =
  | 'lease-read'
  | 'lease-write'
  | 'secret-read'
  | 'secret-write'
  | 'login'
  | 'key-read'
  | 'rotate'
  | 'config'
  | 'rewrap'
  /** A record to the audit log. */
  | 'append'
  /** Nothing that a rotator has any business with. */
  | 'other'

export interface Call {
  readonly process: string
  /** Counts the calls of its process, from 1. */
  readonly number: number
  readonly act: Act
  /** `namespace/name` of a Secret, the name of a Transit key, what a record is about. */
  readonly about: string
  /** Empty for records. */
  readonly method: string
  readonly path: string
  readonly body: string
}

const ROUTES: readonly (readonly [RegExp, Act])[] = [
  [/^GET \/apis\/coordination\.k8s\.io\/v1\/namespaces\/(.+)\/leases\/(.+)$/, 'lease-read'],
  [/^(?:PUT|POST) \/apis\/coordination\.k8s\.io\/v1\/namespaces\/(.+)\/leases(?:\/(.+))?$/, 'lease-write'],
  [/^GET \/api\/v1\/namespaces\/(.+)\/secrets\/(.+)$/, 'secret-read'],
  [/^PATCH \/api\/v1\/namespaces\/(.+)\/secrets\/(.+)$/, 'secret-write'],
  [/^POST \/v1\/auth\/(.+)\/login$/, 'login'],
  [/^GET \/v1\/transit\/keys\/([^/]+)$/, 'key-read'],
  [/^POST \/v1\/transit\/keys\/([^/]+)\/rotate$/, 'rotate'],
  [/^POST \/v1\/transit\/keys\/([^/]+)\/config$/, 'config'],
  [/^POST \/v1\/transit\/rewrap\/([^/]+)$/, 'rewrap'],
]

export function callOf(process: string, number: number, { method, path, body = '' }: Outbound): Call {
  const [bare = ''] = path.split('?')
  for (const [pattern, act] of ROUTES) {
    const match = pattern.exec(`${method} ${bare}`)
    if (match !== null) {
      const about = match.slice(1).filter((part) => part !== undefined)
      return { process, number, act, about: about.join('/'), method, path, body: String(body) }
    }
  }
  return { process, number, act: 'other', about: '', method, path, body: String(body) }
}

export function titleOf({ process, number, act, about, method, path }: Call): string {
  return `call ${number} of ${process}: ${act} ${about}${method === '' ? '' : ` (${method} ${path})`}`
}

/** Whether it may change anything outside. */
export function changes({ act }: Call): boolean {
  return act === 'lease-write' || act === 'secret-write' || act === 'rotate' || act === 'config'
}
