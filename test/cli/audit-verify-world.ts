/** `keyhole audit verify` in this process, on logs of a test's own. */
import { Readable } from 'node:stream'
import { expect } from 'vitest'
import type { Chain } from '../../src/audit-log/chain.ts'
import { openChain } from '../../src/audit-log/chain.ts'
import type { Start } from '../../src/audit-log/record.ts'
import { auditVerify } from '../../src/cli/audit-verify.ts'
import type { World } from '../../src/cli/world.ts'
import { decision, NOW_MS, start } from '../audit-log/records.ts'
import { virtualClock } from '../virtual-clock.ts'
import { expectHarmless } from './world.ts'

export interface Setting {
  readonly stdin?: string | Buffer | Readable
  /** Both of standard error and of standard input. */
  readonly isTTY?: boolean
  readonly clock?: World['clock']
  readonly signal?: AbortSignal
}

export interface Verified {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

export async function auditVerifyOf(args: readonly string[], setting: Setting = {}): Promise<Verified> {
  const printed = { stdout: '', stderr: '' }
  const to = (name: 'stdout' | 'stderr') => ({
    isTTY: name === 'stderr' && setting.isTTY === true,
    columns: 80,
    write(text: string) {
      printed[name] += text
    },
  })
  const { stdin = '' } = setting
  const stream = stdin instanceof Readable ? stdin : Readable.from([Buffer.from(stdin)])
  const exit = await auditVerify(args, {
    environment: {},
    stdin: Object.assign(stream, { isTTY: setting.isTTY === true }),
    stdout: to('stdout'),
    stderr: to('stderr'),
    clock: setting.clock ?? virtualClock(0),
    random: () => 0,
    newId: () => '',
    signal: setting.signal ?? new AbortController().signal,
  })
  expectHarmless(printed.stdout + printed.stderr)
  return { exit, ...printed }
}

export interface Written {
  readonly chain: Chain
  readonly lines: readonly string[]
}

/** A start, so many decisions a second apart, and a stop if asked. */
export function writtenBy(
  instance: string,
  decisions: number,
  { stop = false, ...over }: Partial<Start> & { readonly stop?: boolean } = {},
): Written {
  const chain = openChain(instance)
  const lines = [chain.next(start(over))]
  for (let index = 1; index <= decisions; index += 1) {
    lines.push(chain.next(decision({ requestId: `r-${index}`, timeMs: NOW_MS + index * 1_000 })))
  }
  if (stop) lines.push(chain.next({ kind: 'stop', timeMs: NOW_MS + (decisions + 1) * 1_000 }))
  return { chain, lines }
}

/** Of the newest line. */
export function headOf({ chain }: Written) {
  const head = chain.head()
  if (head === undefined) throw new Error('there is no line')
  return head
}

export function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}

/** Of what is printed, all that a record holds and its chain does not need is a secret. */
export function expectNoContents(...texts: readonly string[]): void {
  for (const text of texts) expect(text).not.toMatch(/payments|PGHOST|10\.1\.2\.3|r-\d|hash-1|api-0|JTI/)
}
