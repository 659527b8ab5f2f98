/** `keyhole manifests rbac`: the rights on Secrets that a policy asks for, as manifests. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { openPolicy, PolicyDirectoryError } from '../policy/current.ts'
import type { Policy } from '../policy/in-force.ts'
import { formatProblem } from '../policy/problems.ts'
import { secretsNamed } from '../policy/secrets-named.ts'
import type { Flag } from './flags.ts'
import { readFlags } from './flags.ts'
import { MANIFESTS_RBAC_HELP } from './manifests-rbac-help.ts'
import type { Identities, RbacObject, ServiceAccount } from './rbac.ts'
import { rbacFor, rbacYaml } from './rbac.ts'
import { differences } from './rbac-differences.ts'
import type { Screen } from './screen.ts'
import { openScreen, printable } from './screen.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export async function manifestsRbac(args: readonly string[], world: World): Promise<ExitCode> {
  const asked = parse(args)
  if ('help' in asked) {
    world.stdout.write(MANIFESTS_RBAC_HELP)
    return EXIT.done
  }
  const screen = openScreen(world.stderr, world.environment)
  if ('complaints' in asked) {
    for (const complaint of asked.complaints) screen.line(`keyhole manifests rbac: ${complaint}`, 'bad')
    screen.line('Nothing was written. keyhole manifests rbac --help tells more.')
    return EXIT.usage
  }
  const policy = await policyIn(asked.policy, world.clock, screen)
  if (policy === undefined) {
    screen.line('keyhole manifests rbac: the policy is refused, and nothing was written.', 'bad')
    return EXIT.usage
  }
  const objects = rbacFor(secretsNamed(policy), asked)
  if (asked.check !== undefined) return check(asked.check, objects, asked, screen)
  const text = rbacYaml(objects, [
    'The rights on Secrets that the policy asks for. Not to be edited: edit the policy, and write this again with',
    `  ${commandOf(asked)}`,
  ])
  if (asked.write !== undefined) return write(asked.write, text, screen)
  world.stdout.write(text)
  return EXIT.done
}

interface Asked extends Identities {
  readonly policy: string
  readonly write: string | undefined
  readonly check: string | undefined
}

function parse(args: readonly string[]): Asked | { readonly help: true } | { readonly complaints: readonly string[] } {
  const complaints: string[] = []
  const flags = readFlags(args, FLAGS, complaints)
  if (flags.has('help')) return { help: true }
  const [policy, write, check] = [flags.value('policy'), flags.value('write'), flags.value('check')]
  if (policy === undefined) complaints.push('--policy is required: the directory of the policy documents.')
  if (flags.has('reads-only') && flags.has('rotator')) complaints.push('--reads-only and --rotator do not go together.')
  if (write !== undefined && check !== undefined) complaints.push('--write and --check do not go together.')
  if (policy === undefined || complaints.length > 0) return { complaints }
  const reader = accountOf(flags.value('reader') ?? FLAGS.reader.value)
  const rotator = flags.has('reads-only') ? undefined : accountOf(flags.value('rotator') ?? FLAGS.rotator.value)
  return { policy, reader, rotator, write, check }
}

const account: NonNullable<Flag['check']> = (value) =>
  /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(
    value,
  )
    ? undefined
    : 'must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'

const FLAGS = {
  policy: { value: 'DIR' },
  reader: { value: 'keyhole/keyhole', check: account },
  rotator: { value: 'keyhole/keyhole-rotate', check: account },
  'reads-only': {},
  write: { value: 'FILE' },
  check: { value: 'FILE' },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

function accountOf(text: string): ServiceAccount {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}

/** Undefined if there is an error anywhere in it; whatever is wrong is told. */
async function policyIn(directory: string, clock: Clock, screen: Screen): Promise<Policy | undefined> {
  try {
    const source = await openPolicy({ directory, clock, watch: false, changed() {} })
    source.close()
    const problems = source.problems()
    for (const problem of problems) {
      const isError = problem.level === 'error'
      screen.line(formatProblem({ ...problem, file: join(directory, problem.file) }), isError ? 'bad' : 'plain')
    }
    const policy = source.current()
    // Whoever names a wrong directory does not mean to take all rights away.
    const isEmpty = policy.grants.size + policy.transitKeys.size === 0
    return isEmpty || problems.some(({ level }) => level === 'error') ? undefined : policy
  } catch (error) {
    if (!(error instanceof PolicyDirectoryError)) throw error
    screen.line(error.message, 'bad')
    return undefined
  }
}

/** As it is typed; from another directory the paths have to be others. */
function commandOf({ policy, reader, rotator, write, check }: Asked): string {
  const flag = (name: string, value: string) => `--${name}=${shell(value)}`
  const identity = (name: 'reader' | 'rotator', { namespace, name: of }: ServiceAccount) => {
    const text = `${namespace}/${of}`
    return text === FLAGS[name].value ? [] : [flag(name, text)]
  }
  const file = write ?? check
  const flags = [
    flag('policy', policy),
    ...identity('reader', reader),
    ...(rotator === undefined ? ['--reads-only'] : identity('rotator', rotator)),
    ...(file === undefined ? [] : [flag('write', file)]),
  ]
  return printable(`keyhole manifests rbac ${flags.join(' ')}`)
}

function shell(text: string): string {
  return /^[\w./:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

function check(file: string, objects: readonly RbacObject[], asked: Asked, screen: Screen): ExitCode {
  const text = attempt(() => readFileSync(file, 'utf8'))
  if ('errno' in text) {
    screen.line(`keyhole manifests rbac: ${file} cannot be read (${text.errno}).`, 'bad')
    return EXIT.usage
  }
  const found = differences(text.done, objects)
  if (found.length === 0) return EXIT.done
  for (const difference of found) screen.line(`${file}: ${difference}`, 'bad')
  screen.line(`It is not what the policy asks for. Write it again: ${commandOf(asked)}`)
  return EXIT.usage
}

/** Beside it first, then in its place: whoever applies it meanwhile gets the one or the other. */
function write(file: string, text: string, screen: Screen): ExitCode {
  const beside = `${file}.new`
  const done = attempt(() => {
    writeFileSync(beside, text)
    renameSync(beside, file)
  })
  if (!('errno' in done)) return EXIT.done
  attempt(() => rmSync(beside, { force: true }))
  screen.line(`keyhole manifests rbac: ${file} cannot be written (${done.errno}).`, 'bad')
  return EXIT.usage
}

function attempt<T>(act: () => T): { readonly done: T } | { readonly errno: string } {
  try {
    return { done: act() }
  } catch (error) {
    if (error instanceof Error && 'code' in error) return { errno: String(error.code) }
    throw error
  }
}
