/** The Idempotency-Key of one invocation: however often a request is sent, it is the same one; and no other invocation's. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rotate } from '../../src/cli/rotate.ts'
import type { Output } from '../../src/cli/world.ts'
import type { LedgerEntry } from '../../src/contract.ts'
import type { Answer } from '../client/samples.ts'
import { ledgerEntry, refuses, report, says, status, streams } from '../client/samples.ts'
import { startPeer } from '../external/peer.ts'
import { virtualClock } from '../virtual-clock.ts'
import { daysAgo, NOW_MS } from './world.ts'

const DONE = streams(report())
const GONE: Answer = (reply) => reply.destroy()

/** Runs it several times, with an id of its own for whoever asks for one. Answers with the keys, in order. */
async function keysOf(invocations: readonly string[], answers: readonly Answer[]): Promise<readonly unknown[]> {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-cli-'))
  const tokenFile = join(directory, 'token')
  writeFileSync(tokenFile, 'a-token')
  const peer = await startPeer((reply) => answers[peer.seen.length - 1]?.(reply))
  const clock = virtualClock(NOW_MS)
  let ids = 0
  const output: Output = {
    isTTY: false,
    columns: 80,
    write(text) {
      const [, seconds] = /Trying again in (\d+) s/.exec(text) ?? []
      if (seconds !== undefined) setImmediate(() => void clock.advance(Number(seconds) * 1_000))
    },
  }
  const world = {
    environment: { KEYHOLE_ADDR: peer.url, KEYHOLE_TOKEN_FILE: tokenFile },
    stdout: output,
    stderr: output,
    clock,
    random: () => 1,
    newId: () => {
      ids += 1
      return `id-${ids}`
    },
    signal: new AbortController().signal,
  }
  try {
    for (const invocation of invocations) {
      const args = invocation.split(' ').filter((arg) => arg !== '')
      expect(await rotate(args, world)).toBe(0)
    }
    const sent = peer.seen.filter(({ method }) => method === 'POST')
    expect(peer.seen).toHaveLength(answers.length)
    return sent.map(({ headers }) => headers['idempotency-key'])
  } finally {
    await peer[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
}

test('it is the same for every try of a request, whatever it was answered', async () => {
  const answers = [GONE, refuses('VAULT_SEALED'), refuses('ROTATION_IN_PROGRESS'), DONE]
  expect(await keysOf([''], answers)).toEqual(['id-1', 'id-1', 'id-1', 'id-1'])
})

test('it is another one for another request of the same invocation, each the same for every try', async () => {
  const behind: LedgerEntry = {
    ...ledgerEntry('orders', daysAgo(3)),
    drift: [{ namespace: 'orders', name: 'db', version: 4 }],
  }
  const ledger = says(status(ledgerEntry('payments', daysAgo(20)), behind))
  const answers = [GONE, ledger, GONE, DONE, GONE, DONE]
  expect(await keysOf(['--if-older-than 20d'], answers)).toEqual(['id-1', 'id-1', 'id-1.1', 'id-1.1'])
})

test('it is another one for another invocation: that means another rotation', async () => {
  expect(await keysOf(['', ''], [DONE, GONE, DONE])).toEqual(['id-1', 'id-2', 'id-2'])
})
