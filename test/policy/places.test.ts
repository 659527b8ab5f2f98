import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Identity } from '../../src/policy/decide.ts'
import { decide } from '../../src/policy/decide.ts'
import type { PolicyFile } from '../../src/policy/parse.ts'
import { parseFile } from '../../src/policy/parse.ts'
import type { PolicyState } from '../../src/policy/state.ts'
import { NOTHING_IN_FORCE, nextState } from '../../src/policy/state.ts'
import { grant, lines, reader, text, transitKey } from './documents.ts'

type Files = Readonly<Record<string, string | Exclude<PolicyFile, { readonly text: string }>>>

/** What is in force after the directory held each of these in turn. */
function inTurn(...states: readonly Files[]): PolicyState {
  return states.reduce((previous, files) => nextState(previous, Object.entries(files).map(parsed)), NOTHING_IN_FORCE)
}

const known = new Map<string, ReturnType<typeof parseFile>>()
function parsed([path, file]: [string, Files[string]]) {
  if (typeof file !== 'string') return parseFile(file)
  const done = known.get(`${path} ${file}`) ?? parseFile({ path, text: file })
  known.set(`${path} ${file}`, done)
  return done
}

function version(keys: string, namespace = 'payments', name = 'db') {
  return grant({ readers: [reader({ keys: [keys] })] }, name, namespace)
}

function inForce({ policy }: PolicyState): Record<string, unknown> {
  return Object.fromEntries([...policy.grants].map(([id, { readers }]) => [id, readers[0]?.keys.toString()]))
}

function messages({ problems }: PolicyState): readonly string[] {
  return lines(problems.filter(({ level }) => level === 'error'))
}

const NAMELESS = { kind: 'SecretGrant' }
const NOT_YAML = 'a: [\n'

describe('a subdirectory', () => {
  it('holds grants of its own namespace, and the top level those of any', () => {
    const files = { 'payments/a': text(version('1')), 'bi/a': text(version('2', 'bi')), top: text(version('3', 'lab')) }
    const state = inTurn(files)
    expect(inForce(state)).toEqual({ 'payments/db': '1', 'bi/db': '2', 'lab/db': '3' })
    expect(messages(state)).toEqual([])
  })

  it('holds no grant of another namespace: that is told where it is written, with what to do', () => {
    const state = inTurn({ 'bi/a': `\n${text(version('1'), version('2', 'bi'))}` })
    expect(inForce(state)).toEqual({ 'bi/db': '2' })
    expect(messages(state)).toEqual([
      'bi/a:2:1: error: SecretGrant payments/db: bi/ may hold SecretGrants of the namespace "bi" only, so this one is not taken. It belongs into payments/, or into a file at the top of the policy directory, which is the platform\'s.',
    ])
  })

  it("holds no Transit key, which is the platform's", () => {
    const state = inTurn({ 'payments/a': text(transitKey(), version('1')) })
    expect(state.policy.transitKeys.size).toBe(0)
    expect(inForce(state)).toEqual({ 'payments/db': '1' })
    expect(messages(state)).toEqual([
      'payments/a:1:1: error: TransitKey payments: payments/ may hold SecretGrants of the namespace "payments" only, so this TransitKey is not taken. The platform writes TransitKeys, into files at the top of the policy directory.',
    ])
  })

  it('tells one thing of a document that may not lie in it, however broken that is', () => {
    expect(messages(inTurn({ 'bi/a': text({ ...version('1'), x: 1, spec: {} }) }))).toHaveLength(1)
  })

  it.each([
    ['a namespace that begins like its own', 'pay', 'payments'],
    ['a namespace that its own begins like', 'payments-2', 'payments'],
  ])('is not confused with %s', (_, home, namespace) => {
    expect(inForce(inTurn({ [`${home}/a`]: text(version('1', namespace)) }))).toEqual({})
  })
})

describe('whoever may write in one subdirectory', () => {
  const before = { 'payments/a': text(version('1')), top: text(transitKey()) }

  it.each([
    ['a good copy', text(version('9'))],
    ['the same', text(version('1'))],
    ['a broken copy', text({ ...version('9'), x: 1 })],
    ['a copy in a file that is not YAML', `${text(version('9'))}---\n${NOT_YAML}`],
    ['a copy beside what cannot be named', text(version('9'), NAMELESS)],
    ['a Transit key', text(transitKey({ mount: 'evil', namespaces: [] }))],
  ])('holds up no change of another: %s', (_, copy) => {
    const state = inTurn(
      before,
      { ...before, 'lab/a': copy },
      { ...before, 'payments/a': text(version('2')), 'lab/a': copy },
    )
    expect(inForce(state)).toEqual({ 'payments/db': '2' })
    expect(state.policy.transitKeys.get('payments')?.mount).toBe('transit')
    expect(inForce(inTurn(before, { ...before, 'lab/a': copy }, { top: before.top, 'lab/a': copy }))).toEqual({})
    expect(inForce(inTurn({ ...before, 'lab/a': copy }))).toEqual({ 'payments/db': '1' })
  })

  it('holds nothing for later: a copy that turns into what cannot be read is still none', () => {
    const lost = { path: 'lab', unreadable: 'This directory cannot be read (EIO).', tree: true }
    for (const later of [{ 'lab/a': NOT_YAML }, { 'lab/a': text(NAMELESS) }, { lab: lost }]) {
      const state = inTurn({ ...before, 'lab/a': text(version('9')) }, { ...before, ...later, 'payments/a': '' })
      expect(inForce(state)).toEqual({})
    }
  })

  it('may break its own file, which holds up what that file held of its own namespace', () => {
    const held = { ...before, 'lab/a': text(version('1', 'lab')), 'lab/b': text(version('1', 'lab', 'other')) }
    const state = inTurn(held, { 'payments/a': text(version('2')), 'lab/a': text(NAMELESS) })
    expect(inForce(state)).toEqual({ 'payments/db': '2', 'lab/db': '1' })
  })

  it("may make its own namespace's grants ambiguous, the top level's included", () => {
    expect(inForce(inTurn({ top: text(version('1', 'lab')), 'lab/a': text(version('2', 'lab')) }))).toEqual({})
  })

  it('holds up nothing by a document that may be of its own namespace, but whose field is there twice', () => {
    const twice = 'kind: SecretGrant\nmetadata: { name: db, namespace: lab, namespace: payments }\n'
    expect(inForce(inTurn({ ...before, 'lab/a': twice }, { top: before.top, 'lab/a': twice }))).toEqual({})
  })
})

describe('whatever lies in a/', () => {
  const keySpec = fc.record({
    namespaces: fc.constantFrom(['b'], ['a', 'b'], ['a', 'b'], []),
    binding: fc.constantFrom('place', 'none', 'none'),
    allowTransplant: fc.constantFrom(false, false, true),
  })
  const keys = fc.array(fc.tuple(fc.constantFrom('k', 'l', 'm'), keySpec), { maxLength: 1 })
  const someGrant = (namespaces: readonly string[]) =>
    fc.record({
      namespace: fc.constantFrom(...namespaces),
      name: fc.constantFrom('db', 'mail'),
      keys: fc.constantFrom('1', '2'),
      transitKey: fc.constantFrom('k', 'l'),
      secret: fc.constantFrom('s', 't'),
      state: fc.constantFrom('good', 'good', 'good', 'broken', 'nameless'),
    })
  const file = (namespaces: readonly string[]) =>
    fc
      .record({
        keys,
        grants: fc.array(someGrant(namespaces), { maxLength: 3 }),
        state: fc.constantFrom('good', 'good', 'good', 'not YAML', 'lost'),
      })
      .map(({ keys, grants, state }) => (path: string): Files[string] => {
        if (state === 'lost') return { path, unreadable: 'This cannot be read (EIO).', tree: false }
        const whole = text(
          ...keys.map(([name, spec]) => transitKey(spec, name)),
          ...grants.map((each) => {
            if (each.state === 'nameless') return NAMELESS
            const { transitKey, secret } = each
            const spec = {
              transitKey,
              secretRef: { name: secret, key: 'd' },
              readers: [reader({ keys: [each.keys], namespace: 'b' })],
            }
            const document = grant(spec, each.name, each.namespace)
            return each.state === 'good' ? document : { ...document, x: 1 }
          }),
        )
        return state === 'good' ? whole : `${whole}---\n${NOT_YAML}`
      })
  const within = (paths: readonly string[], namespaces: readonly string[]) =>
    fc
      .dictionary(fc.constantFrom(...paths), file(namespaces), { maxKeys: 2 })
      .map((made): Files => Object.fromEntries(Object.entries(made).map(([path, make]) => [path, make(path)])))
  const hostile = fc.oneof(
    { weight: 5, arbitrary: within(['a/x', 'a/y'], ['a', 'b', 'b']) },
    { weight: 1, arbitrary: fc.constant<Files>({ a: { path: 'a', unreadable: 'This cannot be read.', tree: true } }) },
  )
  const platform = fc
    .tuple(keySpec, keySpec)
    .map(([k, l]): Files => ({ keys: text(transitKey(k, 'k'), transitKey(l, 'l')) }))
  const rest = fc
    .tuple(platform, within(['top', 'b/x', 'b/y'], ['a', 'b', 'b']))
    .map(([keys, others]): Files => ({ ...keys, ...others }))
  const me: Identity = { namespace: 'b', serviceAccount: 'api', uid: 'u', pod: { name: 'p', uid: 'q' } }

  function decidedForB({ policy }: PolicyState) {
    return ['db', 'mail'].map((name) => decide(policy, me, { namespace: 'b', name }, undefined, 0))
  }

  it('changes nothing of what is decided for grants of b, now or later', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(fc.array(fc.tuple(rest, hostile, hostile), { minLength: 1, maxLength: 4 }), (states) => {
        const one = inTurn(...states.map(([others, first]) => ({ ...others, ...first })))
        const other = inTurn(...states.map(([others, _, second]) => ({ ...others, ...second })))
        expect(decidedForB(one)).toEqual(decidedForB(other))
        expect(one.policy.transitKeys).toEqual(other.policy.transitKeys)
        for (const decision of decidedForB(one)) seen.add(Object.keys(decision).join())
      }),
      { seed: 20261122, numRuns: 1500 },
    )
    expect([...seen].sort()).toEqual(['condition', 'granted', 'why'])
  })
})
