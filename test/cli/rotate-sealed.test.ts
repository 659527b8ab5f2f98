/**
 * Vault is sealed in the middle of a rotation, for longer than keyhole waits for it: what `keyhole rotate` says, how it ends,
 * and that another one finishes. The real service, and its clock is the command's: it stands still while a call is out.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rotate } from '../../src/cli/rotate.ts'
import { ROTATE_HELP } from '../../src/cli/rotate-help.ts'
import type { RotationReport } from '../../src/contract.ts'
import type { SendDecorator } from '../../src/external/send.ts'
import type { RotationWorld } from '../routes/rotation-world.ts'
import { holdCalls, startRotationWorld } from '../routes/rotation-world.ts'
import { settled } from '../virtual-clock.ts'

interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

interface Cron extends AsyncDisposable {
  readonly world: RotationWorld
  /** To its end, with time passing whenever nothing else goes on. */
  keyhole(args: string): Promise<Ran>
}

const STEP_MS = 500
/** Of the event loop, after the last call came back: for what has to be done about it. */
const TURNS = 20

async function startCron(): Promise<Cron> {
  let out = 0
  const decorate: SendDecorator = (send) => async (outbound, signal) => {
    out += 1
    try {
      return await send(outbound, signal)
    } finally {
      out -= 1
    }
  }
  const world = await startRotationWorld({ surroundings: { decorate }, audited: () => {} })
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-cli-'))
  const tokenFile = join(directory, 'token')

  async function passTime(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      for (let turn = 0; turn < TURNS; turn += 1) {
        await settled()
        if (out > 0) turn = 0
      }
      if (!isOver()) await world.clock.advance(STEP_MS)
    }
  }

  return {
    world,
    async keyhole(args) {
      writeFileSync(tokenFile, world.tokenOf('rotator'))
      const printed = { stdout: '', stderr: '' }
      const outputTo = (name: keyof typeof printed) => ({
        isTTY: false,
        columns: 80,
        write(text: string) {
          printed[name] += text
        },
      })
      let isOver = false
      const exit = rotate(args.split(' '), {
        environment: { KEYHOLE_ADDR: world.keyhole.url, KEYHOLE_TOKEN_FILE: tokenFile },
        stdout: outputTo('stdout'),
        stderr: outputTo('stderr'),
        clock: world.clock,
        random: () => 1,
        newId: () => crypto.randomUUID(),
        signal: new AbortController().signal,
      }).finally(() => {
        isOver = true
      })
      await passTime(() => isOver)
      return { exit: await exit, ...printed }
    },
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Seals Vault when this call of the rotation is on its way. */
function sealAt({ kubernetes, vault }: RotationWorld, method: string, path: RegExp): void {
  const held = holdCalls(kubernetes, { method, path })
  void held.arrived.then(() => {
    vault.seal()
    held.release()
  })
}

/** keyhole asks a sealed Vault again for 16 s, five times: after 1, 2, 4 and 8 s. The next wait would be beyond it. */
const BUDGET = '--budget 100s'
const DETAIL = 'Vault is sealed or on standby. Try again once it is unsealed.'
const LEFT = [
  { namespace: 'payments', name: 'payments-db', outcome: 'left' },
  { namespace: 'payments', name: 'payments-tls', outcome: 'left' },
]

describe('Vault sealed before anything moved, and not unsealed within the budget', () => {
  test('is exit 2, as the help says of what did not finish, with VAULT_SEALED and what is left', async () => {
    await using cron = await startCron()
    sealAt(cron.world, 'GET', /payments-tls$/)
    const { exit, stdout, stderr } = await cron.keyhole(`--output json ${BUDGET}`)
    const report = JSON.parse(stdout) as RotationReport
    expect(report).toMatchObject({ type: 'report', complete: false, keys: [{ key: 'payments', complete: false }] })
    expect(report.keys[0]?.failure).toEqual({ code: 'VAULT_SEALED', detail: DETAIL })
    expect(report.keys[0]?.secrets).toEqual(LEFT)
    expect(stderr).toContain(`The rotation stopped: VAULT_SEALED: ${DETAIL} Trying again in 8 s.\n`)
    expect(exit).toBe(2)
    expect(ROTATE_HELP).toMatch(/^ {2}2 {2}.*did not finish/m)
    expect(cron.world.standing()).toEqual({ versions: ['v1', 'v1', 'v1'], latest: 2, min: 1 })
  })

  test('as text says the same to a person', async () => {
    await using cron = await startCron()
    sealAt(cron.world, 'GET', /payments-tls$/)
    const { exit, stdout } = await cron.keyhole(BUDGET)
    expect(stdout).toContain(': incomplete (')
    expect(stdout).toContain(`  failed                  VAULT_SEALED: ${DETAIL}\n`)
    expect(stdout).toContain(
      'Left, for a rerun to go on with:\n  payments/payments-db of payments\n  payments/payments-tls of payments\n',
    )
    expect(exit).toBe(2)
  })

  test('a rerun finishes what was begun, and makes no second version', async () => {
    await using cron = await startCron()
    sealAt(cron.world, 'GET', /payments-tls$/)
    await cron.keyhole(BUDGET)
    cron.world.vault.unseal()
    const { exit, stdout } = await cron.keyhole('--output json')
    const report = JSON.parse(stdout) as RotationReport
    expect([exit, report.complete]).toEqual([0, true])
    expect(report.keys).toMatchObject([{ resumed: true, from: 1, to: 2, advance: 'there' }])
    expect(cron.world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
  })
})

test('sealed once everything moved, it is exit 2 all the same: nobody has verified it', async () => {
  await using cron = await startCron()
  sealAt(cron.world, 'PATCH', /payments-tls$/)
  const { exit, stdout } = await cron.keyhole(`--output json ${BUDGET}`)
  const report = JSON.parse(stdout) as RotationReport
  expect(report.keys).toMatchObject([{ complete: false, failure: { code: 'VAULT_SEALED' } }])
  expect(exit).toBe(2)
  cron.world.vault.unseal()
  expect(await cron.keyhole('--output json')).toMatchObject({ exit: 0 })
  expect(cron.world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
})

test('unsealed within the budget, one invocation is enough', async () => {
  await using cron = await startCron()
  sealAt(cron.world, 'GET', /payments-tls$/)
  cron.world.clock.after(40_000, () => cron.world.vault.unseal())
  const { exit, stdout } = await cron.keyhole('--output json')
  expect([exit, (JSON.parse(stdout) as RotationReport).complete]).toEqual([0, true])
  expect(cron.world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
})
