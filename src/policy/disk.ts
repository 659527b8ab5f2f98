/** What reading a policy needs of a file system. A port, so that tests can swap a directory half-way. */
import { constants } from 'node:fs'
import { open, opendir, readlink, stat } from 'node:fs/promises'

export interface Disk {
  /** Where a symbolic link points; undefined if `path` is not one, or is not there. */
  link(path: string): Promise<string | undefined>
  /** Names in a directory, in no order, and no more than `max + 1` of them. */
  list(path: string, max: number): Promise<readonly string[]>
  /** Follows links. The stamp changes when the content does. */
  look(path: string): Promise<{ readonly kind: 'file' | 'directory' | 'other'; readonly stamp: string }>
  /** At most `max + 1` bytes. */
  read(path: string, max: number): Promise<Buffer>
}

export const disk: Disk = {
  async link(path) {
    try {
      return await readlink(path)
    } catch (error) {
      const code = errorCode(error)
      if (code === 'ENOENT' || code === 'EINVAL') return undefined
      throw error
    }
  },
  async list(path, max) {
    const names: string[] = []
    for await (const { name } of await opendir(path)) {
      names.push(name)
      if (names.length > max) break
    }
    return names
  },
  async look(path) {
    const stats = await stat(path, { bigint: true })
    const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other'
    return { kind, stamp: `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}` }
  },
  async read(path, max) {
    // Non-blocking: what was a file a moment ago may be a pipe that nobody writes to.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    // A file that grows meanwhile is cut short here, and given away by its stamp.
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.min(size, max) + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = (await file.read(bytes, length, bytes.length - length)).bytesRead
    }
    return bytes.subarray(0, length)
  },
}

/** `ENOENT` and the like; the message of such an error holds a path. */
export function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,40}$/.test(code) ? code : 'unknown error'
}
