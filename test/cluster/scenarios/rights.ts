/** Exactly what both identities may do, as the cluster tells it. */
import { describe, expect, test } from 'vitest'
import { FLEET } from '../fleet.ts'
import type { ClusterWorld } from '../world.ts'

/** The tutorial's Secret, and the fleet. */
const secrets = (verbs: string) => ['payments-db', ...FLEET].map((name) => `secrets [${name}] ${verbs}`)

/** In each namespace beyond what every ServiceAccount may: one line a rule. Nothing anywhere else. */
const GOLDEN = {
  'keyhole:keyhole': {
    keyhole: ['tokenreviews.authentication.k8s.io [] create'],
    payments: [...secrets('get'), 'tokenreviews.authentication.k8s.io [] create'],
    bi: ['tokenreviews.authentication.k8s.io [] create'],
    'kube-system': ['tokenreviews.authentication.k8s.io [] create'],
  },
  'keyhole:keyhole-rotate': {
    keyhole: [
      'leases.coordination.k8s.io [keyhole-rotation] get,update,create',
      'tokenreviews.authentication.k8s.io [] create',
    ],
    payments: [...secrets('get,patch'), 'tokenreviews.authentication.k8s.io [] create'],
    bi: ['tokenreviews.authentication.k8s.io [] create'],
    'kube-system': ['tokenreviews.authentication.k8s.io [] create'],
  },
  'keyhole:keyhole-cron': { keyhole: [], payments: [], bi: [], 'kube-system': [] },
  'payments:api': { keyhole: [], payments: [], bi: [], 'kube-system': [] },
} as const

export function rights(world: () => ClusterWorld): void {
  describe('rights in the cluster', () => {
    describe.each(Object.entries(GOLDEN))('of %s', (identity, byNamespace) => {
      test.each(Object.entries(byNamespace))('in %s are these and no others', async (namespace, wanted) => {
        const everybody = await rulesOf(world(), 'default:nobody', namespace)
        const rules = await rulesOf(world(), identity, namespace)
        expect(rules.filter((rule) => !everybody.includes(rule)).toSorted()).toEqual(wanted.toSorted())
      })

      test('hold no role of the whole cluster but the one that reviews tokens', async () => {
        const { items } = await world().kubectl.json<Bindings>('get', 'clusterrolebindings')
        const [namespace, name] = identity.split(':')
        const bound = items.filter(({ subjects = [] }) =>
          subjects.some((subject) => subject.namespace === namespace && subject.name === name),
        )
        expect(new Set(bound.map(({ roleRef }) => roleRef.name))).toEqual(
          new Set(name === 'keyhole' || name === 'keyhole-rotate' ? ['keyhole-reviews-tokens'] : []),
        )
      })
    })
  })
}

interface Bindings {
  readonly items: readonly {
    readonly roleRef: { readonly name: string }
    readonly subjects?: readonly { readonly namespace?: string; readonly name: string }[]
  }[]
}

/** `kubectl auth can-i --list`, one line a rule, without the heading and with single blanks. */
async function rulesOf({ kubectl }: ClusterWorld, identity: string, namespace: string): Promise<readonly string[]> {
  const table = await kubectl('auth', 'can-i', '--list', `--as=system:serviceaccount:${identity}`, '-n', namespace)
  return table
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      // RESOURCES, NON-RESOURCE URLS, RESOURCE NAMES, VERBS; the lists are in brackets.
      const [resource = ''] = line.split(/\s+/, 1)
      const [, names = '', verbs = ''] = [...line.matchAll(/\[([^\]]*)\]/g)].map(([, list = '']) => list)
      return `${resource} [${names}] ${verbs.replaceAll(' ', ',')}`
    })
}
