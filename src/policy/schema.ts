/**
 * The documents that a policy consists of. The zod schemas say what each field may hold; editors get the same rules as
 * policy.schema.json (see json-schema.ts). Rules across fields, which zod cannot express, are in relations.ts.
 *
 * A list may be empty, and then grants nobody anything. Removing the last reader must revoke: a document that did not
 * parse would leave its last good version in force.
 */
import * as z from 'zod'
import { LABEL, SUBDOMAIN, VAULT_NAME, VAULT_NAME_RULE, VAULT_PATH, VAULT_PATH_RULE } from '../label.ts'

export const API_VERSION = 'keyhole.dev/v1alpha1'
export const KINDS = ['SecretGrant', 'TransitKey'] as const
export type Kind = (typeof KINDS)[number]

/** Who may use which Vault Transit key, and how it rotates. Written by the platform team. */
export interface TransitKey {
  /** The name of the document and of the key in Vault. */
  readonly name: string
  /** Path of the Transit secrets engine, without leading or trailing slash. */
  readonly mount: string
  /** The Vault roles that keyhole logs in with; if absent, the configured ones. */
  readonly vaultRoles: { readonly read?: string; readonly rotate?: string }
  /** Namespaces whose SecretGrants may name this key. */
  readonly namespaces: readonly string[]
  /** `place`: ciphertext opens only in the Secret and data key that it was made for. `none`: it opens anywhere. */
  readonly binding: 'place' | 'none'
  /** Allows a key without binding to serve more than one Secret. */
  readonly allowTransplant: boolean
  /** Only keyhole's Secrets hold ciphertext of this key. Otherwise old versions are never retired. */
  readonly exclusive: boolean
  readonly rotation: {
    /** How many versions before the latest stay usable. */
    readonly grace: number
    readonly minIntervalMs: number
    readonly admins: readonly Admin[]
  }
}

export interface ServiceAccountName {
  readonly namespace: string
  readonly serviceAccount: string
}

/** Who may rotate a key. Never the ServiceAccount `default`, which every pod has unless it names another. */
export interface Admin extends ServiceAccountName {
  /** Only tokens bound to a pod. */
  readonly podBound: boolean
}

/** Who may read which keys of one Secret. Written by the team that owns the Secret. */
export interface SecretGrant {
  /** Of the grant and of its Secret: a grant cannot name a Secret of another namespace. */
  readonly namespace: string
  readonly name: string
  readonly secret: string
  /** The data key that holds the ciphertext; only with `format: json`. */
  readonly dataKey?: string
  readonly transitKey: string
  /** `json`: one ciphertext of one JSON object. `files`: each data key is the ciphertext of raw bytes. */
  readonly format: 'json' | 'files'
  readonly readers: readonly Reader[]
}

export interface Reader extends ServiceAccountName {
  /** Members of the JSON object, or data keys with `format: files`. `all` includes keys added later. */
  readonly keys: readonly string[] | 'all'
  /** Only tokens bound to a pod. */
  readonly podBound: boolean
  readonly allowDefault: boolean
  /** Of the ServiceAccount: one that is created again under the same name is somebody else. */
  readonly uid?: string
  /** Epoch milliseconds; from then on the entry grants nothing. */
  readonly until?: number
  readonly reason?: string
}

/** The name of a data key of a Secret. The rule is stricter than for a member of a JSON object. */
export const DATA_KEY = /^(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}$/
export const DATA_KEY_RULE =
  'a data key is 1 to 253 letters, digits, "-", "_" and ".", and is not "." and does not begin with ".."'

const NO_PATTERNS = 'Patterns are not taken: write each name out'

const label = z
  .string()
  .regex(
    LABEL,
    `must be 1 to 63 lower-case letters, digits and "-", beginning and ending with a letter or digit (an RFC 1123 label). ${NO_PATTERNS}`,
  )

const subdomain = z
  .string()
  .regex(
    SUBDOMAIN,
    `must be at most 253 lower-case letters, digits, "-" and ".", each part beginning and ending with a letter or digit (an RFC 1123 subdomain). ${NO_PATTERNS}`,
  )

const vaultName = z.string().regex(VAULT_NAME, VAULT_NAME_RULE)
const mount = z.string().regex(VAULT_PATH, VAULT_PATH_RULE)

const dataKey = z.string().regex(DATA_KEY, DATA_KEY_RULE)

const jsonKey = z
  .string()
  .regex(
    /^[^\p{Cc}\p{Cs}]{1,256}$/u,
    'must be 1 to 256 characters, none of them a control character or a lone surrogate',
  )

const uid = z
  .string()
  .regex(/^[a-zA-Z0-9-]{1,64}$/, 'must be the uid that kubectl shows: 1 to 64 letters, digits and "-"')

const duration = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,4})[smhd]$/, 'must be a whole number and a unit, such as 45s, 30m, 1h or 2d')

const moment = z
  .string()
  .regex(
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/,
    { error: 'must be a time with its zone (RFC 3339), such as 2026-12-31T00:00:00Z', abort: true },
  )
  .refine(isInCalendar, 'must be a day that the calendar has')
  .meta({ format: 'date-time' })

const namespaces = z.array(label.meta({ description: 'A namespace.' })).max(1000, 'must be at most 1000 namespaces')

const keys = z.array(jsonKey.meta({ description: 'The exact name of a key.' })).max(1000, 'must be at most 1000 keys')

const apiVersion = z.literal(API_VERSION).meta({ description: 'The version of this format.' })

const admin = z.strictObject({
  namespace: label.meta({ description: 'Namespace of the ServiceAccount.' }),
  serviceAccount: subdomain
    .refine((name) => name !== 'default', 'must not be "default", which every pod runs as that names no other')
    .meta({ description: 'Name of the ServiceAccount. Never default.', not: { const: 'default' } }),
  podBound: z.boolean().default(true).meta({
    description:
      'true (default): only tokens bound to a pod, as a CronJob has. false: also others, such as kubectl create token gives.',
  }),
})

const rotation = z
  .strictObject({
    grace: z.int().min(0, 'must be 0 or more').max(100, 'must be at most 100').default(1).meta({
      description: 'How many versions before the latest stay usable once an old version is retired. Default 1.',
    }),
    minInterval: duration
      .default('1h')
      .meta({ description: 'The least time between two new versions, such as 45s, 30m, 1h or 2d. Default 1h.' }),
    admins: z
      .array(admin)
      .max(100, 'must be at most 100 admins')
      .default([])
      .meta({ description: 'ServiceAccounts that may rotate this key. Default none.' }),
  })
  .meta({ description: 'How the key rotates, and who may rotate it.' })

export const transitKeyDocument = z
  .strictObject({
    apiVersion,
    kind: z.literal('TransitKey').meta({ description: 'Who may use which Vault Transit key, and how it rotates.' }),
    metadata: z
      .strictObject({ name: vaultName.meta({ description: 'The name of the Transit key, as in Vault.' }) })
      .meta({ description: 'A TransitKey belongs to no namespace.' }),
    spec: z.strictObject({
      mount: mount
        .default('transit')
        .meta({ description: 'Where the Transit secrets engine is mounted. Default transit.' }),
      vaultRoles: z
        .strictObject({
          read: vaultName.optional().meta({ description: 'Role that may decrypt with this key.' }),
          rotate: vaultName.optional().meta({ description: 'Role that may rewrap, read and rotate this key.' }),
        })
        .default({})
        .meta({ description: "Roles of Vault's Kubernetes auth method to log in with. Default: the configured ones." }),
      namespaces: namespaces.meta({
        description: 'Namespaces whose SecretGrants may name this key. Written out, no patterns.',
      }),
      binding: z.enum(['place', 'none']).default('place').meta({
        description:
          "place (default): a derived key, whose ciphertext opens only in the Secret and data key it was made for. none: ciphertext made without a context, such as the Python library's; serves one Secret only, unless allowTransplant.",
      }),
      allowTransplant: z.boolean().default(false).meta({
        description:
          'With binding none, lets the key serve more than one Secret: whoever may write one of them can then have the ciphertext of another opened there. Default false.',
      }),
      exclusive: z.boolean().default(false).meta({
        description:
          'Every ciphertext made with this key is in a Secret that this policy names. Only then are old versions retired, and any other copy of ciphertext stops opening. Default false.',
      }),
      rotation: rotation.prefault({}),
    }),
  })
  .meta({
    title: 'TransitKey',
    description: 'Who may use which Vault Transit key, and how it rotates. The platform writes it.',
  })

const reader = z
  .strictObject({
    namespace: label.optional().meta({ description: "Namespace of the ServiceAccount. Default: the grant's own." }),
    serviceAccount: subdomain.meta({ description: 'Name of the ServiceAccount. Written out, no patterns.' }),
    keys: keys.optional().meta({ description: 'The keys it may read. Either this or allKeys.' }),
    allKeys: z
      .literal(true)
      .optional()
      .meta({ description: 'It may read every key, also ones added later. Either this or keys.' }),
    podBound: z.boolean().default(true).meta({
      description: 'true (default): only tokens bound to a pod, which die with it. false: also tokens that are not.',
    }),
    allowDefault: z.boolean().default(false).meta({
      description:
        'Must be true for the ServiceAccount named default, which every pod has that names no other. Default false.',
    }),
    uid: uid
      .optional()
      .meta({ description: 'Pins one ServiceAccount: another one made under the same name is refused.' }),
    until: moment
      .optional()
      .meta({ description: 'From this moment on the entry grants nothing, e.g. 2026-12-31T00:00:00Z.' }),
    reason: z
      .string()
      .max(500, 'must be at most 500 characters')
      .optional()
      .meta({ description: 'Why, for whoever reads this later: a ticket, a sentence.' }),
  })
  .meta({ oneOf: [{ required: ['keys'] }, { required: ['allKeys'] }] })

export const secretGrantDocument = z
  .strictObject({
    apiVersion,
    kind: z.literal('SecretGrant').meta({ description: 'Which keys of one Secret its owners give to whom.' }),
    metadata: z
      .strictObject({
        name: label.meta({
          description: 'What callers ask for: GET /secrets/<name>. Need not be the name of the Secret.',
        }),
        namespace: label.meta({ description: 'The namespace of the grant and of its Secret.' }),
      })
      .meta({ description: 'Which grant this is.' }),
    spec: z
      .strictObject({
        secretRef: z
          .strictObject({
            name: subdomain.meta({ description: "The Secret, in the grant's own namespace." }),
            key: dataKey
              .optional()
              .meta({ description: 'The data key that holds the ciphertext. With format json only.' }),
          })
          .meta({ description: 'Where the ciphertext lies. Always in the namespace of the grant.' }),
        transitKey: vaultName.meta({ description: 'The TransitKey that made the ciphertext.' }),
        format: z.enum(['json', 'files']).default('json').meta({
          description:
            'json (default): secretRef.key holds the ciphertext of one JSON object, and keys are its members. files: every data key of the Secret is the ciphertext of raw bytes, and keys are data keys.',
        }),
        readers: z.array(reader).max(1000, 'must be at most 1000 readers').meta({
          description: 'Who may read what. Several entries for one ServiceAccount add up.',
        }),
      })
      .meta({
        if: { required: ['format'], properties: { format: { const: 'files' } } },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: {
          properties: {
            secretRef: { properties: { key: false } },
            readers: { items: { properties: { keys: { items: { pattern: DATA_KEY.source } } } } },
          },
        },
        else: { properties: { secretRef: { required: ['key'] } } },
      }),
  })
  .meta({
    title: 'SecretGrant',
    description: 'Which keys of one Secret its owners give to whom. The owning team writes it.',
  })

export type TransitKeyDocument = z.infer<typeof transitKeyDocument>
export type SecretGrantDocument = z.infer<typeof secretGrantDocument>

export function transitKeyOf({ metadata, spec }: TransitKeyDocument): TransitKey {
  const { grace, minInterval, admins } = spec.rotation
  return {
    name: metadata.name,
    mount: spec.mount,
    vaultRoles: present(spec.vaultRoles),
    namespaces: spec.namespaces,
    binding: spec.binding,
    allowTransplant: spec.allowTransplant,
    exclusive: spec.exclusive,
    rotation: { grace, minIntervalMs: durationMs(minInterval), admins },
  }
}

export function secretGrantOf({ metadata, spec }: SecretGrantDocument): SecretGrant {
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    secret: spec.secretRef.name,
    ...present({ dataKey: spec.secretRef.key }),
    transitKey: spec.transitKey,
    format: spec.format,
    readers: spec.readers.map(({ namespace, serviceAccount, keys, podBound, allowDefault, uid, until, reason }) => ({
      namespace: namespace ?? metadata.namespace,
      serviceAccount,
      keys: keys ?? 'all',
      podBound,
      allowDefault,
      ...present({ uid, until: until === undefined ? undefined : Date.parse(until), reason }),
    })),
  }
}

function durationMs(text: string): number {
  return Number(text.slice(0, -1)) * UNIT_MS[text.slice(-1) as keyof typeof UNIT_MS]
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Date.parse reads 31 February as 3 March. */
function isInCalendar(text: string): boolean {
  const day = text.slice(0, 10)
  return new Date(`${day}T00:00:00Z`).toISOString().startsWith(day)
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the fields that are undefined, as exactOptionalPropertyTypes requires. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>
}
