import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import type { PolicyChange, PolicyOptions } from '../../src/policy/current.ts'
import { openPolicy, PolicyDirectoryError, requirePolicyDirectory } from '../../src/policy/current.ts'
import { DIRECTORY_BOUNDS } from '../../src/policy/directory.ts'
import type { PolicyProblem } from '../../src/policy/problems.ts'
import { virtualClock } from '../virtual-clock.ts'
import { grant, lines, reader, text, transitKey } from './documents.ts'
import { memoryDisk, mount } from './memory-disk.ts'

const KEY = text(transitKey())

function version(keys: string, name = 'db') {
  return grant({ readers: [reader({ keys: [keys] })] }, name)
}

/** A policy opened on a disk in memory, at a time that the test owns, with what it reports. */
async function opened(content: Readonly<Record<string, string>>, options: Partial<PolicyOptions> = {}) {
  const disk = memoryDisk({ '/policy/.keep': '' })
  for (const [path, file] of Object.entries(content)) disk.files.set(`/policy/${path}`, file)
  const clock = virtualClock()
  const changes: PolicyChange[] = []
  const reports: (readonly PolicyProblem[])[] = []
  const waiting: (() => void)[] = []
  const source = await openPolicy({
    directory: '/policy',
    clock,
    watch: false,
    disk,
    changed: (change) => {
      changes.push(change)
      waiting.shift()?.()
    },
    reported: (problems) => reports.push(problems),
    ...options,
  })
  onTestFinished(() => source.close())
  return {
    ...source,
    disk,
    clock,
    changes,
    reports,
    nextChange: () => new Promise<void>((resolve) => waiting.push(resolve)),
    version: (id = 'payments/db') => source.current().grants.get(id)?.readers[0]?.keys.toString(),
    write: (path: string, ...documents: readonly unknown[]) => disk.files.set(`/policy/${path}`, text(...documents)),
  }
}

describe('at the start', () => {
  it('the policy is what the directory holds', async () => {
    const {
      current,
      problems,
      changes,
      reports,
      version: inForce,
    } = await opened({ 'key.yaml': KEY, 'db.yaml': text(version('1')) })
    expect(inForce()).toBe('1')
    expect(current().hash).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(problems()).toEqual([])
    expect(changes).toEqual([])
    expect(reports).toEqual([])
  })

  it('there is no policy without a directory, and the error says what to do', async () => {
    const opening = opened({}, { directory: '/absent' })
    await expect(opening).rejects.toThrow(PolicyDirectoryError)
    await expect(opening).rejects.toThrow('The policy directory /absent does not exist. Mount the ConfigMap')
  })

  it('a directory can be asked for beforehand, with the same error', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-policy-'))
    await expect(requirePolicyDirectory(directory)).resolves.toBeUndefined()
    rmSync(directory, { recursive: true })
    const absent = requirePolicyDirectory(directory)
    await expect(absent).rejects.toThrow(PolicyDirectoryError)
    await expect(absent).rejects.toThrow(`The policy directory ${directory} does not exist. Mount the ConfigMap`)
  })

  it('an empty directory is a policy that grants nothing, and says so', async () => {
    const { current, reports } = await opened({})
    expect(current().grants.size).toBe(0)
    expect(reports.map(lines)).toEqual([['.:1:1: warning: No document is in force: nobody may read anything.']])
  })

  it('a broken document is denied alone, and reported', async () => {
    const { current, reports } = await opened({
      'a.yaml': text(transitKey(), version('1'), { ...version('1', 'mail'), x: 1 }),
    })
    expect([...current().grants.keys()]).toEqual(['payments/db'])
    expect(reports).toHaveLength(1)
  })

  it('a directory without the right file system is read all the same', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-policy-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    writeFileSync(join(directory, 'a.yaml'), KEY)
    const source = await openPolicy({ directory, clock: virtualClock(), watch: false, changed: () => {} })
    expect(source.current().transitKeys.size).toBe(1)
    source.close()
  })
})

describe('a change', () => {
  it('is in force within 10 s, and told with what was added, changed and removed', async () => {
    const { clock, current, changes, nextChange, write } = await opened({
      'a.yaml': text(transitKey(), version('1', 'same'), version('1', 'edited'), version('1', 'gone')),
    })
    const from = current().hash
    write('a.yaml', transitKey(), version('1', 'same'), version('2', 'edited'), version('1', 'new'))
    await clock.advance(9_999)
    expect(current().hash).toBe(from)
    const change = nextChange()
    await clock.advance(1)
    await change
    expect(changes).toEqual([
      {
        from,
        to: current().hash,
        added: ['SecretGrant payments/new'],
        changed: ['SecretGrant payments/edited'],
        removed: ['SecretGrant payments/gone'],
        problems: [],
      },
    ])
    expect(current().hash).not.toBe(from)
  })

  it('is in force before it is told', async () => {
    let seen = ''
    const policy = await opened({ 'a.yaml': KEY }, { changed: () => (seen = policy.current().hash) })
    policy.write('a.yaml', transitKey({ exclusive: true }))
    await policy.recheck()
    expect(seen).toBe(policy.current().hash)
  })

  it('of layout or comments is none', async () => {
    const { disk, recheck, changes, reports } = await opened({ 'a.yaml': KEY })
    disk.files.set('/policy/a.yaml', `# about this key\n${KEY}`)
    await recheck()
    disk.files.delete('/policy/a.yaml')
    disk.files.set('/policy/b.json', KEY)
    await recheck()
    expect(changes).toEqual([])
    expect(reports).toEqual([])
  })

  it('that only breaks something is no change, but reported; as is that it was mended', async () => {
    const {
      recheck,
      changes,
      reports,
      problems,
      write,
      version: inForce,
    } = await opened({ 'a.yaml': text(transitKey(), version('1')) })
    write('a.yaml', transitKey(), { ...version('2'), extra: 1 })
    await recheck()
    expect(inForce()).toBe('1')
    expect(changes).toEqual([])
    expect(reports.map((each) => each.length)).toEqual([2])
    expect(problems()).toBe(reports[0])
    write('a.yaml', transitKey(), version('2'))
    await recheck()
    expect(inForce()).toBe('2')
    expect(changes).toHaveLength(1)
    expect(reports.map((each) => each.length)).toEqual([2, 0])
  })

  it('is told without anybody to report problems to', async () => {
    const disk = memoryDisk({ '/policy/a.yaml': '' })
    const changes: PolicyChange[] = []
    const source = await openPolicy({
      directory: '/policy',
      clock: virtualClock(),
      watch: false,
      disk,
      changed: (change) => changes.push(change),
    })
    disk.files.set('/policy/a.yaml', KEY)
    await source.recheck()
    expect(changes.map(({ added }) => added)).toEqual([['TransitKey payments']])
    source.close()
  })

  it('is looked for as often as it is told', async () => {
    const { clock, nextChange, write } = await opened({ 'a.yaml': KEY }, { recheckMs: 500 })
    write('a.yaml', transitKey({ exclusive: true }))
    const change = nextChange()
    await clock.advance(500)
    await change
  })
})

describe('a directory that is gone after the start', () => {
  it('leaves the last good versions in force, and is a problem', async () => {
    const {
      disk,
      recheck,
      changes,
      problems,
      version: inForce,
    } = await opened({ 'a.yaml': text(transitKey(), version('1')) })
    disk.failures.set('/policy', 'ENOENT')
    await recheck()
    expect(inForce()).toBe('1')
    expect(changes).toEqual([])
    expect(lines(problems())).toEqual([
      expect.stringMatching(/^\.:1:1: error: The policy directory \/policy does not exist\./),
      'a.yaml:1:1: error: Nothing of this file is taken. What it held before stays in force, even if it was to be removed: SecretGrant payments/db, TransitKey payments.',
    ])
  })

  it('takes effect as it is when it comes back', async () => {
    const {
      disk,
      recheck,
      problems,
      write,
      version: inForce,
    } = await opened({ 'a.yaml': text(transitKey(), version('1'), version('1', 'mail')) })
    disk.failures.set('/policy', 'EIO')
    await recheck()
    disk.failures.clear()
    write('a.yaml', transitKey(), version('2'))
    await recheck()
    expect([inForce(), inForce('payments/mail')]).toEqual(['2', undefined])
    expect(problems()).toEqual([])
  })

  it('is noticed when what fails is no file system at all', async () => {
    const { disk, recheck, problems, version: inForce } = await opened({ 'a.yaml': text(transitKey(), version('1')) })
    disk.list = () => Promise.reject('canary')
    await recheck()
    expect(inForce()).toBe('1')
    expect(lines(problems())[0]).toContain('cannot be read (unknown error)')
  })
})

describe('a mounted ConfigMap', () => {
  it('that is swapped half-way through a reading is in force whole', async () => {
    const { disk, recheck, changes, version: inForce } = await opened({}, {})
    disk.files.delete('/policy/.keep')
    mount(disk, '/policy', '1', { 'key.yaml': KEY, 'a.yaml': text(version('1')), 'b.yaml': text(version('1', 'mail')) })
    await recheck()
    disk.beforeRead = (path) => {
      if (path.endsWith('..1/b.yaml'))
        mount(disk, '/policy', '2', {
          'key.yaml': KEY,
          'a.yaml': text(version('2')),
          'b.yaml': text(version('2', 'mail')),
        })
    }
    await recheck()
    expect([inForce(), inForce('payments/mail')]).toEqual(['2', '2'])
    expect(changes.map(({ changed }) => changed)).toEqual([
      [],
      ['SecretGrant payments/db', 'SecretGrant payments/mail'],
    ])
  })
})

describe('looking again', () => {
  it('parses nothing that has not changed', async () => {
    const { recheck, write, changes, disk } = await opened({ 'a.yaml': KEY, 'b.yaml': text(version('1')) })
    write('b.yaml', version('2'))
    const before = disk.reads.length
    await recheck()
    expect(disk.reads.length - before).toBe(2)
    expect(changes[0]?.changed).toEqual(['SecretGrant payments/db'])
  })

  it('notices a file that goes and one that cannot be read for another reason', async () => {
    const { recheck, disk, reports } = await opened({ 'a.yaml': KEY, 'b.yaml': '' })
    disk.files.delete('/policy/b.yaml')
    await recheck()
    expect(reports).toHaveLength(0)
    for (const code of ['EIO', 'EIO', 'EACCES']) {
      disk.failures.set('/policy/a.yaml (read)', code)
      await recheck()
    }
    expect(reports).toHaveLength(2)
  })

  it('while it looks means once more after that, for who asked in between', async () => {
    const policy = await opened({ 'a.yaml': KEY, 'b.yaml': text(version('1')) })
    const { disk, recheck, write, version: inForce } = policy
    const { look, read } = disk
    // Stamps that never change, or the pass itself would notice and begin again.
    disk.look = async (path) => ({ ...(await look(path)), stamp: '' })
    let inBetween: Promise<void> | undefined
    disk.read = async (path, max) => {
      const bytes = await read(path, max)
      if (inBetween === undefined && path.endsWith('b.yaml')) {
        write('b.yaml', version('2'))
        inBetween = recheck()
      }
      return bytes
    }
    const before = disk.reads.length
    await recheck()
    await inBetween
    expect(inForce()).toBe('2')
    expect(disk.reads.length - before).toBe(4)
  })

  it('at what has not changed leaves everything as it was', async () => {
    const { recheck, current, problems } = await opened({ 'a.yaml': text(transitKey(), { x: 1 }) })
    const before = [current(), problems()]
    await recheck()
    expect(current()).toBe(before[0])
    expect(problems()).toBe(before[1])
  })

  it('costs a policy that is closed meanwhile nothing: it tells of no change', async () => {
    const {
      recheck,
      close,
      changes,
      write,
      version: inForce,
      clock,
    } = await opened({ 'a.yaml': KEY, 'b.yaml': text(version('1')) })
    write('b.yaml', version('2'))
    const looking = recheck()
    void recheck()
    close()
    await looking
    expect(inForce()).toBe('1')
    expect(changes).toEqual([])
    expect(clock.timers()).toBe(0)
  })

  it('keeps to the bounds it is given', async () => {
    const { problems } = await opened({ 'a.yaml': KEY }, { bounds: { ...DIRECTORY_BOUNDS, maxFileBytes: 10 } })
    expect(lines(problems())[1]).toContain('This file is too large')
  })
})

describe('hints of the file system', () => {
  /** A directory on the real disk, and a clock that tells when something asked it to wait for files to settle. */
  async function watched() {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-policy-'))
    mkdirSync(join(directory, '..1'))
    writeFileSync(join(directory, '..1', 'a.yaml'), text(transitKey(), version('1')))
    symlinkSync('..1', join(directory, '..data'))
    const clock = virtualClock()
    let hinted: () => void = () => {}
    let changed: () => void = () => {}
    const telling: Clock = {
      now: clock.now,
      after(ms, act) {
        if (ms === 100) hinted()
        return clock.after(ms, act)
      },
    }
    const source = await openPolicy({ directory, clock: telling, watch: true, changed: () => changed() })
    onTestFinished(() => {
      source.close()
      rmSync(directory, { recursive: true })
    })
    return {
      ...source,
      clock,
      swap(document: unknown) {
        mkdirSync(join(directory, '..2'))
        writeFileSync(join(directory, '..2', 'a.yaml'), text(transitKey(), document))
        symlinkSync('..2', join(directory, '..data_tmp'))
        renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
      },
      hint: () => new Promise<void>((resolve) => (hinted = resolve)),
      change: () => new Promise<void>((resolve) => (changed = resolve)),
      inForce: () => source.current().grants.get('payments/db')?.readers[0]?.keys.toString(),
    }
  }

  it('bring a change in force once files have settled, long before the clock would', async () => {
    const { clock, swap, hint, change, inForce } = await watched()
    const hinted = hint()
    swap(version('2'))
    await hinted
    expect(inForce()).toBe('1')
    const changed = change()
    await clock.advance(100)
    await changed
    expect(inForce()).toBe('2')
  })

  it('come in bursts, and are waited for once', async () => {
    const { clock, swap, hint } = await watched()
    const hinted = hint()
    swap(version('2'))
    await hinted
    await new Promise((resolve) => setImmediate(resolve))
    expect(clock.timers()).toBe(2)
  })

  it('that are still waited for at the end come to nothing', async () => {
    const { clock, swap, hint, close } = await watched()
    const hinted = hint()
    swap(version('2'))
    await hinted
    close()
    expect(clock.timers()).toBe(0)
  })
})
