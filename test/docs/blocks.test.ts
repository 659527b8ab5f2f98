/** What a reader copies: policy documents that are taken, manifests that hold together, commands that a shell can read. */
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { parseFile } from '../../src/policy/parse.ts'
import { blocksOf } from './pages.ts'

const yamls = blocksOf('yaml')

describe('a YAML block', () => {
  test.each(yamls)('at %s is YAML', (_, text) => {
    expect(parseAllDocuments(text).flatMap(({ errors }) => errors.map(({ message }) => message))).toEqual([])
  })

  test.each(yamls.flatMap(policiesIn))('with policy documents, at %s, is taken as it is', (_, text) => {
    const documents = { length: text.match(/^kind:/gm)?.length ?? 0 }
    expect(parseFile({ path: 'docs.yaml', text })).toMatchObject({ kind: 'read', problems: [], documents })
  })

  test.each(yamls.flatMap(manifestsIn))('with manifests, at %s, holds together', (_, manifest) => {
    expect(flawsOf(manifest)).toEqual([])
  })

  test('of a kind that nobody knows, or whose volume is not there, would be found', () => {
    expect(flawsOf({ apiVersion: 'v2', kind: 'Pod', metadata: { name: 'a' } })).toContain('v2 has no Pod')
    const spec = { containers: [{ name: 'a', image: 'a', volumeMounts: [{ name: 'gone', mountPath: '/a' }] }] }
    expect(flawsOf({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec })).toEqual(['no volume gone'])
  })
})

describe('an sh block', () => {
  test.each(blocksOf('sh'))('at %s can be read by a shell', (_, text) => {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  const typed = blocksOf('sh').filter(([where]) => /^docs\/(?:how-to|runbooks)\//.test(where))

  // An interactive zsh takes it for words of the command: variables that are set on such a line are not set.
  test.each(typed)('that is typed, at %s, has no comment', (_, text) => {
    expect(commentsIn(text)).toEqual([])
  })

  test('with a comment behind a command would be found', () => {
    expect(commentsIn('A=1 B=2   # both\nrotate\n')).toEqual(['A=1 B=2   # both'])
    expect(commentsIn('f() {\n  # first\n  g\n}\n')).toEqual(['  # first'])
    expect(commentsIn(`echo '# a' "b # c" \\# "\${d#e}" "$#" $#\ncat <<'EOF'\n# f's\nEOF\n`)).toEqual([])
  })
})

/** The lines of a script that have one; what is quoted, and what a here-document holds, is none. */
function commentsIn(text: string): readonly string[] {
  const blank = (part: string) => part.replaceAll(/[^\n]/g, '_')
  const bare = text
    .replaceAll(/(<<-?(['"]?)(\w+)\2[^\n]*\n)(.*?^\s*\3)$/gms, (_, head: string, _quote, _end, held: string) => {
      return head + blank(held)
    })
    .replaceAll(/\\[^\n]|'[^']*'|"(?:\\.|[^"\\])*"/gs, blank)
    .split('\n')
  return text.split('\n').filter((_, at) => /(?:^|[\s;&|()])#/.test(bare[at] ?? ''))
}

/** Also those within a ConfigMap. */
function policiesIn([where, text]: readonly [string, string]): readonly (readonly [string, string])[] {
  if (/^apiVersion: keyhole\.dev\//m.test(text)) return [[where, text]]
  return manifestsIn([where, text]).flatMap(([, { data = {} }]) =>
    Object.entries(data)
      .filter(([, content]) => content.includes('apiVersion: keyhole.dev/'))
      .map(([name, content]) => [`${where} ${name}`, content] as const),
  )
}

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata?: { readonly name?: string }
  readonly data?: Readonly<Record<string, string>>
  readonly rules?: readonly Readonly<Record<string, readonly string[]>>[]
  readonly spec?: PodSpec
}

interface PodSpec {
  readonly initContainers?: readonly Container[]
  readonly containers?: readonly Container[]
  readonly volumes?: readonly { readonly name: string }[]
}

interface Container {
  readonly name?: string
  readonly image?: string
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath?: string }[]
}

function manifestsIn([where, text]: readonly [string, string]): readonly (readonly [string, Manifest])[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((value) => value?.apiVersion !== undefined && !value.apiVersion.startsWith('keyhole.dev/'))
    .map((value) => [where, value as Manifest] as const)
}

/** As far as the pages show any. */
const KINDS: Readonly<Record<string, string>> = {
  ClusterRole: 'rbac.authorization.k8s.io/v1',
  ConfigMap: 'v1',
  Pod: 'v1',
  Role: 'rbac.authorization.k8s.io/v1',
  RoleBinding: 'rbac.authorization.k8s.io/v1',
}

function flawsOf({ apiVersion, kind, metadata, rules = [], spec }: Manifest): readonly string[] {
  const flaws: string[] = []
  if (KINDS[kind] !== apiVersion) flaws.push(`${apiVersion} has no ${kind}`)
  if (!/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(metadata?.name ?? '')) flaws.push('no name')
  for (const rule of rules)
    for (const field of ['apiGroups', 'resources', 'verbs']) if (!Array.isArray(rule[field])) flaws.push(`no ${field}`)
  const volumes = new Set((spec?.volumes ?? []).map(({ name }) => name))
  for (const { name, image, volumeMounts = [] } of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    if (name === undefined || image === undefined) flaws.push('a container without name or image')
    for (const mount of volumeMounts) if (!volumes.has(mount.name)) flaws.push(`no volume ${mount.name}`)
  }
  return flaws
}
