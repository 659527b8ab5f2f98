import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import {
  appendFile,
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openChain, sha256 } from '../../src/audit-log/chain.ts'
import type { Files } from '../../src/audit-log/sink.ts'
import { fileSink, SinkError, stdoutSink } from '../../src/audit-log/sink.ts'
import { verify } from '../../src/audit-log/verify.ts'
import { decision, start } from './records.ts'

let directory = ''
let path = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keyhole-audit-'))
  path = join(directory, 'audit.log')
})
afterEach(() => rm(directory, { recursive: true }))

function line(text: string): Buffer {
  return Buffer.from(`${text}\n`)
}

async function code(act: Promise<unknown>): Promise<string> {
  const thrown: unknown = await act.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof SinkError)) throw new Error('no SinkError', { cause: thrown })
  expect(thrown.cause).toBeUndefined()
  return thrown.code
}

/** Real files, with what a test changes of their handles, and a list of what was called on the log's own. */
function faulty(faults: Partial<FileHandle>): { files: Files; calls: string[] } {
  const calls: string[] = []
  const files: Files = {
    lstat,
    async open(name, flags, mode) {
      const handle = await open(name, flags, mode)
      if (name !== path) return handle
      return new Proxy(handle, {
        get(target, property) {
          const real: unknown = Reflect.get(target, property)
          const chosen: unknown = Reflect.get(faults, property) ?? real
          if (typeof chosen !== 'function') return chosen
          return (...args: unknown[]) => {
            calls.push(String(property))
            return Reflect.apply(chosen, target, args)
          }
        },
      })
    },
  }
  return { files, calls }
}

function failing(errno: string): () => Promise<never> {
  return () => Promise.reject(Object.assign(new Error(`${errno}: secret-text`), { code: errno }))
}

describe('the file sink', () => {
  it('makes the file for its owner only, appends, and syncs every write before it resolves', async () => {
    const { files, calls } = faulty({})
    const sink = fileSink(path, files)
    expect(await sink.begin()).toEqual({ previous: undefined, torn: undefined })
    calls.length = 0
    await sink.write(line('one'))
    expect(calls).toEqual(['write', 'datasync'])
    await sink.write(line('two'))
    await sink.end()
    expect(await readFile(path, 'utf8')).toBe('one\ntwo\n')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('syncs the directory, or a crash could lose the name of a new file', async () => {
    const synced: string[] = []
    const files: Files = {
      lstat,
      async open(name, flags, mode) {
        const handle = await open(name, flags, mode)
        if (name !== directory) return handle
        return new Proxy(handle, {
          get: (target, property) => {
            if (property === 'sync') synced.push(name)
            const real: unknown = Reflect.get(target, property)
            return typeof real === 'function' ? real.bind(target) : real
          },
        })
      },
    }
    await fileSink(path, files).begin()
    expect(synced).toEqual([directory])
  })

  it('keeps what is there, and the mode that an operator gave it', async () => {
    await writeFile(path, 'before\n')
    await chmod(path, 0o640)
    const sink = fileSink(path)
    await sink.begin()
    await sink.write(line('after'))
    await sink.end()
    expect(await readFile(path, 'utf8')).toBe('before\nafter\n')
    expect((await stat(path)).mode & 0o777).toBe(0o640)
  })

  it('writes behind whoever else appends', async () => {
    const sink = fileSink(path)
    await sink.begin()
    await sink.write(line('ours'))
    await appendFile(path, 'theirs\n')
    await sink.write(line('ours again'))
    await sink.end()
    expect(await readFile(path, 'utf8')).toBe('ours\ntheirs\nours again\n')
  })

  it.each([
    ['a write that fails', { write: failing('ENOSPC') as never }, 'ENOSPC'],
    ['a sync that fails', { datasync: failing('EIO') }, 'EIO'],
    ['an error without a code', { datasync: () => Promise.reject(new Error('secret-text')) }, 'unknown'],
    ['an error that is none', { datasync: () => Promise.reject('secret-text') }, 'unknown'],
    ['an error whose code is a text', { datasync: failing('secret-text') }, 'unknown'],
  ])('is ended by %s, and says nothing but the code', async (_, faults, expected) => {
    const sink = fileSink(path, faulty(faults).files)
    await sink.begin()
    expect(await code(sink.write(line('one')))).toBe(expected)
    expect(await code(sink.write(line('two')))).toBe('ended')
    expect(await sink.current()).toBe(false)
  })

  it('is ended by a short write, which it does not try to complete', async () => {
    const faults: Partial<FileHandle> = {
      write: async function (this: FileHandle, bytes: Buffer) {
        await this.appendFile(bytes.subarray(0, 4))
        return { bytesWritten: 4, buffer: bytes }
      } as never,
    }
    const { files, calls } = faulty(faults)
    const sink = fileSink(path, files)
    await sink.begin()
    expect(await code(sink.write(line('0123456789')))).toBe('short-write')
    expect(calls).not.toContain('datasync')
    expect(await readFile(path, 'utf8')).toBe('0123')
    expect(await code(sink.write(line('x')))).toBe('ended')
  })

  it('does not close twice, and survives a close that fails', async () => {
    const { files, calls } = faulty({ close: failing('EIO') })
    const sink = fileSink(path, files)
    await sink.begin()
    await sink.end()
    await sink.end()
    expect(calls.filter((call) => call === 'close')).toHaveLength(1)
  })

  it('has written nothing before it was begun', async () => {
    expect(await code(fileSink(path).write(line('x')))).toBe('ended')
    expect(await fileSink(path).current()).toBe(false)
  })

  it.each([
    ['in a directory that is not there', async () => join(directory, 'none', 'audit.log'), 'ENOENT'],
    [
      'that is a link, which could lead anywhere',
      async () => {
        await symlink(join(directory, 'elsewhere'), path)
        return path
      },
      'ELOOP',
    ],
    ['that is a directory', async () => directory, 'EISDIR'],
    ['that is a device', async () => '/dev/null', 'not-a-file'],
    [
      'that is a FIFO nobody reads, without hanging',
      async () => {
        await run('mkfifo', path)
        const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
        await reader.close()
        return path
      },
      'not-a-file',
    ],
  ])('refuses a file %s', async (_, made, expected) => {
    expect(await code(fileSink(await made()).begin())).toBe(expected)
  })

  it('closes what it opened when it cannot begin', async () => {
    const { files, calls } = faulty({ stat: failing('EIO') as never })
    expect(await code(fileSink(path, files).begin())).toBe('EIO')
    expect(calls).toEqual(['stat', 'close'])
    const twice = faulty({ stat: failing('EIO') as never, close: failing('EBADF') })
    expect(await code(fileSink(path, twice.files).begin())).toBe('EIO')
  })
})

describe('what a file holds from before', () => {
  function chain(lines: number): string[] {
    const own = openChain('i-1')
    return Array.from({ length: lines }, (_, index) => own.next(index === 0 ? start() : decision()))
  }

  async function beginOn(content: string | Buffer) {
    await writeFile(path, content)
    const sink = fileSink(path)
    const beginning = await sink.begin()
    return { sink, beginning }
  }

  function head(lines: readonly string[]) {
    return { instance: 'i-1', seq: lines.length - 1, sha256: sha256(lines.at(-1) ?? '') }
  }

  it('is quoted by its newest record', async () => {
    const lines = chain(3)
    const { beginning } = await beginOn(`${lines.join('\n')}\n`)
    expect(beginning).toEqual({ previous: head(lines), torn: undefined })
  })

  it('may be an empty line, which counts as torn like any other', async () => {
    const lines = chain(2)
    const { beginning } = await beginOn(`${lines.join('\n')}\n\n`)
    expect(beginning).toEqual({ previous: head(lines), torn: { bytes: 0, sha256: sha256('') } })
    const next = openChain('i-2').next(start(beginning))
    expect(verify([...lines, '', next]).broken).toBeUndefined()
  })

  it.each([1, 20, 200])('is quoted in spite of a torn line of %d bytes, which a newline then closes', async (bytes) => {
    const lines = chain(3)
    const torn = (chain(4).at(3) ?? '').slice(0, bytes)
    const { sink, beginning } = await beginOn(`${lines.join('\n')}\n${torn}`)
    expect(beginning).toEqual({ previous: head(lines), torn: { bytes, sha256: sha256(torn) } })
    const next = openChain('i-2').next(start(beginning))
    await sink.write(line(next))
    await sink.write(line('more'))
    expect(await readFile(path, 'utf8')).toBe(`${lines.join('\n')}\n${torn}\n${next}\nmore\n`)
    await truncate(path, (await stat(path)).size - 'more\n'.length)
    const written = (await readFile(path, 'utf8')).trimEnd().split('\n')
    expect(verify(written)).toMatchObject({ broken: undefined, lines: 5 })
  })

  it('counts a last line whole that lacks only its newline', async () => {
    const lines = chain(3)
    const { sink, beginning } = await beginOn(lines.join('\n'))
    expect(beginning).toEqual({ previous: head(lines), torn: undefined })
    await sink.write(line('next'))
    expect(await readFile(path, 'utf8')).toBe(`${lines.join('\n')}\nnext\n`)
  })

  it('is quoted past several torn lines, which count as one with the newlines between them', async () => {
    const lines = chain(2)
    const { beginning } = await beginOn(`${lines.join('\n')}\n{"a\n\n{"b\n`)
    expect(beginning).toEqual({ previous: head(lines), torn: { bytes: 8, sha256: sha256('{"a\n\n{"b') } })
  })

  it.each([
    ['a torn first line', '{"time"'],
    ['other text', 'a\nb\n'],
    ['a newline', '\n'],
    ['bytes that are no text', Buffer.from([0, 0xff, 0x0a, 0xc3])],
  ])('may be %s', async (_, content) => {
    const { beginning } = await beginOn(content)
    const owned = Buffer.from(content)
    const torn = owned.at(-1) === 0x0a ? owned.subarray(0, -1) : owned
    expect(beginning).toEqual({
      previous: undefined,
      torn: { bytes: torn.length, sha256: sha256(torn) },
    })
  })

  it('is read from its end only, however long it is', async () => {
    const lines = chain(2)
    const filler = `${'x'.repeat(1023)}\n`.repeat(2048)
    const { files } = faulty({})
    await writeFile(path, `${filler}${lines.join('\n')}\n`)
    expect((await fileSink(path, files).begin()).previous).toEqual(head(lines))
    const buried = await beginOn(`${lines.join('\n')}\n${filler}`)
    expect(buried.beginning).toEqual({ previous: undefined, torn: undefined })
  })
})

describe('a file that is moved', () => {
  async function begun() {
    const sink = fileSink(path)
    await sink.begin()
    await sink.write(line('one'))
    expect(await sink.current()).toBe(true)
    return sink
  }

  it.each([
    ['renamed', () => rename(path, `${path}.1`)],
    ['removed', () => unlink(path)],
    [
      'replaced',
      async () => {
        await rename(path, `${path}.1`)
        await writeFile(path, 'another file, as long as it likes\n')
      },
    ],
    ['cut', () => truncate(path, 0)],
    [
      'hidden by a directory',
      async () => {
        await unlink(path)
        await mkdir(path)
      },
    ],
  ])('is no longer current once it was %s', async (_, move) => {
    const sink = await begun()
    await move()
    expect(await sink.current()).toBe(false)
  })

  it('is made anew by the next begin, and the old one closed', async () => {
    const sink = await begun()
    await rename(path, `${path}.1`)
    await sink.begin()
    await sink.write(line('two'))
    expect(await readFile(path, 'utf8')).toBe('two\n')
    expect(await readFile(`${path}.1`, 'utf8')).toBe('one\n')
  })

  it('stays current while others append to it', async () => {
    const sink = await begun()
    await appendFile(path, 'theirs\n')
    expect(await sink.current()).toBe(true)
  })
})

describe('standard output', () => {
  /** Accepts a write when told to, or fails it. */
  function slow() {
    const waiting: ((error?: Error | null) => void)[] = []
    const chunks: string[] = []
    const stream = new Writable({
      autoDestroy: false,
      write(chunk: Buffer, _, callback) {
        chunks.push(chunk.toString())
        waiting.push(callback)
      },
    })
    return { stream, chunks, answer: (error?: Error) => waiting.shift()?.(error) }
  }

  it('has written once the pipe has accepted, not before', async () => {
    const { stream, chunks, answer } = slow()
    const sink = stdoutSink(stream)
    expect(await sink.begin()).toEqual({})
    let written = false
    const write = sink.write(line('one')).then(() => {
      written = true
    })
    await Promise.resolve()
    expect(written).toBe(false)
    answer()
    await write
    expect(chunks).toEqual(['one\n'])
    expect(await sink.current()).toBe(true)
    await sink.end()
    expect(stream.writable).toBe(true)
  })

  it.each(['EPIPE', 'EAGAIN'])('reduces %s to its code, and does not let it end the process', async (errno) => {
    const { stream, answer } = slow()
    const sink = stdoutSink(stream)
    const write = code(sink.write(line('one')))
    answer(Object.assign(new Error('secret-text'), { code: errno }))
    expect(await write).toBe(errno)
  })

  it('refuses when the stream is gone', async () => {
    const stream = new PassThrough()
    stream.destroy()
    expect(await code(stdoutSink(stream).write(line('one')))).toBe('ERR_STREAM_DESTROYED')
  })

  it('closes a line that may be torn, and owns to as many bytes as may be', async () => {
    // A stream of its own for each write: a Writable that has failed once takes nothing more.
    const chunks: string[] = []
    const fates = [new Error('lost'), new Error('lost again'), undefined, undefined]
    const stream = {
      on: () => stream,
      write(chunk: Buffer, callback: (error?: Error) => void) {
        chunks.push(chunk.toString())
        callback(fates.shift())
      },
    } as unknown as NodeJS.WritableStream
    const sink = stdoutSink(stream)
    await code(sink.write(line('one')))
    expect(await sink.begin()).toEqual({ torn: { bytes: 4 } })
    await code(sink.write(line('two')))
    expect(await sink.begin()).toEqual({ torn: { bytes: 9 } })
    await sink.write(line('three'))
    expect(await sink.begin()).toEqual({})
    await sink.write(line('four'))
    expect(chunks).toEqual(['one\n', '\ntwo\n', '\nthree\n', 'four\n'])
  })
})

async function run(program: string, argument: string): Promise<void> {
  const child = spawn(program, [argument], { stdio: 'ignore' })
  await new Promise((resolve) => child.once('exit', resolve))
}
