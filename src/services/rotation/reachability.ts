/** Where an answer does not come: whether that is one Secret's fault, or the API server's because it gives none at all. */
import { KeyholeError } from '../../errors.ts'
import { kubernetesRefusal } from '../upstream.ts'

/** Of calls of one kind, about several Secrets. */
export interface Reachability {
  /** It answered about one of them, whatever it said. */
  answered(): void
  /** It did not, about one of them. @param error what was thrown in place of an answer, where that is known. */
  silent(error?: unknown): void
  /** It was silent about all of them so far. */
  isDown(): boolean
  /** @throws KeyholeError KUBERNETES_UNAVAILABLE where it is down. */
  mustBeReachable(): void
}

export function reachability(): Reachability {
  let isAnswered = false
  let silence: unknown
  const isDown = () => !isAnswered && silence !== undefined
  return {
    answered() {
      isAnswered = true
    },
    silent(error = new KeyholeError('KUBERNETES_UNAVAILABLE', { why: 'kubernetes-silent' })) {
      silence ??= kubernetesRefusal(error)
    },
    isDown,
    mustBeReachable() {
      if (isDown()) throw silence
    },
  }
}
