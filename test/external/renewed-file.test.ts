import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseCa, parseToken, renewedFile, UnreadableFile } from '../../src/external/renewed-file.ts'
import { createAuthority } from '../certificates.ts'
import { virtualClock } from '../virtual-clock.ts'
import { expectNoTraceOf } from './traces.ts'

let directory = ''
let path = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-renewed-'))
  path = join(directory, 'token')
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** As the kubelet writes: a new directory, then the link `..data` swapped onto it. */
function project(version: number, content: string): void {
  mkdirSync(join(directory, `..${version}`))
  writeFileSync(join(directory, `..${version}`, 'token'), content)
  symlinkSync(`..${version}`, join(directory, '..data_tmp'))
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
  if (version === 1) symlinkSync('..data/token', path)
}

function thrownBy(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  return expect.fail('nothing was thrown')
}

describe('renewedFile', () => {
  it('reads what the kubelet renewed, once the last read is five seconds old', async () => {
    project(1, 'first')
    const clock = virtualClock()
    const file = renewedFile({ path, clock, parse: (text) => text })
    project(2, 'second')
    expect(file.current()).toBe('first')
    await clock.advance(4_999)
    expect(file.current()).toBe('first')
    await clock.advance(1)
    expect(file.current()).toBe('second')
  })

  it.each([1, 3_600_000])('reads what was renewed although the clock was set back by %d ms', (backMs) => {
    project(1, 'first')
    const clock = virtualClock()
    const file = renewedFile({ path, clock, parse: (text) => text })
    project(2, 'second')
    clock.set(clock.now() - backMs)
    expect(file.current()).toBe('second')
    project(3, 'third')
    expect(file.current()).toBe('second')
  })

  it('reads again at once when told to', () => {
    project(1, 'first')
    const file = renewedFile({ path, clock: virtualClock(), parse: (text) => text })
    project(2, 'second')
    expect(file.again()).toBe('second')
    expect(file.current()).toBe('second')
  })

  it('does not read at every call that a peer refuses', async () => {
    project(1, 'first')
    const clock = virtualClock()
    const file = renewedFile({ path, clock, parse: (text) => text })
    project(2, 'second')
    expect(file.again()).toBe('second')
    project(3, 'third')
    expect(file.again()).toBe('second')
    await clock.advance(1_000)
    expect(file.again()).toBe('third')
  })

  it('gives the same value while the content is the same', () => {
    project(1, 'first')
    const file = renewedFile({ path, clock: virtualClock(), parse: (text) => ({ text }) })
    const before = file.current()
    project(2, 'first')
    expect(file.again()).toBe(before)
  })

  it.each<[string, () => unknown]>([
    ['is gone', () => rmSync(path)],
    ['is a directory', () => [rmSync(path), mkdirSync(path)]],
    ['is empty', () => writeFileSync(path, '')],
    ['is too large', () => writeFileSync(path, 'x'.repeat(1024 * 1024))],
    ['cannot be parsed', () => writeFileSync(path, 'two words')],
  ])('keeps the last good content while the file %s, and takes the next good one', async (_what, spoil) => {
    writeFileSync(path, 'good')
    const clock = virtualClock()
    const file = renewedFile({ path, clock, parse: parseToken })
    spoil()
    await clock.advance(5_000)
    expect(file.current().reveal()).toBe('good')
    rmSync(path, { recursive: true, force: true })
    writeFileSync(path, 'better')
    expect(file.current().reveal()).toBe('good')
    await clock.advance(5_000)
    expect(file.current().reveal()).toBe('better')
  })

  it.each<[string, RegExp, () => void]>([
    ['is not there', /ENOENT/, () => {}],
    ['is a directory', /EISDIR/, () => mkdirSync(path)],
    ['is empty', /holds no token/, () => writeFileSync(path, '')],
    ['is too large', /larger than 1 MiB/, () => writeFileSync(path, 'canary'.repeat(200_000))],
    ['holds two words', /holds no token/, () => writeFileSync(path, 'canary canary')],
    ['holds bytes', /holds no token/, () => writeFileSync(path, Buffer.from([0xff, 0x00]))],
  ])('does not begin with a file that %s: it says which and why, and quotes nothing of it', (_what, why, make) => {
    make()
    const error = thrownBy(() => renewedFile({ path, clock: virtualClock(), parse: parseToken }))
    expect(error).toBeInstanceOf(UnreadableFile)
    expect((error as Error).message).toMatch(why)
    expect((error as Error).message).toContain(path)
    expectNoTraceOf(['canary'], error)
  })

  it('lets a defect of parse through at a later read as an unreadable file, and not the content', () => {
    writeFileSync(path, 'good')
    let broken = false
    const parse = (text: string) => {
      if (broken) throw 'not even an error'
      return text
    }
    const file = renewedFile({ path, clock: virtualClock(), parse })
    broken = true
    writeFileSync(path, 'next')
    expect(file.again()).toBe('good')
  })
})

describe('parseToken', () => {
  it('drops the line end', () => {
    expect(parseToken('a.b.c\n').reveal()).toBe('a.b.c')
  })

  it.each(['', ' ', '\n', 'a b', 'a\nb', 'a\r\nx-evil: 1', 'a\0', 'ä', 'x'.repeat(16_385)])('refuses %j', (text) => {
    expect(() => parseToken(text)).toThrow('it holds no token')
  })
})

describe('parseCa', () => {
  it('takes one certificate or several', () => {
    const { ca } = createAuthority()
    expect(parseCa(ca)).toBe(ca)
    expect(parseCa(`# two\n${ca}\n${ca}`)).toContain(ca)
  })

  it.each([
    '',
    'nothing',
    '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----',
    '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----',
    '-----BEGIN CERTIFICATE-----\nAAAA',
    '-----BEGIN CERTIFICATE-----\nnot base64 at all!\n-----END CERTIFICATE-----',
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
  ])('refuses %j', (text) => {
    expect(() => parseCa(text)).toThrow('it holds no certificate')
  })
})
