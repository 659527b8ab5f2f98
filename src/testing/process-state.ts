/** What Linux tells of another process: memory, sockets, and every byte it holds. */
import { open, readdir, readFile, readlink } from 'node:fs/promises'

/** Whether it runs. What is dead and not yet fetched by its parent does not: PID 1 of a container may never fetch it. */
export async function isRunning(pid: number): Promise<boolean> {
  return (await groupOfRunning(pid)) !== undefined
}

/** How many processes of this group run. */
export async function runningIn(group: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const groups = await Promise.all(pids.map((pid) => groupOfRunning(Number(pid))))
  return groups.filter((one) => one === group).length
}

async function groupOfRunning(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // Behind the name, which may hold anything.
  const [state = '', , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return /^[^ZX]$/.test(state) ? Number(group) : undefined
}

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
  const found = new Set<Buffer>()
  const overlap = Math.max(...needles.map((needle) => needle.length))
  await eachPiece(pid, overlap, (piece) => {
    for (const needle of needles) if (!found.has(needle) && piece.includes(needle)) found.add(needle)
  })
  return found.size
}

/**
 * The distinct byte strings, in hex, of so many bytes that follow a marker anywhere in the process's writable memory. For
 * many canaries that begin alike, where looking for each would take minutes.
 */
export async function followersInMemory(pid: number, marker: Buffer, length: number): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  await eachPiece(pid, marker.length + length, (piece) => {
    for (let at = piece.indexOf(marker); at >= 0; at = piece.indexOf(marker, at + 1)) {
      const follower = piece.subarray(at + marker.length, at + marker.length + length)
      if (follower.length === length) found.add(follower.toString('hex'))
    }
  })
  return found
}

const PIECE_BYTES = 4 * 1024 * 1024

/** Pieces overlap, so that what is no longer than `overlap` is whole in one of them. */
async function eachPiece(pid: number, overlap: number, look: (piece: Buffer) => void): Promise<void> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8')
  await using memory = await open(`/proc/${pid}/mem`, 'r')
  const chunk = Buffer.alloc(PIECE_BYTES)
  for (const line of maps.split('\n')) {
    const region = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line)
    if (region === null || /\[v(?:var|syscall)/.test(line)) continue
    const end = Number.parseInt(region[2] ?? '0', 16)
    for (let at = Number.parseInt(region[1] ?? '0', 16); at < end; at += PIECE_BYTES - overlap) {
      const { bytesRead } = await memory
        .read(chunk, 0, Math.min(PIECE_BYTES, end - at), at)
        .catch(() => ({ bytesRead: 0 }))
      look(chunk.subarray(0, bytesRead))
    }
  }
}
