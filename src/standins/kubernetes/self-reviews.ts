/** POST selfsubjectreviews and selfsubjectaccessreviews: open to every authenticated user, as `system:basic-user` makes them. */
import type { Right } from '../kubernetes.ts'
import type { StandinReply, StandinRequest } from '../server.ts'
import { methodNotAllowed, object, parseObject } from './answers.ts'
import type { User } from './authenticate.ts'
import type { Asked } from './authorize.ts'
import { forbidden } from './authorize.ts'
import { contentType } from './token-review.ts'

/** Undefined: something else was asked for. */
export function selfReview(
  request: StandinRequest,
  what: Asked,
  user: User,
  rights: readonly Right[],
): StandinReply | undefined {
  if ('path' in what || what.namespace !== undefined || what.name !== undefined) return undefined
  const kind = KINDS[`${what.group}/${what.version}/${what.resource}`]
  if (kind === undefined || !user.groups.includes('system:authenticated')) return undefined
  // Only to create them is everybody's right.
  if (request.method !== 'POST') return user.groups.includes('system:masters') ? methodNotAllowed() : undefined
  const apiVersion = `${what.group}/${what.version}`
  const parsed = parseObject(request.body, contentType(request), kind, apiVersion)
  if ('refused' in parsed) return parsed.refused
  const review = { kind, apiVersion, metadata: { creationTimestamp: null } }
  if (kind === 'SelfSubjectReview') return object(201, { ...review, status: { userInfo: user } })
  const spec = (parsed.value['spec'] ?? {}) as { resourceAttributes?: Attributes }
  const allowed = forbidden(askedBy(spec.resourceAttributes ?? {}), user, rights) === undefined
  return object(201, { ...review, spec, status: { allowed } })
}

const KINDS: Readonly<Record<string, 'SelfSubjectReview' | 'SelfSubjectAccessReview'>> = {
  'authentication.k8s.io/v1/selfsubjectreviews': 'SelfSubjectReview',
  'authorization.k8s.io/v1/selfsubjectaccessreviews': 'SelfSubjectAccessReview',
}

type Attributes = Readonly<
  Partial<Record<'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'namespace' | 'name', string>>
>

/** An empty field stands for an absent one. */
function askedBy(given: Attributes): Asked {
  const { verb = '', group = '', version = '', resource = '' } = given
  const filled = (text: string | undefined) => (text === '' ? undefined : text)
  const [subresource, namespace, name] = [given.subresource, given.namespace, given.name].map(filled)
  return { verb, group, version, resource, subresource, namespace, name }
}
