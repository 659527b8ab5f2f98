import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { publish } from '../../src/testing/mounted-volume.ts'

describe('a directory as the kubelet mounts it', () => {
  let directory: string
  const read = (name: string) => readFileSync(join(directory, name), 'utf8')
  const visible = () => readdirSync(directory).filter((name) => !name.startsWith('..'))

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keyhole-mounted-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  test('holds what was published, through links', async () => {
    await publish(directory, { a: 'one', b: 'two' })
    expect([visible().sort((x, y) => x.localeCompare(y)), read('a'), read('b')]).toEqual([['a', 'b'], 'one', 'two'])
    expect(readlinkSync(join(directory, 'a'))).toBe('..data/a')
  })

  test('is swapped whole: what is gone is gone, and what was there before is not kept', async () => {
    await publish(directory, { a: 'one', b: 'two' })
    const before = readlinkSync(join(directory, '..data'))
    await publish(directory, { b: 'three', c: 'four' })
    expect([visible().sort((x, y) => x.localeCompare(y)), read('b'), read('c')]).toEqual([['b', 'c'], 'three', 'four'])
    expect(readdirSync(directory)).not.toContain(before)
  })

  test('never shows a file of one publication beside one of another to who holds on to ..data', async () => {
    await publish(directory, { cert: '1', key: '1' })
    let over = false
    const publishing = (async () => {
      for (let at = 2; at < 40; at += 1) await publish(directory, { cert: String(at), key: String(at) })
      over = true
    })()
    while (!over) {
      const content = join(directory, readlinkSync(join(directory, '..data')))
      try {
        expect(readFileSync(join(content, 'cert'), 'utf8')).toBe(readFileSync(join(content, 'key'), 'utf8'))
      } catch (error) {
        // Removed meanwhile, as the kubelet does: then it is read again.
        expect(error).toMatchObject({ code: 'ENOENT' })
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    await publishing
  })
})
