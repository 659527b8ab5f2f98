/**
 * A rotator as a process: the real clients and the real rotation over a way out of its own, which can befall anything, and
 * a clock of its own. Dead, it sends nothing, hears nothing and no timer of it fires; stopped, all of that waits.
 */
import type { Effect, Rotation } from '../../src/audit-log/record.ts'
import type { Answer, Send, SendErrorCode } from '../../src/external/send.ts'
import { token } from '../../src/opaque.ts'
import type { StandinReply } from '../../src/standins/server.ts'
import type { Rotator, RotatorParts } from '../../src/wire-rotation.ts'
import type { Call } from './call.ts'
import { callOf, titleOf } from './call.ts'
import type { Code } from './code.ts'
import { LEASE, REALM } from './estate.ts'
import type { Mishap } from './mishaps.ts'
import { befall, isFault } from './mishaps.ts'
import { ROLES } from './rights.ts'
import type { Watch } from './watch.ts'
import { answerOf, requestOf, unlessAborted } from './wire.ts'
import type { World } from './world.ts'

export type AuditRecord = Effect | Rotation

export interface Process {
  readonly name: string
  readonly rotator: Rotator
  /** What its audit log holds. */
  readonly records: readonly AuditRecord[]
  /** Every call that left it, in order. */
  readonly calls: readonly Call[]
  readonly isDead: boolean
  /** Some record was not written, or it was not told so. */
  readonly hasLostRecords: boolean
  readonly isStopped: boolean
  kill(): void
  /** SIGSTOP. */
  stop(): void
  /** SIGCONT. What waited to leave or to arrive does so before any timer fires, or after. */
  proceed(timersFirst: boolean): void
}

export interface ProcessOptions {
  readonly name: string
  readonly code: Code
  /** What becomes of this call. */
  readonly plan?: (call: Call) => Mishap | undefined
  /** How long a call is on its way, either way, in ms; default no time at all. */
  readonly delayMs?: (() => number) | undefined
  readonly decorate?: (parts: RotatorParts) => RotatorParts
  /** Calls to the API server at once. */
  readonly parallel: number
}

export const LEASE_MS = 30_000

const NEVER = new Promise<never>(() => {})

export function startProcess(world: World, watch: Watch, options: ProcessOptions): Process {
  const { name, code, plan = () => undefined, delayMs, parallel } = options
  const settings = { ...SETTINGS, KEYHOLE_ROTATION_PARALLEL: parallel }
  const clock = world.time.face()
  const calls: Call[] = []
  const records: AuditRecord[] = []
  let isDead = false
  let isDying = false
  let hasLostRecords = false
  let stopped: PromiseWithResolvers<void> | undefined

  function kill(): void {
    isDead = true
    clock.kill()
  }

  function stop(): void {
    stopped ??= Promise.withResolvers()
    clock.freeze()
  }

  /** Comes back once the process may send or hear; never to a dead one. */
  async function awake(): Promise<void> {
    await stopped?.promise
    if (isDead) await NEVER
  }

  async function elapse(ms: number): Promise<void> {
    await new Promise<void>((resolve) => void world.time.after(ms, resolve))
  }

  async function onItsWay(): Promise<void> {
    const ms = delayMs?.() ?? 0
    if (ms > 0) await elapse(ms)
  }

  async function leave(call: Call, effect: () => Promise<Answer>): Promise<Answer> {
    if (isDying) kill()
    if (isDead) await NEVER
    calls.push(call)
    await awake()
    const mishap = plan(call)
    if (mishap === 'crash-before') kill()
    if (mishap === 'stop-before') stop()
    await awake()
    watch.leaving(process, call)
    const apply = () =>
      world.inTurn(async () => {
        const answer = await effect()
        watch.took(process, call, answer.status)
        return answer
      })
    await onItsWay()
    const answer = await travel(call, mishap, apply)
    if (mishap === 'crash-after') kill()
    if (mishap === 'stop-after') stop()
    await onItsWay()
    await awake()
    if (mishap === 'crash-answered') isDying = true
    return answer
  }

  async function travel(call: Call, mishap: Mishap | undefined, apply: () => Promise<Answer>): Promise<Answer> {
    if (mishap === undefined || !isFault(mishap)) return await apply()
    const fail = (error: SendErrorCode): never => {
      throw new code.SendError(error)
    }
    const later = (ms: number) => {
      world.time.after(ms, () => {
        watch.late(call)
        void apply()
      })
    }
    try {
      return await befall(mishap, { call, apply, elapse, later, fail })
    } finally {
      await awake()
    }
  }

  function sendTo(handle: (request: ReturnType<typeof requestOf>) => Promise<StandinReply> | StandinReply): Send {
    return async (outbound, signal) => {
      const gone = () => new code.SendError('aborted')
      if (signal.aborted) throw gone()
      const call = callOf(name, calls.length + 1, outbound)
      const answer = leave(call, async () => answerOf(await handle(requestOf(outbound))))
      return await unlessAborted(answer, signal, gone)
    }
  }

  const vaultSend = sendTo(world.vault.handle)
  const kubernetes = code.openKubernetes({
    send: sendTo(world.kubernetes.handle),
    token: { current: () => token(world.tokens.rotator.token), again: () => token(world.tokens.rotator.token) },
  })
  const vault = code.openVault({ send: vaultSend })
  const rotation = code.openVaultRotation({ send: vaultSend })
  const logins: RotatorParts['logins'] = {
    login: (role, signal) => vault.login({ mount: 'kubernetes', role, jwt: token(world.tokens.rotator.jwt) }, signal),
  }
  const parts: RotatorParts = {
    kubernetes,
    transit: rotation,
    logins,
    sessions: code.vaultSessions({ logins, clock, marginMs: 2_000, maxUseMs: 10_000, overlong: () => {} }),
    log: {
      async append(record) {
        const phase = `${record.kind} ${record.phase}${record.kind === 'effect' ? ` ${record.effect}` : ''}`
        const call = {
          process: name,
          number: calls.length + 1,
          act: 'append',
          about: phase,
          method: '',
          path: '',
          body: '',
        } as const
        const written = leave(call, async () => {
          watch.recording(call, record)
          records.push(record)
          return { status: 200, headers: {}, body: Buffer.alloc(0) }
        })
        await written.catch((error: unknown) => {
          hasLostRecords = true
          throw error
        })
      },
    },
    clock,
    policy: () => world.policy,
    newId: () => world.bytes(16).toString('hex'),
    rotated: () => {},
    // What the log keeps of it is less.
    failed: ({ message, code: refused, why, fix, detail }) => {
      watch.logged(JSON.stringify({ message, refused, why, fix, detail }))
    },
    holder: `${name}-${world.bytes(8).toString('hex')}`,
  }
  const process: Process = {
    name,
    rotator: code.wireRotation(settings, options.decorate?.(parts) ?? parts),
    records,
    calls,
    get isDead() {
      return isDead
    },
    get hasLostRecords() {
      return hasLostRecords
    },
    get isStopped() {
      return stopped !== undefined
    },
    kill,
    stop,
    proceed(timersFirst) {
      if (timersFirst) clock.thaw()
      stopped?.resolve()
      stopped = undefined
      if (!timersFirst) void world.time.after(0, clock.thaw)
    },
  }
  return process
}

const SETTINGS = {
  KEYHOLE_REALM: REALM,
  KEYHOLE_VAULT_ROTATE_ROLE: ROLES.rotate,
  KEYHOLE_ROTATION_LEASE: `${LEASE.namespace}/${LEASE.name}`,
  KEYHOLE_LEASE_MS: LEASE_MS,
  KEYHOLE_ROTATION_BUDGET_MS: 900_000,
  KEYHOLE_REPLY_TIMEOUT_MS: 15_000,
  KEYHOLE_DRAIN_MS: 25_000,
  KEYHOLE_DEADLINE_MS: 5_000,
}

export function describeCalls({ calls }: Process): string {
  return calls.map(titleOf).join('\n')
}
