/** What Linux tells of another process: memory, sockets, and every byte it holds. */
import { open, readdir, readFile, readlink } from 'node:fs/promises'

/** Resident memory, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024
}

/** Established TCP connections of the process to this port. */
export async function connectionsTo(pid: number, port: number): Promise<number> {
  const mine = new Set<string>()
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined) mine.add(inode)
  }
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = (await readFile(`/proc/${pid}/net/tcp`, 'utf8')).split('\n').slice(1)
  return lines.filter((line) => {
    const [, , remote, state, , , , , , inode] = line.trim().split(/\s+/)
    return state === '01' && remote?.endsWith(`:${hexPort}`) && inode !== undefined && mine.has(inode)
  }).length
}

/**
 * How many of these byte strings occur anywhere in the process's writable memory. The process must be a child of ours, or
 * ours to trace. Heap snapshots leave out the content of buffers; this does not.
 */
export async function foundInMemory(pid: number, needles: readonly Buffer[]): Promise<number> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8')
  const memory = await open(`/proc/${pid}/mem`, 'r')
  const found = new Set<Buffer>()
  try {
    for (const line of maps.split('\n')) {
      const region = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line)
      if (region === null || /\[v(?:var|syscall)/.test(line)) continue
      await scan(Number.parseInt(region[1] ?? '0', 16), Number.parseInt(region[2] ?? '0', 16))
    }
    return found.size
  } finally {
    await memory.close()
  }

  async function scan(start: number, end: number): Promise<void> {
    const chunk = Buffer.alloc(4 * 1024 * 1024)
    const overlap = Math.max(...needles.map((needle) => needle.length))
    for (let at = start; at < end; at += chunk.length - overlap) {
      const { bytesRead } = await memory
        .read(chunk, 0, Math.min(chunk.length, end - at), at)
        .catch(() => ({ bytesRead: 0 }))
      const seen = chunk.subarray(0, bytesRead)
      for (const needle of needles) if (!found.has(needle) && seen.includes(needle)) found.add(needle)
    }
  }
}
