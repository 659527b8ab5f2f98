/** What pages say by hand that the code says, too. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatRecord } from '../../src/audit-log/format-record.ts'
import type { Action, EffectName, Outcome } from '../../src/audit-log/record.ts'
import { DIRECTORY_BOUNDS } from '../../src/policy/directory.ts'
import { parseFile } from '../../src/policy/parse.ts'
import { transitContext } from '../../src/services/place.ts'
import { VAULT_RULES } from '../../src/testing/sample.ts'
import { anyRecord, decision, effect, rotation } from '../audit-log/records.ts'
import { document } from '../contract/document.ts'
import { readPage, rowsIn, tableUnder } from './pages.ts'

describe('README.md', () => {
  const page = readPage('README.md')

  it('shows policy documents that are taken without a problem', () => {
    const policy = page.blocks.find(({ text }) => /SecretGrant/.test(text))?.text ?? ''
    const documents = { length: 2 }
    expect(parseFile({ path: 'readme.yaml', text: policy })).toMatchObject({ kind: 'read', problems: [], documents })
  })

  it('is read in five minutes', () => {
    expect(page.text.split(/\s+/).length).toBeLessThan(1_200)
  })
})

describe('a page that encrypts', () => {
  it.each([
    ['README.md', 'payments-db', 'secrets.json'],
    ['docs/tutorial.md', 'payments-db', 'secrets.json'],
    ['docs/how-to/change-a-value.md', 'payments-db', 'secrets.json'],
    ['docs/how-to/migrate-from-plain-secrets.md', 'payments-db', 'secrets.json'],
    ['docs/how-to/migrate-from-the-python-library.md', 'payments-secrets', 'bound.json'],
  ])('%s does so in the context that keyhole decrypts in', (path, secret, dataKey) => {
    const context = transitContext('my-cluster', { namespace: 'payments', secret }, dataKey)
    expect(readPage(path).text).toContain(`printf %s ${Buffer.from(context, 'base64').toString()} | base64`)
  })
})

describe('docs/reference/rights.md', () => {
  it('gives each role of Vault what the sample gives it, and no more', () => {
    const blocks = readPage('docs/reference/rights.md').blocks.filter(({ kind }) => kind === 'sh')
    const policies = blocks.flatMap(({ text }) => [...text.matchAll(/^vault policy write .*?(?:\}'$|^END$)/gms)])
    const shown = policies.map(([text]) =>
      [...text.matchAll(/path "([^"]+)"\s*\{(.*?)\}(?=\n|')/gs)].map(([, path, rule = '']) => ({
        path,
        capabilities: [...(/capabilities\s*= \[(.*?)\]/.exec(rule)?.[1] ?? '').matchAll(/\w+/g)].map(([word]) => word),
        ...(/allowed_parameters/.test(rule) && {
          allowedParameters: { [/allowed_parameters = \{ "(\w+)" = \[\] $/.exec(rule)?.[1] ?? rule]: [] },
        }),
      })),
    )
    expect(shown).toEqual([VAULT_RULES.read, VAULT_RULES.rotate])
  })
})

describe('docs/reference/errors.md', () => {
  it('says why an old version was not retired, for every reason there is', () => {
    const rows = tableUnder(readPage('docs/reference/errors.md'), 'Why an old version was not retired')
    const whys = rows.map(([why = '']) => why.replaceAll('`', ''))
    expect(whys.toSorted()).toEqual(document.components.schemas.RetirementWhy.enum.toSorted())
  })
})

describe('docs/reference/policy.md', () => {
  it('says how much is read', () => {
    const { top, subdirectory, maxFileBytes } = DIRECTORY_BOUNDS
    const mib = (bytes: number) => `${bytes / 1024 / 1024} MiB`
    expect(readPage('docs/reference/policy.md').text.replaceAll(/\s+/g, ' ')).toContain(
      `A file may have ${mib(maxFileBytes)}, 20,000 tokens and 1,000 documents; ` +
        `the top of the directory ${top.maxFiles.toLocaleString('en')} files and ${mib(top.maxBytes)}; ` +
        `each subdirectory ${subdirectory.maxFiles} files and ${mib(subdirectory.maxBytes)}.`,
    )
  })
})

describe('docs/reference/audit-log.md', () => {
  const page = readPage('docs/reference/audit-log.md')
  const names = (rows: readonly (readonly string[])[]) => rows.map(([cell = '']) => cell.replaceAll('`', '')).toSorted()

  it('has every field of every kind of record', () => {
    const written = writtenFields()
    expect([...written.keys()].toSorted()).toEqual(
      ['decision', 'effect', 'policy', 'refusals', 'rotation', 'start', 'stop', 'throttled'].toSorted(),
    )
    for (const [kind, fields] of written) expect([kind, names(tableUnder(page, kind))]).toEqual([kind, fields])
  })

  it('has every outcome, action and effect', () => {
    // The compiler holds these lists to the types: see below.
    expect(names(rowsIn(page.text, '| outcome | what happened |'))).toEqual(Object.keys(OUTCOMES).toSorted())
    expect(names(rowsIn(page.text, '| action | what was asked |'))).toEqual(Object.keys(ACTIONS).toSorted())
    expect(names(rowsIn(page.text, '| effect | what changes |'))).toEqual(Object.keys(EFFECTS).toSorted())
  })
})

const OUTCOMES: Record<Outcome, true> = {
  disclosed: true,
  unchanged: true,
  listed: true,
  started: true,
  joined: true,
  refused: true,
  abandoned: true,
}
const ACTIONS: Record<Action, true> = {
  read: true,
  list: true,
  rotate: true,
  survey: true,
}
const EFFECTS: Record<EffectName, true> = {
  advance: true,
  move: true,
  retire: true,
  restore: true,
}

/** By kind, the fields that a record of it may have, but for those that all have and what stands for a cut list. */
function writtenFields(): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, Set<string>>()
  // Names that are not well-formed are not written, and arbitrary ones never are.
  const records = [decision(), effect(), rotation(), ...fc.sample(anyRecord('x'), { numRuns: 1_000, seed: 1 })]
  for (const record of records) {
    const line = formatRecord(record, { instance: 'a', seq: 0, prev: '0' })
    const { time, kind, chain, ...rest } = JSON.parse(line) as Readonly<Record<string, unknown>>
    expect([time, kind, chain]).not.toContain(undefined)
    const known = fields.get(String(kind)) ?? new Set()
    for (const name of Object.keys(rest)) if (!/(?:Omitted|Sha256)$/.test(name)) known.add(name)
    fields.set(String(kind), known)
  }
  return new Map([...fields].map(([kind, known]) => [kind, [...known].toSorted()]))
}
