/** What whoever watches is told while one Transit key is rotated. */
import type { RotationEvent, RotationStage } from '../../contract.ts'

export interface Steps {
  stage(stage: RotationStage, versions?: { readonly from?: number; readonly to?: number }): void
  /** So many Secrets are done. Never goes back: that they are gone through once more is no news. */
  progress(stage: 'move' | 'verify', done: number): void
}

/** @param total how many Secrets the key has. */
export function stepsOf(key: string, total: number, onEvent: (event: RotationEvent) => void): Steps {
  const most = { move: 0, verify: 0 }
  return {
    stage: (stage, versions = {}) => onEvent({ type: 'step', key, stage, ...versions }),
    progress(stage, done) {
      if (done <= most[stage]) return
      most[stage] = done
      onEvent({ type: 'progress', key, stage, done, total })
    },
  }
}
