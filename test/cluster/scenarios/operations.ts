/** What pages have an operator type, typed: rotations on demand, the looks of the runbooks, and handing the replicas to an autoscaler. */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NAMESPACE } from '../installation.ts'
import { ask } from '../probe.ts'
import type { Followed } from '../script.ts'
import { GREP_MAY_FIND_NOTHING } from '../script.ts'
import type { ClusterWorld } from '../world.ts'

const RUNBOOKS = 'docs/runbooks'
/** In a block of the page that does not succeed, it throws and says which. */
export type FollowPage = (path: string, preamble: string) => Promise<readonly Followed[]>

export function operations(world: () => ClusterWorld, followPage: FollowPage): void {
  const pages = readdirSync(join(import.meta.dirname, '../../..', RUNBOOKS)).map((name) => `${RUNBOOKS}/${name}`)
  const cron = (...args: readonly string[]) => world().kubectl('-n', NAMESPACE, ...args)

  describe('an operator', () => {
    test('is shown what a stranger was refused', async () => {
      const stranger = { namespace: 'bi', serviceAccount: 'default', path: '/secrets/db.payments' }
      expect(await ask(world(), stranger)).toEqual({ status: 403, code: 'NOT_GRANTED' })
      const [shown] = await followPage('docs/runbooks/keyhole-refused-spike.md', GREP_MAY_FIND_NOTHING)
      expect(shown?.output).toMatch(/^ +\d+ NOT_GRANTED\t\S+\tbi\/default\t/m)
    })

    test('rotates on demand as the page says', async () => {
      const [made] = await followPage('docs/how-to/rotate.md', '')
      // The tutorial has just rotated: a dry run tells, and a rotation of what is older than an hour finds nothing due.
      expect(made?.output).toMatch(/^Dry run \S+: /m)
      expect(made?.output).toMatch(/^Nothing due: /m)
    })

    test.each(pages)('looks as %s says, and every command works', async (page) => {
      const before = BEFORE[basename(page)] ?? ''
      const followed = await followPage(page, `${GREP_MAY_FIND_NOTHING}\n${before}`)
      const printed = followed.map(({ output }) => output).join('\n')
      expect(printed).not.toMatch(/eyJ[A-Za-z0-9_-]{20}|hvs\.[A-Za-z0-9]{10}|hvb\.[A-Za-z0-9]{10}/)
      expect(printed).toMatch(SHOWN[basename(page)] ?? /(?:)/)
    })

    test('finds the CronJob suspended by the runbook of a restored backup, and lets it go on', async () => {
      const suspended = () => cron('get', 'cronjob', 'keyhole-rotate', '-o', 'jsonpath={.spec.suspend}')
      expect(await suspended()).toBe('true')
      await cron('patch', 'cronjob', 'keyhole-rotate', '-p', '{"spec":{"suspend":false}}')
      expect(await suspended()).toBe('false')
    })

    test('hands the number of readers to an autoscaler, and no apply sets it back', async () => {
      const { kubectl } = world()
      const applied = async () =>
        JSON.parse(await cron('apply', 'view-last-applied', 'deployment/keyhole', '-o', 'json')) as Deployment
      expect((await applied()).spec.replicas).toBe(3)
      await followPage('docs/how-to/choose-components.md', '')
      const { spec, ...rest } = await applied()
      expect(spec.replicas).toBeUndefined()
      await kubectl.apply({ ...rest, spec })
      expect(await cron('get', 'deployment', 'keyhole', '-o', 'jsonpath={.spec.replicas}')).toBe('3')
    })
  })
}

interface Deployment {
  readonly spec: { readonly replicas?: number }
}

/** What has to be there for a look to show something: the CronJob's day does not come while this suite runs. */
const BEFORE: Readonly<Record<string, string>> = {
  'keyhole-rotation-overdue.md': `
    ran=keyhole-rotate-$(date +%s)
    kubectl -n keyhole create job "$ran" --from=cronjob/keyhole-rotate
    kubectl -n keyhole wait --for=condition=complete --timeout=5m "job/$ran"`,
}

/** What some looks show on the day of this suite, so that a pipe that swallows everything is found. */
const SHOWN: Readonly<Record<string, RegExp>> = {
  'README.md': /^\[\+\] vault: answers$/m,
  'keyhole-policy-differs.md': /^pod\/keyhole-\S+ \[\+\] policy: sha256:/m,
  'keyhole-rotation-overdue.md': /^0( 0)*$/m,
  'lost-policy.md': /"payments.yaml": \d+/,
  'restored-backup.md': /"latest_version": \d+/,
  'rollback.md': /REVISION/,
  'vault-sealed.md': /Sealed +false/,
}
