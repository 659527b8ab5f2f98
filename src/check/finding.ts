/** What `keyhole check` tells: one line for each thing that must hold, and for each that does not what to do. */

/** Every check, in the order of telling, and what it looks at. The help and docs/how-to/check-an-installation.md list them. */
export const CHECKS = {
  configuration: 'the environment can be read as settings',
  'kubernetes-token': 'the token for the API server is there, current, and not long-lived',
  'vault-token': 'the token for Vault is there, current, not long-lived, and of an audience of its own',
  'kubernetes-ca': "the API server's CA is there and valid",
  'vault-ca': "Vault's CA is there and valid",
  'serving-certificate': 'certificate and key are there, belong together, and have been renewed in time',
  policy: 'every document is in force as it is written',
  kubernetes: 'the API server answers, and takes the token',
  identity: 'both tokens are of one ServiceAccount',
  'kubernetes-clock': "this clock and the API server's agree",
  'review-right': 'keyhole may review tokens',
  'secret-rights': 'keyhole may read every Secret that the policy names, and patch it where it rotates',
  'lease-rights': 'keyhole may use its Lease',
  'wide-rights': 'keyhole may do nothing more with Secrets',
  secrets: 'every Secret is there and holds Transit ciphertext',
  lease: 'the Lease can be read, and no rotation was left unfinished',
  vault: 'Vault answers, and is not sealed',
  'vault-clock': "this clock and Vault's agree",
  'vault-login': 'each Vault role lets keyhole in, with a short token that has no more policies than it should',
  'vault-audience': 'each Vault role takes tokens of one audience only',
  'transit-keys': 'each Transit key is there, is derived, and may be used',
  'key-versions': 'no Secret lies below the oldest version that opens, and no Secret has just left the policy',
  'wide-vault-rights': 'what rotates may not decrypt',
  'other-rotators': 'nobody else makes versions of these keys',
} as const

export type CheckName = keyof typeof CHECKS

/** `wait`: may pass by itself. `skip`: something before it has to be mended first, or it cannot be told from here. */
export type Status = 'ok' | 'wait' | 'fix' | 'skip'

export interface Finding {
  readonly check: CheckName
  readonly status: Status
  /** Names, numbers and words of ours: nothing that a file or a Secret holds. */
  readonly detail: string
  /** What to do next. */
  readonly fix?: string
}

/** Tells what it finds as it finds it, and returns what later checks need. */
export type Checking<T = void> = AsyncGenerator<Finding, T, void>

export function ok(check: CheckName, detail: string): Finding {
  return { check, status: 'ok', detail }
}

export function wait(check: CheckName, detail: string, fix?: string): Finding {
  return { check, status: 'wait', detail, ...(fix !== undefined && { fix }) }
}

export function toFix(check: CheckName, detail: string, fix: string): Finding {
  return { check, status: 'fix', detail, fix }
}

export function* skipped(because: CheckName, ...checks: readonly CheckName[]): Generator<Finding> {
  for (const check of checks) yield { check, status: 'skip', detail: `not looked at before ${because} is well` }
}

/** `1 Secret`, `2 Secrets`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
