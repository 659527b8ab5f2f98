import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { policyJsonSchema } from '../../src/policy/json-schema.ts'
import { BAD, GOOD } from './cases.ts'

const ajv = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictRequired: false })
addFormats.default(ajv)
const validate = ajv.compile(JSON.parse(policyJsonSchema()))

describe('policy.schema.json', () => {
  it('is what the schemas of the parser generate: run `node src/policy/write-schema.ts policy.schema.json`', () => {
    expect(readFileSync('policy.schema.json', 'utf8')).toBe(policyJsonSchema())
  })

  it.each(GOOD)('accepts %s', (_, document) => {
    validate(document)
    expect(validate.errors).toBeNull()
  })

  it.each(BAD)('refuses %s', (_, document) => {
    // As an editor sees it: what JSON cannot hold is not there.
    expect(validate(JSON.parse(JSON.stringify(document)))).toBe(false)
  })

  it('describes every field, for the editor to show', () => {
    expect(undescribed(JSON.parse(policyJsonSchema()), '')).toEqual([])
  })
})

function undescribed(schema: unknown, path: string): string[] {
  if (Array.isArray(schema)) return schema.flatMap((each, index) => undescribed(each, `${path}/${index}`))
  if (typeof schema !== 'object' || schema === null) return []
  return Object.entries(schema).flatMap(([key, value]) => {
    // Conditions name fields that are described elsewhere.
    if (['if', 'then', 'else'].includes(key)) return []
    if (key !== 'properties') return undescribed(value, `${path}/${key}`)
    return Object.entries(value as Record<string, object>).flatMap(([name, field]) => [
      ...('description' in field || name === 'spec' ? [] : [`${path}/${name}`]),
      ...undescribed(field, `${path}/${name}`),
    ])
  })
}

describe('write-schema', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-schema-'))
  const argv = process.argv
  afterAll(() => {
    process.argv = argv
    rmSync(directory, { recursive: true })
  })

  it('writes the schema to the files it is told, and nowhere else', async () => {
    vi.resetModules()
    process.argv = ['node', 'write-schema.ts', join(directory, 'out.json')]
    await import('../../src/policy/write-schema.ts')
    expect(readFileSync(join(directory, 'out.json'), 'utf8')).toBe(policyJsonSchema())
  })
})
