/** A file system in memory, on which a test can make anything fail or change at any moment. */
import type { Disk } from '../../src/policy/disk.ts'

export interface MemoryDisk extends Disk {
  /** By absolute path: content of a file, target of a link, names within a directory come from the paths below it. */
  readonly files: Map<string, string | Buffer>
  readonly links: Map<string, string>
  /** Codes that any call for such a path fails with. */
  readonly failures: Map<string, string>
  /** Called before each read of a file. */
  beforeRead: (path: string) => void
  readonly reads: string[]
}

export function memoryDisk(content: Readonly<Record<string, string | Buffer>> = {}): MemoryDisk {
  const files = new Map(Object.entries(content))
  const links = new Map<string, string>()
  const failures = new Map<string, string>()
  const stamps = new Map<string | Buffer, number>()

  function check(path: string): void {
    const code = failures.get(path)
    if (code !== undefined) throw Object.assign(new Error(`${code}: canary ${path}`), { code })
  }

  function namesIn(path: string): string[] {
    const below = [...files.keys(), ...links.keys()].filter((each) => each.startsWith(`${path}/`))
    return [...new Set(below.map((each) => each.slice(path.length + 1).split('/')[0] ?? ''))]
  }

  const disk: MemoryDisk = {
    files,
    links,
    failures,
    beforeRead: () => {},
    reads: [],
    async link(path) {
      check(path)
      return links.get(path)
    },
    async list(path, max) {
      check(path)
      const names = namesIn(path)
      if (names.length === 0) throw Object.assign(new Error('canary'), { code: 'ENOENT' })
      return names.filter((name) => name !== '.keep').slice(0, max + 1)
    },
    async look(path) {
      check(path)
      const file = files.get(path)
      if (file !== undefined) {
        const stamp = stamps.get(file) ?? stamps.size
        stamps.set(file, stamp)
        return { kind: 'file', stamp: String(stamp) }
      }
      if (namesIn(path).length > 0) return { kind: 'directory', stamp: '' }
      throw Object.assign(new Error('canary'), { code: 'ENOENT' })
    },
    async read(path, max) {
      disk.beforeRead(path)
      disk.reads.push(path)
      check(`${path} (read)`)
      const file = files.get(path)
      if (file === undefined) throw Object.assign(new Error('canary'), { code: 'ENOENT' })
      return Buffer.from(file).subarray(0, max + 1)
    },
  }
  return disk
}

/** A volume as the kubelet makes one: versions in directories of their own, `..data` pointing at one of them. */
export function mount(
  disk: MemoryDisk,
  directory: string,
  version: string,
  content: Readonly<Record<string, string>>,
): void {
  for (const path of disk.files.keys()) if (path.startsWith(`${directory}/..`)) disk.files.delete(path)
  disk.files.set(`${directory}/..${version}/.keep`, '')
  for (const [name, text] of Object.entries(content)) {
    disk.files.set(`${directory}/..${version}/${name}`, text)
    disk.links.set(`${directory}/${name}`, `..data/${name}`)
  }
  disk.links.set(`${directory}/..data`, `..${version}`)
}
