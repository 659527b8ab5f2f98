/** A role's rules as the text of its policy: HCL, one block a path, under a comment that says what the role is for. */
import type { Rule } from './rules.ts'
import type { WantedRole } from './wanted.ts'

export function policyText({ name, does, rules }: WantedRole): string {
  const comment = PURPOSES[does].map((line) => `# ${line.replace('ROLE', name)}\n`).join('')
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
