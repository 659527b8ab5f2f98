import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AuditLog, AuditLogOptions } from '../../src/audit-log/log.ts'
import { openAuditLog } from '../../src/audit-log/log.ts'
import type { Head } from '../../src/audit-log/record.ts'
import { fileSink } from '../../src/audit-log/sink.ts'
import { verify } from '../../src/audit-log/verify.ts'
import { systemClock } from '../../src/clock.ts'
import { until } from '../process/world.ts'
import { virtualClock } from '../virtual-clock.ts'
import { memorySink } from './memory-sink.ts'
import { decision } from './records.ts'

let instances = 0
function random(bytes: number): Buffer {
  instances += 1
  return Buffer.alloc(bytes, instances)
}

const API = { namespace: 'payments', serviceAccount: 'api' }
const VERSIONS = { keyhole: '0.1.0', node: 'v24' }

async function bench(over: Partial<AuditLogOptions> = {}) {
  const sink = memorySink()
  const clock = virtualClock()
  const log = await openAuditLog({ sink, clock, random, versions: VERSIONS, policyHash: () => undefined, ...over })
  const kinds = () => sink.lines().map((line) => JSON.parse(line).kind)
  return { sink, clock, log, kinds }
}

describe('the log', () => {
  it('writes counts and decisions on one chain, and the last counts before the stop', async () => {
    const { sink, clock, log, kinds } = await bench({ refusalsBurst: 1 })
    log.refusedUnauthenticated('TOKEN_MISSING', '10.0.0.1')
    await log.append(decision())
    await clock.advance(1000)
    log.refusedUnauthenticated('TOKEN_MISSING', '10.0.0.1')
    expect([log.overLimit(API, 'NOT_GRANTED'), log.overLimit(API, 'NOT_GRANTED')]).toEqual([false, true])
    await log.close()
    expect(kinds()).toEqual(['start', 'decision', 'refusals', 'refusals', 'throttled', 'stop'])
    expect(verify(sink.lines()).broken).toBeUndefined()
    expect(clock.timers()).toBe(0)
  })

  it('is unhealthy while its sink is, and well again with everything that was counted meanwhile', async () => {
    const { sink, clock, log, kinds } = await bench()
    sink.failing = 'ENOSPC'
    log.refusedUnauthenticated('TOKEN_MISSING', '10.0.0.1')
    expect(log.healthy()).toBe(true)
    await clock.advance(1000)
    expect(log.healthy()).toBe(false)
    await clock.advance(30_000)
    log.refusedUnauthenticated('AUDIT_UNAVAILABLE', '10.0.0.2')
    sink.failing = undefined
    await clock.advance(6000)
    expect(log.healthy()).toBe(true)
    expect(kinds()).toEqual(['start', 'start', 'refusals'])
    expect(JSON.parse(sink.lines()[2] ?? '')).toMatchObject({
      counts: { TOKEN_MISSING: 1, AUDIT_UNAVAILABLE: 1 },
      peers: { distinct: 2 },
    })
  })

  it.each([
    ['of nobody', (log: AuditLog) => log.refusedUnauthenticated('TOKEN_MISSING', '10.0.0.1')],
    ['of a caller', (log: AuditLog) => log.overLimit(API, 'NOT_GRANTED')],
  ])('is unhealthy while counts %s are owed, even when its sink is open again', async (_, count) => {
    const { sink, clock, log } = await bench({ refusalsBurst: 0 })
    sink.failing = 'ENOSPC'
    count(log)
    await clock.advance(1000)
    sink.failing = undefined
    await clock.advance(250)
    expect(log.healthy()).toBe(false)
    await log.append(decision())
    await clock.advance(750)
    expect(log.healthy()).toBe(true)
  })

  it('hands on its newest head once a minute when there is a new one, and at the close', async () => {
    const heads: Head[] = []
    const { sink, clock, log } = await bench({ keepHead: (head) => heads.push(head) })
    await clock.advance(59_999)
    expect(heads).toEqual([])
    await clock.advance(1)
    expect(heads.map(({ seq }) => seq)).toEqual([0])
    await clock.advance(120_000)
    expect(heads).toHaveLength(1)
    await log.append(decision())
    await clock.advance(60_000)
    await log.close()
    expect(heads.map(({ seq }) => seq)).toEqual([0, 1, 2])
    expect(heads.at(-1)).toEqual(log.head())
    expect(verify(sink.lines(), heads).broken).toBeUndefined()
    expect(verify(sink.lines().slice(0, -1), heads).broken).toMatchObject({ flaw: 'head' })
  })

  it('needs nobody to keep its heads', async () => {
    const { clock, log } = await bench()
    await clock.advance(60_000)
    expect(log.healthy()).toBe(true)
  })
})

describe('on a real file', () => {
  /** A disk takes its own time. */
  const ON_DISK = { clock: systemClock, random, versions: VERSIONS, timeoutMs: 60_000 }

  it('holds under concurrent appends, a rotation and a restart, in both files', async () => {
    await using directory = await scratch()
    const path = join(directory.path, 'audit.log')
    const options = { ...ON_DISK, policyHash: () => 'hash-1' }
    const log = await openAuditLog({ ...options, sink: fileSink(path) })
    const appendMany = () => Promise.all(Array.from({ length: 500 }, () => log.append(decision())))
    await appendMany()
    await rename(path, `${path}.1`)
    await appendMany()
    await log.close()
    const again = await openAuditLog({ ...options, sink: fileSink(path) })
    await again.append(decision())
    await again.close()
    const files = await Promise.all([`${path}.1`, path].map((name) => readFile(name, 'utf8')))
    const [old = [], fresh = []] = files.map((text) => text.trimEnd().split('\n'))
    for (const lines of [old, fresh, [...old, ...fresh]]) expect(verify(lines).broken).toBeUndefined()
    expect(old).toHaveLength(501)
    expect(fresh).toHaveLength(501 + 1 + 3)
    expect(JSON.parse(fresh[0] ?? '')).toMatchObject({ cause: 'moved', previous: { seq: 500 } })
  })

  it('that loses its last records while it is written goes on by what was written, so that the loss shows', async () => {
    await using directory = await scratch()
    const path = join(directory.path, 'audit.log')
    const options = { ...ON_DISK, policyHash: () => undefined }
    const log = await openAuditLog({ ...options, sink: fileSink(path) })
    for (let record = 1; record <= 3; record += 1) await log.append(decision())
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    await truncate(path, `${lines.slice(0, 2).join('\n')}\n`.length)
    await log.append(decision())
    await log.close()
    const left = (await readFile(path, 'utf8')).trimEnd().split('\n')
    expect(JSON.parse(left[2] ?? '')).toMatchObject({ cause: 'moved', previous: { seq: 3 } })
    expect(verify(left).broken).toBeDefined()
  })
})

describe('on a real pipe', () => {
  it('writes, refuses within its bound when nobody reads, and survives a reader that leaves', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'pipe-writer.ts')], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const exited = once(child, 'exit')
    const told: string[] = []
    child.on('message', (message) => told.push(String(message)))
    let errors = ''
    child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    let isOver = false
    // Comes after its last message, which its exit may not.
    child.once('disconnect', () => (isOver = true))
    const said = (word: string) =>
      until(() => {
        if (isOver && !told.includes(word)) throw new Error(`it ended before it was ${word}: ${errors}`)
        return told.includes(word)
      })
    await said('blocked')
    child.stdout?.destroy()
    await said('failed')
    expect(await exited).toEqual([0, null])
    expect(told).toEqual(['written', 'blocked', 'failed'])
  })
})

async function scratch() {
  const path = await mkdtemp(join(tmpdir(), 'keyhole-audit-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
