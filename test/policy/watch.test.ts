import { EventEmitter } from 'node:events'
import type { FSWatcher } from 'node:fs'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Hints } from '../../src/policy/watch.ts'
import { directoryHints } from '../../src/policy/watch.ts'

describe('what watches directories', () => {
  let directory: string
  let hints: Hints
  let hinted: () => void

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keyhole-hints-'))
    hinted = () => {}
    hints = directoryHints(() => hinted())
  })
  afterEach(() => {
    hints.close()
    rmSync(directory, { recursive: true, force: true })
  })

  /** Resolves with the next hint. */
  const hint = () => new Promise<void>((resolve) => (hinted = resolve))

  it('come when ..data is swapped', async () => {
    hints.follow([directory])
    const next = hint()
    symlinkSync('..1', join(directory, '..data_tmp'))
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
    await next
  })

  it('come from a subdirectory that is followed later', async () => {
    mkdirSync(join(directory, 'team'))
    hints.follow([directory])
    hints.follow([directory, join(directory, 'team')])
    const next = hint()
    writeFileSync(join(directory, 'team', 'a.yaml'), 'a')
    await next
  })

  it('do not come from what is followed no more, nor after the end', () => {
    const watched: string[] = []
    const closed: string[] = []
    const watching = directoryHints(
      () => {},
      (path) => {
        watched.push(path)
        return Object.assign(new EventEmitter(), { close: () => void closed.push(path) }) as unknown as FSWatcher
      },
    )
    watching.follow(['/a', '/b'])
    watching.follow(['/b', '/c'])
    expect([watched, closed]).toEqual([['/a', '/b', '/c'], ['/a']])
    watching.close()
    expect(closed).toEqual(['/a', '/b', '/c'])
  })

  it('are not to be had of what is not there, and that is no error', () => {
    expect(() => hints.follow([join(directory, 'absent')])).not.toThrow()
  })

  it('end with an error of the watcher, and begin again when followed again', () => {
    const opened: EventEmitter[] = []
    const closed: EventEmitter[] = []
    const failing = directoryHints(
      () => {},
      () => {
        const watcher = new EventEmitter()
        opened.push(watcher)
        return Object.assign(watcher, { close: () => void closed.push(watcher) }) as unknown as FSWatcher
      },
    )
    failing.follow([directory])
    failing.follow([directory])
    expect(opened).toHaveLength(1)
    opened[0]?.emit('error', new Error('canary'))
    expect(closed).toEqual([opened[0]])
    failing.follow([directory])
    expect(opened).toHaveLength(2)
    failing.close()
    expect(closed).toEqual(opened)
  })
})
