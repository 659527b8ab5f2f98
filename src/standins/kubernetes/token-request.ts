/** POST /api/v1/namespaces/:namespace/serviceaccounts/:name/token: what kubelet calls for a pod's projected tokens. */
import type { Clock } from '../../clock.ts'
import type { StandinReply, StandinRequest } from '../server.ts'
import { badRequest, methodNotAllowed, notFound, object, parseObject, refusal } from './answers.ts'
import type { SigningKey } from './signing.ts'
import type { Store, StoredPod } from './store.ts'
import { at, timestamp } from './store.ts'
import { contentType } from './token-review.ts'

const MIN_SECONDS = 600
const MAX_SECONDS = 2 ** 32
/** The number kubelet asks for when it injects the default token: kept working a year, with a warning from then on. */
const EXTENDED_WHEN_SECONDS = 3607
const EXTENDED_SECONDS = 365 * 24 * 3600

export interface Issuer {
  readonly clock: Clock
  readonly store: Store
  readonly key: SigningKey
  readonly issuer: string
}

interface Spec {
  audiences?: string[]
  expirationSeconds?: number
  boundObjectRef?: { kind?: string; apiVersion?: string; name?: string; uid?: string } | null
}

export function tokenRequest(request: StandinRequest, issuer: Issuer, namespace: string, name: string): StandinReply {
  if (request.method !== 'POST') return methodNotAllowed()
  const account = issuer.store.serviceAccounts.get(at(namespace, name))
  if (account === undefined) return notFound('serviceaccounts', name)
  const parsed = parseObject(request.body, contentType(request), 'TokenRequest')
  if ('refused' in parsed) return parsed.refused
  const spec = (parsed.value['spec'] ?? {}) as Spec
  const expirationSeconds = spec.expirationSeconds ?? 3600
  const flaw =
    expirationSeconds < MIN_SECONDS
      ? 'may not specify a duration less than 10 minutes'
      : expirationSeconds > MAX_SECONDS
        ? 'may not specify a duration larger than 2^32 seconds'
        : undefined
  if (flaw !== undefined) return invalid(expirationSeconds, flaw)

  const reference = spec.boundObjectRef ?? undefined
  const bound = reference === undefined ? undefined : boundPod(issuer.store, namespace, name, reference)
  if (bound !== undefined && 'refused' in bound) return bound.refused
  const audiences = spec.audiences === undefined || spec.audiences.length === 0 ? [issuer.issuer] : spec.audiences
  const { token, expiresAt } = mint(issuer, { account, audiences, expirationSeconds, pod: bound?.pod })
  return object(201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name, namespace, uid: account.uid, creationTimestamp: timestamp(issuer.clock.now()) },
    spec: { audiences, expirationSeconds, boundObjectRef: reference ?? null },
    status: { token, expirationTimestamp: timestamp(expiresAt) },
  })
}

function invalid(expirationSeconds: number, flaw: string): StandinReply {
  const message = `Invalid value: ${expirationSeconds}: ${flaw}`
  const field = 'spec.expirationSeconds'
  const whole = `TokenRequest.authentication.k8s.io "" is invalid: ${field}: ${message}`
  const causes = [{ reason: 'FieldValueInvalid', message, field }]
  return refusal(422, 'Invalid', whole, { group: 'authentication.k8s.io', kind: 'TokenRequest', causes })
}

function boundPod(
  store: Store,
  namespace: string,
  serviceAccount: string,
  reference: NonNullable<Spec['boundObjectRef']>,
): { readonly pod: StoredPod } | { readonly refused: StandinReply } {
  const name = reference.name ?? ''
  if (reference.kind !== 'Pod') {
    const kind = `/${reference.apiVersion ?? ''}, Kind=${reference.kind ?? ''}`
    return { refused: badRequest(`cannot bind token to object of type ${kind}`) }
  }
  const pod = store.pods.get(at(namespace, name))
  if (pod === undefined) return { refused: notFound('pods', name) }
  if (pod.serviceAccount !== serviceAccount) {
    const message = `cannot bind token for serviceaccount "${serviceAccount}" to pod running with different serviceaccount name.`
    return { refused: badRequest(message) }
  }
  if (reference.uid !== undefined && reference.uid !== '' && reference.uid !== pod.meta.uid) {
    const message = `Operation cannot be fulfilled on Pod "${name}": the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`
    return { refused: refusal(409, 'Conflict', message, { name, kind: 'Pod' }) }
  }
  return { pod }
}

interface Order {
  readonly account: { readonly namespace: string; readonly name: string; readonly uid: string }
  readonly audiences: readonly string[]
  readonly expirationSeconds: number
  readonly pod: StoredPod | undefined
}

/** `expiresAt` is what the answer says, in epoch milliseconds; an extended token lives on after it. */
function mint({ clock, store, key, issuer }: Issuer, order: Order): { token: string; expiresAt: number } {
  const now = Math.floor(clock.now() / 1000)
  const { account, pod, audiences, expirationSeconds } = order
  const extended =
    expirationSeconds === EXTENDED_WHEN_SECONDS && pod !== undefined && audiences.every((name) => name === issuer)
  const claims = {
    aud: audiences,
    exp: now + (extended ? EXTENDED_SECONDS : expirationSeconds),
    iat: now,
    iss: issuer,
    jti: store.uid(),
    'kubernetes.io': {
      namespace: account.namespace,
      ...(pod === undefined ? {} : { node: pod.node, pod: { name: pod.meta.name, uid: pod.meta.uid } }),
      serviceaccount: { name: account.name, uid: account.uid },
      ...(extended ? { warnafter: now + expirationSeconds } : {}),
    },
    nbf: now,
    sub: `system:serviceaccount:${account.namespace}:${account.name}`,
  }
  return { token: key.sign(claims, { kid: true }), expiresAt: (now + expirationSeconds) * 1000 }
}
