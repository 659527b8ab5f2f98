/** The client of the API server, over a peer that answers whatever a test wants. */
import { afterEach, expect } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { UpstreamError } from '../../src/errors.ts'
import type { Kubernetes } from '../../src/external/kubernetes.ts'
import { openKubernetes } from '../../src/external/kubernetes.ts'
import type { Send, Sender } from '../../src/external/send.ts'
import { openSend } from '../../src/external/send.ts'
import type { Token } from '../../src/opaque.ts'
import { token } from '../../src/opaque.ts'
import type { Handler, Peer } from './peer.ts'
import { json } from './peer.ts'
import { thrownBy } from './traces.ts'

export const never = new AbortController().signal

const senders: Sender[] = []

afterEach(async () => {
  await Promise.all(senders.splice(0).map((sender) => sender.close()))
})

export function sendingTo(peer: Pick<Peer, 'url'>, ca?: string): Send {
  const options = { connections: 4, maxBodyBytes: 256 * 1024, callTimeoutMs: 60_000, clock: systemClock }
  const sender = openSend({ ...options, origin: peer.url, ...(ca !== undefined && { ca: () => ca }) })
  senders.push(sender)
  return sender.send
}

export function kubernetesAt(peer: Pick<Peer, 'url'>, own: readonly string[] = ['own-token'], ca?: string): Kubernetes {
  return openKubernetes({ send: sendingTo(peer, ca), token: renewedAs(own) })
}

/** Holds the next of these each time it is read again. */
export function renewedAs(contents: readonly string[]): { current(): Token; again(): Token } {
  let at = 0
  const current = () => token(contents[at] ?? '')
  return {
    current,
    again() {
      at = Math.min(at + 1, contents.length - 1)
      return current()
    },
  }
}

export async function kindOf(act: Promise<unknown>): Promise<string> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(UpstreamError)
  const { upstream, kind } = error as UpstreamError
  expect(upstream).toBe('kubernetes')
  return kind
}

export function answering(status: number, body: unknown): Handler {
  return (reply) => json(reply, status, body)
}

/** Statuses that mean the same whatever was asked, with a Status that gives no reason. */
export const REFUSALS = [
  [202, 'garbage'],
  [204, 'garbage'],
  [301, 'redirected'],
  [307, 'redirected'],
  [400, 'bad-request'],
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'garbage'],
  [408, 'unavailable'],
  [409, 'garbage'],
  [410, 'garbage'],
  [413, 'too-large'],
  [415, 'garbage'],
  [422, 'bad-request'],
  [429, 'throttled'],
  [500, 'unavailable'],
  [503, 'unavailable'],
  [504, 'unavailable'],
] as const

/** Names that would make another path, with names that would not. */
export const BAD_NAMES = [
  ['..', 'db'],
  ['', 'db'],
  ['payments', ''],
  ['payments', '.'],
  ['payments', '..'],
  ['payments', '../db'],
  ['payments', '..%2fdb'],
  ['payments', '%2e%2e'],
  ['payments', 'a/b'],
  ['payments', 'a\\b'],
  ['payments', '.a'],
  ['payments', 'DB'],
  ['payments', 'a_b'],
  ['payments', 'db?dryRun=All'],
  ['payments', 'db#x'],
  ['payments', 'db\0'],
  ['payments', 'db\n'],
  ['payments', 'dß'],
  ['payments', 'a'.repeat(254)],
  ['a.b', 'db'],
  ['Payments', 'db'],
  ['a'.repeat(64), 'db'],
  ['payments/secrets/x/..', 'db'],
  ['payments\0', 'db'],
] as const

/** A Status of the API server. */
export function refusal(code: number, reason: string, message: string, details?: object): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code }
}
