/** Readers notice nothing of what a platform engineer does on an ordinary day. */
import { describe, expect, test } from 'vitest'
import { until } from '../../servers/until.ts'
import { NAMESPACE, podsOf, settled } from '../installation.ts'
import { load } from '../probe.ts'
import type { ClusterWorld } from '../world.ts'

export function availability(world: () => ClusterWorld): void {
  describe('under fifty GETs a second', () => {
    // Once more, since a node that is busy may hear too late that a pod ends; what keyhole loses it loses twice.
    test.each([
      ['a rolling update', rollingUpdate],
      ['a deleted pod', deletePod],
    ] as const)('%s fails not one', { retry: 1 }, async (_, act) => {
      await settled(world().kubectl)
      await using reading = await load(world(), { namespace: 'payments', serviceAccount: 'api' })
      await act(world())
      const { sent, failed } = await reading.counts()
      expect(failed).toEqual({})
      expect(sent).toBeGreaterThan(100)
    })
  })
}

async function rollingUpdate({ kubectl }: ClusterWorld): Promise<void> {
  const before = new Set((await podsOf(kubectl, 'keyhole')).map(({ metadata }) => metadata.uid))
  await kubectl('-n', NAMESPACE, 'rollout', 'restart', 'deployment/keyhole')
  await settled(kubectl)
  await gone(kubectl, before)
}

async function deletePod({ kubectl }: ClusterWorld): Promise<void> {
  const [pod] = await podsOf(kubectl, 'keyhole')
  await kubectl('-n', NAMESPACE, 'delete', 'pod', pod?.metadata.name ?? '', '--wait=false')
  await gone(kubectl, new Set([pod?.metadata.uid ?? '']))
  await settled(kubectl)
}

/** Not only out of the Service, but ended. */
async function gone(kubectl: ClusterWorld['kubectl'], uids: ReadonlySet<string>): Promise<void> {
  await until(
    'the former pods are gone',
    async () => {
      const { items } = await kubectl.json<{ items: readonly { metadata: { uid: string } }[] }>(
        '-n',
        NAMESPACE,
        'get',
        'pods',
      )
      return !items.some(({ metadata }) => uids.has(metadata.uid))
    },
    { withinMs: 120_000, everyMs: 1_000 },
  )
}
