/**
 * The sample's world, for rotations: as many keyholes as a test wants on one pair of stand-ins, a second Transit key that
 * is somebody else's, and what must hold after any of it: no plaintext, token or ciphertext in a reply, the log or the
 * audit log, and no timer left. Time is virtual, sockets are real.
 */
import { readFile } from 'node:fs/promises'
import { expect } from 'vitest'
import { verify } from '../../src/audit-log/verify.ts'
import type { RotateRequest, RotationReport, RotationStatus } from '../../src/contract.ts'
import type { Fault } from '../../src/standins/faults.ts'
import type { Standin } from '../../src/standins/server.ts'
import type { Workload } from '../../src/testing/sample.ts'
import { SAMPLE_DICTIONARY, SAMPLE_POLICY } from '../../src/testing/sample.ts'
import type { Keyhole, Standins, StartOptions } from '../../src/testing/start-keyhole.ts'
import { startKeyholeOn, startStandins } from '../../src/testing/start-keyhole.ts'
import type { Answer } from '../http/line.ts'
import type { Canaries } from '../read-path/leaks.ts'
import { canaries } from '../read-path/leaks.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'
import { ask } from './ask.ts'

/** The same in every request of a test, so that they differ in nothing but what it is about. */
export const ID = expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown as string

const OTHERS = `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: ledgers }
spec: { namespaces: [bi], rotation: { admins: [{ namespace: bi, serviceAccount: reports }] } }
`

export const ROTATION_POLICY: Readonly<Record<string, string>> = { ...SAMPLE_POLICY, 'others.yaml': OTHERS }

export interface RotateOptions {
  /** Default `rotator`, with a token never seen. */
  readonly as?: Workload
  readonly token?: string
  readonly body?: RotateRequest | string
  readonly headers?: Readonly<Record<string, string>>
  /** Default: the first of the world's keyholes. */
  readonly at?: Keyhole
}

export interface RotationWorld extends AsyncDisposable {
  readonly clock: VirtualClock
  readonly kubernetes: Standins['kubernetes']
  readonly vault: Standins['vault']
  readonly keyhole: Keyhole
  /** Another process on the same stand-ins, and with the same rights. */
  start(options?: Omit<StartOptions, 'clock'>): Promise<Keyhole>
  tokenOf(workload: Workload): string
  rotate(options?: RotateOptions): Promise<Answer>
  /** GET /rotate. */
  status(options?: RotateOptions): Promise<RotationStatus>
  /** The reply to a read of the sample's Secret, by the workload that may read of it most of what it holds. */
  read(name: 'db' | 'tls', at?: Keyhole): Promise<string>
  /** Which version each Secret holds, and what Vault says of the key. */
  standing(): { readonly versions: readonly string[]; readonly latest: number; readonly min: number }
  /** Everything that left any keyhole since {@link forget}, logins aside. */
  calls(): readonly string[]
  forget(): void
  /** Something that must not turn up anywhere either. */
  readonly secret: Canaries['add']
}

export async function startRotationWorld(options: Omit<StartOptions, 'clock'> = {}): Promise<RotationWorld> {
  const clock = virtualClock()
  const standins = await startStandins(clock)
  const { kubernetes, vault, upstreams } = standins
  const search = canaries()
  const shown: string[] = []
  const keyholes: Keyhole[] = []
  seedCanaries(search)
  noteCiphertexts()

  async function start(more: Omit<StartOptions, 'clock'> = {}): Promise<Keyhole> {
    const keyhole = await startKeyholeOn(upstreams, { policy: ROTATION_POLICY, ...options, ...more, clock })
    keyholes.push(keyhole)
    await keyhole.serving.wired.takeSurvey()
    return keyhole
  }

  function noteCiphertexts(): void {
    for (const name of ['payments-db', 'payments-tls']) {
      const data = kubernetes.secret({ namespace: 'payments', name })?.data ?? {}
      for (const value of Object.values(data)) search.add('a ciphertext', value.toString().replace(/^vault:v\d+:/, ''))
    }
  }

  function tokenOf(workload: Workload): string {
    const token = standins.tokenOf(workload)
    search.add(`a token of ${workload}`, token)
    return token
  }

  function note(answer: Answer): Answer {
    shown.push(`${JSON.stringify(answer.headers)}\n${answer.body.toString()}`)
    return answer
  }

  const keyhole = await start().catch(async (error: unknown) => {
    await standins[Symbol.asyncDispose]()
    throw error
  })
  const calls = () => [...kubernetes.requests.entries(), ...vault.requests.entries()]
  const forget = () => {
    kubernetes.requests.clear()
    vault.requests.clear()
  }
  forget()

  return {
    clock,
    kubernetes,
    vault,
    keyhole,
    start,
    tokenOf,
    secret: search.add,
    forget,
    async rotate({ as = 'rotator', token = tokenOf(as), at = keyhole, ...rest } = {}) {
      return note(await ask(at.url, '/rotate', { method: 'post', token, ...rest }))
    },
    async status({ as = 'rotator', token = tokenOf(as), at = keyhole } = {}) {
      const answer = note(await ask(at.url, '/rotate', { token }))
      expect(answer.status).toBe(200)
      return JSON.parse(answer.body.toString()) as RotationStatus
    },
    async read(name, at = keyhole) {
      const answer = await ask(at.url, `/secrets/${name}`, { token: tokenOf('api') })
      expect(answer.status).toBe(200)
      return answer.body.toString()
    },
    standing() {
      const versions = ['payments-db', 'payments-tls'].flatMap((name) =>
        Object.values(kubernetes.secret({ namespace: 'payments', name })?.data ?? {}).map(
          (value) => /^vault:(v\d+):/.exec(value.toString())?.[1] ?? 'none',
        ),
      )
      const key = vault.transit().key('payments')
      return { versions, latest: key?.latestVersion ?? 0, min: key?.minDecryptionVersion ?? 0 }
    },
    calls: () => calls().flatMap(({ method, path }) => (/\/login$/.test(path) ? [] : [`${method} ${path}`])),
    async [Symbol.asyncDispose]() {
      noteCiphertexts()
      const pages = await Promise.all(keyholes.map(({ managementUrl }) => pageOf(managementUrl)))
      const audits = await Promise.all(keyholes.map(auditOf))
      for (const one of keyholes) await one.stop()
      await standins[Symbol.asyncDispose]()
      for (const text of [...shown, ...pages, ...audits, ...keyholes.flatMap(({ logLines }) => logLines)]) {
        expect(search.foundIn(text), 'leaked').toEqual([])
      }
      for (const text of audits) expect(verify(linesOf(text)).broken, 'the chain of the audit log').toBeUndefined()
      expect(clock.timers(), 'timers left armed').toBe(0)
    },
  }
}

function seedCanaries(search: Canaries): void {
  const { PGPASSWORD, MIGRATOR_PASSWORD } = JSON.parse(SAMPLE_DICTIONARY) as Record<string, string>
  for (const value of [PGPASSWORD, MIGRATOR_PASSWORD]) search.add('a value', value ?? '')
  for (const text of ['certificate of payments\n', 'private key of payments\n']) search.add('a file', text)
}

/** Empty for one that ends in the test, or whose file a test put away. */
async function auditOf({ directory }: Keyhole): Promise<string> {
  return await readFile(`${directory}/audit.log`, 'utf8').catch(() => '')
}

async function pageOf(managementUrl: string): Promise<string> {
  return await fetch(`${managementUrl}/metrics`)
    .then((response) => response.text())
    .catch(() => '')
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

export function reportIn(answer: Answer): RotationReport {
  return JSON.parse(answer.body.toString()) as RotationReport
}

/** The records of what was changed, or was about to be. */
export async function effectsOf(keyhole: Keyhole): Promise<readonly string[]> {
  const records = await keyhole.auditRecords()
  return records
    .filter(({ kind }) => kind === 'effect')
    .map(({ effect, phase, secret }) => {
      const { name } = (secret ?? {}) as { name?: string }
      return [effect, phase, ...(name === undefined ? [] : [name])].join(' ')
    })
}

/** Keeps the matching calls of a stand-in waiting until released; what else comes by is answered. */
export function holdCalls(standin: Standin, match: { readonly method?: string; readonly path: RegExp }) {
  const arrived = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const wait: Fault = async (_request, next) => {
    arrived.resolve()
    await released.promise
    return next()
  }
  const injected = standin.faults.inject(match, wait)
  return {
    arrived: arrived.promise,
    release() {
      injected.remove()
      released.resolve()
    },
  }
}

/** For what happens by itself and soon: looks again after every turn of the event loop. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
}
