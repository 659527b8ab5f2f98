/** What the API server says of whoever asks: who it is, and what it may do. Every authenticated user may ask both. */
import { AuthenticationV1ApiRequestFactory } from '@kubernetes/client-node/dist/gen/apis/AuthenticationV1Api.js'
import { AuthorizationV1ApiRequestFactory } from '@kubernetes/client-node/dist/gen/apis/AuthorizationV1Api.js'
import type { Self } from '../check/ports.ts'
import type { Call } from './kubernetes-client.ts'
import { CONFIGURATION, record, whole } from './kubernetes-client.ts'
import type { Answer } from './send.ts'

export function openSelf(call: Call): Self {
  const authentication = new AuthenticationV1ApiRequestFactory(CONFIGURATION)
  const authorization = new AuthorizationV1ApiRequestFactory(CONFIGURATION)
  return {
    async whoAmI(signal) {
      const request = await authentication.createSelfSubjectReview({ ...SUBJECT_REVIEW })
      return await whole(await call(request, signal), 201, async (answer) => {
        const { username } = record(statusIn(answer, SUBJECT_REVIEW)?.['userInfo']) ?? {}
        return typeof username === 'string' && username !== '' ? username : undefined
      })
    },
    async mayI(action, signal) {
      const spec = { resourceAttributes: { ...action } }
      const request = await authorization.createSelfSubjectAccessReview({ ...ACCESS_REVIEW, spec })
      return await whole(await call(request, signal), 201, async (answer) => {
        const { allowed } = statusIn(answer, ACCESS_REVIEW) ?? {}
        return typeof allowed === 'boolean' ? allowed : undefined
      })
    },
  }
}

const SUBJECT_REVIEW = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' } as const
const ACCESS_REVIEW = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' } as const

/** @throws for what is not JSON. */
function statusIn(
  { body }: Answer,
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
): Readonly<Record<string, unknown>> | undefined {
  const review = record(JSON.parse(body.toString('utf8')))
  return review?.['apiVersion'] === apiVersion && review['kind'] === kind ? record(review['status']) : undefined
}
