/**
 * Reads a policy directory as ConfigMaps appear in one: files are links through `..data`, which the kubelet swaps
 * in one step, so a pass must see the same `..data` from beginning to end or it mixes two policies. Subdirectories
 * are further ConfigMaps, one level deep, one for each namespace. Each is read by itself and has bounds of its own:
 * nothing that somebody does in one, not even to change it all the time, keeps another from being read.
 */
import { join, resolve } from 'node:path'
import type { Disk } from './disk.ts'
import { errorCode } from './disk.ts'
import type { PolicyFile } from './parse.ts'
import { isNamespace } from './places.ts'

export interface DirectoryBounds {
  readonly top: PlaceBounds
  /** Of each. */
  readonly subdirectory: PlaceBounds
  readonly maxSubdirectories: number
  readonly maxFileBytes: number
  /** How often to begin again while something changes. */
  readonly maxPasses: number
}

export interface PlaceBounds {
  readonly maxFiles: number
  readonly maxBytes: number
  /** Also of what is not read. */
  readonly maxEntries: number
}

export const DIRECTORY_BOUNDS: DirectoryBounds = {
  top: { maxFiles: 1000, maxBytes: 16 * 1024 * 1024, maxEntries: 2000 },
  subdirectory: { maxFiles: 100, maxBytes: 1024 * 1024, maxEntries: 200 },
  maxSubdirectories: 256,
  maxFileBytes: 1024 * 1024,
  maxPasses: 5,
}

export interface DirectoryContent {
  /** In order of their paths. */
  readonly files: readonly PolicyFile[]
  /** The directory and its subdirectories, to be watched. */
  readonly directories: readonly string[]
}

/** Why a directory as a whole cannot be read; says what to do. */
export interface DirectoryLoss {
  readonly lost: string
}

/** Never throws. What is wrong with a file or a subdirectory comes as that file, `unreadable`. */
export async function readDirectory(
  directory: string,
  disk: Disk,
  bounds: DirectoryBounds = DIRECTORY_BOUNDS,
): Promise<DirectoryContent | DirectoryLoss> {
  const read = await readAtRest({ directory, prefix: '', disk, bounds, place: bounds.top }, async (entries) => {
    const content = { files: [] as PolicyFile[], directories: [directory] }
    const room = roomOf(bounds.top)
    let subdirectories = 0
    for (const entry of entries) {
      if (entry.kind !== 'directory') content.files.push(await readEntry(entry, room, disk, bounds))
      else if (!isNamespace(entry.path)) content.files.push(lostTree(entry, NO_NAMESPACE))
      else if (++subdirectories > bounds.maxSubdirectories) content.files.push(lostTree(entry, TOO_MANY_DIRECTORIES))
      else {
        content.directories.push(join(directory, entry.path))
        content.files.push(...(await readSubdirectory(entry, disk, bounds)))
      }
    }
    return content
  })
  return typeof read === 'string' ? { lost: explanation(directory, read) } : read
}

async function readSubdirectory(entry: Entry, disk: Disk, bounds: DirectoryBounds): Promise<readonly PolicyFile[]> {
  const where = { directory: entry.real, prefix: `${entry.path}/`, disk, bounds, place: bounds.subdirectory }
  const read = await readAtRest(where, async (entries) => {
    const files: PolicyFile[] = []
    const room = roomOf(bounds.subdirectory)
    for (const each of entries) files.push(await readEntry(each, room, disk, bounds))
    return files
  })
  if (typeof read !== 'string') return read
  const why =
    read === CHANGING ? 'it keeps changing while it is read. Replace its files in one step, as a ConfigMap does' : read
  return [lostTree(entry, `This directory cannot be read (${why}).`)]
}

function lostTree({ path }: Entry, unreadable: string): PolicyFile {
  return { path, unreadable, tree: true }
}

const NO_NAMESPACE =
  'Nothing in this directory is read: a subdirectory bears the name of the namespace whose SecretGrants it holds. Rename it, or move its files to the top of the policy directory.'
const TOO_MANY_DIRECTORIES =
  'Nothing in this directory is read: there are too many of them. Move what some of them hold to the top of the policy directory.'

function explanation(directory: string, code: string): string {
  if (code === CHANGING) {
    return `The policy directory ${directory} keeps changing while it is read. Replace its files in one step, as a ConfigMap does.`
  }
  if (code === 'ENOENT') {
    return `The policy directory ${directory} does not exist. Mount the ConfigMap with the TransitKey and SecretGrant documents there, or name the directory that holds them. An empty one will do: it grants nothing.`
  }
  if (code === 'ENOTDIR')
    return `The policy directory ${directory} is not a directory. Name the directory that holds the documents.`
  return `The policy directory ${directory} cannot be read (${code}). keyhole needs to list it and to read its files.`
}

interface Where {
  readonly directory: string
  /** Of the paths within it. */
  readonly prefix: string
  readonly disk: Disk
  readonly bounds: DirectoryBounds
  readonly place: PlaceBounds
}

const CHANGING = 'changing'

/** What `read` makes of the entries if they are the same before and after; else the code of what went wrong. */
async function readAtRest<T>(where: Where, read: (entries: readonly Entry[]) => Promise<T>): Promise<T | string> {
  let code = ''
  for (let pass = 0; pass < where.bounds.maxPasses; pass++) {
    try {
      const before = await look(where)
      const content = await read(before.entries)
      const after = await look(where)
      if (before.marks.join('\n') === after.marks.join('\n')) return content
      code = CHANGING
    } catch (error) {
      // Also what a swap looks like to a pass that had followed the old `..data`.
      code = errorCode(error)
    }
  }
  return code
}

interface Entry {
  /** Relative to the policy directory. */
  readonly path: string
  /** Where it really lies, past `..data`. */
  readonly real: string
  readonly kind: 'file' | 'directory' | 'other' | 'lost'
  readonly code?: string
}

interface Look {
  readonly entries: readonly Entry[]
  /** They differ if anything was replaced. */
  readonly marks: readonly string[]
}

async function look({ directory, prefix, disk, place: { maxEntries } }: Where): Promise<Look> {
  const data = await disk.link(join(directory, '..data'))
  const base = data === undefined ? directory : resolve(directory, data)
  const names = await disk.list(base, maxEntries)
  if (names.length > maxEntries) throw Object.assign(new Error('too many entries'), { code: 'E2BIG' })
  const marks = [base]
  const entries: Entry[] = []
  for (const name of names.toSorted()) {
    // `..data` itself, and what it points at.
    if (name.startsWith('..')) continue
    const real = join(base, name)
    try {
      const { kind, stamp } = await disk.look(real)
      entries.push({ path: prefix + name, real, kind })
      // What changes within a subdirectory concerns only that one.
      marks.push(kind === 'directory' ? `${name} ${kind}` : `${name} ${stamp}`)
    } catch (error) {
      entries.push({ path: prefix + name, real, kind: 'lost', code: errorCode(error) })
      marks.push(`${name} ${errorCode(error)}`)
    }
  }
  return { entries, marks }
}

/** What a place may still hold. */
interface Room {
  files: number
  bytes: number
}

function roomOf({ maxFiles, maxBytes }: PlaceBounds): Room {
  return { files: maxFiles, bytes: maxBytes }
}

async function readEntry(
  { path, real, kind, code }: Entry,
  room: Room,
  disk: Disk,
  { maxFileBytes }: DirectoryBounds,
): Promise<PolicyFile> {
  const named = /\.(yaml|yml|json)$/.test(path)
  // What cannot even be looked at may be a subdirectory with documents in it.
  if (kind === 'lost') return { path, unreadable: `This cannot be read (${code}).`, tree: !named }
  if (kind === 'directory') return { path, ignored: 'Not read: subdirectories are read one level deep.' }
  if (!named) return { path, ignored: 'Not read: the name must end in .yaml, .yml or .json.' }
  if (kind === 'other') return { path, unreadable: 'This is not a regular file.', tree: false }
  room.files -= 1
  const read = room.files < 0 ? TOO_MANY : await readText(real, Math.min(maxFileBytes, room.bytes), disk)
  if (!('text' in read)) return { path, ...read, tree: false }
  room.bytes -= read.bytes
  return { path, text: read.text }
}

type Read = { readonly text: string; readonly bytes: number } | { readonly unreadable: string }

const TOO_MANY: Read = {
  unreadable: 'This directory has too many files: put several documents into one, with "---" between them.',
}
const TOO_LARGE: Read = {
  unreadable: 'This file is too large, or all files of its directory together are: split it, or shorten them.',
}

async function readText(path: string, maxBytes: number, disk: Disk): Promise<Read> {
  try {
    const bytes = await disk.read(path, maxBytes)
    if (bytes.length > maxBytes) return TOO_LARGE
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), bytes: bytes.length }
  } catch (error) {
    const code = errorCode(error)
    return { unreadable: code === NOT_UTF8 ? 'This file is not UTF-8.' : `This file cannot be read (${code}).` }
  }
}

const NOT_UTF8 = 'ERR_ENCODING_INVALID_ENCODED_DATA'
