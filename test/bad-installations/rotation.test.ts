/** What a rotation stands on: one Lease for all who rotate the same keys, and a policy that names all Secrets under them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { putSealed, SAMPLE_POLICY } from '../../src/testing/sample.ts'
import { until } from '../process/world.ts'
import type { Installation } from './world.ts'
import { install } from './world.ts'

const LEASE = { namespace: 'keyhole', name: 'keyhole-rotation' }
const STATE = 'keyhole.dev/rotation'
const ROTATE = { KEYHOLE_SERVE: 'rotate' }

let installation: Installation
beforeEach(async () => {
  installation = await install()
})
afterEach(() => installation[Symbol.asyncDispose]())

/** What is told under this name, of keyhole check. */
async function told(check: string, settings: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const { lines } = await installation.check(settings)
  return lines.filter((line) => line.slice('skip  '.length).startsWith(`${check}:`))
}

/** As the CronJob does. */
async function rotate(): Promise<void> {
  await using pod = await installation.start(ROTATE)
  expect((await pod.post('/rotate', 'rotator')).status).toBe(200)
}

/** The Lease as it is, with what it remembers changed. */
function rewriteLease(change: (state: { readonly last?: object }) => object): void {
  const { kubernetes } = installation.standins
  const lease = kubernetes.lease(LEASE)
  if (lease === undefined) throw new Error('nothing was rotated yet')
  const state = JSON.stringify(change(JSON.parse(lease.annotations[STATE] ?? '{}')))
  const annotations = { ...lease.annotations, [STATE]: state }
  kubernetes.putLease({ ...LEASE, labels: lease.labels, spec: lease.spec, annotations })
}

describe('two installations in one cluster', () => {
  test('on one Lease are two replicas to each other', async () => {
    await rotate()
    expect(await told('other-rotators')).toEqual([
      'ok    other-rotators: transit/payments: version 2 was made on the Lease keyhole/keyhole-rotation',
    ])
    expect(await told('lease')).toEqual([
      expect.stringMatching(
        /^ok {4}lease: keyhole\/keyhole-rotation: nobody rotates now, last rotation 20\d\d-[-:.\dT]+Z$/,
      ),
    ])
  })

  test('with a Lease each, of which one never rotated, are found out by the versions that it does not know', async () => {
    await rotate()
    const settings = { KEYHOLE_ROTATION_LEASE: 'other/keyhole-rotation' }
    installation.standins.kubernetes.allow(
      { namespace: 'keyhole', name: 'keyhole' },
      {
        verbs: ['get', 'update', 'create'],
        group: 'coordination.k8s.io',
        resource: 'leases',
        namespace: 'other',
        names: ['keyhole-rotation'],
      },
    )
    expect(await told('other-rotators', settings)).toEqual([
      'wait  other-rotators: transit/payments has 2 versions, of which the Lease other/keyhole-rotation knows nothing: nothing was ever rotated on it. If another installation of keyhole rotates it, let both name one Lease: KEYHOLE_ROTATION_LEASE=other/keyhole-rotation',
    ])
  })

  test('with a Lease each are found out by a version that was made after the last rotation on ours', async () => {
    await rotate()
    rewriteLease(({ last, ...state }) => ({ ...state, last: { ...last, finishedAtMs: Date.now() - 120_000 } }))
    const { exit, lines } = await installation.check()
    expect(exit).toBe(3)
    expect(lines.filter((line) => line.startsWith('fix'))).toEqual([
      expect.stringMatching(
        /^fix {3}other-rotators: transit\/payments: version 2 was made at 20\S+Z, by none of the rotations on the Lease keyhole\/keyhole-rotation\. If another installation of keyhole rotates it, let both name one Lease: KEYHOLE_ROTATION_LEASE=keyhole\/keyhole-rotation\. If it was made by hand or by auto_rotate_period, keyhole rotate --rewrap takes it up$/,
      ),
    ])
  })

  test('that rotate at once are told apart by the Lease, and the second waits', async () => {
    await using pod = await installation.start(ROTATE)
    const spec = {
      holderIdentity: 'another',
      leaseDurationSeconds: 120,
      renewTime: `${new Date().toISOString().slice(0, -1)}000Z`,
      leaseTransitions: 1,
    }
    installation.standins.kubernetes.putLease({ ...LEASE, spec, annotations: { [STATE]: '{"intents":[],"known":[]}' } })
    const { status, body } = await pod.post('/rotate', 'rotator')
    expect([status, JSON.parse(body).code]).toEqual([409, 'ROTATION_IN_PROGRESS'])
    expect(await told('lease')).toEqual(['ok    lease: keyhole/keyhole-rotation: a rotation runs, last rotation none'])
    expect(await told('other-rotators')).toEqual([
      'ok    other-rotators: transit/payments: a rotation is under way, or unfinished',
    ])
  })
})

describe('a Lease', () => {
  test('that holds an unfinished rotation says which', async () => {
    await rotate()
    const intent = {
      id: 'ab',
      key: 'payments',
      mount: 'transit',
      from: 2,
      target: 3,
      mode: 'rotate',
      retire: 'after-grace',
      by: 'keyhole/keyhole-cron',
      startedAtMs: 1,
    }
    rewriteLease((state) => ({ ...state, intents: [intent] }))
    expect(await told('lease')).toEqual([
      'wait  lease: keyhole/keyhole-rotation: the rotation of payments is unfinished. Rotate again: it goes on with that',
    ])
  })

  test('that somebody else wrote to says so, and quotes nothing of it', async () => {
    await rotate()
    rewriteLease(() => ({ canary: 'of somebody else' }))
    const { lines, stdout } = await installation.check()
    expect(lines.filter((line) => /^fix/.test(line))).toEqual([
      'fix   lease: keyhole/keyhole-rotation holds something that keyhole did not write. See who else may edit it: the next rotation overwrites it, and retires nothing for a week',
    ])
    expect(stdout).not.toContain('canary')
  })
})

describe('an older policy after a rollback', () => {
  test('says that a Secret has left it, in the log and in keyhole check, and retires nothing meanwhile', async () => {
    await rotate()
    await using pod = await installation.start()
    await pod.said('serving')
    const [db = ''] = SAMPLE_POLICY['payments.yaml'].split('---\n')
    await installation.mount('policy', { ...SAMPLE_POLICY, 'payments.yaml': db })
    expect(await pod.said('policy changed')).toMatchObject({ removed: ['SecretGrant payments/tls'] })
    expect((await pod.readyz()).status).toBe(200)
    const { exit, lines } = await installation.check()
    expect(exit).toBe(2)
    expect(lines.filter((line) => line.startsWith('wait'))).toEqual([
      'wait  key-versions: 1 Secret under transit/payments left the policy lately: no old version is retired for a week. If that was not meant, an older policy is in force, as after a rollback: put the grants back',
    ])
    expect(lines).toContainEqual(
      expect.stringMatching(/^ok {4}policy: 1 TransitKey and 1 SecretGrant in force, 0 denied, sha256:[0-9a-f]{64}$/),
    )
  })

  test.each([[{}], [ROTATE]])(
    'names the Secrets that do not open any more, by their version (%o)',
    async (settings) => {
      const { kubernetes, vault } = installation.standins
      const transit = vault.transit()
      transit.rotateKey('payments')
      const secret = { namespace: 'payments', name: 'payments-tls', data: { 'tls.crt': 'new\n', 'tls.key': 'new\n' } }
      putSealed(kubernetes, vault, secret)
      transit.configureKey('payments', { minDecryptionVersion: 2 })
      expect(await told('key-versions', settings)).toEqual([
        'fix   key-versions: Secret payments/payments-db: version 1, which transit/payments opens no more. An older Secret was put back, or was not in the policy when the key was rotated. Until it is encrypted again: vault write transit/keys/payments/config min_decryption_version=1',
      ])
    },
  )
})

test('a rotation is seen as it stands on the Lease', async () => {
  await rotate()
  await until(() => installation.standins.kubernetes.lease(LEASE)?.spec.holderIdentity === '')
  const { exit, lines } = await installation.check()
  expect([exit, lines.filter((line) => !line.startsWith('ok'))]).toEqual([0, []])
})
