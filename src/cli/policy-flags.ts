/** Shared by the verbs that read a policy directory: their flags, and the policy itself, whole or not at all. */
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { namespacedName } from '../label.ts'
import { openPolicy, PolicyDirectoryError } from '../policy/current.ts'
import type { Identities, ServiceAccount } from '../policy/identities.ts'
import type { Policy } from '../policy/in-force.ts'
import type { PolicyProblem } from '../policy/problems.ts'
import { formatProblem } from '../policy/problems.ts'
import { shellWord } from '../words.ts'
import type { Flag, Flags } from './flags.ts'
import type { Screen } from './screen.ts'

const ownAccount: NonNullable<Flag['check']> = (value) => {
  const account = namespacedName(value)
  if (account === undefined) return 'must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'
  return account.name === 'default' ? 'must not be the ServiceAccount default, which any pod may have.' : undefined
}

export const POLICY_FLAGS = {
  policy: { value: 'DIR' },
  reader: { value: 'keyhole/keyhole', check: ownAccount },
  rotator: { value: 'keyhole/keyhole-rotate', check: ownAccount },
  'reads-only': {},
} as const satisfies Readonly<Record<string, Flag>>

export interface PolicyAsked extends Identities {
  readonly policy: string
}

/** @param complaints receives what is wrong, in sentences. If there is anything, the result is meaningless. */
export function readPolicyFlags(flags: Flags, complaints: string[]): PolicyAsked {
  const policy = flags.value('policy')
  if (policy === undefined) complaints.push('--policy is required: the directory of the policy documents.')
  if (flags.has('reads-only') && flags.has('rotator')) complaints.push('--reads-only and --rotator do not go together.')
  return {
    policy: policy ?? '',
    reader: accountOf(flags.value('reader') ?? POLICY_FLAGS.reader.value),
    rotator: flags.has('reads-only') ? undefined : accountOf(flags.value('rotator') ?? POLICY_FLAGS.rotator.value),
  }
}

function accountOf(text: string): ServiceAccount {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}

/** The same flags as one would type them, without those that have their default. */
export function policyFlagsText({ policy, reader, rotator }: PolicyAsked): readonly string[] {
  const identity = (name: 'reader' | 'rotator', { namespace, name: of }: ServiceAccount) => {
    const text = `${namespace}/${of}`
    return text === POLICY_FLAGS[name].value ? [] : [`--${name}=${text}`]
  }
  return [
    `--policy=${shellWord(policy)}`,
    ...identity('reader', reader),
    ...(rotator === undefined ? ['--reads-only'] : identity('rotator', rotator)),
  ]
}

/**
 * The policy, or undefined if there are complaints, earlier ones included. Prints what is wrong with each document, and where.
 *
 * @param complaints as above.
 */
export async function policyOrComplaint(
  { policy: directory }: PolicyAsked,
  clock: Clock,
  screen: Screen,
  complaints: string[],
): Promise<Policy | undefined> {
  if (directory === '') return undefined
  try {
    const source = await openPolicy({ directory, clock, watch: false, changed() {} })
    source.close()
    const problems = source.problems()
    tellProblems(directory, problems, screen)
    const policy = source.current()
    // Somebody who names the wrong directory does not mean to revoke everything.
    const isEmpty = policy.grants.size + policy.transitKeys.size === 0
    if (isEmpty || problems.some(({ level }) => level === 'error')) complaints.push('the policy is refused.')
    return complaints.length > 0 ? undefined : policy
  } catch (error) {
    if (!(error instanceof PolicyDirectoryError)) throw error
    complaints.push(error.message)
    return undefined
  }
}

function tellProblems(directory: string, problems: readonly PolicyProblem[], screen: Screen): void {
  for (const problem of problems) {
    const style = problem.level === 'error' ? 'bad' : 'plain'
    screen.line(formatProblem({ ...problem, file: join(directory, problem.file) }), style)
  }
}
