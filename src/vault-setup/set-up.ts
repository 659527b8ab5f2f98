/** The writes of a plan, one after the other, and then a look at what came of them. */
import type { Looking } from './asking.ts'
import { differences } from './differences.ts'
import type { Blocked, Finding, Hidden, Mendable, Note, Remaining } from './finding.ts'
import { look } from './look.ts'
import type { Wanted } from './wanted.ts'

export interface Plan {
  /** In the order in which they are to be made. */
  readonly writes: readonly Mendable[]
  /** What has to be settled by a person first; while there is any, nothing is written. */
  readonly stops: readonly (Blocked | Hidden)[]
  /** What is not as it should be, and no write makes so: it stops nothing. */
  readonly remains: readonly Remaining[]
  /** To be known before it is carried out. */
  readonly notes: readonly Note[]
  readonly all: readonly Finding[]
}

/** @throws UpstreamError */
export async function planFor(wanted: Wanted, looking: Looking): Promise<Plan> {
  const all = differences(wanted, await look(wanted, looking))
  return {
    all,
    writes: all.filter((finding) => finding.kind === 'mendable'),
    stops: all.filter((finding) => finding.kind === 'blocked' || finding.kind === 'hidden'),
    remains: all.filter((finding) => finding.kind === 'remaining'),
    notes: all.filter((finding) => finding.kind === 'note'),
  }
}

interface Writing extends Looking {
  /** The text of a file, such as a token's. */
  readFile(path: string): string
  /** Before each write. */
  began(finding: Mendable, at: number): void
}

/** @throws UpstreamError of the write that failed: those before it are done, and the same again goes on from there. */
export async function carryOut({ writes }: Plan, { vault, signal, readFile, began }: Writing): Promise<void> {
  for (const [at, finding] of writes.entries()) {
    const { path, data, files = {} } = finding.write
    began(finding, at)
    const read = Object.entries(files).map(([field, file]) => [field, readFile(file)] as const)
    await vault.write(path, { ...data, ...Object.fromEntries(read) }, signal)
  }
}
