/** JSON Patch of one Secret: what is written whole, what is refused whole, and how little the API server says of why. */
import type { Case, Expected, RawRequest } from '../case.ts'
import type { Environment, Right } from '../environment.ts'
import { send } from '../run.ts'
import { bearer, METHOD_NOT_ALLOWED, NAMESPACE_MISMATCH, nameless, nameMismatch, status } from './kubernetes-words.ts'

interface How {
  /** Default: a JSON Patch of these operations. */
  readonly body?: string
  readonly type?: string
  readonly path?: (namespace: string) => string
  readonly immutable?: boolean
  readonly data?: Readonly<Record<string, string>>
  /** `rotator` is ServiceAccount `<unique>/rotator` with `rights`; default: the administrator. */
  readonly as?: 'rotator' | 'anonymous'
  readonly rights?: readonly string[]
  /** Patched before, by the administrator, one after the other. */
  readonly before?: readonly (readonly object[])[]
  /** What is asked in the end is not another patch but the Secret. */
  readonly look?: boolean
}

const JSON_PATCH = 'application/json-patch+json'

/** The Secret `db` with `a` = `one` and `b.c` = `two`, patched. `{version}` is its resourceVersion before all patches. */
function patched(title: string, operations: readonly object[], expected: Expected, how: How = {}): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      const { data = { a: 'one', 'b.c': 'two' }, immutable } = how
      const place = { namespace: unique, name: 'db' }
      const { uid, resourceVersion } = await kubernetes.putSecret({ ...place, data, ...(immutable && { immutable }) })
      const fill = { namespace: unique, uid, version: resourceVersion }
      const path = how.path?.(unique) ?? `/api/v1/namespaces/${unique}/secrets/db`
      const request = (body: string, headers: Record<string, string>): RawRequest => ({
        method: 'PATCH',
        path,
        headers: { ...headers, ...(how.type === '' ? {} : { 'content-type': how.type ?? JSON_PATCH }) },
        body: body.replaceAll('{version}', resourceVersion),
        fill,
      })
      const admin = bearer(kubernetes.adminToken)
      for (const earlier of how.before ?? []) await send(world.kubernetes, request(JSON.stringify(earlier), admin))
      if (how.look === true) return { method: 'GET', path, headers: admin, fill }
      return request(how.body ?? JSON.stringify(operations), await headersOf(world, unique, how))
    },
  }
}

async function headersOf({ operator }: Environment, namespace: string, how: How): Promise<Record<string, string>> {
  const { kubernetes } = operator
  if (how.as === 'anonymous') return {}
  if (how.as === undefined) return bearer(kubernetes.adminToken)
  const rotator = { namespace, name: 'rotator' }
  await kubernetes.createServiceAccount(rotator)
  const right: Omit<Right, 'verbs'> = { group: '', resource: 'secrets', namespace, names: ['db'] }
  if (how.rights !== undefined) await kubernetes.allow(rotator, { ...right, verbs: how.rights })
  return bearer(await kubernetes.issueToken({ namespace, serviceAccount: 'rotator' }))
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

const test = (path: string, value: unknown): object => ({ op: 'test', path, value })
const replace = (path: string, value: unknown): object => ({ op: 'replace', path, value })
const add = (path: string, value: unknown): object => ({ op: 'add', path, value })
/** As a rotation writes it. */
const change = (dataKey: string, from: string, to: string): readonly object[] => [
  test(`/data/${dataKey}`, base64(from)),
  replace(`/data/${dataKey}`, base64(to)),
]

function holding(data: Readonly<Record<string, string>> | undefined, metadata: object = {}): Expected {
  const encoded = data && Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)]))
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' },
    json: {
      kind: 'Secret',
      apiVersion: 'v1',
      metadata: { name: 'db', namespace: '{namespace}', uid: '{uid}', ...metadata },
      data: encoded,
      type: 'Opaque',
    },
  }
}

const UNCHANGED = holding({ a: 'one', 'b.c': 'two' }, { resourceVersion: '{version}' })

/** Of a test that failed and of whatever else does not apply: which, and why, is not said. */
const UNAPPLIED: Expected = {
  ...status(422, 'Invalid', 'the server rejected our request due to an error in our request'),
  json: {
    kind: 'Status',
    status: 'Failure',
    message: 'the server rejected our request due to an error in our request',
    reason: 'Invalid',
    details: { name: undefined, kind: undefined, causes: undefined },
    code: 422,
  },
}

interface Cause {
  readonly field: string
  readonly reason: string
  readonly message: string
}

function invalid(...causes: readonly Cause[]): Expected {
  const sentences = causes.map(({ field, message }) => `${field}: ${message}`)
  const whole = sentences.length === 1 ? sentences.join('') : `[${sentences.join(', ')}]`
  return status(422, 'Invalid', `Secret "db" is invalid: ${whole}`, { name: 'db', kind: 'Secret', causes })
}

const IMMUTABLE = { reason: 'FieldValueForbidden', message: 'Forbidden: field is immutable when `immutable` is set' }

function badKey(dataKey: string, why: string): Expected {
  return invalid({
    field: `data[${dataKey}]`,
    reason: 'FieldValueInvalid',
    message: `Invalid value: "${dataKey}": ${why}`,
  })
}

const NOT_A_KEY =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

/** The whole object stands in it, so only the end is compared. */
function undecodable(why: RegExp): Expected {
  return { status: 422, json: { kind: 'Status', reason: 'Invalid', message: why, code: 422 } }
}

const UNSUPPORTED = status(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {})

function missing(name: string): Expected {
  return status(404, 'NotFound', `secrets "${name}" not found`, { name, kind: 'secrets' })
}

function forbidden(user: string, name = 'db'): Expected {
  return status(
    403,
    'Forbidden',
    `secrets "${name}" is forbidden: User "${user}" cannot patch resource "secrets" in API group "" in the namespace "{namespace}"`,
    { name, kind: 'secrets' },
  )
}

const CONFLICT = status(
  409,
  'Conflict',
  'Operation cannot be fulfilled on secrets "db": the object has been modified; please apply your changes to the latest version and try again',
  { name: 'db', kind: 'secrets' },
)

const ROTATOR = 'system:serviceaccount:{namespace}:rotator'
const other = (name: string) => (namespace: string) => `/api/v1/namespaces/${namespace}/secrets/${name}`

const written: readonly Case[] = [
  patched(
    'a data key that holds what the patch tests is replaced',
    change('a', 'one', '1'),
    holding({ a: '1', 'b.c': 'two' }),
  ),
  patched(
    'several data keys are replaced by one patch',
    [...change('a', 'one', '1'), ...change('b.c', 'two', '2')],
    holding({ a: '1', 'b.c': '2' }),
  ),
  patched('a patch is written under the name of who sent it', change('a', 'one', '1'), {
    status: 200,
    json: {
      metadata: { managedFields: (found: unknown) => JSON.stringify(found).includes('"manager":"conformance"') },
    },
  }),
  patched('a patch that changes nothing is not written', change('a', 'one', 'one'), UNCHANGED),
  patched('a patch without operations is not written', [], UNCHANGED),
  patched('null is a patch without operations', [], UNCHANGED, { body: 'null' }),
  patched('a media type may have parameters', change('a', 'one', '1'), holding({ a: '1', 'b.c': 'two' }), {
    type: `${JSON_PATCH}; charset=utf-8`,
  }),
  patched('a replace without a test adds what is not there', [replace('/data/none', base64('x'))], {
    ...holding({ a: 'one', 'b.c': 'two', none: 'x' }),
  }),
  patched('a value is added and another removed', [add('/data/x', base64('x')), { op: 'remove', path: '/data/a' }], {
    ...holding({ x: 'x', 'b.c': 'two' }),
  }),
  patched(
    'a value is copied',
    [{ op: 'copy', from: '/data/a', path: '/data/x' }],
    holding({ a: 'one', 'b.c': 'two', x: 'one' }),
  ),
  patched('what is not there is copied as an empty value', [{ op: 'copy', from: '/data/none', path: '/data/x' }], {
    ...holding({ a: 'one', 'b.c': 'two', x: '' }),
  }),
  patched('a value is moved', [{ op: 'move', from: '/data/a', path: '/data/x' }], holding({ x: 'one', 'b.c': 'two' })),
  patched(
    'a slash in a path is written ~1',
    [
      add('/metadata/annotations', { 'keyhole.dev/note': 'x' }),
      test('/metadata/annotations/keyhole.dev~1note', 'x'),
      replace('/metadata/annotations/keyhole.dev~1note', 'y'),
    ],
    holding({ a: 'one', 'b.c': 'two' }, { annotations: { 'keyhole.dev/note': 'y' } }),
  ),
  patched(
    'a data key named __proto__ is one like any other',
    [add('/data/__proto__', base64('x')), test('/data/__proto__', base64('x'))],
    { status: 200, json: { data: (found: unknown) => Object.hasOwn(found as object, '__proto__') } },
  ),
  patched('a Secret may lose all its data', [{ op: 'remove', path: '/data' }], holding(undefined)),
  patched('the whole data may be tested', [test('/data', { 'b.c': base64('two'), a: base64('one') })], UNCHANGED),
  patched('a test for null passes where nothing is', [test('/data/none', null)], UNCHANGED),
  patched('a test without a value is a test for null', [{ op: 'test', path: '/data/none' }], UNCHANGED),
  patched(
    'a patch may name the current resourceVersion',
    [test('/metadata/resourceVersion', '{version}'), ...change('a', 'one', '1')],
    holding({ a: '1', 'b.c': 'two' }),
  ),
  patched('a value may be spread over lines', [replace('/data/a', 'b2\nVu')], holding({ a: 'oen', 'b.c': 'two' })),
  patched('a null for a value is an empty one', [replace('/data/a', null)], holding({ a: '', 'b.c': 'two' })),
]

const unapplied: readonly Case[] = [
  patched('a test that fails refuses the patch', change('a', 'else', '1'), UNAPPLIED),
  patched(
    'one test that fails refuses the whole patch',
    [...change('a', 'one', '1'), ...change('b.c', 'else', '2')],
    UNAPPLIED,
  ),
  patched('nothing of a patch that was refused is written', [], UNCHANGED, {
    before: [[...change('a', 'one', '1'), ...change('b.c', 'else', '2')]],
    look: true,
  }),
  patched('a test of a data key that is not there fails', change('none', 'one', '1'), UNAPPLIED),
  patched('a test for an empty value fails where nothing is', [test('/data/none', '')], UNAPPLIED),
  patched('a test in a Secret without data fails', change('a', 'one', '1'), UNAPPLIED, { data: {} }),
  patched('nothing can be added to the data of a Secret without any', [add('/data/a', '')], UNAPPLIED, { data: {} }),
  patched('the second of two patches from the same value is refused', change('a', 'one', '1'), UNAPPLIED, {
    before: [change('a', 'one', '2')],
  }),
  patched('a test of ~1 is of a slash, and fails', [test('/data/b~1c', base64('two'))], UNAPPLIED),
  patched('what is not there cannot be removed', [{ op: 'remove', path: '/data/none' }], UNAPPLIED),
  patched('what is not there cannot be moved', [{ op: 'move', from: '/data/none', path: '/data/x' }], UNAPPLIED),
  patched('nothing can be added where no object is', [add('/nope/x', 'x')], UNAPPLIED),
  patched('an unknown operation refuses the patch', [{ op: 'swap', path: '/data/a' }], UNAPPLIED),
  patched('an operation without a path refuses the patch', [{ op: 'replace', value: 'x' }], UNAPPLIED),
  patched('null for an operation refuses the patch', [], UNAPPLIED, { body: '[null]' }),
  patched('a test of a resourceVersion that has moved fails', [test('/metadata/resourceVersion', '1')], UNAPPLIED),
]

const immutable: readonly Case[] = [
  patched(
    'the data of an immutable Secret cannot be changed',
    change('a', 'one', '1'),
    invalid({ field: 'data', ...IMMUTABLE }),
    {
      immutable: true,
    },
  ),
  patched('a test that fails comes before a Secret being immutable', change('a', 'else', '1'), UNAPPLIED, {
    immutable: true,
  }),
  patched(
    'an immutable Secret cannot become one that is not',
    [{ op: 'remove', path: '/immutable' }],
    invalid({
      field: 'immutable',
      ...IMMUTABLE,
    }),
    { immutable: true },
  ),
  patched(
    'an immutable Secret cannot be changed while it becomes one that is not',
    [{ op: 'remove', path: '/immutable' }, ...change('a', 'one', '1')],
    invalid({ field: 'immutable', ...IMMUTABLE }, { field: 'data', ...IMMUTABLE }),
    { immutable: true },
  ),
  patched('a patch that changes nothing passes on an immutable Secret', change('a', 'one', 'one'), UNCHANGED, {
    immutable: true,
  }),
  patched(
    'an immutable Secret may be labelled',
    [add('/metadata/labels', { team: 'x' })],
    {
      ...holding({ a: 'one', 'b.c': 'two' }, { labels: { team: 'x' } }),
    },
    { immutable: true },
  ),
]

const invalidated: readonly Case[] = [
  patched(
    'a resourceVersion that has moved is a conflict',
    [replace('/metadata/resourceVersion', '{version}')],
    CONFLICT,
    {
      before: [change('a', 'one', '1')],
    },
  ),
  patched('a data key with a slash is invalid', [add('/data/x~1y', '')], badKey('x/y', NOT_A_KEY)),
  patched('a data key with a tilde is invalid', [add('/data/x~0y', '')], badKey('x~y', NOT_A_KEY)),
  patched('an empty data key is invalid', [add('/data/', '')], badKey('', NOT_A_KEY)),
  patched('a data key of two dots is invalid', [add('/data/..', '')], badKey('..', "must not be '..'")),
  patched(
    'a data key that begins with two dots is invalid',
    [add('/data/..x', '')],
    badKey('..x', "must not start with '..'"),
  ),
  patched('a data key of 254 characters is invalid', [add(`/data/${'k'.repeat(254)}`, '')], {
    ...badKey('k'.repeat(254), 'must be no more than 253 characters'),
  }),
  patched('data of more than a MiB is invalid', [replace('/data/a', base64('x'.repeat(1_048_577)))], {
    ...invalid({ field: 'data', reason: 'FieldValueTooLong', message: 'Too long: may not be more than 1048576 bytes' }),
  }),
  patched('another type is invalid', [replace('/type', 'x')], {
    ...invalid({ field: 'type', reason: 'FieldValueInvalid', message: 'Invalid value: "x": field is immutable' }),
  }),
  patched(
    'a value that is no base64 is invalid',
    [replace('/data/a', '***')],
    undecodable(/ illegal base64 data at input byte 0$/),
  ),
  patched(
    'a value without its padding is invalid',
    [replace('/data/a', 'b25lMQ')],
    undecodable(/ illegal base64 data at input byte 4$/),
  ),
  patched(
    'a number for a value is invalid',
    [replace('/data/a', 5)],
    undecodable(/ json: cannot unmarshal number into Go struct field Secret\.data of type \[\]uint8$/),
  ),
  patched('a patch to another name is a bad request', [replace('/metadata/name', 'x')], nameMismatch('x', 'db')),
  patched(
    'a patch that takes the name away is a bad request',
    [{ op: 'remove', path: '/metadata/name' }],
    nameless('db'),
  ),
  patched(
    'a patch to another namespace is a bad request',
    [replace('/metadata/namespace', 'default')],
    NAMESPACE_MISMATCH,
  ),
]

const refused: readonly Case[] = [
  patched('a patch of a missing Secret finds nothing', change('a', 'one', '1'), missing('none'), {
    path: other('none'),
  }),
  patched('a patch in a missing namespace finds nothing', change('a', 'one', '1'), missing('db'), {
    path: (namespace) => `/api/v1/namespaces/${namespace}-none/secrets/db`,
  }),
  patched('a Secret is missed before its patch is read', [], missing('none'), { path: other('none'), body: '<html>' }),
  patched(
    'a patch that is no JSON is a bad request',
    [],
    {
      ...status(400, 'BadRequest', "error decoding patch: invalid character '<' looking for beginning of value"),
    },
    { body: '<html>' },
  ),
  patched(
    'an empty patch is a bad request',
    [],
    {
      ...status(400, 'BadRequest', 'error decoding patch: unexpected end of JSON input'),
    },
    { body: '' },
  ),
  patched(
    'an object for a patch is a bad request',
    [],
    {
      ...status(
        400,
        'BadRequest',
        'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
      ),
    },
    { body: JSON.stringify(test('/data/a', '')) },
  ),
  patched(
    'a number for an operation is a bad request',
    [],
    {
      ...status(
        400,
        'BadRequest',
        'error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp',
      ),
    },
    { body: '[5]' },
  ),
  patched(
    'a patch of 10,001 operations is too large',
    Array.from({ length: 10_001 }, () => test('/data/a', base64('one'))),
    {
      ...status(
        413,
        'RequestEntityTooLarge',
        'Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001',
      ),
    },
  ),
  patched('a patch of more than 3 MiB is too large', [test('/data/a', 'x'.repeat(3_145_728))], {
    ...status(413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728'),
  }),
  patched('a patch said to be plain JSON is of a wrong media type', change('a', 'one', '1'), UNSUPPORTED, {
    type: 'application/json',
  }),
  patched('a patch without a media type is of a wrong one', change('a', 'one', '1'), UNSUPPORTED, { type: '' }),
  patched('the media type comes before the Secret', change('a', 'one', '1'), UNSUPPORTED, {
    type: 'text/plain',
    path: other('none'),
  }),
  patched('a patch of all Secrets is not allowed', [], METHOD_NOT_ALLOWED, {
    path: (namespace) => `/api/v1/namespaces/${namespace}/secrets`,
  }),
  patched(
    'a patch of a name of two dots is a bad request',
    [],
    {
      ...status(400, 'BadRequest', `Name parameter invalid: "..": may not be '..'`),
    },
    { path: other('%2e%2e') },
  ),
  patched('without a right nothing is patched', change('a', 'one', '1'), forbidden(ROTATOR), { as: 'rotator' }),
  patched('rights to get and to update are no right to patch', change('a', 'one', '1'), forbidden(ROTATOR), {
    as: 'rotator',
    rights: ['get', 'update'],
  }),
  patched('a right comes before the media type', [], forbidden(ROTATOR), { as: 'rotator', type: 'text/plain' }),
  patched('a right to patch one Secret is none to patch another', [], forbidden(ROTATOR, 'other'), {
    as: 'rotator',
    rights: ['patch'],
    path: other('other'),
  }),
  patched('without a token one may not patch', change('a', 'one', '1'), forbidden('system:anonymous'), {
    as: 'anonymous',
  }),
  patched('a right by name to patch suffices', change('a', 'one', '1'), holding({ a: '1', 'b.c': 'two' }), {
    as: 'rotator',
    rights: ['patch'],
  }),
]

export const secretPatchCases: readonly Case[] = [...written, ...unapplied, ...immutable, ...invalidated, ...refused]
