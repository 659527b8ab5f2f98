import { describe, expect, it } from 'vitest'
import type { DirectoryContent } from '../../src/policy/directory.ts'
import { DIRECTORY_BOUNDS, readDirectory } from '../../src/policy/directory.ts'
import type { MemoryDisk } from './memory-disk.ts'
import { memoryDisk, mount } from './memory-disk.ts'

const at = '/policy'

async function content(disk: MemoryDisk, bounds = DIRECTORY_BOUNDS): Promise<DirectoryContent> {
  const found = await readDirectory(at, disk, bounds)
  if ('lost' in found) throw new Error(found.lost)
  return found
}

describe('a directory', () => {
  it('is read in the order of names, one level deep', async () => {
    const disk = memoryDisk({
      '/policy/b.yml': 'b',
      '/policy/a.yaml': 'a',
      '/policy/team/c.json': 'c',
      '/policy/team/a.yaml': 'd',
    })
    expect(await readDirectory(at, disk)).toEqual({
      files: [
        { path: 'a.yaml', text: 'a' },
        { path: 'b.yml', text: 'b' },
        { path: 'team/a.yaml', text: 'd' },
        { path: 'team/c.json', text: 'c' },
      ],
      directories: ['/policy', '/policy/team'],
    })
  })

  it('says what it does not read', async () => {
    const disk = memoryDisk({
      '/policy/README.md': '',
      '/policy/grants': '',
      '/policy/a.yaml.bak': '',
      '/policy/a/b/c.yaml': '',
      '/policy/a/d.YAML': '',
    })
    const { files } = await content(disk)
    expect(files).toEqual([
      { path: 'README.md', ignored: 'Not read: the name must end in .yaml, .yml or .json.' },
      { path: 'a/b', ignored: 'Not read: subdirectories are read one level deep.' },
      { path: 'a/d.YAML', ignored: 'Not read: the name must end in .yaml, .yml or .json.' },
      { path: 'a.yaml.bak', ignored: 'Not read: the name must end in .yaml, .yml or .json.' },
      { path: 'grants', ignored: 'Not read: the name must end in .yaml, .yml or .json.' },
    ])
  })

  it('may be empty', async () => {
    expect((await content(memoryDisk({ '/policy/.keep': '' }))).files).toEqual([])
  })

  it('has a byte order mark at most at the start', async () => {
    expect((await content(memoryDisk({ '/policy/a.yaml': '\ufeffa' }))).files).toEqual([{ path: 'a.yaml', text: 'a' }])
  })
})

describe('a mounted ConfigMap', () => {
  it('that was copied without its ..data is read where its files are', async () => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a', '/policy/..2026_1/a.yaml': 'old' })
    expect((await content(disk)).files).toEqual([{ path: 'a.yaml', text: 'a' }])
  })

  it('is read through ..data, and nothing beside it', async () => {
    const disk = memoryDisk()
    mount(disk, at, '2026_1', { 'a.yaml': 'new' })
    disk.files.set('/policy/..2025_9/a.yaml', 'old')
    disk.files.set('/policy/..2025_9/gone.yaml', 'old')
    expect((await content(disk)).files).toEqual([{ path: 'a.yaml', text: 'new' }])
    expect(disk.reads).toEqual(['/policy/..2026_1/a.yaml'])
  })

  it('may lie in a subdirectory, each with its own ..data', async () => {
    const disk = memoryDisk()
    mount(disk, '/policy/team-a', '1', { 'a.yaml': 'a' })
    mount(disk, '/policy/team-b', '2', { 'a.yaml': 'b' })
    expect((await content(disk)).files).toEqual([
      { path: 'team-a/a.yaml', text: 'a' },
      { path: 'team-b/a.yaml', text: 'b' },
    ])
  })

  it('may be projected into directories below its own ..data', async () => {
    const disk = memoryDisk()
    mount(disk, at, '1', { 'team/a.yaml': 'a' })
    expect((await content(disk)).files).toEqual([{ path: 'team/a.yaml', text: 'a' }])
  })

  it('that is swapped half-way is read again, so that two versions never mix', async () => {
    const disk = memoryDisk()
    mount(disk, at, '1', { 'a.yaml': 'a1', 'b.yaml': 'b1' })
    disk.beforeRead = (path) => {
      if (path.endsWith('..1/b.yaml')) mount(disk, at, '2', { 'a.yaml': 'a2', 'b.yaml': 'b2' })
    }
    expect((await content(disk)).files).toEqual([
      { path: 'a.yaml', text: 'a2' },
      { path: 'b.yaml', text: 'b2' },
    ])
  })

  it('that is swapped after its files were read is read again too', async () => {
    const disk = memoryDisk()
    mount(disk, at, '1', { 'a.yaml': 'a1' })
    const { look } = disk
    disk.look = async (path) => ({ ...(await look(path)), stamp: '' })
    let reads = 0
    disk.beforeRead = () => {
      // The old version is still there, and files of one size and time: only the link tells.
      if (++reads === 1) {
        disk.links.set('/policy/..data', '..2')
        disk.files.set('/policy/..2/a.yaml', 'a2')
      }
    }
    expect((await content(disk)).files).toEqual([{ path: 'a.yaml', text: 'a2' }])
  })

  it('that is swapped in a subdirectory is read again too', async () => {
    const disk = memoryDisk()
    mount(disk, '/policy/t', '1', { 'a.yaml': 'a1', 'b.yaml': 'b1' })
    disk.beforeRead = (path) => {
      if (path.endsWith('..1/b.yaml')) mount(disk, '/policy/t', '2', { 'a.yaml': 'a2', 'b.yaml': 'b2' })
    }
    expect((await content(disk)).files.map((file) => 'text' in file && file.text)).toEqual(['a2', 'b2'])
  })

  it('whose ..data points nowhere cannot be read', async () => {
    const disk = memoryDisk()
    mount(disk, at, '1', { 'a.yaml': 'a' })
    disk.links.set('/policy/..data', '..2')
    expect(await readDirectory(at, disk)).toEqual({ lost: expect.stringContaining('does not exist') })
  })
})

describe('a plain directory', () => {
  it('whose file is replaced after it was read is read again', async () => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a1', '/policy/b.yaml': 'b1' })
    disk.beforeRead = (path) => {
      if (path.endsWith('b.yaml')) disk.files.set('/policy/a.yaml', 'a2')
    }
    expect((await content(disk)).files.map((file) => 'text' in file && file.text)).toEqual(['a2', 'b1'])
  })

  it('that never comes to rest is given up', async () => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a' })
    let count = 0
    disk.beforeRead = () => disk.files.set('/policy/a.yaml', `a${++count}`)
    expect(await readDirectory(at, disk)).toEqual({
      lost: 'The policy directory /policy keeps changing while it is read. Replace its files in one step, as a ConfigMap does.',
    })
    expect(count).toBe(DIRECTORY_BOUNDS.maxPasses)
  })
})

describe('a subdirectory', () => {
  const other = { '/policy/b/x.yaml': 'b', '/policy/top.yaml': 'top' }

  it.each(['A', 'a_b', 'a.b', 'a.yaml', '-a', 'a'.repeat(64), 'lost+found', 'ä'])(
    'that does not bear the name of a namespace is not looked into: %s',
    async (name) => {
      const disk = memoryDisk({ [`/policy/${name}/x.yaml`]: 'x', ...other })
      const { files, directories } = await content(disk)
      expect(files.toSorted((a, b) => Number('text' in a) - Number('text' in b))).toEqual([
        {
          path: name,
          unreadable:
            'Nothing in this directory is read: a subdirectory bears the name of the namespace whose SecretGrants it holds. Rename it, or move its files to the top of the policy directory.',
          tree: true,
        },
        { path: 'b/x.yaml', text: 'b' },
        { path: 'top.yaml', text: 'top' },
      ])
      expect(disk.reads.filter((path) => path.includes(name))).toEqual([])
      expect(directories).toEqual(['/policy', '/policy/b'])
    },
  )

  it('that never comes to rest is given up alone: whoever writes it all the time holds up nobody else', async () => {
    const disk = memoryDisk({ '/policy/a/x.yaml': 'a', ...other })
    const { look } = disk
    let count = 0
    disk.look = async (path) => ({
      ...(await look(path)),
      ...(path.startsWith('/policy/a') && { stamp: `${++count}` }),
    })
    expect((await content(disk)).files).toEqual([
      {
        path: 'a',
        unreadable:
          'This directory cannot be read (it keeps changing while it is read. Replace its files in one step, as a ConfigMap does).',
        tree: true,
      },
      { path: 'b/x.yaml', text: 'b' },
      { path: 'top.yaml', text: 'top' },
    ])
    expect(disk.reads.filter((path) => path === '/policy/top.yaml')).toHaveLength(1)
  })

  it('that changes is read again alone', async () => {
    const disk = memoryDisk({ '/policy/a/x.yaml': 'a1', ...other })
    let reads = 0
    disk.beforeRead = (path) => {
      if (path === '/policy/a/x.yaml' && ++reads === 1) disk.files.set('/policy/a/x.yaml', 'a2')
    }
    expect((await content(disk)).files.map((file) => 'text' in file && file.text)).toEqual(['a2', 'b', 'top'])
    expect(disk.reads).toEqual(['/policy/a/x.yaml', '/policy/a/x.yaml', '/policy/b/x.yaml', '/policy/top.yaml'])
  })

  it('that comes or goes while the top level is read is noticed', async () => {
    const disk = memoryDisk({ ...other })
    disk.beforeRead = (path) => {
      if (path === '/policy/top.yaml') disk.files.set('/policy/a/x.yaml', 'a')
    }
    expect((await content(disk)).files.map((file) => 'text' in file && file.text)).toEqual(['a', 'b', 'top'])
  })
})

describe('a directory that cannot be read', () => {
  it.each([
    [
      'ENOENT',
      'The policy directory /policy does not exist. Mount the ConfigMap with the TransitKey and SecretGrant documents there, or name the directory that holds them. An empty one will do: it grants nothing.',
    ],
    ['ENOTDIR', 'The policy directory /policy is not a directory. Name the directory that holds the documents.'],
    ['EACCES', 'The policy directory /policy cannot be read (EACCES). keyhole needs to list it and to read its files.'],
    [
      'no code at all',
      'The policy directory /policy cannot be read (unknown error). keyhole needs to list it and to read its files.',
    ],
  ])('says what to do about it: %s', async (code, message) => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a' })
    disk.failures.set('/policy', code)
    expect(await readDirectory(at, disk)).toEqual({ lost: message })
  })

  it('is tried again within a reading, since a swap looks like this to who followed the old link', async () => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a' })
    disk.failures.set('/policy', 'ENOENT')
    const list = disk.list
    disk.list = (path, max) => {
      const result = list(path, max)
      disk.failures.delete('/policy')
      return result
    }
    expect((await content(disk)).files).toHaveLength(1)
  })

  it('may be one of its subdirectories, which costs the others nothing', async () => {
    const disk = memoryDisk({ '/policy/a/a.yaml': 'a', '/policy/b/a.yaml': 'b' })
    disk.failures.set('/policy/a/..data', 'EACCES')
    const { files, directories } = await content(disk)
    expect(files).toEqual([
      { path: 'a', unreadable: 'This directory cannot be read (EACCES).', tree: true },
      { path: 'b/a.yaml', text: 'b' },
    ])
    expect(directories).toEqual(['/policy', '/policy/a', '/policy/b'])
  })

  it('may be something that cannot even be looked at: what has no name of a file may be a directory', async () => {
    const disk = memoryDisk({ '/policy/a/a.yaml': 'a', '/policy/b.yaml': 'b' })
    disk.failures.set('/policy/a', 'ESTALE').set('/policy/b.yaml', 'ELOOP')
    expect((await content(disk)).files).toEqual([
      { path: 'a', unreadable: 'This cannot be read (ESTALE).', tree: true },
      { path: 'b.yaml', unreadable: 'This cannot be read (ELOOP).', tree: false },
    ])
  })
})

describe('a file that cannot be read', () => {
  const cases: readonly [string, (disk: ReturnType<typeof memoryDisk>) => void, string][] = [
    ['refused', (disk) => disk.failures.set('/policy/a.yaml (read)', 'EACCES'), 'This file cannot be read (EACCES).'],
    ['gone', (disk) => disk.failures.set('/policy/a.yaml (read)', 'ENOENT'), 'This file cannot be read (ENOENT).'],
    ['not UTF-8', (disk) => disk.files.set('/policy/a.yaml', Buffer.from([0x61, 0xff])), 'This file is not UTF-8.'],
    [
      'too large',
      (disk) => disk.files.set('/policy/a.yaml', ' '.repeat(1024 * 1024 + 1)),
      'This file is too large, or all files of its directory together are: split it, or shorten them.',
    ],
  ]
  it.each(cases)('costs the others nothing: %s', async (_, breakIt, unreadable) => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a', '/policy/b.yaml': 'b' })
    breakIt(disk)
    expect((await content(disk)).files).toEqual([
      { path: 'a.yaml', unreadable, tree: false },
      { path: 'b.yaml', text: 'b' },
    ])
  })

  it('may be no file: a pipe would never end', async () => {
    const disk = memoryDisk({ '/policy/a.yaml': 'a' })
    disk.look = async () => ({ kind: 'other', stamp: '' })
    expect((await content(disk)).files).toEqual([
      { path: 'a.yaml', unreadable: 'This is not a regular file.', tree: false },
    ])
    expect(disk.reads).toEqual([])
  })
})

describe('bounds', () => {
  const place = { maxBytes: 8, maxFiles: 3, maxEntries: 4 }
  const bounds = {
    top: { ...place, maxEntries: 5 },
    subdirectory: place,
    maxSubdirectories: 2,
    maxFileBytes: 4,
    maxPasses: 2,
  }
  const kinds = async (written: Record<string, string>) =>
    (await content(memoryDisk(written), bounds)).files.map((file) => ('text' in file ? file.text : 'refused'))

  it('hold for each file', async () => {
    expect(await kinds({ '/policy/a.yaml': '1234', '/policy/b.yaml': '12345' })).toEqual(['1234', 'refused'])
  })

  it('hold for all bytes together, and count bytes rather than characters', async () => {
    expect(await kinds({ '/policy/a.yaml': '1234', '/policy/b.yaml': '123', '/policy/c.yaml': '12' })).toEqual([
      '1234',
      '123',
      'refused',
    ])
    expect(await kinds({ '/policy/a.yaml': 'äää' })).toEqual(['refused'])
  })

  it('hold for the number of files', async () => {
    const four = { '/policy/a.yaml': '1', '/policy/b.yaml': '2', '/policy/c.yaml': '3', '/policy/d.yaml': '4' }
    expect(await kinds(four)).toEqual(['1', '2', '3', 'refused'])
  })

  it('are those of each directory: to exceed them in one is nothing to another, nor to the top level', async () => {
    const few = { '/policy/b/b.yaml': 'b', '/policy/z.yaml': 'z' }
    const files = Object.fromEntries(['1', '2', '3', '4'].map((name) => [`/policy/a/${name}.yaml`, name]))
    expect(await kinds({ ...files, ...few })).toEqual(['1', '2', '3', 'refused', 'b', 'z'])
    const bytes = Object.fromEntries(['1', '2', '3'].map((name) => [`/policy/a/${name}.yaml`, '1234']))
    expect(await kinds({ ...bytes, ...few })).toEqual(['1234', '1234', 'refused', 'b', 'z'])
    const entries = Object.fromEntries(['1', '2', '3', '4', '5'].map((name) => [`/policy/a/${name}`, '']))
    expect(await kinds({ ...entries, ...few })).toEqual(['refused', 'b', 'z'])
    const top = Object.fromEntries(['1', '2', '3', '4'].map((name) => [`/policy/${name}.yaml`, name]))
    expect(await kinds({ ...top, '/policy/a/a.yaml': 'a' })).toEqual(['1', '2', '3', 'refused', 'a'])
  })

  it('hold for the number of subdirectories, those without the name of a namespace not counted', async () => {
    const many = Object.fromEntries(['A', 'b', 'c', 'd'].map((name) => [`/policy/${name}/x.yaml`, name]))
    expect(await content(memoryDisk(many), bounds)).toEqual({
      files: [
        expect.objectContaining({ path: 'A', tree: true }),
        { path: 'b/x.yaml', text: 'b' },
        { path: 'c/x.yaml', text: 'c' },
        {
          path: 'd',
          unreadable:
            'Nothing in this directory is read: there are too many of them. Move what some of them hold to the top of the policy directory.',
          tree: true,
        },
      ],
      directories: ['/policy', '/policy/b', '/policy/c'],
    })
  })

  it('are, unless said otherwise, 100 files and 1 MiB in a subdirectory, and more at the top', async () => {
    const names = Array.from({ length: 101 }, (_, index) => `${1000 + index}.yaml`)
    const many = Object.fromEntries(
      names.flatMap((name) => [
        [`/policy/a/${name}`, ''],
        [`/policy/${name}`, ''],
      ]),
    )
    const { files } = await content(memoryDisk({ ...many, '/policy/b/1': '', '/policy/b/2.yaml': '2' }))
    expect(files.filter((file) => !('text' in file)).map(({ path }) => path)).toEqual(['a/1100.yaml', 'b/1'])
    const half = ' '.repeat(512 * 1024)
    const large = memoryDisk({
      '/policy/a/1.yaml': half,
      '/policy/a/2.yaml': half,
      '/policy/a/3.yaml': ' ',
      '/policy/b/1.yaml': half,
    })
    expect((await content(large)).files.filter((file) => !('text' in file)).map(({ path }) => path)).toEqual([
      'a/3.yaml',
    ])
  })

  it('hold for the entries of the directory', async () => {
    const many = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [`/policy/${name}`, '']))
    expect(await readDirectory(at, memoryDisk(many), bounds)).toEqual({
      lost: expect.stringContaining('cannot be read (E2BIG)'),
    })
  })

  it('hold for the entries of a subdirectory', async () => {
    const many = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [`/policy/t/${name}`, '']))
    expect((await content(memoryDisk(many), bounds)).files).toEqual([
      { path: 't', unreadable: 'This directory cannot be read (E2BIG).', tree: true },
    ])
  })
})

it('names no path of the machine but the directory, and nothing a file system says', async () => {
  const disk = memoryDisk({ '/policy/a.yaml': 'a' })
  disk.failures.set('/policy/a.yaml (read)', 'EIO')
  expect(JSON.stringify(await readDirectory(at, disk))).not.toContain('canary')
  disk.failures.set('/policy', 'EIO')
  expect(JSON.stringify(await readDirectory(at, disk))).not.toContain('canary')
})
