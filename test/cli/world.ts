/**
 * `keyhole rotate` in this process, against a real server that answers what a test says, in order. Waits pass at once, on
 * a clock of the test's own; whatever is printed is checked for the token and for what a terminal would obey.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { rotate } from '../../src/cli/rotate.ts'
import type { Output, World } from '../../src/cli/world.ts'
import type { Answer } from '../client/samples.ts'
import type { Peer, Seen } from '../external/peer.ts'
import { startPeer } from '../external/peer.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'

export const TOKEN = 'canary-of-a-token'
export const NOW_MS = Date.UTC(2026, 0, 15)

export interface Setting {
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly isTTY?: boolean
  readonly columns?: number
  /** Of the spread of waits: 1 is all of it. */
  readonly random?: number
  /** What the token file holds; null: there is none. */
  readonly token?: string | null
  /** Seen before each wait passes. */
  readonly waiting?: (world: Running) => void
}

export interface Running extends AsyncDisposable {
  readonly peer: Peer
  readonly clock: VirtualClock
  readonly stopping: AbortController
  readonly tokenFile: string
  stdout(): string
  stderr(): string
  readonly exit: Promise<number>
}

export interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
  readonly seen: readonly Seen[]
}

/** To its end. A request beyond the last answer gets the last one again. */
export async function run(args: string, answers: readonly Answer[], setting: Setting = {}): Promise<Ran> {
  await using running = await start(args, answers, setting)
  const exit = await running.exit
  return { exit, stdout: running.stdout(), stderr: running.stderr(), seen: running.peer.seen }
}

/** @param args as one would type them. */
export async function start(args: string, answers: readonly Answer[], setting: Setting = {}): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-cli-'))
  const tokenFile = join(directory, 'token')
  const { token = TOKEN } = setting
  if (token !== null) writeFileSync(tokenFile, token)
  const peer = await startPeer((reply) => (answers[peer.seen.length - 1] ?? answers.at(-1))?.(reply))
  const clock = virtualClock(NOW_MS)
  const stopping = new AbortController()
  const printed = { stdout: '', stderr: '' }

  function outputTo(name: 'stdout' | 'stderr'): Output {
    return {
      isTTY: setting.isTTY ?? false,
      columns: setting.columns ?? 80,
      write(text) {
        printed[name] += text
        const [, seconds] = /Trying again in (\d+) s/.exec(text) ?? []
        if (seconds !== undefined) setImmediate(() => pass(Number(seconds)))
      },
    }
  }
  function pass(seconds: number): void {
    setting.waiting?.(running)
    void clock.advance(seconds * 1_000)
  }

  const world: World = {
    environment: { KEYHOLE_ADDR: peer.url, KEYHOLE_TOKEN_FILE: tokenFile, ...setting.environment },
    stdout: outputTo('stdout'),
    stderr: outputTo('stderr'),
    clock,
    random: () => setting.random ?? 1,
    newId: () => 'invocation-1',
    signal: stopping.signal,
  }
  const running: Running = {
    peer,
    clock,
    stopping,
    tokenFile,
    stdout: () => printed.stdout,
    stderr: () => printed.stderr,
    exit: Promise.resolve().then(() =>
      rotate(
        args.split(' ').filter((arg) => arg !== ''),
        world,
      ),
    ),
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running.exit.catch(() => {})
      await peer[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
      expect(clock.timers()).toBe(0)
      expectHarmless(printed.stdout + printed.stderr)
    },
  }
  return running
}

/** Colours and the redrawing of a line are ours; anything else that a terminal obeys came from somebody else. */
export function expectHarmless(text: string): void {
  expect(text).not.toContain(TOKEN)
  const [before = '', ...controlled] = text.replaceAll('\r', '').split('\x1b[')
  for (const piece of controlled) expect(piece).toMatch(/^(?:\d+m|K)/)
  expect([before, ...controlled].join('')).toMatch(/^[\x20-\x7e\n]*$/)
}

/** The waits that were told, in seconds. */
export function waits({ stdout, stderr }: Ran): readonly number[] {
  return [...(stdout + stderr).matchAll(/Trying again in (\d+) s/g)].map(([, seconds]) => Number(seconds))
}

export function daysAgo(days: number): string {
  return new Date(NOW_MS - days * 86_400_000).toISOString()
}
