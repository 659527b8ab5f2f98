/**
 * Where lines go. A sink promises one thing: when `write` has resolved, the bytes are where its kind says they are
 * (accepted by the pipe; on the disk). After any rejection nothing more is written until `begin` has been called
 * again, and what was torn is closed by a newline first, so that it cannot swallow the next record.
 */
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { lstat, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sha256 } from './chain.ts'
import type { Head, Torn } from './record.ts'
import { parseLine } from './verify-line.ts'

export interface Sink {
  readonly kind: 'stdout' | 'file'
  /** Opens the sink, or opens it again, and returns what is there already. */
  begin(): Promise<Beginning>
  /** False once the path no longer leads to what is open: the file was renamed, removed or cut. */
  current(): Promise<boolean>
  write(bytes: Buffer): Promise<void>
  end(): Promise<void>
}

export interface Beginning {
  /** The newest whole record there. */
  readonly previous?: Head | undefined
  readonly torn?: Torn | undefined
}

/** Has a code, and nothing of what was to be written. */
export class SinkError extends Error {
  override readonly name = 'SinkError'
  /** An errno name such as ENOSPC, or a word of ours. */
  readonly code: string

  constructor(code: string) {
    super(`audit sink: ${code}`)
    this.code = code
  }
}

/**
 * Standard output, or any stream. "Written" means accepted by the pipe: after that a line is in its collector's hands.
 */
export function stdoutSink(stream: NodeJS.WritableStream): Sink {
  let suspectBytes = 0
  // Each write's callback gets the error, but without a listener the event would end the process.
  stream.on('error', () => undefined)
  return {
    kind: 'stdout',
    begin: () => Promise.resolve(suspectBytes === 0 ? {} : { torn: { bytes: suspectBytes } }),
    current: () => Promise.resolve(true),
    write(bytes) {
      const guarded = suspectBytes === 0 ? bytes : Buffer.concat([NEWLINE, bytes])
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      stream.write(guarded, (error) => {
        suspectBytes = error ? suspectBytes + guarded.length : 0
        if (error) reject(new SinkError(codeOf(error)))
        else resolve()
      })
      return promise
    },
    end: () => Promise.resolve(),
  }
}

/** The calls of node:fs/promises that the file sink makes. */
export interface Files {
  open(path: string, flags: number, mode?: number): Promise<FileHandle>
  lstat(path: string): Promise<{ readonly dev: number; readonly ino: number; readonly size: number }>
}

/** A file, made with mode 0600, only ever appended to, and synced to the disk by every write. */
export function fileSink(path: string, files: Files = { open, lstat }): Sink {
  let file: OpenFile | undefined

  async function end(): Promise<void> {
    const ending = file
    file = undefined
    // Everything that counts was synced; a close that fails changes nothing.
    await ending?.handle.close().catch(() => undefined)
  }

  return {
    kind: 'file',
    begin: () =>
      scrubbed(async () => {
        await end()
        const opened = await openFile(path, files)
        file = opened.file
        return opened.beginning
      }),
    async current() {
      if (file === undefined) return false
      const named = await files.lstat(path).catch(() => undefined)
      return named !== undefined && named.dev === file.dev && named.ino === file.ino && named.size >= file.size
    },
    write: (bytes) =>
      scrubbed(async () => {
        if (file === undefined) throw new SinkError('ended')
        const { handle, guard } = file
        const guarded = guard ? Buffer.concat([NEWLINE, bytes]) : bytes
        try {
          const { bytesWritten } = await handle.write(guarded)
          if (bytesWritten !== guarded.length) throw new SinkError('short-write')
          await handle.datasync()
          file = { ...file, guard: false, size: file.size + bytesWritten }
        } catch (error) {
          // After a failed sync nobody knows what is on the disk, and a second sync would claim success.
          await end()
          throw error
        }
      }),
    end,
  }
}

const NEWLINE = Buffer.from('\n')

interface OpenFile {
  readonly handle: FileHandle
  readonly dev: number
  readonly ino: number
  /** The file is at least this long, unless somebody has cut it. */
  readonly size: number
  /** The last line lacks its newline. */
  readonly guard: boolean
}

/** A symbolic link is not followed: it could lead the log elsewhere. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW

async function openFile(path: string, files: Files): Promise<{ file: OpenFile; beginning: Beginning }> {
  const handle = await files.open(path, FLAGS, 0o600)
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new SinkError('not-a-file')
    await syncDirectory(path, files)
    const { guard, ...beginning } = await readTail(handle, stat.size)
    return { file: { handle, dev: stat.dev, ino: stat.ino, size: stat.size, guard }, beginning }
  } catch (error) {
    await handle.close().catch(() => undefined)
    throw error
  }
}

/** The name of a new file is on the disk only once its directory is synced. */
async function syncDirectory(path: string, files: Files): Promise<void> {
  const directory = await files.open(dirname(path), constants.O_RDONLY)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Several times the longest line there can be. */
const MAX_TAIL_BYTES = 512 * 1024

interface Tail extends Beginning {
  readonly guard: boolean
}

/** The newest whole record, and what follows it. If none is found, nothing is claimed about what lies further up. */
async function readTail(handle: FileHandle, size: number): Promise<Tail> {
  const length = Math.min(size, MAX_TAIL_BYTES)
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length)
  const read = buffer.subarray(0, bytesRead)
  const guard = read.length > 0 && read.at(-1) !== 0x0a
  const bytes = guard ? read : read.subarray(0, -1)
  for (let end = bytes.length; end > 0; ) {
    const begin = bytes.lastIndexOf(0x0a, end - 1) + 1
    const line = bytes.subarray(begin, end)
    const found = parseLine(line)
    if (found !== undefined) {
      const { instance, seq } = found
      const previous = { instance, seq, sha256: sha256(line) }
      return { guard, previous, torn: end === bytes.length ? undefined : tornOf(bytes.subarray(end + 1)) }
    }
    end = begin - 1
  }
  return { guard, torn: size === 0 || size > length ? undefined : tornOf(bytes) }
}

function tornOf(bytes: Buffer): Torn {
  return { bytes: bytes.length, sha256: sha256(bytes) }
}

async function scrubbed<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw error instanceof SinkError ? error : new SinkError(codeOf(error))
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'unknown'
}
