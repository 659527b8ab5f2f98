/** What can become of one call: the process dies or stops around it, or the network and the peer do what they do. */
import type { Answer, SendErrorCode } from '../../src/external/send.ts'
import type { Call } from './call.ts'
import { changes } from './call.ts'

export type Crash = 'crash-before' | 'crash-after' | 'crash-answered'
export type Stop = 'stop-before' | 'stop-after'
export type Mishap = Crash | Stop | FaultName

/** How a fault acts on one call. */
export interface Trip {
  readonly call: Call
  /** The request takes effect, and this is the answer. */
  apply(): Promise<Answer>
  /** On the clock of the process. */
  elapse(ms: number): Promise<void>
  /** The request is on its way still, whatever becomes of who sent it. */
  later(ms: number): void
  fail(code: SendErrorCode): never
}

/** As `external/send.ts` bounds each call. */
const TIMEOUT_MS = 2_000

const REFUSALS = [401, 403, 404, 409, 412, 413, 422, 429, 500, 503] as const

type Fault = (trip: Trip) => Promise<Answer>

const NETWORK = {
  async timeout({ elapse, fail }) {
    await elapse(TIMEOUT_MS)
    return fail('timeout')
  },
  async 'applied-then-timeout'({ apply, elapse, fail }) {
    await apply()
    await elapse(TIMEOUT_MS)
    return fail('timeout')
  },
  reset: async ({ fail }) => fail('reset'),
  async 'applied-then-reset'({ apply, fail }) {
    await apply()
    return fail('reset')
  },
  async slow({ apply, elapse }) {
    await elapse(TIMEOUT_MS / 2 - 50)
    const answer = await apply()
    await elapse(TIMEOUT_MS / 2 - 50)
    return answer
  },
  async truncated({ apply }) {
    const answer = await apply()
    return { ...answer, body: answer.body.subarray(0, answer.body.length >> 1) }
  },
} as const satisfies Record<string, Fault>

/** For calls that change something. */
const CHANGING = {
  /** It takes effect after whoever sent it gave it up, before they look again. */
  async 'late-by-1s'({ later, elapse, fail }) {
    later(TIMEOUT_MS + 1_000)
    await elapse(TIMEOUT_MS)
    return fail('timeout')
  },
  /** It takes effect after they have looked. */
  async 'late-by-5s'({ later, elapse, fail }) {
    later(TIMEOUT_MS + 5_000)
    await elapse(TIMEOUT_MS)
    return fail('timeout')
  },
  /** A proxy sends it once more; the second answer is the one that arrives. */
  async duplicate({ apply }) {
    await apply()
    return await apply()
  },
} as const satisfies Record<string, Fault>

/** For the answer to a batch. */
const BATCH = {
  disorder: async ({ apply }) => edited(await apply(), (results) => results.toReversed()),
  partial: async ({ apply }) => edited(await apply(), (results) => results.slice(0, -1)),
  'first-item-refused': async ({ apply }) =>
    edited(await apply(), ([first, ...rest]) => [{ error: MISSED, reference: first?.reference }, ...rest]),
  'last-item-refused': async ({ apply }) =>
    edited(await apply(), (results) => [
      ...results.slice(0, -1),
      { error: 'something that no version of Vault says', reference: results.at(-1)?.reference },
    ]),
} as const satisfies Record<string, Fault>

const MISSED = 'cipher: message authentication failed'

export type FaultName =
  | keyof typeof NETWORK
  | keyof typeof CHANGING
  | keyof typeof BATCH
  | `${(typeof REFUSALS)[number]}`

/** Those that can befall this call. */
export function faultsOf(call: Call): readonly FaultName[] {
  // Of a record only: it is written or not, and its writer is told or not.
  if (call.act === 'append') return ['reset', 'applied-then-reset', 'slow']
  const network = Object.keys(NETWORK) as FaultName[]
  const refusals = REFUSALS.map((status): FaultName => `${status}`)
  const changing = changes(call) ? (Object.keys(CHANGING) as FaultName[]) : []
  const batch = call.act === 'rewrap' ? (Object.keys(BATCH) as FaultName[]) : []
  return [...network, ...refusals, ...changing, ...batch]
}

export function isFault(mishap: Mishap): mishap is FaultName {
  return !mishap.startsWith('crash-') && !mishap.startsWith('stop-')
}

export async function befall(fault: FaultName, trip: Trip): Promise<Answer> {
  const act: Fault | undefined = { ...NETWORK, ...CHANGING, ...BATCH }[fault as keyof typeof NETWORK]
  if (act !== undefined) return await act(trip)
  return refusal(trip.call, Number(fault))
}

/** The request has no effect, and is answered as the real servers and what stands before them do. */
function refusal({ act, about }: Call, status: number): Answer {
  const isVault = act === 'login' || act === 'key-read' || act === 'rotate' || act === 'config' || act === 'rewrap'
  const name = about.split('/').at(-1)
  const kind = act.startsWith('lease') ? 'leases' : 'secrets'
  const body = isVault
    ? { errors: status === 503 ? ['Vault is sealed'] : status === 404 ? [] : ['1 error occurred:\n\t* no\n\n'] }
    : {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: `${kind} "${name}"`,
        reason: REASONS[status] ?? 'Unknown',
        details: { name, kind },
        code: status,
      }
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) }
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  413: 'RequestEntityTooLarge',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
}

interface Result {
  readonly reference?: string | undefined
}

function edited(answer: Answer, edit: (results: readonly Result[]) => readonly object[]): Answer {
  if (answer.status !== 200) return answer
  const body = JSON.parse(answer.body.toString()) as { data: { batch_results: readonly Result[] } }
  const results = edit(body.data.batch_results)
  return { ...answer, body: Buffer.from(JSON.stringify({ ...body, data: { batch_results: results } })) }
}
