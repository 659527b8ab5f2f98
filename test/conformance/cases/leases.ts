/** A Lease read and put: when a PUT is a compare-and-swap and when it is not, and which rights it takes. */
import type { Case, Expected } from '../case.ts'
import type { Environment, KubernetesOperator, Lease, Right } from '../environment.ts'
import { send } from '../run.ts'
import {
  bearer,
  JSON_TYPE,
  METHOD_NOT_ALLOWED,
  NAMESPACE_MISMATCH,
  nameless,
  nameMismatch,
  status,
  UNKNOWN_RESOURCE,
} from './kubernetes-words.ts'

const GROUP = 'coordination.k8s.io'
const API_VERSION = `${GROUP}/v1`

interface How {
  readonly method?: string
  readonly path?: (namespace: string) => string
  /** As it is, in place of the Lease that would be sent; `{uid}` and `{version}` are filled in. */
  readonly body?: string
  readonly type?: string
  /** The Lease is not there. */
  readonly absent?: true
  /** The Lease was there, with `{uid}` and `{version}`, and is gone. */
  readonly deleted?: true
  /** The Lease was put again, so that `{version}` is no more its own. */
  readonly moved?: true
  /** `rotator` is ServiceAccount `<unique>/rotator` with `rights` on the Lease `rotation`; default: the administrator. */
  readonly as?: 'rotator' | 'anonymous'
  readonly rights?: readonly string[]
  /** What is asked in the end is not the PUT but the Lease after it. */
  readonly look?: true
}

const HELD: Lease['spec'] = { holderIdentity: 'other', leaseDurationSeconds: 30 }

/** The Lease `rotation`, held by `other`, and then what is put in its place. */
function put(title: string, lease: Sent, expected: Expected, how: How = {}): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      const there = await arranged(kubernetes, unique, how)
      const fill = { namespace: unique, uid: there.uid, version: there.resourceVersion }
      const path = how.path?.(unique) ?? `/apis/${API_VERSION}/namespaces/${unique}/leases/rotation`
      const body = (how.body ?? JSON.stringify(bodyOf(lease, unique)))
        .replaceAll('{uid}', there.uid)
        .replaceAll('{version}', there.resourceVersion)
      const headers = { 'content-type': how.type ?? 'application/json', ...(await headersOf(world, unique, how)) }
      const request = { method: 'PUT', path, headers, body, fill }
      if (how.look === true) {
        await send(world.kubernetes, request)
        return { method: 'GET', path, headers: bearer(kubernetes.adminToken), fill }
      }
      const { method = 'PUT' } = how
      return method === 'PUT' || method === 'POST' ? { ...request, method } : { method, path, headers, fill }
    },
  }
}

/** What differs from a Lease of that name, held by `me`. */
interface Sent {
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly spec?: unknown
  readonly kind?: string
  readonly apiVersion?: string
}

function bodyOf({ metadata, spec = { holderIdentity: 'me' }, ...type }: Sent, namespace: string): object {
  return {
    apiVersion: API_VERSION,
    kind: 'Lease',
    ...type,
    metadata: { name: 'rotation', namespace, ...metadata },
    spec,
  }
}

async function arranged(kubernetes: KubernetesOperator, namespace: string, how: How) {
  const which = { namespace, name: 'rotation' }
  const there = await kubernetes.putLease({ ...which, labels: { team: 'x' }, annotations: { note: 'y' }, spec: HELD })
  if (how.absent === true || how.deleted === true) await kubernetes.deleteLease(which)
  if (how.moved === true) await kubernetes.putLease({ ...which, spec: { ...HELD, holderIdentity: 'third' } })
  return there
}

async function headersOf({ operator }: Environment, namespace: string, how: How): Promise<Record<string, string>> {
  const { kubernetes } = operator
  if (how.as === 'anonymous') return {}
  if (how.as === undefined) return bearer(kubernetes.adminToken)
  const rotator = { namespace, name: 'rotator' }
  await kubernetes.createServiceAccount(rotator)
  const right: Omit<Right, 'verbs'> = { group: GROUP, resource: 'leases', namespace, names: ['rotation'] }
  if (how.rights !== undefined) await kubernetes.allow(rotator, { ...right, verbs: how.rights })
  return bearer(await kubernetes.issueToken({ namespace, serviceAccount: 'rotator' }))
}

function answered(code: 200 | 201, metadata: object, spec: unknown): Expected {
  return {
    status: code,
    headers: { ...JSON_TYPE, 'cache-control': 'no-cache, private' },
    json: {
      kind: 'Lease',
      apiVersion: API_VERSION,
      metadata: { name: 'rotation', namespace: '{namespace}', ...metadata },
      spec,
    },
  }
}

const MINE = { holderIdentity: 'me', leaseDurationSeconds: undefined }
const CREATED = answered(201, { labels: undefined, annotations: undefined }, MINE)
const UPDATED = answered(200, { uid: '{uid}', labels: undefined, annotations: undefined }, MINE)
const CURRENT: Sent = { metadata: { resourceVersion: '{version}' } }
const CURRENT_OF_UID: Sent = { metadata: { resourceVersion: '{version}', uid: '{uid}' } }
const STRANGER = 'deadbeef-0000-4000-8000-000000000000'

function conflict(why: string): Expected {
  const message = `Operation cannot be fulfilled on leases.${GROUP} "rotation": ${why}`
  return status(409, 'Conflict', message, { name: 'rotation', group: GROUP, kind: 'leases' })
}

const MOVED = conflict('the object has been modified; please apply your changes to the latest version and try again')

function otherUid(given: string, there: string): Expected {
  return conflict(
    `StorageError: invalid object, Code: 4, Key: /registry/leases/{namespace}/rotation, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${given}, UID in object meta: ${there}`,
  )
}

/** The resource, not the kind, is named here; of a Lease that is invalid itself it is the kind. */
const UNVERSIONED = status(
  422,
  'Invalid',
  `leases.${GROUP} "rotation" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`,
  {
    name: 'rotation',
    group: GROUP,
    kind: 'leases',
    causes: [
      {
        reason: 'FieldValueInvalid',
        message: 'Invalid value: 0: must be specified for an update',
        field: 'metadata.resourceVersion',
      },
    ],
  },
)

function invalid(sentence: string, name = 'rotation'): Expected {
  const message = `Lease.${GROUP} "${name}" is invalid: ${sentence}`
  return status(422, 'Invalid', message, { name, group: GROUP, kind: 'Lease' })
}

function undecodable(why: string): Expected {
  return status(400, 'BadRequest', `Lease in version "v1" cannot be handled as a Lease: ${why}`)
}

const unfit = (value: string, type: string): Expected =>
  undecodable(`json: cannot unmarshal ${value} into Go struct field ${type}`)

function unreadable(why: string): Expected {
  const message = `the object provided is unrecognized (must be of type Lease): couldn't get version/kind; json parse error: ${why}`
  return status(400, 'BadRequest', message)
}

function missing(name: string): Expected {
  return status(404, 'NotFound', `leases.${GROUP} "${name}" not found`, { name, group: GROUP, kind: 'leases' })
}

function forbidden(verb: string, user: string, name: string | undefined = 'rotation'): Expected {
  const what = name === '' ? `leases.${GROUP}` : `leases.${GROUP} "${name}"`
  const sentence = `User "${user}" cannot ${verb} resource "leases" in API group "${GROUP}" in the namespace "{namespace}"`
  const details = { ...(name !== '' && { name }), group: GROUP, kind: 'leases' }
  return status(403, 'Forbidden', `${what} is forbidden: ${sentence}`, details)
}

const ROTATOR = 'system:serviceaccount:{namespace}:rotator'
const at = (name: string) => (namespace: string) => `/apis/${API_VERSION}/namespaces/${namespace}/leases/${name}`
const collection = (namespace: string) => `/apis/${API_VERSION}/namespaces/${namespace}/leases`
const elsewhere = (namespace: string) => at('rotation')(`${namespace}-none`)

const read: readonly Case[] = [
  put(
    'a Lease is read with its notes and its holder',
    {},
    {
      ...answered(
        200,
        { uid: '{uid}', resourceVersion: '{version}', labels: { team: 'x' }, annotations: { note: 'y' } },
        HELD,
      ),
    },
    { method: 'GET' },
  ),
  put('a missing Lease is not found', {}, missing('none'), { method: 'GET', path: at('none') }),
  put('a Lease in a missing namespace is not found', {}, missing('rotation'), { method: 'GET', path: elsewhere }),
  put('without a right a Lease is not read', {}, forbidden('get', ROTATOR), { method: 'GET', as: 'rotator' }),
  put('rights to put a Lease are none to read it', {}, forbidden('get', ROTATOR), {
    method: 'GET',
    as: 'rotator',
    rights: ['update', 'create'],
  }),
  put('a right by name says that a missing Lease is missing', {}, missing('rotation'), {
    method: 'GET',
    as: 'rotator',
    rights: ['get'],
    absent: true,
  }),
  put('a right by name lists no Leases', {}, forbidden('list', ROTATOR, ''), {
    method: 'GET',
    path: collection,
    as: 'rotator',
    rights: ['get', 'update', 'create'],
  }),
  put(
    'a Lease named by two dots is a bad request',
    {},
    {
      ...status(400, 'BadRequest', `Name parameter invalid: "..": may not be '..'`),
    },
    { method: 'GET', path: at('%2e%2e') },
  ),
  put('HEAD of a Lease is not allowed', {}, { status: 405 }, { method: 'HEAD' }),
  put('what lies below a Lease is an unknown resource', {}, UNKNOWN_RESOURCE, {
    method: 'GET',
    path: at('rotation/status'),
  }),
  put('a later version of Leases is an unknown resource', {}, UNKNOWN_RESOURCE, {
    method: 'GET',
    path: (namespace) => at('rotation')(namespace).replace('/v1/', '/v2/'),
  }),
]

const swapped: readonly Case[] = [
  put('a Lease that is as it was is put, and loses what was not sent', CURRENT, UPDATED),
  put('a Lease that is as it was, uid and all, is put', CURRENT_OF_UID, UPDATED),
  put(
    'a Lease keeps its notes when they are sent',
    {
      metadata: { resourceVersion: '{version}', labels: { team: 'x' }, annotations: { note: 'z' } },
    },
    answered(200, { uid: '{uid}', labels: { team: 'x' }, annotations: { note: 'z' } }, MINE),
  ),
  put(
    'a PUT that changes nothing is not written',
    {
      metadata: { resourceVersion: '{version}', labels: { team: 'x' }, annotations: { note: 'y' } },
      spec: HELD,
    },
    answered(200, { resourceVersion: '{version}' }, HELD),
  ),
  put('a Lease that has moved is a conflict', CURRENT, MOVED, { moved: true }),
  put('a Lease that has moved keeps its holder', CURRENT, answered(200, {}, { holderIdentity: 'third' }), {
    moved: true,
    look: true,
  }),
  put('a resourceVersion of the future is a conflict', { metadata: { resourceVersion: '999999999999' } }, MOVED),
  put('a Lease that is there cannot be put without a resourceVersion', {}, UNVERSIONED),
  put('an empty resourceVersion is none', { metadata: { resourceVersion: '' } }, UNVERSIONED),
  put('a resourceVersion of zero is none', { metadata: { resourceVersion: '0' } }, UNVERSIONED),
  put('a uid stands for no resourceVersion', { metadata: { uid: '{uid}' } }, UNVERSIONED),
  put(
    'a resourceVersion that is no number breaks the server',
    { metadata: { resourceVersion: 'x/y' } },
    {
      status: 500,
      json: {
        kind: 'Status',
        reason: undefined,
        message: 'strconv.ParseUint: parsing "x/y": invalid syntax',
        code: 500,
      },
    },
  ),
  put(
    'another uid is a conflict',
    { metadata: { resourceVersion: '{version}', uid: STRANGER } },
    otherUid(STRANGER, '{uid}'),
  ),
  put(
    'another uid comes before a resourceVersion that has moved',
    { metadata: { resourceVersion: '1', uid: STRANGER } },
    {
      ...otherUid(STRANGER, '{uid}'),
    },
  ),
]

const created: readonly Case[] = [
  put('a Lease that is not there is made', {}, CREATED, { absent: true }),
  put('a Lease that is gone is made anew by its resourceVersion', CURRENT, CREATED, { deleted: true }),
  put('a Lease that is gone is not made anew by its uid', CURRENT_OF_UID, otherUid('{uid}', ''), { deleted: true }),
  put('a Lease that is gone stays gone', CURRENT_OF_UID, missing('rotation'), { deleted: true, look: true }),
  put('a namespace need not be repeated', { metadata: { namespace: undefined } }, CREATED, { absent: true }),
  put('kind and version need not be repeated', {}, CREATED, {
    absent: true,
    body: '{"metadata":{"name":"rotation"},"spec":{"holderIdentity":"me"}}',
  }),
  put('a Lease without a spec has an empty one', {}, answered(201, {}, { holderIdentity: undefined }), {
    absent: true,
    body: '{"metadata":{"name":"rotation"}}',
  }),
  put(
    'a Lease in a missing namespace is not made',
    { metadata: { namespace: undefined } },
    {
      ...status(404, 'NotFound', 'namespaces "{namespace}-none" not found', {
        name: '{namespace}-none',
        kind: 'namespaces',
      }),
    },
    { path: elsewhere },
  ),
  put(
    'a name that no Lease can have is invalid',
    { metadata: { name: 'UPPER' } },
    {
      ...invalid(
        `metadata.name: Invalid value: "UPPER": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
        'UPPER',
      ),
    },
    { path: at('UPPER') },
  ),
]

const TIME = '2026-11-22T01:02:03.123456Z'

const specified: readonly Case[] = [
  put(
    'a spec comes back as it was put',
    {
      spec: { holderIdentity: 'me', leaseDurationSeconds: 15, acquireTime: TIME, renewTime: TIME, leaseTransitions: 0 },
    },
    answered(
      201,
      {},
      {
        holderIdentity: 'me',
        leaseDurationSeconds: 15,
        acquireTime: TIME,
        renewTime: TIME,
        leaseTransitions: 0,
      },
    ),
    { absent: true },
  ),
  put('a holder may be empty', { spec: { holderIdentity: '' } }, answered(201, {}, { holderIdentity: '' }), {
    absent: true,
  }),
  put(
    'a time is kept in UTC',
    { spec: { renewTime: '2026-11-22T02:02:03.123456+01:00' } },
    answered(201, {}, { renewTime: TIME }),
    {
      absent: true,
    },
  ),
  put(
    'null is as good as absent, and what is unknown is left out',
    { spec: { renewTime: null, nope: 1 } },
    {
      ...answered(201, {}, { renewTime: undefined, nope: undefined }),
    },
    { absent: true },
  ),
  put(
    'a duration of zero is invalid',
    { ...CURRENT, spec: { leaseDurationSeconds: 0 } },
    {
      ...invalid('spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0'),
    },
  ),
  put(
    'a negative count of transitions is invalid',
    { ...CURRENT, spec: { leaseTransitions: -1 } },
    {
      ...invalid('spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0'),
    },
  ),
  put(
    'all that is invalid is told at once',
    { ...CURRENT, spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } },
    {
      ...invalid(
        '[spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0, spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0]',
      ),
    },
  ),
  put('a Lease that has moved is not looked into', { ...CURRENT, spec: { leaseDurationSeconds: 0 } }, MOVED, {
    moved: true,
  }),
  put(
    'annotations of 262,144 bytes are not too long',
    { metadata: { annotations: { x: 'x'.repeat(262_143) } } },
    {
      status: 201,
    },
    { absent: true },
  ),
  put(
    'annotations of 262,145 bytes are too long to make a Lease',
    { metadata: { annotations: { x: 'x'.repeat(262_144) } } },
    {
      ...invalid('metadata.annotations: Too long: may not be more than 262144 bytes'),
    },
    { absent: true },
  ),
  put(
    'annotations of 262,145 bytes are too long to change it',
    {
      metadata: { resourceVersion: '{version}', annotations: { x: 'x'.repeat(262_144) } },
    },
    invalid('metadata.annotations: Too long: may not be more than 262144 bytes'),
  ),
  put(
    'a duration beyond 32 bits is unfit',
    { spec: { leaseDurationSeconds: 2_147_483_648 } },
    {
      ...unfit('number 2147483648', 'LeaseSpec.spec.leaseDurationSeconds of type int32'),
    },
  ),
  put(
    'half a second is unfit',
    { spec: { leaseDurationSeconds: 1.5 } },
    {
      ...unfit('number 1.5', 'LeaseSpec.spec.leaseDurationSeconds of type int32'),
    },
  ),
  put(
    'a count of transitions beyond 32 bits is unfit',
    { spec: { leaseTransitions: 2_147_483_648 } },
    {
      ...unfit('number 2147483648', 'LeaseSpec.spec.leaseTransitions of type int32'),
    },
  ),
  put(
    'a text for a duration is unfit',
    { spec: { leaseDurationSeconds: '15' } },
    {
      ...unfit('string', 'LeaseSpec.spec.leaseDurationSeconds of type int32'),
    },
  ),
  put(
    'a number for a holder is unfit',
    { spec: { holderIdentity: 5 } },
    {
      ...unfit('number', 'LeaseSpec.spec.holderIdentity of type string'),
    },
  ),
  put(
    'a number for a time is unfit',
    { spec: { renewTime: 5 } },
    unfit('number', 'LeaseSpec.spec.renewTime of type string'),
  ),
  put(
    'a number for a label is unfit',
    { metadata: { labels: { a: 5 } } },
    {
      ...unfit('number', 'ObjectMeta.metadata.labels of type string'),
    },
  ),
  put(
    'a number for a resourceVersion is unfit',
    { metadata: { resourceVersion: 5 } },
    {
      ...unfit('number', 'ObjectMeta.metadata.resourceVersion of type string'),
    },
  ),
  put('a text for a spec is unfit', { spec: 'x' }, unfit('string', 'Lease.spec of type v1.LeaseSpec')),
  ...['yesterday', '2026-11-22T01:02:03Z', '2026-11-22T01:02:03.123Z'].map((renewTime) =>
    put(
      `"${renewTime}" is no time in microseconds`,
      { spec: { renewTime } },
      {
        status: 400,
        json: {
          kind: 'Status',
          reason: 'BadRequest',
          message:
            /^Lease in version "v1" cannot be handled as a Lease: parsing time "[^"]+" as "2006-01-02T15:04:05\.000000Z07:00": cannot parse/,
        },
      },
    ),
  ),
]

const misdirected: readonly Case[] = [
  put('another name is a bad request', { metadata: { name: 'other' } }, nameMismatch('other', 'rotation')),
  put('no name is a bad request', { metadata: { name: undefined } }, nameless('rotation')),
  put('another namespace is a bad request', { metadata: { namespace: 'default' } }, NAMESPACE_MISMATCH),
  put(
    'another kind is a bad request',
    { kind: 'Secret' },
    {
      ...status(
        400,
        'BadRequest',
        `Secret in version "v1" cannot be handled as a Lease: no kind "Secret" is registered for version "${API_VERSION}" in scheme "pkg/runtime/scheme.go:111"`,
      ),
    },
  ),
  put(
    'another API version is a bad request',
    { apiVersion: 'v1' },
    {
      ...status(
        400,
        'BadRequest',
        'Lease in version "v1" cannot be handled as a Lease: no kind "Lease" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"',
      ),
    },
  ),
  put('what is no JSON is a bad request', {}, unreadable("invalid character 'x' looking for beginning of value (78)"), {
    body: 'x',
  }),
  put('an empty body is a bad request', {}, unreadable('unexpected end of JSON input (<empty>)'), { body: '' }),
  put('a Lease that is cut short is a bad request', {}, unreadable('unexpected end of JSON input ({"kind":"Lease)'), {
    body: '{"kind":"Lease',
  }),
  put(
    'a JSON Patch is of a wrong media type for a PUT',
    {},
    {
      ...status(
        415,
        'UnsupportedMediaType',
        'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
      ),
    },
    { type: 'application/json-patch+json' },
  ),
  put(
    'a PUT to a name of two dots is a bad request',
    { metadata: { name: '..' } },
    {
      ...status(400, 'BadRequest', `Name parameter invalid: "..": may not be '..'`),
    },
    { path: at('%2e%2e') },
  ),
  put('POST to the name of a Lease is not allowed', {}, METHOD_NOT_ALLOWED, { method: 'POST' }),
]

const entitled: readonly Case[] = [
  put('rights by name to update and to create make a Lease', {}, CREATED, {
    as: 'rotator',
    rights: ['update', 'create'],
    absent: true,
  }),
  put('a right by name to update changes a Lease', CURRENT, UPDATED, { as: 'rotator', rights: ['update'] }),
  put('rights by name make no Lease by POST', {}, forbidden('create', ROTATOR, ''), {
    method: 'POST',
    path: collection,
    as: 'rotator',
    rights: ['get', 'update', 'create'],
    absent: true,
  }),
  put('without a right no Lease is put', CURRENT, forbidden('update', ROTATOR), { as: 'rotator' }),
  put('a right to update makes no Lease', {}, forbidden('create', ROTATOR), {
    as: 'rotator',
    rights: ['update'],
    absent: true,
  }),
  put('a right to update makes no Lease of a resourceVersion either', CURRENT, forbidden('create', ROTATOR), {
    as: 'rotator',
    rights: ['update'],
    deleted: true,
  }),
  put('a uid that is gone comes before the right to create', CURRENT_OF_UID, otherUid('{uid}', ''), {
    as: 'rotator',
    rights: ['update'],
    deleted: true,
  }),
  put('a right to create puts no Lease', {}, forbidden('update', ROTATOR), {
    as: 'rotator',
    rights: ['create'],
    absent: true,
  }),
  put(
    'a right to one Lease is none to another',
    { metadata: { name: 'other' } },
    forbidden('update', ROTATOR, 'other'),
    {
      as: 'rotator',
      rights: ['update', 'create'],
      path: at('other'),
    },
  ),
  put(
    'a Lease is looked into before the right to create it',
    { spec: { leaseDurationSeconds: 0 } },
    {
      ...invalid('spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0'),
    },
    { as: 'rotator', rights: ['update'], absent: true },
  ),
  put('without a token one puts no Lease', CURRENT, forbidden('update', 'system:anonymous'), { as: 'anonymous' }),
]

export const leaseCases: readonly Case[] = [...read, ...swapped, ...created, ...specified, ...misdirected, ...entitled]
