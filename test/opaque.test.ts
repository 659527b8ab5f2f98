import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { Opaque, token, wipe, wipeable } from '../src/opaque.ts'

const CONTENT = 'eyJhbGciOiJSUzI1NiJ9.canary'

describe('an opaque value', () => {
  const opaque = token(CONTENT)

  test('gives its content to reveal', () => {
    expect(opaque.reveal()).toBe(CONTENT)
  })

  test.each<readonly [printer: string, print: (value: Opaque) => string]>([
    ['String', (value) => String(value)],
    ['a template', (value) => `${value}`],
    ['concatenation', (value) => `${''}${value}`],
    ['JSON', (value) => JSON.stringify({ value })],
    ['util.inspect', (value) => inspect({ value }, { depth: 9, showHidden: true, getters: true })],
    ['util.inspect of a copy', (value) => inspect({ ...value })],
    ['its entries', (value) => JSON.stringify([Object.entries(value), Object.getOwnPropertyNames(value)])],
    ['the message of an error', (value) => new Error(String(value)).stack ?? ''],
    ['the cause of an error', (value) => inspect(new Error('failed', { cause: value }), { showHidden: true })],
    ['a structured clone', (value) => inspect(structuredClone(value), { showHidden: true })],
  ])('hides it from %s', (_printer, print) => {
    expect(print(opaque)).not.toContain('canary')
  })

  test('prints its label instead', () => {
    const jwt = new Opaque(CONTENT, 'vault jwt')
    expect([`${jwt}`, JSON.stringify(jwt), inspect(jwt)]).toEqual(['[vault jwt]', '"[vault jwt]"', '[vault jwt]'])
  })

  test('differs from another only by identity, so that no assertion prints the difference', () => {
    expect(token('one')).not.toBe(token('one'))
  })
})

describe('memory for plaintext', () => {
  test.each([0, 1, 64, 65, 4_096])('of %i bytes is shared with nobody', (length) => {
    const one = wipeable(length)
    const other = wipeable(length)
    expect([one.length, other.length]).toEqual([length, length])
    expect(one.buffer).not.toBe(other.buffer)
    expect(one.buffer).not.toBe(Buffer.allocUnsafe(1).buffer)
  })

  test.each([0, 1, 64])('is out of the heap even for %i bytes, where moving it would leave a copy', (length) => {
    expect(wipeable(length).buffer.byteLength).toBeGreaterThan(64)
  })

  test('is all zeros once wiped, and nothing else is', () => {
    const [one, other, spared] = [Buffer.from('one'), Buffer.from('other'), Buffer.from('spared')]
    wipe(one, undefined, other)
    expect([one.toString('hex'), other.toString('hex'), spared.toString()]).toEqual(['000000', '0000000000', 'spared'])
  })
})
