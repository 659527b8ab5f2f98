/**
 * Permits as a stage gets them from the one before, for tests of that stage alone. Only the producing files make real
 * ones; what is cast here never leaves the tests.
 */
import type { TransitKey } from '../../src/policy/schema.ts'
import type { Caller } from '../../src/services/authenticate.ts'
import type { Grant } from '../../src/services/authorize.ts'
import type { Sealed, SealedPart } from '../../src/services/ciphertext.ts'
import type { Opened } from '../../src/services/open.ts'

export const BOUNDS = { maxBytes: 768 * 1024, maxDepth: 64 }

export function callerOf(changes: Partial<Caller> = {}): Caller {
  const pod = { name: 'api-0', uid: 'p-1' }
  return { namespace: 'payments', serviceAccount: 'api', uid: 'u-1', pod, ...changes } as Partial<Caller> as Caller
}

export function transitKeyOf(changes: Partial<TransitKey> = {}): TransitKey {
  return {
    name: 'payments',
    mount: 'transit',
    vaultRoles: {},
    namespaces: ['payments'],
    binding: 'place',
    allowTransplant: false,
    exclusive: false,
    rotation: { grace: 1, minIntervalMs: 3_600_000, admins: [] },
    ...changes,
  }
}

/** All keys of payments/db, whose dictionary is data key `secrets.json` of the Secret payments-db. */
export function grantOf(changes: Partial<Grant> = {}): Grant {
  return {
    caller: callerOf(),
    name: 'db',
    secret: { namespace: 'payments', name: 'db' },
    place: { namespace: 'payments', secret: 'payments-db' },
    format: 'json',
    dataKey: 'secrets.json',
    keys: 'all',
    selection: undefined,
    raw: false,
    transitKey: transitKeyOf(),
    policyHash: 'sha256:0',
    ...changes,
  } as Partial<Grant> as Grant
}

/** The same of format files: no data key of its own. */
export function filesGrantOf(changes: Partial<Grant> = {}): Grant {
  const { dataKey: _, ...grant } = grantOf()
  return { ...grant, format: 'files', ...changes }
}

export function partOf(dataKey = 'secrets.json', ciphertext = 'vault:v1:AAAA'): SealedPart {
  return { dataKey, ciphertext, keyVersion: Number(/v(\d+)/.exec(ciphertext)?.[1]) }
}

export function sealedOf(
  grant: Grant,
  parts: readonly SealedPart[] = [partOf()],
  changes: Partial<Sealed> = {},
): Sealed {
  const sealed: Partial<Sealed> = { grant, parts, missing: [], etag: '"e-1"', ...changes }
  return sealed as Sealed
}

/** Opened from these plaintexts, by data key. */
export function openedOf(
  grant: Grant,
  plaintexts: Readonly<Record<string, string | Buffer>>,
  changes: Partial<Sealed> = {},
): Opened {
  const parts = Object.entries(plaintexts).map(([dataKey, content]) => ({ dataKey, bytes: Buffer.from(content) }))
  const sealedParts = parts.map(({ dataKey }) => partOf(dataKey))
  const opened: Partial<Opened> = {
    sealed: sealedOf(grant, sealedParts, changes),
    parts,
    [Symbol.dispose]: () => {
      for (const { bytes } of parts) bytes.fill(0)
    },
  }
  return opened as Opened
}
