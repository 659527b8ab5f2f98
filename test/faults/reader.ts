/**
 * I7. A caller's GET, by the real stages of the read path over a way out of their own: one call for so many steps of
 * whatever else happens, so that a rotation goes on between reading a ciphertext and decrypting it.
 */
import type { Clock } from '../../src/clock.ts'
import { KeyholeError } from '../../src/errors.ts'
import type { Send } from '../../src/external/send.ts'
import { token } from '../../src/opaque.ts'
import { authorizer } from '../../src/services/authorize.ts'
import type { StandinReply } from '../../src/standins/server.ts'
import { callerOf } from '../services/permits.ts'
import type { Code } from './code.ts'
import type { Sealed } from './estate.ts'
import { grantNameOf, idOf, REALM } from './estate.ts'
import { ROLES } from './rights.ts'
import type { Watch } from './watch.ts'
import { answerOf, requestOf } from './wire.ts'
import type { World } from './world.ts'

export interface Reader {
  /** Something else happened. */
  stepped(): void
  /** Reads on without being held up, until every Secret was read once more. */
  finish(): Promise<void>
}

/** Of a request: what takes longer is refused anyway. */
const DEADLINE_MS = 5_000

/** @param every one call of the reader for so many steps. */
export function startReader(world: World, watch: Watch, code: Code, every: number): Reader {
  const read = readPath(world, code, turn)
  const waiting: (() => void)[] = []
  let steps = 0
  let isFree = false
  let isOver = false

  async function turn(): Promise<void> {
    if (isFree) return
    await new Promise<void>((resolve) => waiting.push(resolve))
  }

  async function readOne(sealed: Sealed): Promise<void> {
    const begunAt = world.step
    const begunAtMs = world.time.now()
    const wasShut = watch.wasShut(sealed, begunAt)
    const found = await read(sealed).catch((error: unknown) => error)
    if (wasShut || watch.wasShut(sealed, begunAt)) return
    const wasGone = watch.wasGone(sealed, begunAt)
    if (wasGone === 'always' && typeof found === 'string')
      watch.object('I7', `a GET of ${idOf(sealed)} got what is gone`)
    const history = world.written.get(idOf(sealed)) ?? []
    const current = history.findLastIndex(({ step }) => step <= begunAt)
    const wanted = history.slice(Math.max(0, current)).map(({ value }) => value)
    if (typeof found === 'string' && wanted.includes(found)) return
    if (isExcused(found, world.time.now() - begunAtMs, wasGone !== 'never')) return
    watch.object('I7', `a GET of ${idOf(sealed)} got ${typeof found === 'string' ? 'another value' : String(found)}`)
  }

  async function readAll(): Promise<void> {
    while (!isOver) {
      // What is not granted at the moment makes no call at all.
      await turn()
      for (const sealed of watch.everySealed()) if (!isOver) await readOne(sealed)
    }
  }

  const reading = readAll()
  return {
    stepped() {
      steps += 1
      if (steps % every === 0) waiting.shift()?.()
    },
    async finish() {
      isFree = true
      isOver = true
      for (const go of waiting.splice(0)) go()
      await reading
      for (const sealed of watch.everySealed()) await readOne(sealed)
    },
  }
}

/** Vault is sealed by the scenario, the Secret deleted or its grant taken away: nothing that a rotation could do. */
function isExcused(found: unknown, elapsedMs: number, wasGone: boolean): boolean {
  // By its name: the class is another one in a broken copy.
  if (!(found instanceof Error) || found.name !== KeyholeError.name) return false
  const { code } = found as KeyholeError
  if (code === 'SECRET_MISSING') return wasGone
  return code === 'VAULT_SEALED' || code === 'NOT_GRANTED' || elapsedMs > DEADLINE_MS
}

/** Reads the plaintext at one place. */
function readPath(world: World, code: Code, turn: () => Promise<void>): (sealed: Sealed) => Promise<string> {
  const clock: Clock = { now: world.time.now, after: () => () => {} }
  const caller = callerOf()
  const sendTo =
    (handle: (request: ReturnType<typeof requestOf>) => Promise<StandinReply> | StandinReply): Send =>
    async (outbound) => {
      await turn()
      return await world.inTurn(async () => answerOf(await handle(requestOf(outbound))))
    }
  const own = token(world.tokens.reader.token)
  const kubernetes = code.openKubernetes({
    send: sendTo(world.kubernetes.handle),
    token: { current: () => own, again: () => own },
  })
  const vault = code.openVault({ send: sendTo(world.vault.handle) })
  const logins = {
    login: (role: string, signal: AbortSignal) =>
      vault.login({ mount: 'kubernetes', role, jwt: token(world.tokens.reader.jwt) }, signal),
  }
  const sessions = code.vaultSessions({ logins, clock, marginMs: 2_000, maxUseMs: 10_000, overlong: () => {} })
  const decrypt = code.decryptor({ transit: vault, sessions, realm: REALM, role: ROLES.read })
  const ciphertext = code.ciphertextReader(kubernetes)
  const keys = code.transitKeys({ ask: decrypt.refusal, clock, keepMs: 7_200_000, retryMs: 0, changed: () => {} })
  const open = code.opener({ decrypt, ciphertext, keys })
  const authorize = authorizer(() => world.policy, clock)
  const never = new AbortController().signal

  return async (sealed) => {
    const { namespace, dataKey } = sealed
    const isFile = !dataKey.endsWith('.json')
    const name = isFile ? sealed.secret : grantNameOf(sealed)
    const ask = { secret: { namespace, name }, ...(isFile && { keys: [dataKey] }), raw: isFile }
    const sealedHere = await ciphertext.read(authorize.read(caller, ask), never)
    using opened = await open(sealedHere, never)
    const part = opened.parts.find((one) => one.dataKey === dataKey)
    if (part === undefined) throw new Error(`no ${dataKey} in what was opened`)
    return part.bytes.toString()
  }
}
