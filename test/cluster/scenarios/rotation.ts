/** Rotations as the cluster starts them: by hand from the CronJob, by its schedule, and from three places at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { expectStatus } from '../../servers/call.ts'
import { until } from '../../servers/until.ts'
import { FLEET } from '../fleet.ts'
import { jobEnds, NAMESPACE, settled, versionOf } from '../installation.ts'
import { ask } from '../probe.ts'
import type { ClusterWorld } from '../world.ts'

/** The tutorial's policy lets a key have a new version once a minute. */
const MIN_INTERVAL_MS = 60_000

export function rotation(world: () => ClusterWorld): void {
  const SECRETS = ['payments-db', ...FLEET]
  const heldBy = () =>
    Promise.all(SECRETS.map((secret) => versionOf(world().kubectl, 'payments', secret, 'secrets.json')))
  const all = (version: number) => SECRETS.map(() => version)
  const cron = (...args: readonly string[]) => world().kubectl('-n', NAMESPACE, ...args)

  async function latest(): Promise<Latest> {
    const { data } = await expectStatus(world().vault<TransitKey>('GET', '/v1/transit/keys/payments'))
    const times = data.keys
    const version = data.latest_version
    return { version, madeMs: Number(times[version] ?? 0) * 1_000, times }
  }

  /**
   * The newest version, which is the one after `former`. Where a Job takes its time, one that asks after the interval may have had
   * another made: that is what the interval is for, and no sooner.
   */
  async function newestAfter(former: number): Promise<number> {
    const { version, times } = await latest()
    expect(version).toBeGreaterThan(former)
    for (let further = former + 2; further <= version; further += 1)
      expect(agedMs(times, further)).toBeGreaterThanOrEqual(MIN_INTERVAL_MS)
    return version
  }

  /** Until the key may have another version. */
  async function due(): Promise<void> {
    const { madeMs } = await latest()
    await sleep(Math.max(0, madeMs + MIN_INTERVAL_MS + 1_000 - Date.now()))
  }

  async function startJob(name: string): Promise<void> {
    await cron('delete', 'job', name, '--ignore-not-found')
    await cron('create', 'job', name, '--from=cronjob/keyhole-rotate')
  }

  describe('a rotation', () => {
    test('from the CronJob, by hand, moves every Secret, and readers get the same', async () => {
      const asking = { namespace: 'payments', serviceAccount: 'api' }
      const before = await ask(world(), asking)
      await due()
      const { version } = await latest()
      await startJob('by-hand')
      expect(await jobEnds(world().kubectl, 'by-hand'), await cron('logs', 'job/by-hand')).toBe('Complete')
      expect(await heldBy()).toEqual(all(await newestAfter(version)))
      expect(await ask(world(), asking)).toEqual(before)
    })

    test('within the interval makes no version, and its Job is complete', async () => {
      // A Job that ends after the interval may have asked after it, and had a version made: the next has all of that one's.
      for (let attempt = 1; ; attempt += 1) {
        const { version, madeMs } = await latest()
        await startJob('too-soon')
        expect(await jobEnds(world().kubectl, 'too-soon'), await cron('logs', 'job/too-soon')).toBe('Complete')
        const inTime = Date.now() < madeMs + MIN_INTERVAL_MS
        const after = await latest()
        if (after.version > version)
          expect(after.times[version + 1]).toBeGreaterThanOrEqual((madeMs + MIN_INTERVAL_MS) / 1_000)
        if (inTime) return
        if (attempt === 3) throw new Error('three Jobs took longer than the interval, and so show nothing')
      }
    })

    test('from three places at once makes one version: one works, the others wait for it', async () => {
      await cron('scale', 'deployment/keyhole-rotate', '--replicas=3')
      await settled(world().kubectl)
      await due()
      const { version } = await latest()
      const names = ['first', 'second', 'third']
      await Promise.all(names.map(startJob))
      const ends = await Promise.all(names.map((name) => jobEnds(world().kubectl, name)))
      expect(ends).toEqual(['Complete', 'Complete', 'Complete'])
      expect(await heldBy()).toEqual(all(await newestAfter(version)))
      await cron('scale', 'deployment/keyhole-rotate', '--replicas=2')
      await settled(world().kubectl)
    })

    test('starts by the schedule', async () => {
      const schedule = await cron('get', 'cronjob', 'keyhole-rotate', '-o', 'jsonpath={.spec.schedule}')
      expect(schedule).toBe('0 3 1 * *')
      await due()
      const { version } = await latest()
      const at = (when: string) =>
        cron('patch', 'cronjob', 'keyhole-rotate', '-p', JSON.stringify({ spec: { schedule: when } }))
      await at('* * * * *')
      try {
        await until(
          'the schedule has moved every Secret',
          async () => (await heldBy()).every((held) => held > version),
          { withinMs: 240_000, everyMs: 1_000 },
        )
        await newestAfter(version)
      } finally {
        await at(schedule)
      }
    })

    test('leaves records of who asked and of every effect', async () => {
      const logs = await cron('logs', '-l', 'app.kubernetes.io/component=rotator', '--tail=-1')
      const records = logs
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as AuditRecord)
      expect(
        records.some(({ action, caller }) => action === 'rotate' && caller?.serviceAccount === 'keyhole-cron'),
      ).toBe(true)
      expect(logs).not.toMatch(/eyJ[A-Za-z0-9_-]{20}|hvs\.|hvb\./)
    })
  })
}

interface AuditRecord {
  readonly action?: string
  readonly caller?: { readonly serviceAccount?: string }
}

interface TransitKey {
  readonly data: { readonly latest_version: number; readonly keys: Times }
}

/** When each version was made, in seconds since the epoch. */
type Times = Readonly<Record<string, number>>

interface Latest {
  readonly version: number
  readonly madeMs: number
  readonly times: Times
}

/** How old the version before it was when this one was made; NaN where that is not known any more. */
function agedMs(times: Times, version: number): number {
  return (Number(times[version]) - Number(times[version - 1])) * 1_000
}
