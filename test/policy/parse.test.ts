import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseFile } from '../../src/policy/parse.ts'
import { formatProblem } from '../../src/policy/problems.ts'
import { grant, lines, parsePolicy, reader, text, transitKey } from './documents.ts'

function problemsOf(text: string): readonly string[] {
  return lines(parsePolicy([{ path: 'p.yaml', text }]).problems)
}

const HEAD = 'apiVersion: keyhole.dev/v1alpha1\n'

describe('a policy as the design shows it', () => {
  const shown = `
apiVersion: keyhole.dev/v1alpha1
kind: TransitKey                  # the platform's: who may use which key, and how it rotates
metadata: { name: payments }
spec:
  mount: transit                  # default
  vaultRoles: { read: keyhole-payments }    # default: the configured roles
  namespaces: [payments]          # whose SecretGrants may name it
  binding: place                  # default
  exclusive: true
  rotation: { grace: 1, minInterval: 1h, admins: [{ namespace: keyhole, serviceAccount: keyhole-cron }] }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant                 # the owning team's
metadata: { name: db, namespace: payments }
spec:
  secretRef: { name: payments-db, key: secrets.json }
  transitKey: payments
  format: json
  readers:
    - { serviceAccount: api, keys: [PGHOST, PGUSER, PGPASSWORD] }
    - { serviceAccount: migrator, allKeys: true }
    - { namespace: bi, serviceAccount: reports, keys: [PGHOST], until: 2026-12-31T00:00:00Z, reason: FIN-812 }
`

  it('has no problem, and every document in force', () => {
    const { policy, documents, problems } = parsePolicy([{ path: 'p.yaml', text: shown }])
    expect(problems).toEqual([])
    expect(documents.map(({ id, position }) => [id, position.line])).toEqual([
      ['TransitKey payments', 2],
      ['SecretGrant payments/db', 13],
    ])
    expect([...policy.grants.keys()]).toEqual(['payments/db'])
    expect([...policy.transitKeys.keys()]).toEqual(['payments'])
  })
})

describe('problems', () => {
  it('come all at once, each where it is written', () => {
    const written = `${HEAD}kind: SecretGrant
metadata: { name: db, namespace: payments, labels: {} }
spec:
  secretRef: { name: payments_db, namespace: other }
  transitKey: ../x
  readrs: []
  readers:
    - { serviceAcount: api, keys: [A, 1] }
    - serviceAccount: api
      keys: [A]
      allKeys: true
      until: 2026-02-31T00:00:00Z
`
    const told = problemsOf(written).map((line) => line.replace(/error: SecretGrant payments\/db: (.{1,48}).*/, '$1'))
    expect(told).toEqual([
      '.:1:1: warning: No document is in force: nobody may read anything.',
      'p.yaml:1:1: This version is not taken. There is no good vers',
      'p.yaml:3:44: There is no field "labels" here. There is name, ',
      'p.yaml:5:3: With format json, secretRef.key must say which d',
      'p.yaml:5:22: "name" must be at most 253 lower-case letters, d',
      'p.yaml:5:35: A grant names Secrets of its own namespace only,',
      'p.yaml:6:15: "transitKey" must be 1 to 128 letters, digits, "',
      'p.yaml:7:3: There is no field "readrs" here. Did you mean "r',
      'p.yaml:9:7: "serviceAccount" is missing.',
      'p.yaml:9:9: There is no field "serviceAcount" here. Did you ',
      'p.yaml:9:39: "keys[1]" must be text. Put it in quotes.',
      'p.yaml:10:7: A reader has either keys, a list of what it may ',
      'p.yaml:13:14: "until" must be a day that the calendar has.',
    ])
  })

  it('name the document where it can be told', () => {
    expect(problemsOf(text(grant({ format: 'jsn' }), { kind: 'Pod' }))).toEqual([
      '.:1:1: warning: No document is in force: nobody may read anything.',
      'p.yaml:1:1: error: SecretGrant payments/db: This version is not taken. There is no good version of it: it is denied.',
      'p.yaml:1:204: error: SecretGrant payments/db: "format" must be "json" or "files". Did you mean "json"?',
      'p.yaml:3:1: error: This document is not taken, and does not tell which one it is.',
      'p.yaml:3:9: error: A document of a policy is a mapping whose kind is "SecretGrant" or "TransitKey".',
    ])
  })

  it('do not repeat what a flaw of the YAML explains', () => {
    const written = `${HEAD}kind: TransitKey\nmetadata: { name: a }\nspec: { namespaces: *all, namespaces: [b], mount: /x }\n`
    expect(problemsOf(written).filter((line) => line.startsWith('p.yaml:4:'))).toEqual([
      'p.yaml:4:21: error: TransitKey a: Aliases are not taken: write the value out.',
      'p.yaml:4:27: error: TransitKey a: "namespaces" is here twice.',
      'p.yaml:4:51: error: TransitKey a: "mount" must be a path such as transit or teams/transit: letters, digits, "_", "-" and "." between slashes, no slash around it, no "..".',
    ])
  })

  it('are at most 50 of a file, and say how many more there are', () => {
    const fields = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`x${index}`, 1]))
    const problems = problemsOf(text(transitKey(fields)))
    expect(problems).toHaveLength(50 + 1 + 2)
    expect(problems).toContainEqual(
      expect.stringMatching(/^p\.yaml:1:\d+: error: And 30 more problems in this file\.$/),
    )
  })

  it('print nothing that could forge a line', () => {
    const [unknown] = problemsOf(text(transitKey({ 'x\nERROR: \u202e': 1 }))).filter((line) =>
      line.includes('no field'),
    )
    expect(unknown).toContain('There is no field "x\\nERROR: \\u202e" here.')
  })

  it('are warnings where a document is taken but does not do what it seems to', () => {
    const idle = transitKey({ allowTransplant: true })
    const nobody = grant({ readers: [reader(), reader({ serviceAccount: 'default' })] })
    const fine = grant({ readers: [reader({ serviceAccount: 'default', allowDefault: true })] }, 'fine')
    const { policy, problems } = parsePolicy([{ path: 'p.yaml', text: text(idle, nobody, fine) }])
    expect(policy.grants.size).toBe(2)
    expect(lines(problems)).toEqual([
      'p.yaml:1:123: warning: TransitKey payments: allowTransplant says nothing about a key with binding place, whose ciphertext cannot be moved: remove it.',
      'p.yaml:3:282: warning: SecretGrant payments/db: Every pod that names no ServiceAccount runs as "default", so this entry grants nothing without allowDefault: true. Better, give the workload a ServiceAccount of its own.',
    ])
  })

  it('are printed without a document when there is none to name', () => {
    expect(formatProblem({ level: 'warning', file: 'a', line: 2, column: 3, message: 'M.' })).toBe('a:2:3: warning: M.')
  })
})

describe('which document it is', () => {
  it.each([
    [
      'a wrong field beside its names',
      text({ ...grant(), metadata: { name: 'db', namespace: 'payments', x: 1 } }),
      'SecretGrant payments/db',
    ],
    ['another version', text({ ...grant(), apiVersion: 'v2' }), 'SecretGrant payments/db'],
    [
      'a field twice elsewhere',
      `${HEAD}kind: TransitKey\nmetadata: {name: a}\nspec: {mount: a, mount: b}`,
      'TransitKey a',
    ],
    ['an alias elsewhere', `${HEAD}kind: TransitKey\nmetadata: {name: a}\nspec: *x`, 'TransitKey a'],
  ])('can be told in spite of %s', (_, written, id) => {
    expect(parseFile({ path: 'p.yaml', text: written })).toMatchObject({
      kind: 'read',
      unsound: [{ id }],
      nameless: [],
    })
  })

  it.each([
    ['its name is wrong', text(grant({}, 'a.b'))],
    ['its namespace is wrong', text(grant({}, 'db', '*'))],
    ['its name is missing', text({ ...grant(), metadata: { namespace: 'payments' } })],
    ['its metadata are missing', text({ ...transitKey(), metadata: undefined })],
    ['its kind is unknown', text({ ...grant(), kind: 'secretGrant' })],
    [
      'its kind is there twice',
      `${HEAD}kind: TransitKey\nkind: SecretGrant\nmetadata: {name: a}\nspec: {namespaces: []}`,
    ],
    [
      'its metadata are there twice',
      `${HEAD}kind: TransitKey\nmetadata: {name: a}\nmetadata: {name: b}\nspec: {namespaces: []}`,
    ],
    ['its name is there twice', `${HEAD}kind: TransitKey\nmetadata: {name: a, name: b}\nspec: {namespaces: []}`],
    ['its metadata have an anchor', `${HEAD}kind: TransitKey\nmetadata: &m {name: a}\nspec: {namespaces: []}`],
    [
      'it is YAML 1.1, where "no" is another thing',
      `%YAML 1.1\n---\n${HEAD}kind: TransitKey\nmetadata: {name: a}\nspec: {namespaces: []}`,
    ],
    ['it is a list', '[]'],
  ])('cannot be told when %s', (_, written) => {
    expect(parseFile({ path: 'p.yaml', text: written })).toMatchObject({
      kind: 'read',
      documents: [],
      unsound: [],
      nameless: { length: 1 },
    })
  })

  it('is told of documents in a broken file too, though none of them is taken', () => {
    const written = text(grant(), transitKey({ mount: '/x' }), grant({}, 'db', 'bi'))
    expect(parseFile({ path: 'p.yaml', text: `${written}---\na: [\n` })).toMatchObject({
      kind: 'broken',
      named: [{ id: 'SecretGrant payments/db' }, { id: 'TransitKey payments' }, { id: 'SecretGrant bi/db' }],
    })
  })
})

describe('any input', () => {
  it('never throws, whatever a file holds', () => {
    const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array).toString('utf8'))
    fc.assert(
      fc.property(bytes, (text) => void parsePolicy([{ path: 'p.yaml', text }])),
      { seed: 20261122, numRuns: 500 },
    )
  })

  it('never throws and never takes, when any one value of a good policy becomes something else', () => {
    const good = [
      transitKey({ rotation: { admins: [{ namespace: 'a', serviceAccount: 'b' }] } }),
      grant({ readers: [reader({ namespace: 'x' })] }),
    ]
    const places = leaves(good)
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.jsonValue({ maxDepth: 3 }), (place, value) => {
        const { policy, problems } = parsePolicy([{ path: 'p.yaml', text: text(...replaced(good, place, value)) }])
        const taken = policy.grants.size + policy.transitKeys.size
        expect(taken === good.length || problems.length > 0).toBe(true)
        for (const { line, column } of problems) expect(line > 0 && column > 0).toBe(true)
      }),
      { seed: 20261122, numRuns: 300 },
    )
  })
})

type Place = readonly (string | number)[]

function leaves(value: unknown, path: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]))].filter(
    (each) => each.length > 0,
  )
}

function replaced(documents: unknown[], place: Place, value: unknown): unknown[] {
  const copy: unknown[] = structuredClone(documents)
  const parent = place.slice(0, -1).reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], copy)
  Object.assign(parent as object, { [place.at(-1) ?? 0]: value })
  return copy
}
