import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { SETTINGS } from '../../src/config.ts'
import { CODES } from '../../src/contract.ts'
import { parseFile } from '../../src/policy/parse.ts'
import { transitContext } from '../../src/services/place.ts'
import { VERSION } from '../../src/version.ts'
import { document } from './document.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

const ascending = (a: number, b: number): number => a - b

/** The rows of the table under this header. */
function table(header: string): string[][] {
  const lines = readme.slice(readme.indexOf(`| ${header} |`)).split('\n')
  const end = lines.findIndex((line) => !line.startsWith('|'))
  return lines.slice(2, end).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
}

describe('README.md', () => {
  it('has every code with its status and its advice', () => {
    const rows = Object.entries(CODES).map(([code, { status, advice }]) => [code, String(status), advice])
    expect(table('code | status | what to do')).toEqual(rows)
  })

  it('names exactly the statuses that carry Retry-After', () => {
    const statuses = [
      ...new Set(Object.values(CODES).flatMap((rule) => ('retryAfterSeconds' in rule ? [rule.status] : []))),
    ]
    const sentence = /Errors are RFC 9457 .*?Retry-After/s.exec(readme)?.[0] ?? ''
    expect((sentence.match(/\b[45]\d\d\b/g) ?? []).map(Number).toSorted(ascending)).toEqual(
      statuses.toSorted(ascending),
    )
  })

  it('encrypts in the context that keyhole decrypts in', () => {
    const context = transitContext('my-cluster', { namespace: 'payments', secret: 'payments-db' }, 'secrets.json')
    expect(readme).toContain(`printf %s ${Buffer.from(context, 'base64').toString()} | base64`)
  })

  it('shows policy documents that are taken without a problem', () => {
    const policy = [...readme.matchAll(/```yaml\n(.*?)```/gs)]
      .map(([, text]) => text ?? '')
      .find((text) => /SecretGrant/.test(text))
    expect(parseFile({ path: 'readme.yaml', text: policy ?? '' }).problems).toEqual([])
    expect(parseFile({ path: 'readme.yaml', text: policy ?? '' }).documents).toHaveLength(2)
  })

  it('has every setting with its default and what it is', () => {
    const rows = Object.entries(SETTINGS).map(([name, schema]) => [`\`${name}\``, initial(schema), schema.description])
    expect(table('variable | default | what it is')).toEqual(rows)
  })
})

/** As a person would write it into the environment. */
function initial(schema: z.ZodType): string {
  const { def } = schema as unknown as { def: { type: string; defaultValue?: unknown } }
  if (def.type === 'default' || def.type === 'prefault') return `\`${String(def.defaultValue)}\``
  return schema.safeParse(undefined).success ? '' : 'required'
}

describe('the version', () => {
  it('is the same in package.json, in the code and in openapi.yaml', () => {
    expect([VERSION, document.info.version]).toEqual([packageJson.version, packageJson.version])
  })
})
