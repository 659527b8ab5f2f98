/** Policy documents for tests: good ones, of which each test breaks what it is about. */
import type { Identity } from '../../src/policy/decide.ts'
import type { Policy, PolicyDocument } from '../../src/policy/in-force.ts'
import type { PolicyFile } from '../../src/policy/parse.ts'
import { parseFile } from '../../src/policy/parse.ts'
import type { PolicyProblem } from '../../src/policy/problems.ts'
import { formatProblem } from '../../src/policy/problems.ts'
import { NOTHING_IN_FORCE, nextState } from '../../src/policy/state.ts'

type Fields = Readonly<Record<string, unknown>>

export const API_VERSION = 'keyhole.dev/v1alpha1'

/** The Transit key `payments`, for the namespace of that name. */
export function transitKey(spec: Fields = {}, name = 'payments'): Fields {
  return {
    apiVersion: API_VERSION,
    kind: 'TransitKey',
    metadata: { name },
    spec: { namespaces: ['payments'], ...spec },
  }
}

/** The grant `payments/db`, read by `payments/api`. */
export function grant(spec: Fields = {}, name = 'db', namespace = 'payments'): Fields {
  return {
    apiVersion: API_VERSION,
    kind: 'SecretGrant',
    metadata: { name, namespace },
    spec: {
      secretRef: { name: 'payments-db', key: 'secrets.json' },
      transitKey: 'payments',
      format: 'json',
      readers: [reader()],
      ...spec,
    },
  }
}

export function reader(fields: Fields = {}): Fields {
  return 'allKeys' in fields
    ? { serviceAccount: 'api', ...fields }
    : { serviceAccount: 'api', keys: ['A', 'B'], ...fields }
}

/** One file; JSON is YAML. */
export function text(...documents: readonly unknown[]): string {
  return documents.map((document) => `${JSON.stringify(document)}\n`).join('---\n')
}

/** What the files mean to a keyhole that starts with them. */
export function parsePolicy(files: readonly PolicyFile[]): {
  readonly policy: Policy
  readonly documents: readonly PolicyDocument[]
  readonly problems: readonly PolicyProblem[]
} {
  const { policy, documents, problems } = nextState(NOTHING_IN_FORCE, files.map(parseFile))
  return { policy, documents: [...documents.values()], problems }
}

/** @throws if there is any problem. */
export function policyFrom(...documents: readonly unknown[]): Policy {
  const { policy, problems } = parsePolicy([{ path: 'policy.yaml', text: text(...documents) }])
  if (problems.some(({ level }) => level === 'error')) throw new Error(lines(problems).join('\n'))
  return policy
}

export function documentsOf(...documents: readonly unknown[]): readonly PolicyDocument[] {
  return parsePolicy([{ path: 'policy.yaml', text: text(...documents) }]).documents
}

/** Messages of what is wrong with these documents, without what follows from it. */
export function complaints(...documents: readonly unknown[]): readonly string[] {
  return parsePolicy([{ path: 'p.yaml', text: text(...documents) }])
    .problems.filter(
      ({ level, message }) => level === 'error' && !/^(This (version|document) is not taken|Nothing of)/.test(message),
    )
    .map(({ message }) => message)
}

export function lines(problems: readonly PolicyProblem[]): readonly string[] {
  return problems.map(formatProblem)
}

export const api: Identity = {
  namespace: 'payments',
  serviceAccount: 'api',
  uid: '6f2a0c1e-0000-4000-8000-000000000001',
  pod: { name: 'api-1', uid: '6f2a0c1e-0000-4000-8000-0000000000aa' },
}
