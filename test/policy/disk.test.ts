import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { disk, errorCode } from '../../src/policy/disk.ts'

const directory = mkdtempSync(join(tmpdir(), 'keyhole-disk-'))
const path = (name: string) => join(directory, name)
mkdirSync(path('..1'))
mkdirSync(path('many'))
for (const name of ['a', 'b', 'c']) writeFileSync(path(`many/${name}`), name)
writeFileSync(path('file'), '0123456789')
writeFileSync(path('empty'), '')
symlinkSync('..1', path('..data'))
symlinkSync('nowhere', path('dangling'))
symlinkSync('file', path('linked'))
execFileSync('mkfifo', [path('pipe')])
afterAll(() => rmSync(directory, { recursive: true }))

describe('a link', () => {
  it('has a target as it is written', async () => {
    expect(await disk.link(path('..data'))).toBe('..1')
    expect(await disk.link(path('dangling'))).toBe('nowhere')
  })

  it('is none where there is something else, or nothing', async () => {
    expect(await disk.link(path('file'))).toBeUndefined()
    expect(await disk.link(path('..1'))).toBeUndefined()
    expect(await disk.link(path('absent'))).toBeUndefined()
  })

  it('cannot be told below a file', async () => {
    await expect(disk.link(path('file/..data'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})

describe('a directory', () => {
  it('is listed up to one more than the bound', async () => {
    expect([...(await disk.list(path('many'), 3))].sort()).toEqual(['a', 'b', 'c'])
    expect(await disk.list(path('many'), 1)).toHaveLength(2)
  })

  it('must be one', async () => {
    await expect(disk.list(path('file'), 1)).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(disk.list(path('absent'), 1)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('a look', () => {
  it('tells files from directories from others, through links', async () => {
    expect(await disk.look(path('file'))).toMatchObject({ kind: 'file' })
    expect(await disk.look(path('linked'))).toEqual(await disk.look(path('file')))
    expect(await disk.look(path('..data'))).toMatchObject({ kind: 'directory' })
    expect(await disk.look(path('pipe'))).toMatchObject({ kind: 'other' })
    await expect(disk.look(path('dangling'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('has another stamp once the content is another', async () => {
    writeFileSync(path('changing'), 'a')
    const before = await disk.look(path('changing'))
    writeFileSync(path('changing'), 'bb')
    expect((await disk.look(path('changing'))).stamp).not.toBe(before.stamp)
  })
})

describe('reading', () => {
  it('ends one byte past the bound', async () => {
    expect((await disk.read(path('file'), 10)).toString()).toBe('0123456789')
    expect((await disk.read(path('file'), 100)).toString()).toBe('0123456789')
    expect((await disk.read(path('file'), 4)).toString()).toBe('01234')
    expect((await disk.read(path('empty'), 4)).toString()).toBe('')
  })

  it('does not wait for a pipe that nobody writes to', async () => {
    expect((await disk.read(path('pipe'), 4)).length).toBe(0)
  })

  it('fails for a directory', async () => {
    await expect(disk.read(path('many'), 4)).rejects.toMatchObject({ code: 'EISDIR' })
  })
})

describe('the code of an error', () => {
  it.each([
    [Object.assign(new Error('canary'), { code: 'EIO' }), 'EIO'],
    [new Error('canary'), 'unknown error'],
    [Object.assign(new Error('canary'), { code: 5 }), 'unknown error'],
    [Object.assign(new Error('canary'), { code: 'canary in lower case' }), 'unknown error'],
    ['canary', 'unknown error'],
    [undefined, 'unknown error'],
  ])('of %s is %s', (error, code) => {
    expect(errorCode(error)).toBe(code)
  })
})
