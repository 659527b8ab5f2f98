import { describe, expect, it } from 'vitest'
import type { PolicyFile } from '../../src/policy/parse.ts'
import { fileParser } from '../../src/policy/parsed-files.ts'
import { grant, text } from './documents.ts'

/** 19,000 tokens, and nothing in them. */
const LARGE = '# one\n'.repeat(9_500)

function large(directory: string, count: number): readonly PolicyFile[] {
  return Array.from({ length: count }, (_, index) => ({ path: `${directory}x${100 + index}`, text: LARGE }))
}

async function refused(files: readonly PolicyFile[]): Promise<readonly string[]> {
  const parsed = await fileParser()(files)
  return parsed.filter(({ kind }) => kind === 'broken').map(({ path }) => path)
}

describe('the tokens that files may have together', () => {
  it('are counted for each subdirectory: to use them up in one is nothing to another', async () => {
    expect(await refused([...large('a/', 7), ...large('b/', 6), ...large('', 8)])).toEqual(['a/x106'])
  })

  it('do not concern files that are not read anyway', async () => {
    expect(await refused([...large('a/', 6), { path: 'a/y', ignored: 'Not read.' }])).toEqual([])
  })

  it('are told, and the file is one that cannot be read', async () => {
    const grants = { path: 'a/y', text: text(grant({}, 'db', 'a')) }
    const last = (await fileParser()([...large('a/', 6), grants])).at(-1)
    expect(last).toMatchObject({ path: 'a/y', kind: 'broken', named: [] })
    expect(last?.problems.map(({ message }) => message)).toEqual([
      'The files before this one hold all that a directory may hold: shorten them.',
    ])
  })
})

describe('a file that was parsed before', () => {
  it('is remembered for as long as it is the same, whether or not there is room for it', async () => {
    const parse = fileParser()
    const files = [...large('a/', 7), { path: 'b/x', text: '' }]
    const first = await parse(files)
    expect(await parse(files)).toHaveLength(8)
    for (const [index, file] of (await parse(files.map((each) => ({ ...each })))).entries()) {
      expect(file).toBe(first[index])
    }
    const fewer = await parse(files.slice(1))
    expect(fewer.map(({ kind }) => kind)).toEqual(Array.from({ length: 7 }, () => 'read'))
    expect(fewer[0]).toBe(first[1])
  })
})
