/**
 * The policy in force. It is read from a directory at start, then again on every hint of a change, and every 10 s because
 * hints get lost. Whatever happens to the directory later, the last good versions stay in force.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Cancel, Clock } from '../clock.ts'
import { every } from '../clock.ts'
import type { DirectoryBounds, DirectoryContent, DirectoryLoss } from './directory.ts'
import { DIRECTORY_BOUNDS, readDirectory } from './directory.ts'
import type { Disk } from './disk.ts'
import { disk as systemDisk } from './disk.ts'
import type { Policy } from './in-force.ts'
import { canonical, contentOf } from './in-force.ts'
import type { ParsedFile } from './parse.ts'
import { fileParser } from './parsed-files.ts'
import type { PolicyProblem } from './problems.ts'
import type { PolicyState, Refused } from './state.ts'
import { NOTHING_IN_FORCE, nextState } from './state.ts'
import { directoryHints } from './watch.ts'

export interface PolicyOptions {
  readonly directory: string
  readonly clock: Clock
  /** Also look when the file system reports a change. */
  readonly watch: boolean
  /** Called once another policy is in force, but not for the first one. Must not throw. */
  readonly changed: (change: PolicyChange) => void
  /** Called when the problems change, with what they are now, possibly none; at start only if there are any. Must not throw. */
  readonly reported?: (problems: readonly PolicyProblem[]) => void
  readonly recheckMs?: number
  /** How long to wait after a hint, because hints come in bursts and files are written in pieces. */
  readonly settleMs?: number
  readonly disk?: Disk
  readonly bounds?: DirectoryBounds
}

export interface PolicyChange {
  /** Hashes. */
  readonly from: string
  readonly to: string
  /** Ids such as `SecretGrant payments/db`, sorted. */
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
  readonly problems: readonly PolicyProblem[]
}

export interface PolicySource {
  current(): Policy
  problems(): readonly PolicyProblem[]
  /** How many documents are not in force as they are now written. */
  refused(): Refused
  /** Looks now. Resolves once the state at the time of the call, or a later one, is in force. */
  recheck(): Promise<void>
  close(): void
}

/** There is no policy to start with. The message says what to do. */
export class PolicyDirectoryError extends Error {
  override readonly name = 'PolicyDirectoryError'
}

const RECHECK_MS = 10_000
const SETTLE_MS = 100

/** @throws PolicyDirectoryError if the directory cannot be read at all; an empty one is a policy that grants nothing. */
export async function openPolicy(options: PolicyOptions): Promise<PolicySource> {
  const {
    directory,
    clock,
    recheckMs = RECHECK_MS,
    settleMs = SETTLE_MS,
    disk = systemDisk,
    bounds = DIRECTORY_BOUNDS,
  } = options
  const parse = fileParser()
  const content = await readDirectory(directory, disk, bounds)
  if ('lost' in content) throw new PolicyDirectoryError(content.lost)
  let files = await parse(content.files)
  let state = nextState(NOTHING_IN_FORCE, files)
  let closed = false
  let running: Promise<void> | undefined
  let again = false
  let pending: Cancel | undefined

  async function look(): Promise<void> {
    const { files: found, directories } = orLost(directory, await readDirectory(directory, disk, bounds))
    const parsed = await parse(found)
    if (closed) return
    hints?.follow(directories)
    if (isSame(parsed, files)) return
    const before = state
    files = parsed
    state = nextState(before, parsed)
    if (state.policy.hash !== before.policy.hash) options.changed(changeOf(before, state))
    if (!isDeepStrictEqual(state.problems, before.problems)) options.reported?.(state.problems)
  }

  async function run(): Promise<void> {
    do {
      again = false
      await look()
    } while (again && !closed)
  }

  function recheck(): Promise<void> {
    // A pass that is under way may already have read its files, so this caller needs another one.
    again = true
    running ??= run().finally(() => {
      running = undefined
    })
    return running
  }

  function hinted(): void {
    pending ??= clock.after(settleMs, () => {
      pending = undefined
      void recheck()
    })
  }

  const hints = options.watch ? directoryHints(hinted) : undefined
  hints?.follow(content.directories)
  const cancel = every(clock, recheckMs, () => void recheck())
  if (state.problems.length > 0) options.reported?.(state.problems)
  return {
    current: () => state.policy,
    problems: () => state.problems,
    refused: () => state.refused,
    recheck,
    close() {
      closed = true
      cancel()
      pending?.()
      hints?.close()
    },
  }
}

/** @throws PolicyDirectoryError as `openPolicy`. */
export async function requirePolicyDirectory(directory: string): Promise<void> {
  const content = await readDirectory(directory, systemDisk)
  if ('lost' in content) throw new PolicyDirectoryError(content.lost)
}

/** A directory that disappears after the start may come back. Until then, nothing in it counts as removed. */
function orLost(directory: string, found: DirectoryContent | DirectoryLoss): DirectoryContent {
  if (!('lost' in found)) return found
  return { files: [{ path: '.', unreadable: found.lost, tree: true }], directories: [directory] }
}

function isSame(a: readonly ParsedFile[], b: readonly ParsedFile[]): boolean {
  return a.length === b.length && a.every((file, index) => file === b[index])
}

function changeOf(before: PolicyState, after: PolicyState): PolicyChange {
  const ids = [...new Set([...before.documents.keys(), ...after.documents.keys()])].sort()
  const text = ({ documents }: PolicyState, id: string): string | undefined => {
    const document = documents.get(id)
    return document && canonical(contentOf(document))
  }
  return {
    from: before.policy.hash,
    to: after.policy.hash,
    added: ids.filter((id) => !before.documents.has(id)),
    changed: ids.filter(
      (id) => before.documents.has(id) && after.documents.has(id) && text(before, id) !== text(after, id),
    ),
    removed: ids.filter((id) => !after.documents.has(id)),
    problems: after.problems,
  }
}
