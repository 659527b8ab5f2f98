/**
 * The Roles and RoleBindings that name Secrets, as objects and as YAML. One name on a line and everything sorted: a grant
 * more is a line more. Every rule names its Secrets: a rule that names none would be about all of them.
 */
import type { Identities, ServiceAccount } from '../policy/identities.ts'
import type { NamedSecrets, SecretName } from '../policy/secrets-named.ts'

export type RbacObject = Role | RoleBinding

export interface Role {
  readonly apiVersion: typeof API_VERSION
  readonly kind: 'Role'
  readonly metadata: Metadata
  readonly rules: readonly Rule[]
}

export interface Rule {
  readonly apiGroups: readonly ['']
  readonly resources: readonly ['secrets']
  readonly resourceNames: readonly string[]
  readonly verbs: readonly string[]
}

export interface RoleBinding {
  readonly apiVersion: typeof API_VERSION
  readonly kind: 'RoleBinding'
  readonly metadata: Metadata
  readonly roleRef: { readonly apiGroup: string; readonly kind: 'Role'; readonly name: string }
  readonly subjects: readonly [{ readonly kind: 'ServiceAccount' } & ServiceAccount]
}

interface Metadata {
  readonly name: string
  readonly namespace: string
  readonly labels: typeof LABELS
}

const GROUP = 'rbac.authorization.k8s.io'
const API_VERSION = `${GROUP}/v1`

/** By these, whoever looks for rights that nothing grants any more finds all that were ever applied. */
export const LABELS = {
  'app.kubernetes.io/name': 'keyhole',
  'app.kubernetes.io/managed-by': 'keyhole-manifests',
} as const

/** By namespace; the reader's first, each Role with its RoleBinding. */
export function rbacFor({ read, move, look }: NamedSecrets, { reader, rotator }: Identities): readonly RbacObject[] {
  const all = [...read, ...(rotator === undefined ? [] : [...move, ...look])]
  return [...new Set(all.map(({ namespace }) => namespace))].sort().flatMap((namespace) => {
    const of = namesIn(namespace)
    return [
      ...bound('keyhole', namespace, reader, [ruleFor(of(read), ['get'])]),
      ...(rotator === undefined
        ? []
        : bound('keyhole-rotate', namespace, rotator, [
            ruleFor(of(move), ['get', 'patch']),
            ruleFor(of(look), ['get']),
          ])),
    ]
  })
}

function namesIn(namespace: string): (names: readonly SecretName[]) => readonly string[] {
  return (names) => names.filter((one) => one.namespace === namespace).map(({ secret }) => secret)
}

function ruleFor(resourceNames: readonly string[], verbs: readonly string[]): Rule | undefined {
  return resourceNames.length === 0 ? undefined : { apiGroups: [''], resources: ['secrets'], resourceNames, verbs }
}

function bound(
  name: string,
  namespace: string,
  to: ServiceAccount,
  asked: readonly (Rule | undefined)[],
): readonly RbacObject[] {
  const rules = asked.filter((rule) => rule !== undefined)
  if (rules.length === 0) return []
  const metadata = { name, namespace, labels: LABELS }
  return [
    { apiVersion: API_VERSION, kind: 'Role', metadata, rules },
    {
      apiVersion: API_VERSION,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: GROUP, kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', ...to }],
    },
  ]
}

/** @param comment lines without `#`. */
export function rbacYaml(objects: readonly RbacObject[], comment: readonly string[]): string {
  const header = comment.map((line) => `# ${line}\n`).join('')
  return header + objects.map((object) => `---\n${objectYaml(object)}`).join('')
}

function objectYaml(object: RbacObject): string {
  const { name, namespace, labels } = object.metadata
  const lines = [
    `apiVersion: ${object.apiVersion}`,
    `kind: ${object.kind}`,
    'metadata:',
    `  name: ${name}`,
    `  namespace: ${scalar(namespace)}`,
    '  labels:',
    ...Object.entries(labels).map(([label, value]) => `    ${label}: ${value}`),
    ...(object.kind === 'Role' ? roleLines(object) : bindingLines(object)),
  ]
  return `${lines.join('\n')}\n`
}

function roleLines({ rules }: Role): readonly string[] {
  return [
    'rules:',
    ...rules.flatMap(({ resourceNames, verbs }) => [
      '  - apiGroups: [""]',
      '    resources: [secrets]',
      '    resourceNames:',
      ...resourceNames.map((secret) => `      - ${scalar(secret)}`),
      `    verbs: [${verbs.join(', ')}]`,
    ]),
  ]
}

function bindingLines({ roleRef, subjects: [subject] }: RoleBinding): readonly string[] {
  return [
    'roleRef:',
    `  apiGroup: ${roleRef.apiGroup}`,
    `  kind: ${roleRef.kind}`,
    `  name: ${roleRef.name}`,
    'subjects:',
    `  - kind: ${subject.kind}`,
    `    namespace: ${scalar(subject.namespace)}`,
    `    name: ${scalar(subject.name)}`,
  ]
}

/**
 * Quoted where it might not be text: kubectl reads YAML 1.1, in which what begins with a digit may be a number or a time, and `no` is a
 * boolean; some readers take a lone exponent, as `e0`, for a number.
 */
function scalar(name: string): string {
  return /^[a-z]/.test(name) && !/^e-?\d/.test(name) && !NO_TEXT.has(name) ? name : JSON.stringify(name)
}

const NO_TEXT = new Set(['y', 'n', 'yes', 'no', 'on', 'off', 'true', 'false', 'null'])
