/**
 * Documents that are good and documents that are not, each bad one for one reason. The parser and the JSON Schema
 * for editors must agree on every one of them.
 */
import { API_VERSION, grant, reader, transitKey } from './documents.ts'

type Case = readonly [title: string, document: unknown]
type BadCase = readonly [title: string, document: unknown, message: string]

const LABEL =
  'must be 1 to 63 lower-case letters, digits and "-", beginning and ending with a letter or digit (an RFC 1123 label). Patterns are not taken: write each name out.'
const SUBDOMAIN =
  'must be at most 253 lower-case letters, digits, "-" and ".", each part beginning and ending with a letter or digit (an RFC 1123 subdomain). Patterns are not taken: write each name out.'
const VAULT_NAME =
  'must be 1 to 128 letters, digits, "_", "-" and ".", beginning and ending with a letter, digit or "_", without "..".'
const MOUNT =
  'must be a path such as transit or teams/transit: letters, digits, "_", "-" and "." between slashes, no slash around it, no "..".'
const DATA_KEY =
  'a data key is 1 to 253 letters, digits, "-", "_" and ".", and is not "." and does not begin with "..".'
const JSON_KEY = 'must be 1 to 256 characters, none of them a control character or a lone surrogate.'
const DURATION = 'must be a whole number and a unit, such as 45s, 30m, 1h or 2d.'
const MOMENT = 'must be a time with its zone (RFC 3339), such as 2026-12-31T00:00:00Z.'
const EITHER = 'A reader has either keys, a list of what it may read, or allKeys: true.'

/** A grant with this one reader. */
function readBy(fields: Readonly<Record<string, unknown>>) {
  return grant({ readers: [reader(fields)] })
}

function rotating(rotation: unknown) {
  return transitKey({ rotation })
}

function files(fields: Readonly<Record<string, unknown>> = {}) {
  return grant({ format: 'files', secretRef: { name: 'payments-tls' }, ...fields })
}

const LONGEST_SUBDOMAIN = `${'a'.repeat(63)}.`.repeat(3) + 'b'.repeat(61)

export const GOOD: readonly Case[] = [
  ['a Transit key with the least', transitKey()],
  [
    'a Transit key with everything',
    transitKey({
      mount: 'teams/payments/transit_2.x',
      vaultRoles: { read: 'keyhole-payments', rotate: 'keyhole-rotate' },
      namespaces: ['payments', 'payments-staging'],
      binding: 'none',
      allowTransplant: true,
      exclusive: true,
      rotation: { grace: 0, minInterval: '30m', admins: [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }] },
    }),
  ],
  ['a Transit key for nobody', transitKey({ namespaces: [] })],
  ['an admin that is a person', rotating({ admins: [{ namespace: 'a', serviceAccount: 'b', podBound: false }] })],
  ['an admin whose name only begins like it', rotating({ admins: [{ namespace: 'a', serviceAccount: 'default2' }] })],
  ['a Transit key with upper case', transitKey({}, 'Payments_2.v1')],
  ['a Transit key with an empty rotation', rotating({})],
  ['a Transit key with an interval of no time', rotating({ minInterval: '0s' })],
  ['a Transit key with the longest interval', rotating({ minInterval: '99999d', grace: 100 })],
  ['a grant', grant()],
  [
    'a grant without a format',
    { ...grant(), spec: { secretRef: { name: 's', key: 'k' }, transitKey: 'k', readers: [] } },
  ],
  ['a grant for nobody', grant({ readers: [] })],
  ['a grant of files', files({ readers: [reader({ keys: ['tls.key', '.env'] })] })],
  ['a grant of all files', files({ readers: [reader({ allKeys: true })] })],
  ['a Secret with the longest name', grant({ secretRef: { name: LONGEST_SUBDOMAIN, key: 'a' } })],
  ['a data key with dots', grant({ secretRef: { name: 's', key: '.a..b' } })],
  ['a grant with the longest names', grant({}, 'a'.repeat(63), '0-9'.padEnd(63, 'z'))],
  ['a reader of no key', readBy({ keys: [] })],
  [
    'a reader with everything',
    readBy({
      namespace: 'bi',
      serviceAccount: 'reports.v2',
      podBound: false,
      allowDefault: true,
      uid: '6f2a0c1e-58b2-4b6e-9a53-0c1f1a7c9d10',
      until: '2026-12-31T00:00:00Z',
      reason: 'FIN-812: until the ledger moves',
    }),
  ],
  [
    'a key of any characters',
    readBy({ keys: ['ключ 🔑', '"', '\\', '/', '__proto__', ' ', 'a'.repeat(256), '🔑'.repeat(256)] }),
  ],
  ['a key twice', readBy({ keys: ['A', 'A'] })],
  ['a time with an offset and a fraction', readBy({ until: '2026-12-31T23:59:59.123456+05:30' })],
  ['a leap day', readBy({ until: '2028-02-29T00:00:00Z' })],
  ['a reason of some length', readBy({ reason: 'x'.repeat(500) })],
]

export const BAD: readonly BadCase[] = [
  ['another version', { ...grant(), apiVersion: 'keyhole.dev/v1' }, '"apiVersion" must be "keyhole.dev/v1alpha1".'],
  ['no version', { ...grant(), apiVersion: undefined }, '"apiVersion" is missing.'],
  ['a list', [], 'A document of a policy is a mapping whose kind is "SecretGrant" or "TransitKey".'],
  ['a text', 'kind', 'A document of a policy is a mapping whose kind is "SecretGrant" or "TransitKey".'],
  [
    'no kind',
    { ...grant(), kind: undefined },
    'A document of a policy is a mapping whose kind is "SecretGrant" or "TransitKey".',
  ],
  [
    'another kind',
    { ...grant(), kind: 'ConfigMap' },
    'A document of a policy is a mapping whose kind is "SecretGrant" or "TransitKey".',
  ],
  [
    'a slip of a kind',
    { ...grant(), kind: 'secretgrants' },
    'A document of a policy is a mapping whose kind is "SecretGrant" or "TransitKey". Did you mean "SecretGrant"?',
  ],
  ['no metadata', { ...grant(), metadata: undefined }, '"metadata" is missing.'],
  ['metadata that are none', { ...grant(), metadata: 'db' }, '"metadata" must be a mapping of fields.'],
  ['no spec', { ...grant(), spec: undefined }, '"spec" is missing.'],
  ['nothing as a spec', { ...transitKey(), spec: null }, '"spec" must be a mapping of fields.'],
  [
    'a status',
    { ...grant(), status: {} },
    'There is no field "status" here. There is apiVersion, kind, metadata, spec.',
  ],
  [
    'labels',
    { ...grant(), metadata: { name: 'db', namespace: 'payments', labels: {} } },
    'There is no field "labels" here. There is name, namespace.',
  ],

  ['a grant without a name', { ...grant(), metadata: { namespace: 'payments' } }, '"name" is missing.'],
  ['a grant without a namespace', { ...grant(), metadata: { name: 'db' } }, '"namespace" is missing.'],
  ['a grant with a dot in its name', grant({}, 'db.main'), `"name" ${LABEL}`],
  ['a grant with a long name', grant({}, 'a'.repeat(64)), `"name" ${LABEL}`],
  ['a grant with an empty name', grant({}, ''), `"name" ${LABEL}`],
  ['a grant with a trailing newline in its name', grant({}, 'db\n'), `"name" ${LABEL}`],
  ['a grant in upper case', grant({}, 'DB'), `"name" ${LABEL}`],
  ['a grant in Cyrillic', grant({}, 'dв'), `"name" ${LABEL}`],
  ['a grant in every namespace', grant({}, 'db', '*'), `"namespace" ${LABEL}`],
  ['a grant in a namespace with a slash', grant({}, 'db', 'a/b'), `"namespace" ${LABEL}`],
  ['a grant in a namespace that ends with a hyphen', grant({}, 'db', 'a-'), `"namespace" ${LABEL}`],

  ['no secretRef', { ...grant(), spec: { transitKey: 'k', readers: [] } }, '"secretRef" is missing.'],
  ['a secretRef that is a name', grant({ secretRef: 'payments-db' }), '"secretRef" must be a mapping of fields.'],
  [
    'a Secret of another namespace',
    grant({ secretRef: { name: 's', key: 'k', namespace: 'bi' } }),
    'A grant names Secrets of its own namespace only, so secretRef has no namespace. To let others read a Secret, write the grant in the namespace of that Secret and list their ServiceAccounts as readers.',
  ],
  [
    'a Secret of its own namespace, said twice',
    grant({ secretRef: { name: 's', key: 'k', namespace: 'payments' } }),
    'A grant names Secrets of its own namespace only, so secretRef has no namespace. To let others read a Secret, write the grant in the namespace of that Secret and list their ServiceAccounts as readers.',
  ],
  ['a Secret up a path', grant({ secretRef: { name: '../x', key: 'k' } }), `"name" ${SUBDOMAIN}`],
  ['a Secret with an empty part', grant({ secretRef: { name: 'a..b', key: 'k' } }), `"name" ${SUBDOMAIN}`],
  [
    'a Secret with a long name',
    grant({ secretRef: { name: `${LONGEST_SUBDOMAIN}b`, key: 'k' } }),
    `"name" ${SUBDOMAIN}`,
  ],
  ['a Secret with no name', grant({ secretRef: { name: '', key: 'k' } }), `"name" ${SUBDOMAIN}`],
  ['a Secret with a NUL', grant({ secretRef: { name: 'a\u0000', key: 'k' } }), `"name" ${SUBDOMAIN}`],
  ['a number for a Secret', grant({ secretRef: { name: 1, key: 'k' } }), '"name" must be text. Put it in quotes.'],
  [
    'json without a data key',
    grant({ secretRef: { name: 's' } }),
    'With format json, secretRef.key must say which data key of the Secret holds the ciphertext.',
  ],
  [
    'neither format nor data key',
    { ...grant(), spec: { secretRef: { name: 's' }, transitKey: 'k', readers: [] } },
    'With format json, secretRef.key must say which data key of the Secret holds the ciphertext.',
  ],
  ['a data key with a slash', grant({ secretRef: { name: 's', key: 'a/b' } }), `"key" ${DATA_KEY}`],
  ['a data key up a path', grant({ secretRef: { name: 's', key: '..' } }), `"key" ${DATA_KEY}`],
  ['a data key that is a dot', grant({ secretRef: { name: 's', key: '.' } }), `"key" ${DATA_KEY}`],
  ['a data key that begins with dots', grant({ secretRef: { name: 's', key: '..data' } }), `"key" ${DATA_KEY}`],
  ['a long data key', grant({ secretRef: { name: 's', key: 'k'.repeat(254) } }), `"key" ${DATA_KEY}`],
  ['an empty data key', grant({ secretRef: { name: 's', key: '' } }), `"key" ${DATA_KEY}`],
  [
    'files with a data key',
    files({ secretRef: { name: 's', key: 'tls.key' } }),
    'With format files every data key of the Secret is a key of its own: remove secretRef.key.',
  ],
  [
    'files with keys that are no data keys',
    files({ readers: [reader({ keys: ['tls.key', 'a/b'] })] }),
    `With format files, keys are data keys of the Secret, and ${DATA_KEY}`,
  ],
  ['another format', grant({ format: 'yaml' }), '"format" must be "json" or "files".'],
  ['a slip of a format', grant({ format: 'file' }), '"format" must be "json" or "files". Did you mean "files"?'],
  ['a format that is no text', grant({ format: true }), '"format" must be "json" or "files".'],
  ['no Transit key', grant({ transitKey: undefined }), '"transitKey" is missing.'],
  ['a Transit key up a path', grant({ transitKey: '../../sys/seal' }), `"transitKey" ${VAULT_NAME}`],
  ['a Transit key with dots', grant({ transitKey: 'a..b' }), `"transitKey" ${VAULT_NAME}`],
  ['an escaped Transit key', grant({ transitKey: 'a%2fb' }), `"transitKey" ${VAULT_NAME}`],

  ['no readers', grant({ readers: undefined }), '"readers" is missing.'],
  ['readers that are no list', grant({ readers: { serviceAccount: 'api' } }), '"readers" must be a list.'],
  ['nothing as readers', grant({ readers: null }), '"readers" must be a list.'],
  ['a reader that is a name', grant({ readers: ['api'] }), '"readers[0]" must be a mapping of fields.'],
  [
    'too many readers',
    grant({ readers: Array.from({ length: 1001 }, () => reader()) }),
    '"readers" must be at most 1000 readers.',
  ],
  ['a reader without a ServiceAccount', readBy({ serviceAccount: undefined }), '"serviceAccount" is missing.'],
  [
    'a slip of a field',
    readBy({ serviceAcount: 'api' }),
    'There is no field "serviceAcount" here. Did you mean "serviceAccount"?',
  ],
  [
    'a field of another language',
    readBy({ lecteur: 'api' }),
    'There is no field "lecteur" here. There is namespace, serviceAccount, keys, allKeys, podBound, allowDefault, uid, until, reason.',
  ],
  ['every ServiceAccount', readBy({ serviceAccount: '*' }), `"serviceAccount" ${SUBDOMAIN}`],
  [
    'a ServiceAccount by its user name',
    readBy({ serviceAccount: 'system:serviceaccount:a:b' }),
    `"serviceAccount" ${SUBDOMAIN}`,
  ],
  ['a reader of every namespace', readBy({ namespace: '*' }), `"namespace" ${LABEL}`],
  ['a reader in a namespace with a dot', readBy({ namespace: 'a.b' }), `"namespace" ${LABEL}`],
  ['a reader with neither keys nor allKeys', grant({ readers: [{ serviceAccount: 'api' }] }), EITHER],
  ['a reader with keys and allKeys', readBy({ keys: ['A'], allKeys: true }), EITHER],
  ['allKeys: false', readBy({ allKeys: false }), '"allKeys" must be true.'],
  ['allKeys as a text', readBy({ allKeys: 'true' }), '"allKeys" must be true.'],
  ['keys that are one text', readBy({ keys: 'A' }), '"keys" must be a list.'],
  ['an empty key', readBy({ keys: ['A', ''] }), `"keys[1]" ${JSON_KEY}`],
  ['a long key', readBy({ keys: ['a'.repeat(257)] }), `"keys[0]" ${JSON_KEY}`],
  ['a key with a newline', readBy({ keys: ['a\nb'] }), `"keys[0]" ${JSON_KEY}`],
  ['a key with a NUL', readBy({ keys: ['a\u0000'] }), `"keys[0]" ${JSON_KEY}`],
  ['a key with half a pair', readBy({ keys: ['a\ud800'] }), `"keys[0]" ${JSON_KEY}`],
  ['a key that is a number', readBy({ keys: [1] }), '"keys[0]" must be text. Put it in quotes.'],
  ['a key that is nothing', readBy({ keys: [null] }), '"keys[0]" must be text. Put it in quotes.'],
  ['a key that is true', readBy({ keys: [true] }), '"keys[0]" must be text. Put it in quotes.'],
  ['a key that is a list', readBy({ keys: [['A']] }), '"keys[0]" must be text.'],
  [
    'too many keys',
    readBy({ keys: Array.from({ length: 1001 }, (_, index) => `K${index}`) }),
    '"keys" must be at most 1000 keys.',
  ],
  ['podBound as a text', readBy({ podBound: 'no' }), '"podBound" must be true or false.'],
  ['allowDefault as a number', readBy({ allowDefault: 1 }), '"allowDefault" must be true or false.'],
  [
    'a uid with a slash',
    readBy({ uid: 'a/b' }),
    '"uid" must be the uid that kubectl shows: 1 to 64 letters, digits and "-".',
  ],
  ['an empty uid', readBy({ uid: '' }), '"uid" must be the uid that kubectl shows: 1 to 64 letters, digits and "-".'],
  ['a day without a time', readBy({ until: '2026-12-31' }), `"until" ${MOMENT}`],
  ['a time without a zone', readBy({ until: '2026-12-31T00:00:00' }), `"until" ${MOMENT}`],
  ['a time without seconds', readBy({ until: '2026-12-31T00:00Z' }), `"until" ${MOMENT}`],
  ['a month 13', readBy({ until: '2026-13-01T00:00:00Z' }), `"until" ${MOMENT}`],
  ['an hour 24', readBy({ until: '2026-12-31T24:00:00Z' }), `"until" ${MOMENT}`],
  ['a time with a space', readBy({ until: '2026-12-31 00:00:00Z' }), `"until" ${MOMENT}`],
  ['a time in epoch seconds', readBy({ until: 1798675200 }), '"until" must be text. Put it in quotes.'],
  ['31 February', readBy({ until: '2026-02-31T00:00:00Z' }), '"until" must be a day that the calendar has.'],
  [
    '29 February of a common year',
    readBy({ until: '2027-02-29T00:00:00Z' }),
    '"until" must be a day that the calendar has.',
  ],
  ['a long reason', readBy({ reason: 'x'.repeat(501) }), '"reason" must be at most 500 characters.'],

  ['a Transit key without a name', { ...transitKey(), metadata: {} }, '"name" is missing.'],
  [
    'a Transit key in a namespace',
    { ...transitKey(), metadata: { name: 'k', namespace: 'payments' } },
    'A TransitKey belongs to no namespace. The namespaces whose grants may name it are listed in spec.namespaces.',
  ],
  ['a Transit key with a slash', transitKey({}, 'a/b'), `"name" ${VAULT_NAME}`],
  ['a Transit key that begins with a dot', transitKey({}, '.a'), `"name" ${VAULT_NAME}`],
  ['a Transit key with a long name', transitKey({}, 'a'.repeat(129)), `"name" ${VAULT_NAME}`],
  ['a mount that begins with a slash', transitKey({ mount: '/transit' }), `"mount" ${MOUNT}`],
  ['a mount that ends with a slash', transitKey({ mount: 'transit/' }), `"mount" ${MOUNT}`],
  ['a mount with two slashes', transitKey({ mount: 'a//b' }), `"mount" ${MOUNT}`],
  ['a mount up a path', transitKey({ mount: 'a/../sys' }), `"mount" ${MOUNT}`],
  ['a mount that is a dot', transitKey({ mount: '.' }), `"mount" ${MOUNT}`],
  ['a mount with a query', transitKey({ mount: 'transit?x=' }), `"mount" ${MOUNT}`],
  ['a mount with a newline', transitKey({ mount: 'transit\n' }), `"mount" ${MOUNT}`],
  ['a long mount', transitKey({ mount: 'a'.repeat(257) }), `"mount" ${MOUNT}`],
  ['a Vault role with a slash', transitKey({ vaultRoles: { read: 'a/b' } }), `"read" ${VAULT_NAME}`],
  [
    'a Vault role for something else',
    transitKey({ vaultRoles: { rotat: 'a' } }),
    'There is no field "rotat" here. Did you mean "rotate"?',
  ],
  ['one Vault role', transitKey({ vaultRoles: 'keyhole' }), '"vaultRoles" must be a mapping of fields.'],
  ['no namespaces', transitKey({ namespaces: undefined }), '"namespaces" is missing.'],
  ['every namespace', transitKey({ namespaces: ['*'] }), `"namespaces[0]" ${LABEL}`],
  [
    'too many namespaces',
    transitKey({ namespaces: Array.from({ length: 1001 }, () => 'a') }),
    '"namespaces" must be at most 1000 namespaces.',
  ],
  ['another binding', transitKey({ binding: 'plcae' }), '"binding" must be "place" or "none". Did you mean "place"?'],
  ['no binding', transitKey({ binding: null }), '"binding" must be "place" or "none".'],
  ['allowTransplant as a text', transitKey({ allowTransplant: 'true' }), '"allowTransplant" must be true or false.'],
  ['exclusive as a text', transitKey({ exclusive: 'yes' }), '"exclusive" must be true or false.'],
  ['half a version of grace', rotating({ grace: 0.5 }), '"grace" must be a whole number.'],
  ['a negative grace', rotating({ grace: -1 }), '"grace" must be 0 or more.'],
  ['much grace', rotating({ grace: 101 }), '"grace" must be at most 100.'],
  ['grace as a text', rotating({ grace: '1' }), '"grace" must be a whole number.'],
  ['an interval without a unit', rotating({ minInterval: '60' }), `"minInterval" ${DURATION}`],
  ['an interval as a number', rotating({ minInterval: 60 }), '"minInterval" must be text. Put it in quotes.'],
  ['an interval of two units', rotating({ minInterval: '1h30m' }), `"minInterval" ${DURATION}`],
  ['an interval in weeks', rotating({ minInterval: '1w' }), `"minInterval" ${DURATION}`],
  ['a negative interval', rotating({ minInterval: '-1h' }), `"minInterval" ${DURATION}`],
  ['an interval beyond all bounds', rotating({ minInterval: '100000d' }), `"minInterval" ${DURATION}`],
  ['an admin without a namespace', rotating({ admins: [{ serviceAccount: 'cron' }] }), '"namespace" is missing.'],
  [
    'the admin default, which every pod is',
    rotating({ admins: [{ namespace: 'keyhole', serviceAccount: 'default' }] }),
    '"serviceAccount" must not be "default", which every pod runs as that names no other.',
  ],
  [
    'an admin that is bound in words',
    rotating({ admins: [{ namespace: 'a', serviceAccount: 'b', podBound: 'no' }] }),
    '"podBound" must be true or false.',
  ],
  ['an admin by one name', rotating({ admins: ['keyhole/cron'] }), '"admins[0]" must be a mapping of fields.'],
  [
    'too many admins',
    rotating({ admins: Array.from({ length: 101 }, () => ({ namespace: 'a', serviceAccount: 'b' })) }),
    '"admins" must be at most 100 admins.',
  ],
  ['a rotation that is an interval', rotating('1h'), '"rotation" must be a mapping of fields.'],
  [
    'a slip deep inside',
    rotating({ admins: [{ namespace: 'a', serviceAccount: 'b', kees: 1 }] }),
    'There is no field "kees" here. There is namespace, serviceAccount, podBound.',
  ],
  [
    'a field __proto__',
    {
      ...JSON.parse(`{"__proto__": {}}`),
      apiVersion: API_VERSION,
      kind: 'TransitKey',
      metadata: { name: 'k' },
      spec: { namespaces: [] },
    },
    'There is no field "__proto__" here. There is apiVersion, kind, metadata, spec.',
  ],
]
