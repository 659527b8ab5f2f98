/**
 * A role's rules as the text of its policy: HCL, one block a path, under a comment that says what the role is for, and whose
 * it is. A policy is one for a whole Vault, and every cluster may call its own `keyhole`.
 */
import type { Rule } from './rules.ts'
import type { WantedRole } from './wanted.ts'

export function policyText(role: WantedRole, authMount: string): string {
  const { name, does, rules } = role
  const lines = [...PURPOSES[does].map((line) => line.replace('ROLE', name)), `Of ${ownerOf(role, authMount)}.`]
  const comment = lines.map((line) => `# ${line}\n`).join('')
  return [comment, ...rules.map(block)].join('\n')
}

const PURPOSES: Readonly<Record<WantedRole['does'], readonly string[]>> = {
  reads: [
    'The role ROLE, which reads: to decrypt with the Transit keys of its policy, and nothing else.',
    '`update` alone: with `create`, encrypting under a name that is missing would make a key that is not derived.',
  ],
  rotates: [
    'The role ROLE, which rotates: it makes versions and has ciphertext rewrapped, and can decrypt nothing. Of the',
    'configuration of a key it may set the oldest version that opens, and no other parameter: `exportable` and',
    '`allow_plaintext_backup` would let the key itself out, for good.',
  ],
}

/** One installation: a cluster has its own auth method, and a namespace at most one keyhole. */
export function ownerOf({ account }: WantedRole, authMount: string): string {
  return `the keyhole in the namespace ${account.namespace} at auth/${authMount}`
}

/** Undefined for a text that says nothing of the kind. */
export function ownerIn(text: string): string | undefined {
  return /^# Of (the keyhole in the namespace \S+ at auth\/\S+)\.$/m.exec(text)?.[1]
}

function block({ path, capabilities, allowedParameters }: Rule): string {
  const lines =
    allowedParameters === undefined
      ? [`capabilities = ${JSON.stringify(capabilities)}`]
      : [
          `capabilities       = ${JSON.stringify(capabilities)}`,
          `allowed_parameters = { ${parameters(allowedParameters)} }`,
        ]
  return `path ${JSON.stringify(path)} {\n${lines.map((line) => `  ${line}\n`).join('')}}\n`
}

function parameters(allowed: NonNullable<Rule['allowedParameters']>): string {
  return Object.entries(allowed)
    .map(([name, values]) => `${JSON.stringify(name)} = ${JSON.stringify(values)}`)
    .join(', ')
}
