/** How a call about the Lease refuses: what an operator has to mend is told apart from an API server that is away. */
import type { UpstreamKind } from '../../errors.ts'
import { KeyholeError, UpstreamError } from '../../errors.ts'
import { kubernetesRefusal } from '../upstream.ts'

export function leaseRefusal(thrown: unknown): unknown {
  const known = thrown instanceof UpstreamError ? UNUSABLE[thrown.kind] : undefined
  return known === undefined
    ? kubernetesRefusal(thrown)
    : new KeyholeError('LEASE_UNUSABLE', { ...known, cause: thrown })
}

const UNUSABLE: Partial<Record<UpstreamKind, { readonly why: string; readonly fix: string }>> = {
  forbidden: {
    why: 'lease-rbac',
    fix: "grant the rotator's ServiceAccount the verbs get, update and create on its Lease (coordination.k8s.io), by resourceNames",
  },
  'bad-request': {
    why: 'lease-namespace',
    fix: 'create the namespace that KEYHOLE_ROTATION_LEASE names, or name the one that keyhole runs in',
  },
}
