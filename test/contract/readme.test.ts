import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { ROTATE_HELP } from '../../src/cli/rotate-help.ts'
import { SETTINGS } from '../../src/config.ts'
import { CODES } from '../../src/contract.ts'
import { parseFile } from '../../src/policy/parse.ts'
import { transitContext } from '../../src/services/place.ts'
import { VAULT_RULES } from '../../src/testing/sample.ts'
import { VERSION } from '../../src/version.ts'
import { document } from './document.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

/** What stands between fences of this kind. */
function blocks(kind: string): string[] {
  return [...readme.matchAll(new RegExp(`\`\`\`${kind}\\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text ?? '')
}

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
    const policy = blocks('yaml').find((text) => /SecretGrant/.test(text))
    expect(parseFile({ path: 'readme.yaml', text: policy ?? '' }).problems).toEqual([])
    expect(parseFile({ path: 'readme.yaml', text: policy ?? '' }).documents).toHaveLength(2)
  })

  it('shows a TransitKey that may be rotated, as it is taken', () => {
    const spec = blocks('yaml').find((text) => /^ {2}rotation:/m.test(text)) ?? ''
    const text = `apiVersion: keyhole.dev/v1alpha1\nkind: TransitKey\nmetadata: { name: payments }\n${spec}`
    expect(parseFile({ path: 'readme.yaml', text }).problems).toEqual([])
  })

  it('gives each role of Vault what the sample gives it, and no more', () => {
    const policies = blocks('sh').flatMap((text) => [...text.matchAll(/^vault policy write .*?(?:\}'$|^EOF$)/gms)])
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

  it('shows the CronJob that the command line shows', () => {
    const words = (text: string) => text.split('\n').map((line) => line.trim())
    const cronJob = blocks('yaml').find((text) => /schedule:/.test(text)) ?? ''
    expect(words(cronJob).filter((line) => !words(ROTATE_HELP).includes(line))).toEqual([])
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
