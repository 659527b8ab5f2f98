/**
 * Reads a policy directory as ConfigMaps appear in one: files are links through `..data`, which the kubelet swaps
 * in one step, so a pass must see the same `..data` from beginning to end or it mixes two policies. Subdirectories
 * may be further ConfigMaps, one level deep.
 */
import { join, resolve } from 'node:path'
import type { Disk } from './disk.ts'
import { errorCode } from './disk.ts'
import type { PolicyFile } from './parse.ts'

export interface DirectoryBounds {
  readonly maxFileBytes: number
  readonly maxTotalBytes: number
  readonly maxFiles: number
  /** Of one directory. */
  readonly maxEntries: number
  /** How often to begin again while the directory changes. */
  readonly maxPasses: number
}

export const DIRECTORY_BOUNDS: DirectoryBounds = {
  maxFileBytes: 1024 * 1024,
  maxTotalBytes: 16 * 1024 * 1024,
  maxFiles: 1000,
  maxEntries: 1000,
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
  let lost = `The policy directory ${directory} keeps changing while it is read. Replace its files in one step, as a ConfigMap does.`
  for (let pass = 0; pass < bounds.maxPasses; pass++) {
    try {
      const before = await survey(directory, disk, bounds)
      const files = await readFiles(before.found, disk, bounds)
      const after = await survey(directory, disk, bounds)
      if (before.marks.join('\n') === after.marks.join('\n')) return { files, directories: before.directories }
    } catch (error) {
      // Also what a swap looks like to a pass that had followed the old `..data`.
      lost = explanation(directory, errorCode(error))
    }
  }
  return { lost }
}

function explanation(directory: string, code: string): string {
  if (code === 'ENOENT') {
    return `The policy directory ${directory} does not exist. Mount the ConfigMap with the TransitKey and SecretGrant documents there, or name the directory that holds them. An empty one will do: it grants nothing.`
  }
  if (code === 'ENOTDIR')
    return `The policy directory ${directory} is not a directory. Name the directory that holds the documents.`
  return `The policy directory ${directory} cannot be read (${code}). keyhole needs to list it and to read its files.`
}

/** What lies where, and marks that differ if anything was replaced. */
interface Survey {
  readonly found: readonly Found[]
  readonly directories: readonly string[]
  readonly marks: readonly string[]
}

type Found = PolicyFile | { readonly path: string; readonly real: string }

async function survey(directory: string, disk: Disk, bounds: DirectoryBounds): Promise<Survey> {
  const top = await look(directory, '', disk, bounds)
  const found: Found[] = []
  const directories = [directory]
  const marks = [...top.marks]
  for (const entry of top.entries) {
    if (entry.kind !== 'directory') {
      found.push(...wanted(entry))
      continue
    }
    directories.push(join(directory, entry.path))
    const below = await look(entry.real, `${entry.path}/`, disk, bounds).catch((error: unknown) => errorCode(error))
    if (typeof below === 'string') {
      found.push({ path: entry.path, unreadable: `This directory cannot be read (${below}).`, tree: true })
      marks.push(`${entry.path} ${below}`)
      continue
    }
    found.push(...below.entries.flatMap(wanted))
    marks.push(...below.marks)
  }
  return { found, directories, marks }
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
  readonly marks: readonly string[]
}

async function look(directory: string, prefix: string, disk: Disk, { maxEntries }: DirectoryBounds): Promise<Look> {
  const data = await disk.link(join(directory, '..data'))
  const base = data === undefined ? directory : resolve(directory, data)
  const names = await disk.list(base, maxEntries)
  if (names.length > maxEntries) throw Object.assign(new Error('too many entries'), { code: 'E2BIG' })
  const marks = [`${prefix} ${base}`]
  const entries: Entry[] = []
  for (const name of names.toSorted()) {
    // `..data` itself, and what it points at.
    if (name.startsWith('..')) continue
    const real = join(base, name)
    try {
      const { kind, stamp } = await disk.look(real)
      entries.push({ path: prefix + name, real, kind })
      marks.push(`${prefix}${name} ${stamp}`)
    } catch (error) {
      entries.push({ path: prefix + name, real, kind: 'lost', code: errorCode(error) })
      marks.push(`${prefix}${name} ${errorCode(error)}`)
    }
  }
  return { entries, marks }
}

function wanted({ path, real, kind, code }: Entry): readonly Found[] {
  const named = /\.(yaml|yml|json)$/.test(path)
  // What cannot even be looked at may be a subdirectory with documents in it.
  if (kind === 'lost') return [{ path, unreadable: `This cannot be read (${code}).`, tree: !named }]
  if (kind === 'directory') return [{ path, ignored: 'Not read: subdirectories are read one level deep.' }]
  if (!named) return [{ path, ignored: 'Not read: the name must end in .yaml, .yml or .json.' }]
  if (kind === 'other') return [{ path, unreadable: 'This is not a regular file.', tree: false }]
  return [{ path, real }]
}

async function readFiles(found: readonly Found[], disk: Disk, bounds: DirectoryBounds): Promise<PolicyFile[]> {
  const files: PolicyFile[] = []
  let opened = 0
  let leftBytes = bounds.maxTotalBytes
  for (const file of found) {
    if (!('real' in file)) {
      files.push(file)
      continue
    }
    opened += 1
    const max = Math.min(bounds.maxFileBytes, leftBytes)
    const read = opened > bounds.maxFiles ? TOO_MANY : await readText(file.real, max, disk)
    if ('text' in read) leftBytes -= read.bytes
    files.push('text' in read ? { path: file.path, text: read.text } : { path: file.path, ...read, tree: false })
  }
  return files
}

type Read = { readonly text: string; readonly bytes: number } | { readonly unreadable: string }

const TOO_MANY: Read = {
  unreadable: 'There are too many files: put several documents into one, with "---" between them.',
}
const TOO_LARGE: Read = { unreadable: 'This file is too large, or all files together are: split it, or shorten them.' }

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
